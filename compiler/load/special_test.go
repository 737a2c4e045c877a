//go:build unix

package load

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshc/meshc/internal/diag"
)

// promptly loads sources, and fails a test whose sources make it wait.
func promptly(t *testing.T, sources ...string) (*Result, diag.List) {
	t.Helper()
	var res *Result
	var diags diag.List
	done := make(chan struct{})
	go func() {
		defer close(done)
		res, diags = load(t, sources...)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("reading waits")
	}
	return res, diags
}

func pipe(t *testing.T, p string) {
	t.Helper()
	_ = os.Remove(p)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSpecialFiles: what is no regular file is said to be what it is, at the place where it was to be read.
func TestSpecialFiles(t *testing.T) {
	object := objectText("Sidecar", "a")
	for name, c := range map[string]struct {
		files    []string
		pipe, at string // where a pipe is put, and where the finding is
	}{
		"manifest":      {[]string{"a.yaml", object}, "sub/p.yaml", "sub/p.yaml:1"},
		"kustomization": {[]string{"a.yaml", object}, "kustomization.yaml", "kustomization.yaml:1"},
		"resource":      {[]string{"kustomization.yaml", "resources:\n- p\n"}, "p", "kustomization.yaml:2"},
		"patch":         {[]string{"kustomization.yaml", "resources: [a.yaml]\npatches:\n- path: p\n", "a.yaml", object}, "p", "kustomization.yaml:3"},
		"transformer":   {[]string{"kustomization.yaml", "resources: [a.yaml]\ntransformers: [p]\n", "a.yaml", object}, "p", "kustomization.yaml:2"},
	} {
		dir := write(t, c.files...)
		pipe(t, filepath.Join(dir, c.pipe))
		if _, diags := promptly(t, dir); len(diags) != 1 || diags[0].Code != "MESHC1002" || !strings.HasPrefix(diags[0].Pos.String(), c.at) || !strings.Contains(diags[0].Message, "named pipe") {
			t.Errorf("%s: %+v", name, diags)
		}
	}
	dir := write(t, "a.yaml", object)
	pipe(t, filepath.Join(dir, "ignored"))
	if res, diags := promptly(t, dir); len(diags) != 0 || len(res.Documents) != 1 {
		t.Errorf("a pipe that is no manifest: %+v", diags)
	}
	pipe(t, filepath.Join(dir, "x.tgz"))
	pipe(t, filepath.Join(dir, "x.yaml"))
	socket := filepath.Join(t.TempDir(), "s.yaml")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for source, kind := range map[string]string{filepath.Join(dir, "x.tgz"): "named pipe", filepath.Join(dir, "x.yaml"): "named pipe", "/dev/zero": "device", socket: "socket"} {
		if _, diags := promptly(t, source); len(diags) != 1 || diags[0].Code != "MESHC1002" || !strings.Contains(diags[0].Message, kind) {
			t.Errorf("%s: %+v", source, diags)
		}
	}
}

// TestSpecialFilesOfARepository: none of them is waited for, and those that are needed are findings.
func TestSpecialFilesOfARepository(t *testing.T) {
	for _, p := range []string{"HEAD", "config", "refs/heads/master", "packed-refs", "commondir", "objects/info/alternates", "objects/pack/pack-0123456789012345678901234567890123456789.idx", "shallow", "index"} {
		dir := write(t, "a.yaml", objectText("Sidecar", "a"))
		commit(t, dir)
		pipe(t, filepath.Join(dir, ".git", p))
		_, diags := promptly(t, dir+"#ref=master")
		if needed := p != "shallow" && p != "index" && p != "packed-refs"; needed != (len(diags) == 1 && diags[0].Code == "MESHC1013") {
			t.Errorf("%s: %+v", p, diags)
		}
		if res, diags := promptly(t, dir); len(diags) != 0 || len(res.Documents) != 1 {
			t.Errorf("%s beside a working tree: %+v", p, diags)
		}
	}
	dir := write(t, "a.yaml", objectText("Sidecar", "a"))
	pipe(t, filepath.Join(dir, ".git"))
	if _, diags := promptly(t, dir+"#ref=master"); len(diags) != 1 || diags[0].Code != "MESHC1013" {
		t.Errorf(".git: %+v", diags)
	}
}
