package compiler

import (
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
)

// use is a reference with the resource that holds it.
type use struct {
	resource  *xds.Resource
	reference validate.Reference
}

// inventory is what a set of resources brings, and what it refers to.
type inventory struct {
	has  map[validate.Reference]bool
	uses []use
}

// inventory takes stock of resources, whose references are known.
func (out *loweredSets) inventory(rs []*xds.Resource) *inventory {
	inv := &inventory{has: make(map[validate.Reference]bool, len(rs))}
	for _, r := range rs {
		switch r.Type {
		case xds.Cluster:
			inv.has[validate.Reference{Kind: validate.ToCluster, Name: r.Name}] = true
		case xds.Endpoints:
			inv.has[validate.Reference{Kind: validate.ToEndpoints, Name: r.Name}] = true
		case xds.Listener:
			inv.has[validate.Reference{Kind: validate.ToListener, Name: r.Name}] = true
		case xds.RouteConfiguration:
			inv.has[validate.Reference{Kind: validate.ToRoutes, Name: r.Name}] = true
			for _, p := range r.Message.(*routev3.RouteConfiguration).GetClusterSpecifierPlugins() {
				inv.has[validate.Reference{Kind: validate.ToPlugin, Name: p.GetExtension().GetName()}] = true
			}
		case xds.VirtualHost: // asked for by the route configuration that holds it
		}
		for _, ref := range out.checked[r].References {
			inv.uses = append(inv.uses, use{r, ref})
		}
	}
	return inv
}

// everywhere tells whether every proxy has what a reference is to, or is handed it by name, whatever its bundle.
func everywhere(r validate.Reference) bool {
	switch r.Kind {
	case validate.ToCluster:
		return r.Name == names.XDSCluster || r.Name == names.AdminCluster || r.Name == names.AgentCluster
	case validate.ToSecret:
		return names.ParseSecret(r.Name).Kind != names.UnknownSecret
	default:
		return false
	}
}

// missing returns the uses of what none of the inventories has.
func missing(uses []use, in ...*inventory) (out []use) {
	for _, u := range uses {
		if !everywhere(u.reference) && !slices.ContainsFunc(in, func(i *inventory) bool { return i.has[u.reference] }) {
			out = append(out, u)
		}
	}
	return out
}
