package watch

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A path that could not be read is read again, though nothing about it looks another; one that was read is not.
func TestReadsAgainAfterFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reads := make(chan bool)
	failed := []error{errors.New("not allowed"), errors.New("not allowed"), nil}
	m := &Monitor{Name: "file", Path: path}
	first := make(chan struct{})
	p := &Path{Monitor: m, Stamp: func() string { return Stamps(path) }, Poll: time.Millisecond, Log: slog.New(slog.DiscardHandler), Read: func(again bool) error {
		reads <- again
		err := failed[0]
		failed = failed[1:]
		return err
	}}
	go p.Follow(ctx, func() { close(first) })
	for _, want := range []bool{false, true, true} {
		if again := <-reads; again != want {
			t.Errorf("again is %v, want %v", again, want)
		}
	}
	<-first
	for m.Status().Error != "" || m.Status().LastSuccess == nil {
		time.Sleep(time.Millisecond)
	}
	failed = []error{errors.New("another text")}
	if err := os.WriteFile(path, []byte("another text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if <-reads {
		t.Error("another file is read again")
	}
}

func TestTogether(t *testing.T) {
	old, young := time.Unix(1, 0), time.Unix(2, 0)
	all := Together("all", "/d", []Status{{Path: "/d/a", LastSuccess: &young}, {Path: "/d/b", LastSuccess: &old, Error: "broken"}, {Path: "/d/c", Error: "away"}})
	if all.LastSuccess != &old || all.Error != "/d/b: broken (and 1 more)" || all.Problem() != all.Error || all.Path != "/d" {
		t.Errorf("%+v", all)
	}
	hangs := Together("all", "/d", []Status{{Path: "/d/a", StalledSince: &young}, {Path: "/d/b", StalledSince: &old, Error: "broken"}})
	if !strings.HasPrefix(hangs.Problem(), "reading /d/b hangs since 1970-") {
		t.Errorf("%q", hangs.Problem())
	}
	if none := Together("all", "/d", nil); none.Problem() != "" || none.LastSuccess != nil {
		t.Errorf("%+v", none)
	}
}

// Whoever waits for what hangs is let go when it is to end.
func TestAside(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	wait := make(chan struct{})
	defer close(wait)
	cancel()
	if err := Aside(ctx, func() error { <-wait; return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := Aside(t.Context(), func() error { return os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}
