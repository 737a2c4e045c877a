package server

import (
	"context"
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

// followSource takes what the source brings into service. What it refuses leaves the old bundle there, and is told once.
func (srv *Server) followSource(ctx context.Context) {
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(srv.opts.Source.Wait()):
		}
		err := srv.bundleWatch.Do(func() error {
			b, err := srv.opts.Source.Next(ctx)
			if err != nil || b == nil {
				return err
			}
			srv.metrics.bundles.WithLabelValues("accepted").Inc()
			srv.Switch(b)
			return nil
		})
		switch {
		case err == nil:
			told = ""
		case ctx.Err() == nil && err.Error() != told:
			told = err.Error()
			srv.rejected(err)
		}
	}
}
