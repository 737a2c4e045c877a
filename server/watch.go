package server

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/regular"
	"github.com/meshc/meshc/server/secret"
	"github.com/meshc/meshc/server/watch"
)

// openers are what the server reads with what others put into files; tests have some that hang.
type openers struct {
	bundle    func(path string) (*bundle.Bundle, error)
	endpoints func(path string) (endpointUpdate, error)
	secrets   func(root string) (secret.Folder, error)
	identity  func(path string, most int64) ([]byte, error)
	stall     time.Duration // how long a look may take; 0: limit.StallAfter
	idle      time.Duration // how long a secret is looked after that nobody needs; 0: as the poll says
}

// idle is how long a secret is looked after that nobody needs.
func (o *Options) idle() time.Duration { return cmp.Or(o.open.idle, max(time.Minute, 3*o.Poll)) }

func (o *openers) defaults(whole bool) {
	if o.bundle == nil {
		o.bundle = bundle.ReadToServe
		if whole {
			o.bundle = bundle.Read
		}
	}
	if o.endpoints == nil {
		o.endpoints = readEndpoints
	}
	if o.secrets == nil {
		o.secrets = secret.OpenFolder
	}
	if o.identity == nil {
		o.identity = regular.ReadFile
	}
}

// readBundle reads the bundle to start with, and the stamp that it has.
func readBundle(ctx context.Context, o *Options) (*bundle.Bundle, string, error) {
	type stamped struct {
		bundle *bundle.Bundle
		stamp  string
	}
	first, err := watch.Aside(ctx, func() (s stamped, err error) {
		if o.Source != nil {
			s.bundle, err = o.Source.First(ctx)
			return s, err
		}
		s.stamp = bundleStamp(o.BundlePath)
		s.bundle, err = o.read()
		return s, err
	})
	if err != nil {
		return nil, "", err
	}
	return first.bundle, first.stamp, nil
}

// read reads the path.
func (o *Options) read() (*bundle.Bundle, error) {
	b, err := o.open.bundle(o.BundlePath)
	if err == nil && o.Admit != nil {
		err = o.Admit(b)
	}
	if err != nil {
		return nil, err
	}
	return b.ForServing(), nil
}

// watchBundle takes a new bundle at the path into service. seen is the stamp of the one that is.
func (srv *Server) watchBundle(ctx context.Context, seen string) {
	path := srv.opts.BundlePath
	p := &watch.Path{Monitor: srv.bundleWatch, Stamp: func() string { return bundleStamp(path) }, Read: srv.reload, Failed: srv.rejected, Seen: seen, Poll: srv.opts.Poll,
		Settle: 20 * time.Millisecond, // a writer that is not done yet causes another event; this spares a read in vain
		Log:    srv.log}
	p.Follow(ctx, nil)
}

// reload reads the path. What cannot be read leaves the old bundle in service.
func (srv *Server) reload() error {
	b, err := srv.opts.read()
	if err != nil {
		return err
	}
	if err := srv.Switch(b); err != nil {
		return err
	}
	srv.metrics.bundles.WithLabelValues("accepted").Inc()
	return nil
}

// rejected tells of a bundle that is not taken into service.
func (srv *Server) rejected(err error) {
	srv.metrics.bundles.WithLabelValues("rejected").Inc()
	srv.log.Error("bundle rejected, the one before stays in service", "path", srv.opts.BundlePath, "error", err.Error(), "bundle", srv.base().bundle.Digest.String())
}

// bundleStamp changes when the bundle at the path may have.
func bundleStamp(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err.Error()
	}
	paths := []string{real}
	for _, dir := range []string{real, filepath.Join(real, "..data")} {
		for _, f := range bundle.Files() {
			paths = append(paths, filepath.Join(dir, f))
		}
	}
	s := watch.Stamps(paths...)
	if link, err := os.Readlink(filepath.Join(path, "..data")); err == nil {
		s += link
	}
	return s
}
