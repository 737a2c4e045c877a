package watch

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/meshc/meshc/internal/limit"
)

// mostSwaps bounds the reads of a path that is replaced each time.
const mostSwaps = 5

// Path is a path that is followed: it is read when its stamp is another, and again now and then while that fails, since
// what was not allowed or not reachable may be so later without any file being another.
type Path struct {
	Monitor *Monitor // has the path
	Stamp   func() string
	Read    func() error
	Failed  func(error) // tells of a read in vain, once for each stamp
	Seen    string      // stamp of what was read already; "": nothing was

	Poll   time.Duration // how often it is looked at besides notifications
	Settle time.Duration // how long to wait for more after a notification
	Log    *slog.Logger

	retry time.Duration // how long to wait after a read in vain
	next  time.Time     // when to read again, though the stamp is the same
	err   error         // of the last read
}

// Follow looks at the path until the context ends, and calls first after the first look. Notifications make it quick, polling
// makes it sure: renamed directories, links that flip, network file systems.
func (p *Path) Follow(ctx context.Context, first func()) {
	w, events := p.notifications()
	if w != nil {
		defer func() { _ = w.Close() }()
	}
	tick := time.NewTicker(p.Poll)
	defer tick.Stop()
	for {
		_ = p.Monitor.Do(func() error { return p.look(w) }) // the monitor tells, and so does Read
		if first != nil {
			first()
			first = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-events:
			time.Sleep(p.Settle)
		case <-tick.C:
		}
	}
}

// look reads what is another, and returns why what lies there is not what was read last.
func (p *Path) look(w *fsnotify.Watcher) error {
	addWatches(w, p.Monitor.Path)
	now := p.Stamp()
	again := now == p.Seen
	if again && (p.err == nil || time.Now().Before(p.next)) {
		return p.err
	}
	p.Seen = now
	if p.err = p.Read(); p.err != nil {
		p.swapped()
	}
	if p.err == nil {
		p.retry = 0
		return nil
	}
	if !again {
		p.retry = 0
		p.Failed(p.err)
	}
	p.retry = min(max(2*p.retry, p.Poll), limit.RetryFailed)
	p.next = time.Now().Add(p.retry)
	return p.err
}

// swapped reads again what was replaced while it was read: parts of two versions are none.
func (p *Path) swapped() {
	for range mostSwaps {
		now := p.Stamp()
		if now == p.Seen || p.err == nil {
			return
		}
		p.Seen = now
		p.err = p.Read()
	}
}

// notifications begins to watch for events; the watcher is nil where the system has none.
func (p *Path) notifications() (*fsnotify.Watcher, <-chan struct{}) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		p.Log.Warn("no file notifications, polling only", "path", p.Monitor.Path, "error", err.Error())
		return nil, nil
	}
	events := make(chan struct{}, 1)
	wake := func() {
		select {
		case events <- struct{}{}:
		default:
		}
	}
	go func() {
		for range w.Events {
			wake()
		}
	}()
	go func() {
		for range w.Errors { // as when what was watched is replaced, or too much happens: the next look tells
			wake()
		}
	}()
	return w, events
}

// addWatches watches the path and the directories in which it can be swapped. Adding a watch twice does no harm.
func addWatches(w *fsnotify.Watcher, path string) {
	if w == nil {
		return
	}
	_ = w.Add(filepath.Dir(path)) // what cannot be watched is polled
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		_ = w.Add(path)
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		_ = w.Add(filepath.Dir(real))
	}
}

// Stamp changes when a file may have.
func Stamp(fi fs.FileInfo) string {
	return fmt.Sprintf("%d %d %d %v", sysID(fi), fi.Size(), fi.ModTime().UnixNano(), fi.Mode())
}

// Stamps is that of files of a name; of those that cannot be looked at, as links that lead nowhere, it has the name.
func Stamps(paths ...string) (s string) {
	for _, path := range paths {
		stamp := "cannot be looked at"
		if fi, err := os.Stat(path); err == nil {
			stamp = Stamp(fi)
		}
		s += path + " " + stamp + "|"
	}
	return s
}

// Aside waits for what may hang, unless the context ends before: then it is left behind. What it makes comes back by value, so
// that one which is left behind writes to nothing that anybody reads.
func Aside[T any](ctx context.Context, f func() (T, error)) (made T, err error) {
	type outcome struct {
		made T
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		o.made, o.err = f()
		done <- o
	}()
	select {
	case o := <-done:
		return o.made, o.err
	case <-ctx.Done():
		return made, ctx.Err()
	}
}
