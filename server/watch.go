package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"

	"github.com/meshc/meshc/compiler/bundle"
)

// watch takes a new bundle at the path into service.
func (srv *Server) watch(ctx context.Context) {
	path := srv.opts.BundlePath
	// A writer that is not done yet causes another event; a few milliseconds spare a read in vain.
	srv.follow(ctx, path, 20*time.Millisecond, func() string { return stamp(path) }, func() {
		if b, err := bundle.ReadToServe(path); err == nil { // it may have changed since the start
			srv.Switch(b)
		}
	}, srv.reload)
}

// follow calls changed when the stamp of a path is another, after first. Notifications make it quick, polling makes it
// sure: renamed directories, links that flip, network file systems.
func (srv *Server) follow(ctx context.Context, path string, settle time.Duration, stamp func() string, first, changed func()) {
	events := make(chan struct{}, 1)
	w, err := fsnotify.NewWatcher()
	if err == nil {
		defer func() { _ = w.Close() }()
		go func() {
			for range w.Events {
				select {
				case events <- struct{}{}:
				default:
				}
			}
		}()
		go func() {
			for err := range w.Errors {
				srv.log.Warn("watching", "path", path, "error", err.Error())
			}
		}()
	} else {
		srv.log.Warn("no file notifications, polling only", "error", err.Error())
	}
	addWatches(w, path)
	seen := stamp()
	first()
	tick := time.NewTicker(srv.opts.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			time.Sleep(settle)
		case <-tick.C:
		}
		now := stamp()
		if now == seen {
			continue
		}
		seen = now
		changed()
		addWatches(w, path)
	}
}

// reload reads the path. What cannot be read leaves the old bundle in service.
func (srv *Server) reload() {
	b, err := bundle.ReadToServe(srv.opts.BundlePath)
	if err != nil {
		srv.metrics.bundles.WithLabelValues("rejected").Inc()
		srv.log.Error("bundle rejected, the one before stays in service", "path", srv.opts.BundlePath, "error", err.Error(), "bundle", srv.gen.Load().bundle.Digest.String())
		srv.warn(err.Error())
		return
	}
	srv.metrics.bundles.WithLabelValues("accepted").Inc()
	srv.warn("")
	srv.Switch(b)
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

// stamp changes when the bundle at the path may have.
func stamp(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "missing"
	}
	s := real
	paths := []string{real}
	for _, dir := range []string{real, filepath.Join(real, "..data")} {
		for _, f := range bundle.Files() {
			paths = append(paths, filepath.Join(dir, f))
		}
	}
	for _, p := range paths {
		if fi, err := os.Stat(p); err == nil {
			s += fmt.Sprintf("|%v %d %d", sysID(fi), fi.Size(), fi.ModTime().UnixNano())
		}
	}
	if link, err := os.Readlink(filepath.Join(path, "..data")); err == nil {
		s += "|" + link
	}
	return s
}
