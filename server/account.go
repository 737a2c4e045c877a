package server

import "github.com/meshc/meshc/compiler/bundle"

// account is how the bundle in service came to be: what another bundle of the same digest may say otherwise, since a line
// has moved or a commit changed something else.
type account struct {
	provenance bundle.Provenance
	origins    [][]bundle.Origin // parallel to the resources of the bundle; nil: as these have them
}

// tell takes the account of a bundle that has the digest of the one in service.
func (g *generation) tell(b *bundle.Bundle) {
	if b == g.bundle {
		g.account.Store(&account{provenance: b.Provenance})
		return
	}
	a := &account{provenance: b.Provenance, origins: make([][]bundle.Origin, len(b.Resources))}
	for i, r := range b.Resources {
		a.origins[i] = r.Origins
	}
	g.account.Store(a)
}

// provenance is that of the bundle that was read last.
func (g *generation) provenance() bundle.Provenance { return g.account.Load().provenance }

// places names the places behind a resource, FILE:LINE, of this bundle or of one that was in service before it.
func (g *generation) places(r *bundle.Resource, limit int) (out []string) {
	if r == nil {
		return nil
	}
	origins := r.Origins
	if i, ok := g.bundle.Find(r); ok {
		origins = g.bundle.Resources[i].Origins
		if a := g.account.Load(); a.origins != nil {
			origins = a.origins[i]
		}
	}
	for _, o := range origins[:min(limit, len(origins))] {
		out = append(out, o.Place())
	}
	return out
}
