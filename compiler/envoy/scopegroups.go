package envoy

import (
	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// clusterGroupInputs is everything that the clusters of a scope depend on.
type clusterGroupInputs struct {
	view   *mesh.View
	client cluster.Inputs // without a service
}

// clusterGroup makes the clusters and endpoints of a scope.
func (l *Lowering) clusterGroup(in clusterGroupInputs) *xds.Group {
	facts := l.facts.Get(in.view)
	rs := append([]*xds.Resource(nil), l.system[in.client.Gateway]...)
	for i, svc := range in.view.Services {
		one := in.client.Narrow(facts.Services[i])
		one.Service, one.Rule = svc, in.view.Rule(svc)
		rs = append(rs, l.clusters.Get(one)...)
	}
	return xds.NewGroup(rs)
}

// outboundSide is the outbound listeners of all scopes with the same inputs.
type outboundSide struct {
	listeners *xds.Group
	keys      []route.Key
}

// routeGroupInputs is everything that the routes of a scope depend on.
type routeGroupInputs struct {
	route.OutboundInputs
	side      *outboundSide
	namespace string // "": one that calls no service by a name of its own
}

// routeGroup makes the routes of a scope.
func (l *Lowering) routeGroup(in routeGroupInputs) *xds.Group {
	rs, shared := l.routes.Outbound(&in.OutboundInputs, in.side.keys, in.namespace)
	if shared && in.namespace != "" {
		in.namespace = ""
		return l.routeGroups.Get(in)
	}
	return &xds.Group{Resources: rs}
}
