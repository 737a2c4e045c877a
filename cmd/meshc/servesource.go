package main

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/source"
	"github.com/meshc/meshc/delivery/store"
	"github.com/meshc/meshc/server"
)

// sourceFlags say which bundles a server takes.
type sourceFlags struct {
	trust, keep string
	allowOlder  []string
	poll        time.Duration
}

func (s *sourceFlags) add(f *pflag.FlagSet) {
	f.StringVar(&s.trust, "trust", "", "file that says which keys may sign bundles; what is not signed by them is not served")
	f.StringVar(&s.keep, "keep", "", "folder for the bundles that were served, which a restart begins with and meshc rollback goes back to")
	f.StringSliceVar(&s.allowOlder, "allow-older", nil, "digest of a bundle that is served though it is older than the one in service")
}

// apply has the server take its bundles from a registry, or ask about those at a path.
func (s *sourceFlags) apply(a *app, o *server.Options) (err error) {
	var trust *signature.Trust
	if s.trust != "" {
		if trust, err = signature.ReadTrust(s.trust); err != nil {
			return err
		}
	}
	guard := &source.Guard{Allow: s.allowOlder}
	var kept *store.Store
	if s.keep != "" {
		kept = store.New(s.keep)
		o.Store = source.Library{Store: kept, Trust: trust}
	}
	if !registry.IsReference(o.BundlePath) {
		if trust == nil && len(s.allowOlder) > 0 {
			return errors.New("--allow-older is for bundles of a registry, or with --trust; at a path any bundle may be put in the place of another")
		}
		o.Admit = source.Path{Name: o.BundlePath, Trust: trust, Store: kept, Guard: guard}.Admit
		return nil
	}
	r, err := registry.ParseExact(o.BundlePath)
	if err != nil {
		return err
	}
	client := registry.New(registry.Options{Helpers: true, UserAgent: "meshc/" + version()}) // the server has a rhythm of its own
	o.Source = source.New(source.Options{Ref: r, Client: client, Trust: trust, Store: kept, Guard: guard, Poll: s.poll, Log: o.Log})
	if s.keep == "" {
		a.note("without --keep a restart needs the registry: %s", r)
	}
	return nil
}
