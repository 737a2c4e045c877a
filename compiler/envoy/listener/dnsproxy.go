package listener

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	dnstablev3 "github.com/envoyproxy/go-control-plane/envoy/data/dns/v3"
	dnsfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/udp/dns_filter/v3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// The DNS listener is where Istio's redirect rules lead the UDP packets to port 53 of a pod whose proxy captures DNS.
const (
	dnsPort       = 15053
	dnsAnswerTTL  = 30 // seconds, as istio-agent answers
	dnsTimeout    = 5  // seconds for a query that is passed on
	dnsMaxPending = 256
)

// dnsProxy answers the name look-ups of the application where ProxyConfig.proxyMetadata ISTIO_META_DNS_CAPTURE asks for
// it: hosts with a virtual address from a table, all others by the resolvers of /etc/resolv.conf. It does with Envoy's
// DNS filter what istio-agent does beside istio-proxy, so that clients call the addresses that were allocated to
// ServiceEntries. Where istio-agent is there, the server gives it the table in place of this listener.
func (o *outbound) dnsProxy() *xds.Resource {
	if !mesh.CapturesDNS(o.Proxy) {
		return nil
	}
	table := &dnstablev3.DnsTable{ExternalRetryCount: 1}
	var origins []xds.Origin
	for _, svc := range o.View.Services {
		var list []string
		for _, a := range svc.Addresses {
			if xds.IsIP(a) && a != xds.Wildcard && a != "::" {
				list = append(list, a)
			}
		}
		if len(list) == 0 || !resolvableName(svc.Hostname) {
			continue
		}
		table.VirtualDomains = append(table.VirtualDomains, &dnstablev3.DnsTable_DnsVirtualDomain{
			Name:      svc.Hostname,
			AnswerTtl: xds.Seconds(dnsAnswerTTL),
			Endpoint: &dnstablev3.DnsTable_DnsEndpoint{EndpointConfig: &dnstablev3.DnsTable_DnsEndpoint_AddressList{
				AddressList: &dnstablev3.DnsTable_AddressList{Address: list},
			}},
		})
		origins = append(origins, xds.OriginAt(svc.Object, "spec")...)
	}
	l := &listenerv3.Listener{
		Name:             names.DNSListener,
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
			Protocol: corev3.SocketAddress_UDP, Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: dnsPort},
		}}},
		UdpListenerConfig: &listenerv3.UdpListenerConfig{},
		ListenerFilters: []*listenerv3.ListenerFilter{{
			Name: "envoy.filters.udp.dns_filter",
			ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: xds.Any(&dnsfilterv3.DnsFilterConfig{
				StatPrefix: names.DNSListener,
				ServerConfig: &dnsfilterv3.DnsFilterConfig_ServerContextConfig{
					ConfigSource: &dnsfilterv3.DnsFilterConfig_ServerContextConfig_InlineDnsTable{InlineDnsTable: table},
				},
				ClientConfig: &dnsfilterv3.DnsFilterConfig_ClientContextConfig{
					ResolverTimeout: xds.Seconds(dnsTimeout), MaxPendingLookups: dnsMaxPending, TypedDnsResolverConfig: cluster.DNSResolver(),
				},
			})},
		}},
	}
	return &xds.Resource{Type: xds.Listener, Name: l.Name, Message: l, Origins: origins}
}

// resolvableName tells whether the table of the DNS filter can hold a host: it matches a wildcard in the first label only.
func resolvableName(host string) bool {
	rest := strings.TrimPrefix(host, "*.")
	return strings.Contains(rest, ".") && !strings.Contains(rest, "*")
}
