package envoy

import (
	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/listener"
	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/mesh"
)

// Scopes and classes end in this file and in lower.go. What lies below is given inputs, which hold what it depends on
// and nothing else, so that what it makes can be shared by all for whom the inputs are equal.

// clientOf is what clusters may look at of the proxies of a scope.
func clientOf(e *cluster.Env, s *mesh.Scope) cluster.Inputs {
	return e.Client(cluster.Proxies{Gateway: s.Gateway, Network: s.Network, Cluster: s.Cluster, Locality: s.Locality, Labels: s.Labels, Proxy: s.Proxy})
}

// listenerInputs is what the outbound listeners of a scope look at.
func (l *Lowering) listenerInputs(s *mesh.Scope) listener.Inputs {
	var conditions []route.SourceMatch
	for _, el := range s.Listeners {
		conditions = append(conditions, l.routes.Conditions.Get(el)...)
	}
	in := listener.Inputs{OutboundInputs: route.OutboundInputs{
		Mesh: s.Mesh, View: s.View(), Listeners: l.listeners.Of(s.Listeners...), Sidecar: s.Sidecar, Policy: s.Outbound, Proxy: s.Proxy,
		Holds: l.routes.Matches(conditions, route.Caller{Namespace: s.Namespace, Labels: s.Labels, Gateway: route.MeshGateway}.Fits),
	}, Telemetries: l.telemetries.Of(s.Telemetries...)}
	if spec := telemetry.MergeTracing(s.Mesh, s.Proxy, s.Telemetries, telemetry.ClientSide); spec.Tagged() {
		in.Spans = telemetry.Spans{Namespace: s.Namespace, Cluster: s.Cluster}
	}
	return in
}

func gatewayInputsOf(c *mesh.Class) *route.GatewayInputs {
	s := c.Scope
	return &route.GatewayInputs{Mesh: s.Mesh, View: s.View(), Proxy: s.Proxy, Caller: route.Caller{Namespace: s.Namespace, Labels: s.Labels}, Inbound: c.Inbound, Servers: c.Servers}
}

// providerInputs is what decides which clusters the filters of a class need besides those of its services.
type providerInputs struct {
	view    *mesh.View
	client  cluster.Inputs
	inbound *mesh.Inbound
	calls   bool // Telemetry may name places for logs and traces
}

func providerInputsOf(e *cluster.Env, c *mesh.Class) providerInputs {
	return providerInputs{c.Scope.View(), clientOf(e, c.Scope), c.Inbound, len(c.Scope.Telemetries) > 0 || e.Mesh.Config.GetDefaultProviders() != nil}
}

// metadataOf tells what is known of the metadata of the proxies of a scope.
func metadataOf(s *mesh.Scope) func(key string) patch.Metadatum {
	return func(key string) patch.Metadatum {
		if v, ok := s.Proxy.GetProxyMetadata()["ISTIO_META_"+key]; ok {
			return patch.Metadatum{Key: key, Value: v, Known: true}
		}
		switch key {
		case "CLUSTER_ID":
			return patch.Metadatum{Key: key, Value: s.Cluster, Known: true}
		case "NAMESPACE":
			return patch.Metadatum{Key: key, Value: s.Namespace, Known: true}
		}
		return patch.Metadatum{Key: key}
	}
}
