// Package build brings a server bundles that are compiled from sources when these change.
//
// Each look asks whether something may be new: the commit that a name stands for in a remote repository, the files of a source on
// this disk, what was observed of a cluster. If nothing is, nothing is done. Else the compiler runs in a process of its own, so
// that sources which take its memory or its time never cost a stream, and writes a bundle and a report of its findings into
// a folder. A bundle that comes is held against the one before as one of a registry is, and is kept. Sources that do not compile
// leave the bundle in service, and are not compiled again before they change.
package build

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/delivery/store"
)

// Options say what is compiled, and how.
type Options struct {
	Compile []string // program and arguments; -o, --report and the sources are added
	Parts   []Part   // in the order in which the compiler is to have them
	Beside  []string // files and folders that count besides sources: settings, policies
	Folder  string   // where the compiler writes

	Observed []Observed // clusters whose objects count

	Store *store.Store // keeps what was good; nil: nothing is kept
	Guard *source.Guard
	Poll  time.Duration
	Log   *slog.Logger
}

// Source is what is compiled again and again.
type Source struct {
	o      Options
	at     look        // what the sources were when they were looked at last
	away   error       // why they could not be looked at then
	due    time.Time   // when they are to be looked at again
	hinted atomic.Bool // somebody says that they have changed
	stamp  string      // of what was compiled last
	seen   [][]byte    // of the clusters, then
	bundle bundle.Digest
	last   *registry.Pulled // what was made last, until it is kept
	wait   time.Duration
	ended  time.Time     // when the last run did
	took   time.Duration // how long it took
	failed error         // what the last run ended with
}

// New makes a source.
func New(o Options) *Source { return &Source{o: o, wait: o.Poll} }

// First returns the bundle to begin with: that on disk, or else what the sources compile to.
func (s *Source) First(ctx context.Context) (*bundle.Bundle, error) {
	b, err := s.kept()
	switch {
	case err != nil:
		s.o.Log.Error("the bundle on disk cannot be served", "folder", s.o.Store.Dir(), "error", err.Error())
	case b != nil:
		s.o.Log.Info("begins with the bundle on disk", "folder", s.o.Store.Dir(), "bundle", b.Digest.String())
		s.wait = 0
		return b, nil
	}
	if err := s.heard(ctx); err != nil {
		return nil, err
	}
	b, err = s.Next(ctx)
	if err == nil && b == nil {
		err = errors.New("no bundle was made") // cannot be: none was before
	}
	return b, err
}

// firstWait is how long the start waits for what a cluster has.
const firstWait = 30 * time.Second

// heard waits until something is known of each cluster.
func (s *Source) heard(ctx context.Context) error {
	late := time.After(firstWait)
	for {
		if _, known := s.observe(); known {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("the API server has not told what the cluster has, and no bundle was kept to begin with; see the log above")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kept reads the bundle on disk.
func (s *Source) kept() (*bundle.Bundle, error) {
	if s.o.Store == nil {
		return nil, nil
	}
	r, p, err := s.o.Store.Current()
	if r == nil || err != nil {
		return nil, err
	}
	if err := s.o.Guard.Admit("the bundle on disk", p.Bundle, true); err != nil {
		return nil, err
	}
	s.bundle = p.Bundle.Digest
	return p.Bundle.ForServing(), nil
}

// Wait is how long to wait before Next.
func (s *Source) Wait() time.Duration { return s.wait }

// Hint has the next Next look at the sources though they are not due. It may be called by any goroutine.
func (s *Source) Hint() { s.hinted.Store(true) }

// looked is what the sources are now, as far as they are due or somebody hints that they have changed: a cluster calls for Next all
// the time, and a remote is not to be asked as often.
func (s *Source) looked(ctx context.Context) (look, error) {
	if hinted := s.hinted.Swap(false); !hinted && time.Now().Before(s.due) {
		return s.at, s.away
	}
	s.at, s.away = s.look(ctx)
	s.due = time.Now().Add(s.o.Poll)
	return s.at, s.away
}

// Next looks at the sources and returns the bundle to take into service; nil: the one before is as it should be.
func (s *Source) Next(ctx context.Context) (*bundle.Bundle, error) {
	looked, err := s.looked(ctx)
	s.wait = max(0, time.Until(s.due))
	if err != nil {
		return nil, err
	}
	seen, known := s.observe()
	if !known {
		s.wait = min(s.wait, time.Second)
		return nil, s.failed
	}
	if looked.stamp == s.stamp {
		if equalLists(seen, s.seen) {
			return nil, errors.Join(s.failed, s.retain())
		}
		// A cluster changes all the time, and endpoints do not wait for a compile: so compiles take a part of a processor only.
		if rest := max(clusterPause, 5*s.took) - time.Since(s.ended); rest > 0 {
			s.wait = min(s.wait, rest)
			return nil, s.failed
		}
	}
	begun := time.Now()
	b, err := s.compile(ctx, looked, seen)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.ended, s.took = time.Now(), time.Since(begun)
	s.stamp, s.seen, s.failed = looked.stamp, seen, err
	if err != nil {
		return nil, err
	}
	return s.take(b, looked)
}

// clusterPause is how long after a compile the next may begin that only the cluster asks for.
const clusterPause = 5 * time.Second

// take holds a bundle against the one before.
func (s *Source) take(b *bundle.Bundle, looked look) (*bundle.Bundle, error) {
	name := looked.name()
	if err := s.o.Guard.Admit(name, b, !looked.dated); err != nil {
		s.failed = err
		return nil, err
	}
	p, err := registry.Of(b)
	if err != nil {
		s.failed = err
		return nil, err
	}
	same := b.Digest == s.bundle
	s.last, s.bundle = p, b.Digest
	kept := s.retain()
	if same {
		s.o.Log.Info("compiled, and nothing is different", "source", name, "bundle", b.Digest.String(), "took", s.took.Round(time.Millisecond).String())
		return nil, kept
	}
	s.o.Log.Info("compiled", "source", name, "bundle", b.Digest.String(), "took", s.took.Round(time.Millisecond).String())
	return b.ForServing(), kept
}

// retain keeps what was made last. Service does not wait for it, and what could not be kept is tried again at the next look.
func (s *Source) retain() error {
	if s.last == nil || s.o.Store == nil {
		return nil
	}
	if err := s.o.Store.Put(store.Record{}, s.last); err != nil {
		return fmt.Errorf("the bundle cannot be kept in %s: %w", s.o.Store.Dir(), err)
	}
	s.last = nil
	return nil
}

// Clean removes what a run that was killed has left in the folder, and makes the folder.
func (s *Source) Clean() error {
	if err := os.MkdirAll(s.o.Folder, 0o700); err != nil {
		return err
	}
	names := []string{bundleName, reportName}
	for i := range s.o.Observed {
		names = append(names, fmt.Sprintf(observedName, i))
	}
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(s.o.Folder, name)); err != nil {
			return err
		}
	}
	return nil
}
