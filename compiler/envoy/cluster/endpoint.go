package cluster

import (
	"cmp"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
)

// members says which endpoints of the input the cluster may have, and how its clients see them.
func (b *clusterBuild) members() *endpoint.Cluster {
	return &endpoint.Cluster{
		Labels: b.subset.GetLabels(), NotReady: b.in.Service.PublishNotReady, Client: b.client(), Gateways: b.in.Env.Gateways, Endpoints: b.endpoints(),
	}
}

// client reduces what is known about the client to what matters to the endpoints of this cluster.
func (b *clusterBuild) client() *endpoint.Client {
	c := &endpoint.Client{
		Network: b.in.Network, View: b.in.View, Cluster: b.in.Cluster, MTLSOnly: b.in.SNI, TLS: b.ruledTLS(),
		PanicOff: b.panicThreshold() == 0, Policy: b.locality().Normal(),
	}
	if c.Policy.ByLocality() {
		c.Locality = b.in.Locality
	}
	if c.Policy.ByLabels() {
		c.Labels = c.Policy.Narrow(unpackLabels(b.in.Labels))
	}
	return c
}

// ruledTLS is what a rule says of all endpoints, whatever their workloads can do: the mode of the subset, else that of the
// whole service, at the port before elsewhere. Unlike the policy of the cluster, where settings of a port replace all others,
// each mode is looked for by itself.
func (b *clusterBuild) ruledTLS() endpoint.Ruled {
	if b.in.Rule == nil {
		return ""
	}
	mode := b.tlsMode(b.subset.GetTrafficPolicy())
	if mode == nil {
		mode = b.tlsMode(b.in.Rule.Spec.GetTrafficPolicy())
	}
	switch {
	case mode == nil:
		return ""
	case mode.GetMode() == networking.ClientTLSSettings_ISTIO_MUTUAL:
		return endpoint.AllMutual
	}
	return endpoint.NoneMutual
}

func (b *clusterBuild) tlsMode(p *networking.TrafficPolicy) *networking.ClientTLSSettings {
	for _, s := range p.GetPortLevelSettings() {
		if s.GetPort().GetNumber() == b.port.Number && s.Tls != nil {
			return s.Tls
		}
	}
	return p.GetTls()
}

// recipe says how a server makes the endpoints of the cluster anew; nil where they cannot change: no service of the host
// has Pods.
func (b *clusterBuild) recipe(c *endpoint.Client) *endpoint.Recipe {
	svc := b.in.Service
	if svc.Source == nil {
		return nil
	}
	r := &endpoint.Recipe{Client: c, Services: []*endpoint.Service{svc.Source}, Labels: b.subset.GetLabels()}
	r.Port = slices.IndexFunc(svc.Source.Ports, func(p endpoint.Port) bool { return p.Number == b.port.Number && p.Name == b.port.Name })
	for _, other := range b.in.Env.sharedHosts[declaredHost{svc.Hostname, svc.Namespace}] {
		if other.Resolution == mesh.Static && other.Source != nil && other.Source != svc.Source && other.Source.PortNamed(b.port.Name) >= 0 {
			r.Services = append(r.Services, other.Source)
		}
	}
	if r.Port < 0 || !r.Live() {
		return nil
	}
	return r
}

// endpoints are those of the port; a service found by DNS that lists none is its own host name, unless that is a
// wildcard. Another service of the same namespace that declares the same host adds its endpoints to ports of the same
// name: discovery goes by host.
func (b *clusterBuild) endpoints() []*mesh.Endpoint {
	svc := b.in.Service
	if sharing := b.in.Env.sharedHosts[declaredHost{svc.Hostname, svc.Namespace}]; b.c.GetType() == clusterv3.Cluster_EDS && len(sharing) > 0 {
		out := slices.Clone(b.port.Endpoints)
		for _, other := range sharing {
			for _, p := range other.Ports {
				if p != b.port && other.Resolution == mesh.Static && p.Name == b.port.Name && !slices.Equal(p.Endpoints, b.port.Endpoints) {
					out = append(out, p.Endpoints...)
				}
			}
		}
		return out
	}
	byName := svc.Resolution == mesh.DNS || svc.Resolution == mesh.DNSRoundRobin
	if len(b.port.Endpoints) > 0 || !byName || strings.HasPrefix(svc.Hostname, "*") {
		return b.port.Endpoints
	}
	return []*mesh.Endpoint{{Address: svc.Hostname, Port: cmp.Or(b.port.TargetPort, b.port.Number), Ready: true}}
}
