package clone

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/meshc/meshc/internal/gittest"
)

func following(t *testing.T, o Options) *Clone {
	t.Helper()
	if o.Folder == "" {
		o.Folder = t.TempDir()
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// file reads a file of a commit with git itself.
func file(t *testing.T, c Commit, name string) string {
	t.Helper()
	out, err := exec.Command("git", "--git-dir", c.Repository, "show", c.Hash+":"+name).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// TestLook: a name is followed to where it moves, back too, and nothing is fetched while it stays.
func TestLook(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	first := r.Commit(map[string]string{"a": "1"})
	c := following(t, Options{URL: r.URL, Ref: "main"})
	look := func(want, text string) {
		t.Helper()
		got, err := c.Look(ctx)
		if err != nil || got.Hash != want || file(t, got, "a") != text {
			t.Fatalf("%v, %v; want %s", got, err, want)
		}
	}
	look(first, "1")
	before := r.Asked()
	look(first, "1")
	if asked := r.Asked() - before; asked > 1 {
		t.Errorf("%d requests where nothing has changed", asked)
	}
	for range 3 {
		second := r.Commit(map[string]string{"a": "2", "b/c": "3"})
		look(second, "2")
		r.Git("reset", "-q", "--hard", first)
		look(r.Commit(nil), "1")
	}
	if entries, err := os.ReadDir(c.o.Folder); err != nil || len(entries) != 1 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}

// TestNames: branches, tags of both kinds, commits and what is checked out are names.
func TestNames(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	old := r.Commit(map[string]string{"a": "1"})
	r.Git("tag", "light")
	r.Git("tag", "-m", "annotated", "heavy")
	r.Git("push", "-q", "origin", "light", "heavy", "HEAD:refs/heads/team/x")
	now := r.Commit(map[string]string{"a": "2"})
	for ref, want := range map[string]string{"": now, "main": now, "refs/heads/main": now, "light": old, "heavy": old, "team/x": old, old: old} {
		got, err := following(t, Options{URL: r.URL, Ref: ref}).Look(ctx)
		if err != nil || got.Hash != want {
			t.Errorf("%q is %v, %v; want %s", ref, got, err, want)
		}
	}
	var refused *Refused
	if _, err := following(t, Options{URL: r.URL, Ref: "mian"}).Look(ctx); !errors.As(err, &refused) || !strings.Contains(err.Error(), `no branch and no tag "mian"`) {
		t.Errorf("a name that is none: %v", err)
	}
}

// TestAway: what was at hand stays at hand, for this process and the next, and what is wrong is told.
func TestAway(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	commit := r.Commit(map[string]string{"a": "1"})
	o := Options{URL: r.URL, Ref: "main", Folder: t.TempDir()}
	if _, err := following(t, o).Look(ctx); err != nil {
		t.Fatal(err)
	}
	r.Down(true)
	again := following(t, o)
	if held := again.Held(); held.Hash != commit || file(t, held, "a") != "1" {
		t.Errorf("held is %v", held)
	}
	var away *Away
	if _, err := again.Look(ctx); !errors.As(err, &away) || !away.Unreached() {
		t.Errorf("a remote that is away: %v", err)
	}
	o.URL += "-other"
	if held := following(t, o).Held(); held.Hash != "" {
		t.Errorf("the copy of another remote counts: %v", held)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := again.Look(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("a look that was stopped: %v", err)
	}
}

// TestToken: the token is read for each look, and never ends up in an error or on the disk.
func TestToken(t *testing.T) {
	r, ctx := gittest.Serve(t, "the-token"), context.Background()
	commit := r.Commit(map[string]string{"a": "1"})
	token := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		if err := os.WriteFile(token, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("another-token\n")
	c := following(t, Options{URL: r.URL, Ref: "main", TokenFile: token})
	if _, err := c.Look(ctx); err == nil || !strings.Contains(err.Error(), "--git-token") || strings.Contains(err.Error(), "another-token") {
		t.Errorf("a wrong token: %v", err)
	}
	write("the-token\n")
	if got, err := c.Look(ctx); err != nil || got.Hash != commit {
		t.Errorf("%v, %v", got, err)
	}
	if out, _ := exec.Command("grep", "-r", "the-token", c.o.Folder).Output(); len(out) > 0 {
		t.Errorf("the token is on the disk: %s", out)
	}
}

// TestKeyring: commits count that a key of the keyring has signed, and no others.
func TestKeyring(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	plain := r.Commit(map[string]string{"a": "1"})
	mine, other := entity(t), entity(t)
	ring := filepath.Join(t.TempDir(), "keys.asc")
	if err := os.WriteFile(ring, public(t, mine), 0o600); err != nil {
		t.Fatal(err)
	}
	c := following(t, Options{URL: r.URL, Ref: "main", Keyring: ring})
	var refused *Refused
	if _, err := c.Look(ctx); !errors.As(err, &refused) || !strings.Contains(err.Error(), plain) {
		t.Errorf("a commit without a signature: %v", err)
	}
	signed := commitSigned(t, r, mine)
	if got, err := c.Look(ctx); err != nil || got.Hash != signed {
		t.Fatalf("a commit that was signed: %v, %v", got, err)
	}
	commitSigned(t, r, other)
	if _, err := c.Look(ctx); !errors.As(err, &refused) || !strings.Contains(err.Error(), "by no key") {
		t.Errorf("a commit that another has signed: %v", err)
	}
	if held := c.Held(); held.Hash != signed {
		t.Errorf("held is %v", held)
	}
	if err := os.WriteFile(ring, public(t, other), 0o600); err != nil {
		t.Fatal(err)
	}
	if held := following(t, c.o).Held(); held.Hash != "" {
		t.Errorf("a commit counts whose key is trusted no more: %v", held)
	}
}

func entity(t *testing.T) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity("a", "", "a@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func public(t *testing.T, e *openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Serialize(w), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func commitSigned(t *testing.T, r *gittest.Repo, e *openpgp.Entity) string {
	t.Helper()
	repo, err := git.PlainOpen(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	h, err := tree.Commit("signed", &git.CommitOptions{AllowEmptyCommits: true, SignKey: e, Author: &object.Signature{Name: "a", Email: "a@example.com", When: time.Now()}})
	if err != nil {
		t.Fatal(err)
	}
	r.Git("push", "-q", "-f", "origin", "HEAD:main")
	return h.String()
}

// TestBounds: a commit that takes more of the disk than it may is not taken, and leaves nothing behind.
func TestBounds(t *testing.T) {
	r := gittest.Serve(t, "")
	big := make([]byte, 4<<20)
	for i := range big {
		big[i] = byte(i * i >> (i % 7))
	}
	r.Commit(map[string]string{"a": string(big)})
	c := following(t, Options{URL: r.URL, Ref: "main"})
	c.most = 1000
	var refused *Refused
	if _, err := c.Look(context.Background()); !errors.As(err, &refused) || !strings.Contains(err.Error(), "of disk") {
		t.Errorf("%v", err)
	}
	if n := size(c.o.Folder); n != 0 {
		t.Errorf("%d bytes are left", n)
	}
}

// TestAddresses: what can be followed, and why the rest cannot.
func TestAddresses(t *testing.T) {
	for address, why := range map[string]string{
		"https://git.example.com/x.git":     "",
		"ssh://git@git.example.com/x.git":   "",
		"git@git.example.com:team/x.git":    "",
		"http://127.0.0.1:3000/x.git":       "",
		"http://localhost/x.git":            "",
		"http://git.example.com/x.git":      "without TLS",
		"git://git.example.com/x.git":       "without TLS",
		"file:///tmp/x.git":                 "not the address",
		"https://a:b@git.example.com/x":     "a password in an address",
		"ext::sh -c id":                     "not the address",
		"https://":                          "not the address",
		"ssh://-oProxyCommand=id@host/x":    "",
		"ftp://git.example.com/x.git":       "is not a way",
		"https://u@git.example.com/x.git":   "",
		"https://[::1]:3000/x.git#fragment": "",
	} {
		_, err := New(Options{URL: address})
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", address, err, why)
		}
		if err != nil && strings.Contains(err.Error(), "a:b@") {
			t.Errorf("the password is told: %v", err)
		}
	}
	for name, remote := range map[string]bool{"mesh/": false, ".git": false, "a@b": false, "https://x/y": true, "git@h:p": true, "./a@b:c/d": false} {
		if Remote(name) != remote {
			t.Errorf("%s: remote is %v", name, !remote)
		}
	}
}
