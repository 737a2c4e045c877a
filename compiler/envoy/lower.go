package envoy

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/listener"
	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Lowering lowers the scopes and classes of one mesh. What several of them share is lowered once: each table remembers
// what came of inputs, which are everything that the outcome depends on. Scopes that see the same get the same groups of
// resources. It is safe for concurrent use.
type Lowering struct {
	env       *cluster.Env
	routes    *route.Routes
	patches   *patch.Table
	providers []provider
	system    map[bool][]*xds.Resource // clusters of gateways and sidecars
	own       diag.List                // findings about settings that all scopes share

	facts         *memo.Table[*mesh.View, *cluster.ViewFacts]
	clusters      *memo.Table[cluster.Inputs, []*xds.Resource]
	clusterGroups *memo.Table[clusterGroupInputs, *xds.Group]
	sides         *memo.Table[listener.Inputs, *outboundSide]
	routeGroups   *memo.Table[routeGroupInputs, *xds.Group]

	listeners   memo.Lists[*mesh.EgressListener]
	telemetries memo.Lists[*mesh.Telemetry]
}

// NewLowering prepares the lowering of a mesh.
func NewLowering(m *mesh.Mesh) *Lowering {
	env, findings := cluster.NewEnv(m)
	findings.Add(listener.ServerFindings(m)...)
	findings.Add(metadataFindings(m)...)
	findings.Add(security.CipherFindings(m)...)
	patches, f := patch.Read(m.EnvoyFilters)
	findings.Add(f...)
	l := &Lowering{env: env, routes: route.New(), patches: patches, providers: providers(m), own: findings}
	l.system = map[bool][]*xds.Resource{true: cluster.System(m, true), false: cluster.System(m, false)}
	l.facts = memo.Plain(env.ViewFacts)
	l.clusters = memo.New(cluster.Outbound)
	l.clusterGroups = memo.Plain(l.clusterGroup)
	l.sides = memo.New(outboundSideOf)
	l.routeGroups = memo.Plain(l.routeGroup)
	return l
}

func outboundSideOf(in listener.Inputs) (*outboundSide, diag.List) {
	listeners, keys, findings := listener.Outbound(in)
	return &outboundSide{xds.NewGroup(listeners), keys}, findings
}

// Site returns what holds for all endpoints of the mesh, for a server that joins clusters with live ones.
func (l *Lowering) Site() *endpoint.Site {
	site := *l.env.Mesh.Site
	site.Gateways = l.env.Gateways
	return &site
}

// Scope lowers what all classes of a scope share: clusters and their endpoints, and for sidecars the outbound listeners
// and routes. EnvoyFilters come last. The groups differ in the types of their resources.
func (l *Lowering) Scope(s *mesh.Scope) []*xds.Group {
	return l.patchScope(s, l.scope(s))
}

func (l *Lowering) scope(s *mesh.Scope) []*xds.Group {
	client := clientOf(l.env, s)
	clusters := l.clusterGroups.Get(clusterGroupInputs{s.View(), client.Narrow(l.facts.Get(s.View()).Any)})
	if s.Gateway {
		return []*xds.Group{clusters}
	}
	in := l.listenerInputs(s)
	side := l.sides.Get(in)
	return []*xds.Group{clusters, side.listeners, l.routeGroups.Get(routeGroupInputs{in.OutboundInputs, side, s.Namespace})}
}

// Class lowers what one class has to itself: the inbound side of a sidecar, or the servers of a gateway. EnvoyFilters
// come last.
func (l *Lowering) Class(c *mesh.Class) ([]*xds.Resource, diag.List) {
	out, findings := l.class(c)
	out = append(out, l.providerClusters(providerInputsOf(l.env, c), out)...)
	out, f := l.patchClass(c, out)
	findings.Add(f...)
	return out, findings
}

func (l *Lowering) class(c *mesh.Class) ([]*xds.Resource, diag.List) {
	if !c.Gateway {
		clusters, findings := cluster.Inbound(c.Inbound)
		listener, f := listener.Inbound(c.Inbound)
		findings.Add(f...)
		own, f := cluster.ProxyClusters(c.Inbound)
		findings.Add(f...)
		return slices.Concat(clusters, security.JWKSClusters(c.Inbound), own, listener), findings
	}
	in := gatewayInputsOf(c)
	out, findings := listener.ForGateway(in)
	own, f := cluster.ProxyClusters(c.Inbound)
	findings.Add(f...)
	out = slices.Concat(out, security.JWKSClusters(c.Inbound), own, l.routes.Gateway(in))
	if listener.AutoPassthrough(in) {
		client := clientOf(l.env, c.Scope)
		client.SNI = true
		for _, svc := range in.View.Services {
			out = append(out, l.clusters.Get(client.Of(svc, in.View.Rule(svc)))...)
		}
	}
	return out, findings
}

// patchScope applies the EnvoyFilters of a scope to its groups.
func (l *Lowering) patchScope(s *mesh.Scope, groups []*xds.Group) []*xds.Group {
	if len(s.EnvoyFilters) == 0 {
		return groups
	}
	context := networking.EnvoyFilter_SIDECAR_OUTBOUND
	if s.Gateway {
		context = networking.EnvoyFilter_GATEWAY
	}
	target := l.patches.Target(context, s.EnvoyFilters, metadataOf(s))
	out := make([]*xds.Group, len(groups))
	for i, g := range groups { // clusters come first, then listeners
		out[i] = l.patches.Group(g, target, patch.Additions{Clusters: i == 0, Listeners: i == 1})
	}
	return out
}

// patchClass applies the EnvoyFilters of a class to what it has to itself.
func (l *Lowering) patchClass(c *mesh.Class, rs []*xds.Resource) ([]*xds.Resource, diag.List) {
	context := networking.EnvoyFilter_SIDECAR_INBOUND
	if c.Gateway {
		context = networking.EnvoyFilter_GATEWAY
	}
	target := l.patches.Target(context, c.Inbound.EnvoyFilters, metadataOf(c.Scope))
	return l.patches.Class(rs, target, patch.Additions{Clusters: !c.Gateway, Listeners: true}, c.Inbound, c.Servers)
}

// Findings returns, after all scopes and classes are lowered, what was found in what they share, and the patches that
// changed none of them.
func (l *Lowering) Findings() diag.List {
	out := slices.Concat(l.own, l.clusters.Findings(), l.sides.Findings(), l.routes.Findings(), l.patches.Findings())
	out.Sort()
	return out
}

// Removed returns, after all is lowered, the clusters that patches of EnvoyFilters removed from some proxy, by name.
func (l *Lowering) Removed() map[string][]xds.Origin {
	return l.patches.Removed()
}
