package envoy

import (
	"slices"
	"sync"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Lowering lowers the scopes and classes of one mesh. What several of them share is lowered once: clusters are kept by
// everything they depend on, virtual hosts likewise, and scopes that see the same get the same groups of resources. It
// is safe for concurrent use.
type Lowering struct {
	env     *ClusterEnv
	routes  *Memo
	patches *patchTable

	providers []provider

	mu       sync.Mutex
	clusters map[ClusterInputs]*clusterEntry
	system   map[bool][]*Resource
	reaches  map[*mesh.View]*reach
	groups   map[clusterGroupKey]*clusterGroup
	sides    map[scopeKey]*outboundSide
	patched  map[patchKey]*patchedGroup
}

type clusterEntry struct {
	once      sync.Once
	resources []*Resource
	findings  diag.List
}

// NewLowering prepares the lowering of a mesh; the findings are about settings that all scopes share.
func NewLowering(m *mesh.Mesh) (*Lowering, diag.List) {
	env, findings := NewClusterEnv(m)
	findings.Add(serverFindings(m)...)
	findings.Add(metadataFindings(m)...)
	findings.Add(cipherFindings(m)...)
	patches, f := readPatches(m.EnvoyFilters)
	findings.Add(f...)
	l := &Lowering{env: env, routes: new(Memo), patches: patches, patched: map[patchKey]*patchedGroup{}, clusters: map[ClusterInputs]*clusterEntry{}, reaches: map[*mesh.View]*reach{},
		groups: map[clusterGroupKey]*clusterGroup{}, sides: map[scopeKey]*outboundSide{}}
	l.providers = providers(m)
	l.system = map[bool][]*Resource{true: SystemClusters(m, true), false: SystemClusters(m, false)}
	return l, findings
}

// Site returns what holds for all endpoints of the mesh, for a server that joins clusters with live ones.
func (l *Lowering) Site() *endpoint.Site {
	site := *l.env.Mesh.Site
	site.Gateways = l.env.gateways
	return &site
}

func (l *Lowering) cluster(in ClusterInputs) ([]*Resource, diag.List) {
	l.mu.Lock()
	e := l.clusters[in]
	if e == nil {
		e = &clusterEntry{}
		l.clusters[in] = e
	}
	l.mu.Unlock()
	e.once.Do(func() { e.resources, e.findings = OutboundClustersFor(in) })
	return e.resources, e.findings
}

// Scope lowers what all classes of a scope share: clusters and their endpoints, and for sidecars the outbound listeners
// and routes. EnvoyFilters come last. The groups differ in the types of their resources. Findings about what scopes share
// come with one of them.
func (l *Lowering) Scope(s *mesh.Scope) ([]*Group, diag.List) {
	groups, findings := l.scope(s)
	groups, f := l.patchScope(s, groups)
	findings.Add(f...)
	return groups, findings
}

func (l *Lowering) scope(s *mesh.Scope) ([]*Group, diag.List) {
	clusters, findings := l.clusterGroup(s)
	if s.Gateway {
		return []*Group{clusters}, findings
	}
	side, f := l.outbound(s)
	findings.Add(f...)
	routes, f := side.routesFor(s.Namespace)
	findings.Add(f...)
	return []*Group{clusters, side.listeners, routes}, findings
}

// Class lowers what one class has to itself: the inbound side of a sidecar, or the servers of a gateway. EnvoyFilters
// come last.
func (l *Lowering) Class(c *mesh.Class) ([]*Resource, diag.List) {
	out, findings := l.class(c)
	out = append(out, l.providerClusters(c, out)...)
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
	out, findings := GatewayListeners(c)
	own, f := ProxyClusters(c.Inbound)
	findings.Add(f...)
	out = slices.Concat(out, JWKSClusters(c.Inbound), own)
	routes, f := l.routes.GatewayRoutes(c)
	findings.Add(f...)
	out = append(out, routes...)
	if autoPassthrough(c) {
		for _, svc := range c.Scope.Services {
			rs, f := l.cluster(SNIClusterInputsFor(l.env, c.Scope, svc))
			out = append(out, rs...)
			findings.Add(f...)
		}
	}
	return out, findings
}

func autoPassthrough(c *mesh.Class) bool {
	for _, ms := range c.Servers {
		for _, s := range ms.Servers {
			if s.Spec.GetTls().GetMode() == networking.ServerTLSSettings_AUTO_PASSTHROUGH {
				return true
			}
		}
	}
	return false
}
