package envoy

import (
	"maps"
	"slices"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
)

// Scopes and classes end in this file and in lower.go. What lies below is given inputs, which hold what it depends on
// and nothing else, so that what it makes can be shared by all for whom the inputs are equal.

// client is what clusters may look at of the proxies of a scope.
func (e *ClusterEnv) client(s *mesh.Scope) ClusterInputs {
	network := e.networkOfClient(s.Network, s.Cluster)
	in := ClusterInputs{
		Env: e, Gateway: s.Gateway, KeepCase: keepsCase(s.Proxy), View: s.Proxy.GetProxyMetadata()[mesh.MetadataNetworkView],
		Locality: s.Locality, Labels: packLabels(endpoint.Topology(s.Labels, s.Locality, network, s.Cluster, "")), Cluster: s.Cluster,
	}
	if len(e.gateways) > 0 {
		in.Network = network
	}
	return in
}

// listenerInputs is what the outbound listeners of a scope look at.
func (l *Lowering) listenerInputs(s *mesh.Scope) ListenerInputs {
	var conditions []sourceMatch
	for _, el := range s.Listeners {
		conditions = append(conditions, l.routes.conditions.Get(el)...)
	}
	in := ListenerInputs{OutboundInputs: OutboundInputs{
		Mesh: s.Mesh, View: s.View(), Listeners: l.listeners.Of(s.Listeners...), Sidecar: s.Sidecar, Policy: s.Outbound, Proxy: s.Proxy,
		Holds: l.routes.those(conditions, caller{s.Namespace, s.Labels, meshGateway}.fits),
	}, Telemetries: l.telemetries.Of(s.Telemetries...)}
	if spec := settleTracing(s.Mesh, s.Proxy, s.Telemetries, clientSide); spec.tagged() {
		in.Spans = traced{s.Namespace, s.Cluster}
	}
	return in
}

// gatewayInputs is what the listeners and routes of a class of gateways look at.
type gatewayInputs struct {
	mesh    *mesh.Mesh
	view    *mesh.View
	proxy   *meshconfig.ProxyConfig
	caller  caller // without a Gateway
	inbound *mesh.Inbound
	servers []*mesh.MergedServer
}

func gatewayInputsOf(c *mesh.Class) *gatewayInputs {
	s := c.Scope
	return &gatewayInputs{mesh: s.Mesh, view: s.View(), proxy: s.Proxy, caller: caller{namespace: s.Namespace, labels: s.Labels}, inbound: c.Inbound, servers: c.Servers}
}

// providerInputs is what decides which clusters the filters of a class need besides those of its services.
type providerInputs struct {
	view    *mesh.View
	client  ClusterInputs
	inbound *mesh.Inbound
	calls   bool // Telemetry may name places for logs and traces
}

func providerInputsOf(e *ClusterEnv, c *mesh.Class) providerInputs {
	return providerInputs{c.Scope.View(), e.client(c.Scope), c.Inbound, len(c.Scope.Telemetries) > 0 || e.Mesh.Config.GetDefaultProviders() != nil}
}

// target gathers what decides about the patches of some filters for the proxies of a scope.
func (t *patchTable) target(context patchContext, filters []*mesh.EnvoyFilter, s *mesh.Scope) patchTarget {
	asked := map[string]bool{}
	for _, f := range filters {
		for _, e := range t.byFilter[f] {
			for k := range e.spec.GetMatch().GetProxy().GetMetadata() {
				asked[k] = true
			}
		}
	}
	var known []metadatum
	for _, k := range slices.Sorted(maps.Keys(asked)) {
		known = append(known, metadataOf(s, k))
	}
	return patchTarget{context, t.filters.Of(filters...), t.metadata.Of(known...)}
}

// metadataOf is what is known of the metadata of the proxies of a scope.
func metadataOf(s *mesh.Scope, key string) metadatum {
	if v, ok := s.Proxy.GetProxyMetadata()["ISTIO_META_"+key]; ok {
		return metadatum{key, v, true}
	}
	switch key {
	case "CLUSTER_ID":
		return metadatum{key, s.Cluster, true}
	case "NAMESPACE":
		return metadatum{key, s.Namespace, true}
	}
	return metadatum{key: key}
}
