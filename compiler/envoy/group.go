package envoy

import "github.com/meshc/meshc/compiler/mesh"

// Group is a list of resources, one of each type and name. Scopes that share it hold the same pointer.
type Group struct {
	Resources []*Resource
}

// NewGroup makes a group; of several resources with one type and name the first stays, as in istiod.
func NewGroup(rs []*Resource) *Group {
	type key struct {
		t    Type
		name string
	}
	seen := make(map[key]bool, len(rs))
	g := &Group{Resources: make([]*Resource, 0, len(rs))}
	for _, r := range rs {
		if k := (key{r.Type, r.Name}); !seen[k] {
			seen[k] = true
			g.Resources = append(g.Resources, r)
		}
	}
	return g
}

// viewFacts says what about a client matters to the clusters of a view, for each service and for any of them.
type viewFacts struct {
	services []clientFacts
	any      clientFacts
}

func (e *ClusterEnv) viewFacts(v *mesh.View) *viewFacts {
	out := &viewFacts{}
	for _, svc := range v.Services {
		f := clientFactsFor(e, v.Rule(svc), svc)
		out.services = append(out.services, f)
		out.any.locality, out.any.labels, out.any.cluster = out.any.locality || f.locality, out.any.labels || f.labels, out.any.cluster || f.cluster
	}
	return out
}

// clusterGroupInputs is everything that the clusters of a scope depend on.
type clusterGroupInputs struct {
	view   *mesh.View
	client ClusterInputs // without a service
}

// clusterGroup makes the clusters and endpoints of a scope.
func (l *Lowering) clusterGroup(in clusterGroupInputs) *Group {
	facts := l.facts.Get(in.view)
	rs := append([]*Resource(nil), l.system[in.client.Gateway]...)
	for i, svc := range in.view.Services {
		one := in.client.narrow(facts.services[i])
		one.Service, one.Rule = svc, in.view.Rule(svc)
		rs = append(rs, l.clusters.Get(one)...)
	}
	return NewGroup(rs)
}

// outboundSide is the outbound listeners of all scopes with the same inputs.
type outboundSide struct {
	listeners *Group
	keys      []RouteKey
}

// routeGroupInputs is everything that the routes of a scope depend on.
type routeGroupInputs struct {
	OutboundInputs
	side      *outboundSide
	namespace string // "": one that calls no service by a name of its own
}

// routeGroup makes the routes of a scope.
func (l *Lowering) routeGroup(in routeGroupInputs) *Group {
	rs, shared := l.routes.outboundRoutes(&in.OutboundInputs, in.side.keys, in.namespace)
	if shared && in.namespace != "" {
		in.namespace = ""
		return l.routeGroups.Get(in)
	}
	return &Group{Resources: rs}
}
