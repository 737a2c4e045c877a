package server

import (
	"context"
	"errors"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
)

// Source brings bundles from where there is no path to watch, such as a registry.
type Source interface {
	// First returns the bundle to begin with.
	First(context.Context) (*bundle.Bundle, error)
	// Next returns the bundle to take into service; nil: the one before is as it should be.
	Next(context.Context) (*bundle.Bundle, error)
	// Wait is how long to wait before Next.
	Wait() time.Duration
}

// unreached tells whether a source could not be asked, so that nothing is known of what it has: its error says so.
func unreached(err error) bool {
	var of interface{ Unreached() bool }
	return errors.As(err, &of) && of.Unreached()
}

// followSource takes what the source brings into service. What it refuses leaves the old bundle there, and is told once.
func (srv *Server) followSource(ctx context.Context) {
	reported := ""
	var waits *bundle.Bundle // brought, and not taken yet
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(srv.opts.Source.Wait()):
		case <-srv.opts.Wake:
		}
		err := srv.bundleWatch.Do(func() error {
			b, err := srv.opts.Source.Next(ctx)
			if b != nil {
				waits = b
			}
			if waits == nil {
				return err
			}
			if refused := srv.Switch(waits); refused != nil {
				return errors.Join(err, refused)
			}
			waits = nil
			srv.metrics.bundles.WithLabelValues("accepted").Inc()
			return err
		})
		switch {
		case err == nil:
			reported = ""
		case ctx.Err() == nil && err.Error() != reported:
			reported = err.Error()
			if unreached(err) {
				srv.metrics.bundles.WithLabelValues("unreached").Inc()
				srv.log.Warn("the source of bundles cannot be asked, the bundle before stays in service", "path", srv.opts.BundlePath, "error", err.Error(), "bundle", srv.base().bundle.Digest.String())
				continue
			}
			srv.rejected(err)
		}
	}
}
