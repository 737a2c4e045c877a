package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
)

// scripted is a source that brings what a test says.
type scripted struct {
	next chan func() (*bundle.Bundle, error)
}

func (s *scripted) First(context.Context) (*bundle.Bundle, error) { return (<-s.next)() }
func (s *scripted) Next(context.Context) (*bundle.Bundle, error)  { return (<-s.next)() }
func (s *scripted) Wait() time.Duration                           { return 0 }

// TestSource: what a source brings is served; what it refuses leaves the bundle before in service and is told.
func TestSource(t *testing.T) {
	a, b := sealed(t, base(1)...), sealed(t, append(without(base(1), "80/a"), vhs("80", "a", "better"))...)
	src := &scripted{make(chan func() (*bundle.Bundle, error))}
	bring := func(b *bundle.Bundle, err error) { src.next <- func() (*bundle.Bundle, error) { return b, err } }
	again := func() (*bundle.Bundle, error) { return nil, nil }
	srv := New(a, Options{BundlePath: "oci://registry.example.com/mesh:main", Source: src, Watch: true})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go srv.followSource(ctx)
	bring(b, nil)
	src.next <- again // the turn before is over
	if got := srv.base().bundle.Digest; got != b.Digest {
		t.Errorf("in service is %s, want %s", got, b.Digest)
	}
	for range 2 {
		bring(nil, errors.New("is not signed"))
	}
	bring(nil, errors.New("is not signed"))
	if st := srv.Status(); st.Bundle != b.Digest.String() || !strings.Contains(st.Warning, "is not signed") {
		t.Errorf("%s, %q", st.Bundle, st.Warning)
	}
}

// awayError is a source that cannot be asked.
type awayError struct{ error }

func (awayError) Unreached() bool { return true }

// TestSourceAway: a source that cannot be asked has brought nothing that could be rejected.
func TestSourceAway(t *testing.T) {
	log := &logged{}
	src := &scripted{make(chan func() (*bundle.Bundle, error))}
	srv := New(sealed(t, base(1)...), Options{BundlePath: "oci://registry.example.com/mesh:main", Source: src, Watch: true, Log: slog.New(slog.NewTextHandler(log, nil))})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go srv.followSource(ctx)
	for range 3 {
		src.next <- func() (*bundle.Bundle, error) { return nil, awayError{errors.New("cannot be reached")} }
	}
	src.next <- func() (*bundle.Bundle, error) { return nil, errors.New("is not signed") }
	src.next <- func() (*bundle.Bundle, error) { return nil, nil }
	src.next <- func() (*bundle.Bundle, error) { return nil, nil }
	if a, r := log.count("cannot be asked"), log.count("bundle rejected"); a != 1 || r != 1 {
		t.Errorf("%d times away, %d times rejected", a, r)
	}
}

// TestSourceAtStart: a server does not begin without a bundle of its source.
func TestSourceAtStart(t *testing.T) {
	src := &scripted{make(chan func() (*bundle.Bundle, error), 1)}
	src.next <- func() (*bundle.Bundle, error) { return nil, errors.New("is not there") }
	err := Run(context.Background(), Options{BundlePath: "oci://registry.example.com/mesh:main", Source: src, XDSAddress: "127.0.0.1:0", AdminAddress: "-"})
	if err == nil || !strings.Contains(err.Error(), "is not there") {
		t.Error(err)
	}
}

// TestAdmit: a bundle at the path that may not be served is not, at the start and later.
func TestAdmit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mesh.tar.gz")
	if err := sealed(t, base(1)...).WriteTarGz(path); err != nil {
		t.Fatal(err)
	}
	o := Options{BundlePath: path, XDSAddress: "127.0.0.1:0", AdminAddress: "-", Admit: func(*bundle.Bundle) error { return errors.New("is not signed") }, Ready: func(net.Addr, net.Addr) { t.Error("it serves") }}
	if err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "is not signed") {
		t.Error(err)
	}
	srv := New(sealed(t, base(1)...), o)
	if err := srv.reload(); err == nil {
		t.Error("it is taken later")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}
