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
	reads, told := make(chan struct{}), 0
	failed := []error{errors.New("not allowed"), errors.New("not allowed"), nil}
	m := &Monitor{Name: "file", Path: path}
	first := make(chan struct{})
	p := &Path{Monitor: m, Stamp: func() string { return Stamps(path) }, Poll: time.Millisecond, Log: slog.New(slog.DiscardHandler), Failed: func(error) { told++ }, Read: func() error {
		reads <- struct{}{}
		err := failed[0]
		failed = failed[1:]
		return err
	}}
	go p.Follow(ctx, func() { close(first) })
	for range failed {
		<-reads
	}
	<-first
	for m.Status().Error != "" || m.Status().LastSuccess == nil {
		time.Sleep(time.Millisecond)
	}
	if told != 1 {
		t.Errorf("a file that cannot be read is told of %d times", told)
	}
}

// What is replaced while it is read is read again, and nobody is told of the parts of two versions.
func TestSwappedWhileRead(t *testing.T) {
	reads, versions := 0, []string{"1", "2", "2"}
	p := &Path{Monitor: &Monitor{}, Poll: time.Hour, Failed: func(err error) { t.Errorf("told: %v", err) },
		Stamp: func() string { v := versions[0]; versions = versions[1:]; return v },
		Read: func() error {
			if reads++; reads == 1 {
				return errors.New("half and half")
			}
			return nil
		}}
	if err := p.look(nil); err != nil || reads != 2 {
		t.Errorf("%v after %d reads", err, reads)
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
	if _, err := Aside(ctx, func() (int, error) { <-wait; return 1, nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Aside(t.Context(), func() (int, error) { return 1, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Error(err)
	}
}
