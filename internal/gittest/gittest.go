// Package gittest serves a Git repository over HTTP on loopback for tests, by git's own http-backend.
package gittest

import (
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Repo is a repository that is served.
type Repo struct {
	URL string

	t    testing.TB
	work string // the work tree that is pushed from
	down atomic.Bool
	asks atomic.Int64
}

// Serve serves an empty repository whose branch is main until the test ends; token is the password that is asked for, "" is none.
func Serve(t testing.TB, token string) *Repo {
	t.Helper()
	core, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") != "" {
			t.Fatal("this test needs git: ", err)
		}
		t.Skip("this test needs git: ", err)
	}
	dir := t.TempDir()
	r := &Repo{t: t, work: filepath.Join(dir, "work")}
	bare := filepath.Join(dir, "mesh.git")
	r.run(dir, "init", "-q", "--bare", "-b", "main", bare)
	r.run(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
	r.run(dir, "init", "-q", "-b", "main", r.work)
	r.run(r.work, "remote", "add", "origin", bare)
	backend := &cgi.Handler{Path: filepath.Join(strings.TrimSpace(string(core)), "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + dir, "GIT_HTTP_EXPORT_ALL=1"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.asks.Add(1)
		_, password, _ := req.BasicAuth()
		switch {
		case r.down.Load():
			w.WriteHeader(http.StatusBadGateway)
		case token != "" && password != token:
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			backend.ServeHTTP(w, req)
		}
	}))
	t.Cleanup(s.Close)
	r.URL = s.URL + "/mesh.git"
	return r
}

// Down has the server answer nothing of use, or again.
func (r *Repo) Down(down bool) { r.down.Store(down) }

// Asked is how many requests there were.
func (r *Repo) Asked() int { return int(r.asks.Load()) }

// Dir is the work tree that is pushed from.
func (r *Repo) Dir() string { return r.work }

// Commit writes files, commits them to main and pushes that, and returns the commit.
func (r *Repo) Commit(files map[string]string) string {
	r.t.Helper()
	for name, text := range files {
		path := filepath.Join(r.work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", "change")
	r.Git("push", "-q", "-f", "origin", "HEAD:main")
	return r.Git("rev-parse", "HEAD")
}

// Git runs git in the work tree.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.run(r.work, args...)
}

func (r *Repo) run(dir string, args ...string) string {
	r.t.Helper()
	c := exec.Command("git", args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := c.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}
