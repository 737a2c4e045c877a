package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server"
)

// liveFlag has bundles looked at as they are while the weights hold that a server has set.
type liveFlag struct{ admin string }

func (l *liveFlag) flags(f *pflag.FlagSet) {
	f.StringVar(&l.admin, "live", "", "admin address of a server: the weights that are set there live (meshc weights) stand in for those at rest")
}

// apply puts the weights of the server into bundles that nobody else uses.
func (l *liveFlag) apply(ctx context.Context, a *app, bundles ...*bundle.Bundle) error {
	if l.admin == "" {
		return nil
	}
	var list []server.LiveStatus
	m := commander{}
	if err := m.ask(ctx, l.admin, http.MethodGet, "/weights", nil, &list); err != nil {
		return err
	}
	set := map[string]map[string]uint32{}
	for _, s := range list {
		for _, d := range s.Destinations {
			if d.Live == nil {
				continue
			}
			if set[s.Route] == nil {
				set[s.Route] = map[string]uint32{}
			}
			set[s.Route][d.Cluster] = *d.Live
		}
	}
	for _, b := range bundles {
		routes, err := b.Weigh(set)
		if err != nil {
			return err
		}
		if len(routes) > 0 {
			a.note("with the weights that are set live: %s", strings.Join(routes, ", "))
		}
	}
	return nil
}
