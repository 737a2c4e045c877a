package main

import (
	"errors"
	"time"

	"github.com/spf13/pflag"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/registry"
	"github.com/meshc/meshc/delivery/signature"
	"github.com/meshc/meshc/delivery/source"
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
	f.StringVar(&s.keep, "keep", "", "folder for the last good bundle of a registry, which a restart begins with")
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
	if !registry.IsReference(o.BundlePath) {
		if s.keep != "" {
			return errors.New("--keep is for bundles of a registry; one at a path is on disk")
		}
		if trust != nil {
			path := o.BundlePath
			o.Admit = func(b *bundle.Bundle) error {
				if _, err := source.VerifyFile(path, b, source.SignatureFile(path), trust); err != nil {
					return err
				}
				return guard.Admit(path, b, false)
			}
		} else if len(s.allowOlder) > 0 {
			return errors.New("--allow-older is for bundles of a registry, or with --trust; at a path any bundle may be put in the place of another")
		}
		return nil
	}
	r, err := registry.ParseExact(o.BundlePath)
	if err != nil {
		return err
	}
	client := registry.New(registry.Options{Helpers: true, UserAgent: "meshc/" + version()}) // the server has a rhythm of its own
	o.Source = source.New(source.Options{Ref: r, Client: client, Trust: trust, Keep: s.keep, Guard: guard, Poll: s.poll, Log: o.Log})
	if s.keep == "" {
		a.note("without --keep a restart needs the registry: %s", r)
	}
	return nil
}
