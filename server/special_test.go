//go:build unix

package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meshc/meshc/internal/regular"
)

// promptly fails if f waits for something.
func promptly(t *testing.T, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what + " waits")
	}
}

// pipe puts a named pipe, which nobody writes to, in the place of a file.
func pipe(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A file that is none, such as a named pipe that nobody writes to, costs what it stands for and nothing else.
func TestPipesAmongSecrets(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	own, web := filepath.Join(dir, "default", "sa"), filepath.Join(dir, "default", "kubernetes", "web")
	put(t, own, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	put(t, web, map[string][]byte{"tls.key": key})
	pipe(t, filepath.Join(web, "tls.crt"))
	srv, addr := startTLS(t, ca, dir, naming(t, "kubernetes://web"))
	p := connect(t, dial(t, ca, addr, crt, key))
	p.ask("kubernetes://web", "default", "ROOTCA")
	p.secretsOf("default", "ROOTCA")
	promptly(t, "the status", func() {
		if why := srv.Status().Nodes[0].MissingSecrets["kubernetes://web"]; !strings.Contains(why, "named pipe") {
			t.Errorf("the secret is missing because: %s", why)
		}
	})
	put(t, filepath.Join(dir, "new"), map[string][]byte{"tls.crt": crt})
	if err := os.Rename(filepath.Join(dir, "new", "tls.crt"), filepath.Join(web, "tls.crt")); err != nil {
		t.Fatal(err)
	}
	srv.rotate()
	p.secretsOf("kubernetes://web")
}

func TestPipeAsIdentity(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, dir, map[string][]byte{"crt": crt, "key": key, "ca": ca.pem})
	for _, name := range []string{"crt", "key", "ca"} {
		at := filepath.Join(dir, name)
		before, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		pipe(t, at)
		f := &identityFiles{cert: filepath.Join(dir, "crt"), key: filepath.Join(dir, "key"), ca: filepath.Join(dir, "ca"), every: time.Hour, open: regular.ReadFile}
		promptly(t, "the identity", func() {
			if err := f.start(t.Context()); err == nil || !strings.Contains(err.Error(), "named pipe") {
				t.Errorf("%s: %v", name, err)
			}
		})
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
		put(t, dir, map[string][]byte{name: before})
	}
}

func TestPipeAmongEndpoints(t *testing.T) {
	dir := t.TempDir()
	pipe(t, filepath.Join(dir, "slow.yaml"))
	promptly(t, "reading endpoints", func() {
		if _, err := readEndpoints(dir); err == nil || !strings.Contains(err.Error(), "named pipe") {
			t.Errorf("%v", err)
		}
	})
}

// A link that leads nowhere is a file that cannot be read, and is seen when it comes.
func TestLinkAmongEndpoints(t *testing.T) {
	dir := t.TempDir()
	before := fileStamp(dir)
	for _, target := range []string{"nothing", "link.yaml"} {
		at := filepath.Join(dir, "link.yaml")
		_ = os.Remove(at)
		if err := os.Symlink(target, at); err != nil {
			t.Fatal(err)
		}
		if _, err := readEndpoints(dir); fileStamp(dir) == before || err == nil || !strings.Contains(err.Error(), "link.yaml") {
			t.Errorf("a link to %s: %v, stamp %q", target, err, fileStamp(dir))
		}
	}
}

// A file that is too large by its size is not read.
func TestHugeEndpoints(t *testing.T) {
	at := filepath.Join(t.TempDir(), "huge.yaml")
	if err := errors.Join(os.WriteFile(at, nil, 0o600), os.Truncate(at, 1<<40)); err != nil {
		t.Skip(err)
	}
	taken := testing.Benchmark(func(b *testing.B) {
		for range b.N {
			if _, err := readEndpoints(at); err == nil || !strings.Contains(err.Error(), "more than 256 MiB") {
				b.Error(err)
			}
		}
	}).AllocedBytesPerOp()
	if taken > 1<<20 {
		t.Errorf("refusing it takes %d bytes", taken)
	}
}
