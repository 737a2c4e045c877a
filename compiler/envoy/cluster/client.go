package cluster

import (
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// ViewFacts says what about a client matters to the clusters of a view, for each service and for any of them.
type ViewFacts struct {
	Services []clientFacts
	Any      clientFacts
}

func (e *Env) ViewFacts(v *mesh.View) *ViewFacts {
	out := &ViewFacts{}
	for _, svc := range v.Services {
		f := clientFactsFor(e, v.Rule(svc), svc)
		out.Services = append(out.Services, f)
		out.Any.locality, out.Any.labels, out.Any.cluster = out.Any.locality || f.locality, out.Any.labels || f.labels, out.Any.cluster || f.cluster
	}
	return out
}

// Proxies is what is known of the proxies of a scope, as far as clusters may look at it.
type Proxies struct {
	Gateway                    bool
	Network, Cluster, Locality string
	Labels                     map[string]string
	Proxy                      *meshconfig.ProxyConfig
}

// Client makes of what is known of some proxies the part of the inputs of clusters that is about them.
func (e *Env) Client(p Proxies) Inputs {
	network := e.networkOfClient(p.Network, p.Cluster)
	in := Inputs{
		Env: e, Gateway: p.Gateway, KeepCase: xds.KeepsCase(p.Proxy), View: p.Proxy.GetProxyMetadata()[mesh.MetadataNetworkView],
		Locality: p.Locality, Labels: packLabels(endpoint.Topology(p.Labels, p.Locality, network, p.Cluster, "")), Cluster: p.Cluster,
	}
	if len(e.Gateways) > 0 {
		in.Network = network
	}
	return in
}
