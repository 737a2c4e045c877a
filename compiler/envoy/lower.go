package envoy

import (
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Lowering lowers the scopes and classes of one mesh. What several of them share is lowered once: each table remembers
// what came of inputs, which are everything that the outcome depends on. Scopes that see the same get the same groups of
// resources. It is safe for concurrent use.
type Lowering struct {
	env       *ClusterEnv
	routes    *routes
	patches   *patchTable
	providers []provider
	system    map[bool][]*Resource // clusters of gateways and sidecars
	own       diag.List            // findings about settings that all scopes share

	facts         *memo.Table[*mesh.View, *viewFacts]
	clusters      *memo.Table[ClusterInputs, []*Resource]
	clusterGroups *memo.Table[clusterGroupInputs, *Group]
	sides         *memo.Table[ListenerInputs, *outboundSide]
	routeGroups   *memo.Table[routeGroupInputs, *Group]

	listeners   memo.Lists[*mesh.EgressListener]
	telemetries memo.Lists[*mesh.Telemetry]
}

// NewLowering prepares the lowering of a mesh.
func NewLowering(m *mesh.Mesh) *Lowering {
	env, findings := NewClusterEnv(m)
	findings.Add(serverFindings(m)...)
	findings.Add(metadataFindings(m)...)
	findings.Add(cipherFindings(m)...)
	patches, f := readPatches(m.EnvoyFilters)
	findings.Add(f...)
	l := &Lowering{env: env, routes: newRoutes(), patches: patches, providers: providers(m), own: findings}
	l.system = map[bool][]*Resource{true: SystemClusters(m, true), false: SystemClusters(m, false)}
	l.facts = memo.Plain(env.viewFacts)
	l.clusters = memo.New(OutboundClustersFor)
	l.clusterGroups = memo.Plain(l.clusterGroup)
	l.sides = memo.New(outboundSideOf)
	l.routeGroups = memo.Plain(l.routeGroup)
	return l
}

func outboundSideOf(in ListenerInputs) (*outboundSide, diag.List) {
	listeners, keys, findings := OutboundListeners(in)
	return &outboundSide{NewGroup(listeners), keys}, findings
}

// Site returns what holds for all endpoints of the mesh, for a server that joins clusters with live ones.
func (l *Lowering) Site() *endpoint.Site {
	site := *l.env.Mesh.Site
	site.Gateways = l.env.gateways
	return &site
}

// Scope lowers what all classes of a scope share: clusters and their endpoints, and for sidecars the outbound listeners
// and routes. EnvoyFilters come last. The groups differ in the types of their resources.
func (l *Lowering) Scope(s *mesh.Scope) []*Group {
	return l.patchScope(s, l.scope(s))
}

func (l *Lowering) scope(s *mesh.Scope) []*Group {
	client := l.env.client(s)
	clusters := l.clusterGroups.Get(clusterGroupInputs{s.View(), client.narrow(l.facts.Get(s.View()).any)})
	if s.Gateway {
		return []*Group{clusters}
	}
	in := l.listenerInputs(s)
	side := l.sides.Get(in)
	return []*Group{clusters, side.listeners, l.routeGroups.Get(routeGroupInputs{in.OutboundInputs, side, s.Namespace})}
}

// Class lowers what one class has to itself: the inbound side of a sidecar, or the servers of a gateway. EnvoyFilters
// come last.
func (l *Lowering) Class(c *mesh.Class) ([]*Resource, diag.List) {
	out, findings := l.class(c)
	out = append(out, l.providerClusters(providerInputsOf(l.env, c), out)...)
	out, f := l.patchClass(c, out)
	findings.Add(f...)
	return out, findings
}

func (l *Lowering) class(c *mesh.Class) ([]*Resource, diag.List) {
	if !c.Gateway {
		clusters, findings := InboundClusters(c.Inbound)
		listener, f := InboundListener(c.Inbound)
		findings.Add(f...)
		own, f := ProxyClusters(c.Inbound)
		findings.Add(f...)
		return slices.Concat(clusters, JWKSClusters(c.Inbound), own, listener), findings
	}
	in := gatewayInputsOf(c)
	out, findings := GatewayListeners(in)
	own, f := ProxyClusters(c.Inbound)
	findings.Add(f...)
	out = slices.Concat(out, JWKSClusters(c.Inbound), own, l.routes.gatewayRoutes(in))
	if autoPassthrough(in) {
		client := l.env.client(c.Scope)
		client.SNI = true
		for _, svc := range in.view.Services {
			out = append(out, l.clusters.Get(client.of(svc, in.view.Rule(svc)))...)
		}
	}
	return out, findings
}

// patchScope applies the EnvoyFilters of a scope to its groups.
func (l *Lowering) patchScope(s *mesh.Scope, groups []*Group) []*Group {
	if len(s.EnvoyFilters) == 0 {
		return groups
	}
	context := networking.EnvoyFilter_SIDECAR_OUTBOUND
	if s.Gateway {
		context = networking.EnvoyFilter_GATEWAY
	}
	target := l.patches.target(context, s.EnvoyFilters, s)
	out := make([]*Group, len(groups))
	for i, g := range groups { // clusters come first, then listeners
		out[i] = l.patches.groups.Get(groupPatchInputs{g, target, patchRoom{clusters: i == 0, listeners: i == 1}})
	}
	return out
}

// patchClass applies the EnvoyFilters of a class to what it has to itself.
func (l *Lowering) patchClass(c *mesh.Class, rs []*Resource) ([]*Resource, diag.List) {
	context := networking.EnvoyFilter_SIDECAR_INBOUND
	if c.Gateway {
		context = networking.EnvoyFilter_GATEWAY
	}
	p := l.patches.patcher(l.patches.target(context, c.Inbound.EnvoyFilters, c.Scope))
	p.own, p.inbound, p.room = true, c.Inbound, patchRoom{clusters: !c.Gateway, listeners: true}
	p.servers = map[string][]*mesh.GatewayServer{}
	for _, ms := range c.Servers {
		for _, x := range ms.Servers {
			p.servers[x.RouteName] = append(p.servers[x.RouteName], x)
		}
	}
	return p.patch(rs)
}

// Findings returns, after all scopes and classes are lowered, what was found in what they share, and the patches that
// changed none of them.
func (l *Lowering) Findings() diag.List {
	out := slices.Concat(l.own, l.clusters.Findings(), l.sides.Findings(), l.routes.findings(), l.patches.findings())
	out.Sort()
	return out
}

// Removed returns, after all is lowered, the clusters that patches of EnvoyFilters removed from some proxy, by name.
func (l *Lowering) Removed() map[string][]Origin {
	out := make(map[string][]Origin, len(l.patches.removed))
	for name, e := range l.patches.removed {
		out[name] = e.origins()
	}
	return out
}
