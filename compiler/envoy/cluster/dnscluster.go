package cluster

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// dns makes a STRICT_DNS or LOGICAL_DNS cluster whose endpoints are names, or addresses, to resolve. A service without
// endpoints is its own host name; a wildcard is none. LOGICAL_DNS takes exactly one endpoint.
func (b *clusterBuild) dns(logical bool) bool {
	kind := clusterv3.Cluster_STRICT_DNS
	if logical {
		kind = clusterv3.Cluster_LOGICAL_DNS
	}
	b.c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: kind}
	groups := b.members().Localities()
	if logical && len(groups) > 0 {
		first := groups[0]
		first.LbEndpoints, first.Priority = first.LbEndpoints[:1], 0
		groups = groups[:1]
	}
	if len(groups) == 0 {
		return false
	}
	b.c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: b.c.Name, Endpoints: groups}
	//nolint:staticcheck // the fields of Cluster are what EnvoyFilters patch; Envoy honours them
	b.c.DnsRefreshRate, b.c.DnsLookupFamily, b.c.RespectDnsTtl = dnsRefreshRate(b.in.Env.Mesh), b.in.Env.family, true
	b.c.DnsJitter = dnsJitter() //nolint:staticcheck // as above
	b.c.TypedDnsResolverConfig = DNSResolver()
	return true
}

// dnsRefreshRate is MeshConfig.dnsRefreshRate, 60s unless set.
func dnsRefreshRate(m *mesh.Mesh) *durationpb.Duration {
	if d := m.Config.GetDnsRefreshRate(); d != nil {
		return d
	}
	return xds.Seconds(60)
}

// dnsJitter spreads the queries of many proxies.
func dnsJitter() *durationpb.Duration { return &durationpb.Duration{Nanos: 100_000_000} }

// DNSResolver is c-ares with a limit of queries per UDP socket, so that source ports change and one lost socket does not
// stop resolution.
func DNSResolver() *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{
		Name:        "envoy.network.dns_resolver.cares",
		TypedConfig: xds.Any(&caresv3.CaresDnsResolverConfig{UdpMaxQueries: xds.UInt32(100)}),
	}
}
