package cluster

import (
	"cmp"
	"slices"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	dfpclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dynamic_forward_proxy/v3"
	dfpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/common/dynamic_forward_proxy/v3"
	dfphttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/dynamic_forward_proxy/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	snidfpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/sni_dynamic_forward_proxy/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// This file is ServiceEntry resolution DYNAMIC_DNS: the host that a request or a TLS handshake names is looked up when it
// comes. A filter has to do that before the connection to a cluster of this kind is made.

// dynamicDNS makes the cluster.
func (b *clusterBuild) dynamicDNS() {
	b.c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
	b.c.ClusterDiscoveryType = &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dynamic_forward_proxy",
		TypedConfig: xds.Any(&dfpclusterv3.ClusterConfig{
			ClusterImplementationSpecifier: &dfpclusterv3.ClusterConfig_DnsCacheConfig{DnsCacheConfig: dynamicDNSCache(b.in.Env.Mesh)},
			AllowInsecureClusterOptions:    b.policy.GetTls().GetInsecureSkipVerify().GetValue(),
		}),
	}}
}

// dynamicNames makes Envoy take SNI and the name to verify from the request. It refuses a cluster with protocol options
// that does not, but where verification is off.
func (b *clusterBuild) dynamicNames() {
	if b.in.Service.Resolution != mesh.DynamicDNS || !b.http.set() {
		return
	}
	verify := !b.policy.GetTls().GetInsecureSkipVerify().GetValue()
	b.http.upstream = &corev3.UpstreamHttpProtocolOptions{AutoSni: true, AutoSanValidation: verify}
}

// dynamicDNSCache is the cache that clusters and filters share: Envoy wants the same configuration in all of them.
func dynamicDNSCache(m *mesh.Mesh) *dfpv3.DnsCacheConfig {
	return &dfpv3.DnsCacheConfig{
		Name:                   "meshc_dynamic_dns",
		DnsLookupFamily:        dnsFamily(m),
		DnsRefreshRate:         dnsRefreshRate(m),
		TypedDnsResolverConfig: DNSResolver(),
	}
}

// dnsFamily is the IP families that names resolve to: those of the virtual addresses of Kubernetes services.
func dnsFamily(m *mesh.Mesh) clusterv3.Cluster_DnsLookupFamily {
	v4, v6 := false, false
	for _, svc := range m.Services {
		for _, a := range svc.Addresses {
			if p, ok := mesh.Prefix(a); ok && svc.Kubernetes {
				v4, v6 = v4 || p.Addr().Is4(), v6 || p.Addr().Is6()
			}
		}
	}
	switch {
	case v4 && v6:
		return clusterv3.Cluster_ALL
	case v6:
		return clusterv3.Cluster_V6_ONLY
	}
	return clusterv3.Cluster_V4_ONLY
}

// DynamicHost is the HTTP filter that looks up the host of a request whose route leads to such a cluster. It lets all
// others through.
func DynamicHost(m *mesh.Mesh) *hcmv3.HttpFilter {
	return xds.HTTPFilter("envoy.filters.http.dynamic_forward_proxy", &dfphttpv3.FilterConfig{
		ImplementationSpecifier: &dfphttpv3.FilterConfig_DnsCacheConfig{DnsCacheConfig: dynamicDNSCache(m)}})
}

// DynamicServerName is the network filter that looks up the server name of a TLS handshake; nil for services and
// protocols that need none.
func DynamicServerName(m *mesh.Mesh, svc *mesh.Service, port *mesh.Port, protocol mesh.Protocol) []*listenerv3.Filter {
	if svc == nil || port == nil || svc.Resolution != mesh.DynamicDNS || !protocol.IsTLS() {
		return nil
	}
	return []*listenerv3.Filter{xds.NetworkFilter("envoy.filters.network.sni_dynamic_forward_proxy", &snidfpv3.FilterConfig{
		DnsCacheConfig: dynamicDNSCache(m), PortSpecifier: &snidfpv3.FilterConfig_PortValue{PortValue: cmp.Or(port.TargetPort, port.Number)}})}
}

// LookedUp tells whether the hosts of a service are looked up as requests name them.
func LookedUp(svc *mesh.Service) bool { return svc != nil && svc.Resolution == mesh.DynamicDNS }

// DynamicRequests tells whether requests on a port, 0 for all, may go to a host that is looked up: one of the services is
// of that kind there, or a VirtualService leads to one.
func DynamicRequests(v *mesh.View, services []*mesh.Service, virtualServices []*mesh.VirtualService, port uint32) bool {
	for _, svc := range services {
		if LookedUp(svc) && slices.ContainsFunc(svc.Ports, func(p *mesh.Port) bool {
			return (port == 0 || p.Number == port) && (p.Protocol.IsHTTP() || p.Protocol.IsAuto())
		}) {
			return true
		}
	}
	for _, vs := range virtualServices {
		for _, h := range vs.Spec.GetHttp() {
			for _, r := range h.GetRoute() {
				if LookedUp(v.Service(r.GetDestination().GetHost())) {
					return true
				}
			}
		}
	}
	return false
}
