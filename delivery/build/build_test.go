package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/clone"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/delivery/store"
	"github.com/meshc/meshc/internal/gittest"
	"github.com/meshc/meshc/internal/registrytest"
)

// TestMain plays the compiler when it is called as one: it makes a bundle of the folder that stands for the sources, or fails as
// the sources say.
func TestMain(m *testing.M) {
	if args := os.Args[1:]; len(args) > 0 && args[0] == "compile" {
		os.Exit(compilerOf(args))
	}
	os.Exit(m.Run())
}

func compilerOf(args []string) int {
	out, report := args[slices.Index(args, "-o")+1], strings.TrimPrefix(args[slices.Index(args, "--report")+1], "json=")
	from := args[len(args)-1]
	if text, err := os.ReadFile(filepath.Join(from, "runs")); err == nil {
		_ = os.WriteFile(filepath.Join(from, "..", "runs"), append(text, '.'), 0o600)
	}
	mode, _ := os.ReadFile(filepath.Join(from, "mode"))
	switch string(mode) {
	case "broken":
		_ = os.WriteFile(report, []byte(`{"diagnostics":[{"code":"X1","severity":"error","file":"a.yaml","line":3,"message":"is wrong"},{"code":"X2","severity":"warning","file":"a.yaml","line":4,"message":"is odd"}]}`), 0o600)
		return 1
	case "cannot":
		fmt.Fprintln(os.Stderr, "first line\nthe reason")
		return 2
	case "no report":
		return 1
	}
	_ = os.WriteFile(report, []byte(`{"diagnostics":[]}`), 0o600)
	b, err := bundle.Read(filepath.Join(from, "bundle"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := b.WriteDir(out); err != nil {
		return 2
	}
	return 0
}

// bench is a source that is compiled by the test's own compiler.
type bench struct {
	t   *testing.T
	dir string
	log bytes.Buffer
	o   Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	b.o = Options{Compile: []string{os.Args[0], "compile"}, Parts: []Part{{Source: b.dir, Path: b.dir}}, Folder: filepath.Join(t.TempDir(), "work"),
		Guard: &source.Guard{}, Log: slog.New(slog.NewTextHandler(&b.log, nil))}
	return b
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) put(m *bundle.Bundle) {
	b.t.Helper()
	if err := os.RemoveAll(filepath.Join(b.dir, "bundle")); err != nil {
		b.t.Fatal(err)
	}
	if err := m.WriteDir(filepath.Join(b.dir, "bundle")); err != nil {
		b.t.Fatal(err)
	}
}

func mesh(t *testing.T, services int) *bundle.Bundle {
	return registrytest.Compile(t, registrytest.Mesh(t, services))
}

// TestNext: what changes is compiled once, what does not compile is told and not tried again before it changes, and what compiles
// to the same is no news.
func TestNext(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	two, three := mesh(t, 2), mesh(t, 3)
	b.put(two)
	s := New(b.o)
	if got, err := s.First(ctx); err != nil || got.Digest != two.Digest {
		t.Fatalf("%v, %v", got, err)
	}
	nothing := func(want string) {
		t.Helper()
		got, err := s.Next(ctx)
		if got != nil || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, %v; want %q", got, err, want)
		}
	}
	nothing("")
	b.write("other", "1")
	nothing("")
	if n := strings.Count(b.log.String(), "nothing is different"); n != 1 {
		t.Errorf("compiled %d times:\n%s", n, &b.log)
	}
	b.put(three)
	if got, err := s.Next(ctx); err != nil || got.Digest != three.Digest {
		t.Fatalf("%v, %v", got, err)
	}
	for mode, want := range map[string]string{"broken": "1 errors, such as a.yaml:3: X1 is wrong", "cannot": "cannot be compiled: exit status 2 the reason", "no report": "cannot be compiled: exit status 1"} {
		b.write("mode", mode)
		nothing(want)
		told := b.log.Len()
		nothing(want) // and it is not run again
		if b.log.Len() != told {
			t.Errorf("%s: it was run again:\n%s", mode, b.log.String()[told:])
		}
	}
	if !strings.Contains(b.log.String(), "is odd") {
		t.Errorf("a warning is not told:\n%s", &b.log)
	}
	b.write("mode", "")
	nothing("") // back to what is served
}

// TestKept: a restart begins with the last good bundle whatever the sources are by then, and follows them from there.
func TestKept(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	b.o.Store = store.New(filepath.Join(t.TempDir(), "keep"))
	two, three := mesh(t, 2), mesh(t, 3)
	b.put(two)
	if _, err := New(b.o).First(ctx); err != nil {
		t.Fatal(err)
	}
	b.write("mode", "broken")
	b.o.Guard = &source.Guard{}
	s := New(b.o)
	if got, err := s.First(ctx); err != nil || got.Digest != two.Digest || s.Wait() != 0 {
		t.Fatalf("%v, %v, wait %v", got, err, s.Wait())
	}
	if got, err := s.Next(ctx); got != nil || err == nil {
		t.Fatalf("%v, %v", got, err)
	}
	b.write("mode", "")
	b.put(three)
	if got, err := s.Next(ctx); err != nil || got.Digest != three.Digest {
		t.Fatalf("%v, %v", got, err)
	}
	if _, p, err := b.o.Store.Current(); err != nil || p.Bundle.Digest != three.Digest {
		t.Errorf("%v", err)
	}
}

// TestObserved: what a cluster has is waited for, is handed to the compiler, and asks for a compile no sooner than the pause allows;
// a change of the sources waits for nothing.
func TestObserved(t *testing.T) {
	b, ctx := newBench(t), context.Background()
	two, three := mesh(t, 2), mesh(t, 3)
	b.put(two)
	var seen []byte
	b.o.Observed = []Observed{{List: func() []byte { return seen }}}
	s := New(b.o)
	if got, err := s.Next(ctx); got != nil || err != nil || s.Wait() > time.Second {
		t.Fatalf("before anything is known: %v, %v, wait %v", got, err, s.Wait())
	}
	seen = []byte("a")
	if got, err := s.Next(ctx); err != nil || got.Digest != two.Digest {
		t.Fatalf("%v, %v", got, err)
	}
	if text, err := os.ReadFile(filepath.Join(b.o.Folder, "observed-0.json")); err != nil || string(text) != "a" {
		t.Errorf("the compiler is given %q, %v", text, err)
	}
	seen = []byte("b")
	if got, err := s.Next(ctx); got != nil || err != nil || s.Wait() > b.o.Poll || !bytes.Equal(s.seen[0], []byte("a")) {
		t.Errorf("within the pause: %v, %v, wait %v", got, err, s.Wait())
	}
	b.put(three)
	if got, err := s.Next(ctx); err != nil || got.Digest != three.Digest || !bytes.Equal(s.seen[0], []byte("b")) {
		t.Errorf("%v, %v", got, err)
	}
	s.ended, s.took = time.Now().Add(-time.Hour), 0
	seen = []byte("c")
	if got, err := s.Next(ctx); got != nil || err != nil || !bytes.Equal(s.seen[0], []byte("c")) {
		t.Errorf("after the pause: %v, %v", got, err)
	}
}

// TestDue: a remote is asked when it is due, or when somebody hints that it has changed, however often a cluster calls for a compile,
// and what it could not be asked for is not compiled meanwhile.
func TestDue(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	r.Commit(map[string]string{"a": "1"})
	c, err := clone.New(clone.Options{URL: r.URL, Ref: "main", Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.o.Poll = time.Hour
	b.put(mesh(t, 2))
	seen := []byte("a")
	b.o.Observed = []Observed{{List: func() []byte { return seen }}}
	b.o.Parts = []Part{{Source: r.URL, Clone: c, At: func(clone.Commit) string { return b.dir }}}
	s := New(b.o)
	r.Down(true)
	for range 3 {
		seen = append(seen, 'a')
		if got, err := s.Next(ctx); got != nil || err == nil || !s.ended.IsZero() {
			t.Fatalf("a remote that is away: %v, %v", got, err)
		}
	}
	r.Down(false)
	s.Hint()
	if got, err := s.Next(ctx); got == nil || err != nil {
		t.Fatalf("%v, %v", got, err)
	}
	asked := r.Asked()
	for range 5 {
		seen, s.ended = append(seen, 'a'), time.Time{}
		if got, err := s.Next(ctx); got != nil || err != nil || !bytes.Equal(s.seen[0], seen) {
			t.Fatalf("what the cluster has: %v, %v", got, err)
		}
	}
	if n := r.Asked() - asked; n > 0 {
		t.Errorf("the remote was asked %d times", n)
	}
	if s.Wait() < 59*time.Minute {
		t.Errorf("the next look is in %v", s.Wait())
	}
}

// TestRemote: a commit is compiled from the copy of it, and one that is away or older is told.
func TestRemote(t *testing.T) {
	r, ctx := gittest.Serve(t, ""), context.Background()
	commit := r.Commit(map[string]string{"a": "1"})
	c, err := clone.New(clone.Options{URL: r.URL, Ref: "main", Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.put(mesh(t, 2))
	var at []string
	b.o.Parts = []Part{{Source: r.URL, Clone: c, At: func(c clone.Commit) string { at = append(at, c.Hash); return b.dir }}}
	s := New(b.o)
	if _, err := s.First(ctx); err != nil {
		t.Fatal(err)
	}
	r.Down(true)
	if got, err := s.Next(ctx); got != nil || err == nil {
		t.Errorf("%v, %v", got, err)
	} else if away := (*clone.Away)(nil); !errors.As(err, &away) {
		t.Errorf("%v", err)
	}
	r.Down(false)
	next := r.Commit(map[string]string{"a": "2"})
	if got, err := s.Next(ctx); got != nil || err != nil || at[0] != commit || at[len(at)-1] != next {
		t.Errorf("%v, %v, commits %v", got, err, at)
	}
}

// TestStamp: whatever may change what is compiled changes the stamp, and what git does besides does not make it grow.
func TestStamp(t *testing.T) {
	b := newBench(t)
	s := New(b.o)
	stamp := func() string {
		t.Helper()
		l, err := s.look(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return l.stamp
	}
	seen := map[string]string{}
	for _, c := range []struct {
		what string
		do   func() error
		same bool
	}{
		{"nothing", func() error { return nil }, false},
		{"a file", func() error { return os.WriteFile(filepath.Join(b.dir, "x"), []byte("1"), 0o600) }, false},
		{"its text", func() error { return os.WriteFile(filepath.Join(b.dir, "x"), []byte("12"), 0o600) }, false},
		{"a folder", func() error { return os.MkdirAll(filepath.Join(b.dir, ".git", "objects"), 0o700) }, false},
		{"an object", func() error { return os.WriteFile(filepath.Join(b.dir, ".git", "objects", "o"), nil, 0o600) }, true},
		{"a reference", func() error { return os.WriteFile(filepath.Join(b.dir, ".git", "HEAD"), nil, 0o600) }, false},
		{"a file less", func() error { return os.Remove(filepath.Join(b.dir, "x")) }, false},
	} {
		before := stamp()
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		now := stamp()
		if c.same && now != before {
			t.Errorf("%s changes the stamp", c.what)
		}
		if by := seen[now]; by != "" && !c.same {
			t.Errorf("%s has the stamp of %s", c.what, by)
		}
		seen[now] = c.what
	}
}
