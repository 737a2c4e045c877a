package listener

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// tcpSide lowers destinations to TCP proxies: of the outbound side of sidecars or a gateway.
type tcpSide struct {
	mesh  *mesh.Mesh
	view  *mesh.View
	proxy *meshconfig.ProxyConfig
	logs  *telemetry.Logs
}

// routes lowers the route list of a VirtualService tcp or tls block, met on a port with the given number and protocol.
// The DestinationRule of the first destination decides about timeouts, hashing and tunneling.
func (t tcpSide) routes(routes []*networking.RouteDestination, port uint32, protocol mesh.Protocol) []*listenerv3.Filter {
	if len(routes) == 0 {
		return blackHole() // a block without destination; Envoy refuses a chain without filters
	}
	first := routes[0].GetDestination()
	svc, to := t.view.ServiceForDestination(first, port)
	lookup := cluster.DynamicServerName(t.mesh, svc, to, protocol)
	if len(routes) == 1 {
		return append(lookup, t.single(t.destination(first, port), first.GetSubset(), svc, protocol)...)
	}
	p := t.start(svc, "")
	weighted := &tcpv3.TcpProxy_WeightedCluster{}
	for _, r := range routes {
		if r.Weight > 0 {
			weighted.Clusters = append(weighted.Clusters, &tcpv3.TcpProxy_WeightedCluster_ClusterWeight{
				Name: t.destination(r.Destination, port), Weight: uint32(r.Weight),
			})
		}
	}
	if len(weighted.Clusters) == 0 {
		// Weights of 0 everywhere: there is no destination, and Envoy refuses an empty list.
		p.StatPrefix = names.BlackHoleCluster
		p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: names.BlackHoleCluster}
		return xds.TCPFilters(nil, protocol, p)
	}
	p.StatPrefix = weighted.Clusters[0].Name
	p.ClusterSpecifier = &tcpv3.TcpProxy_WeightedClusters{WeightedClusters: weighted}
	return append(lookup, xds.TCPFilters(nil, protocol, p)...)
}

// single proxies to one cluster under the policy of a service, nil when it is unknown.
func (t tcpSide) single(cluster, subset string, svc *mesh.Service, protocol mesh.Protocol) []*listenerv3.Filter {
	p := t.start(svc, subset)
	p.StatPrefix = cluster
	p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: cluster}
	return xds.TCPFilters(nil, protocol, p)
}

// direct is single for connections that are not tunneled, whatever the DestinationRule says.
func (t tcpSide) direct(cluster, subset string, svc *mesh.Service) []*listenerv3.Filter {
	p := t.start(svc, subset)
	p.StatPrefix = cluster
	p.ClusterSpecifier = &tcpv3.TcpProxy_Cluster{Cluster: cluster}
	p.TunnelingConfig = nil
	return xds.TCPFilters(nil, mesh.TCP, p)
}

// destination names the cluster of a destination met on a listener port: a destination without port means the only
// port of the service, else the port of the listener. An ExternalName service stands for the host that it names.
func (t tcpSide) destination(d *networking.Destination, listenerPort uint32) string {
	port, host := listenerPort, d.GetHost()
	svc := t.view.Service(host)
	if n := d.GetPort().GetNumber(); n != 0 {
		port = n
	} else if svc != nil && len(svc.Ports) == 1 {
		port = svc.Ports[0].Number
	}
	if svc != nil && svc.Resolution == mesh.Alias {
		host = svc.ExternalName
	}
	return names.Outbound(port, d.GetSubset(), host)
}

// start begins a TCP proxy with what DestinationRule says about connections to the service. Idle timeout and maximum
// connection duration come from the rule's own connection pool, as in Istio, never from a port or subset.
func (t tcpSide) start(svc *mesh.Service, subset string) *tcpv3.TcpProxy {
	p := &tcpv3.TcpProxy{IdleTimeout: metadataIdleTimeout(t.proxy)}
	if t.logs != nil {
		p.AccessLog = t.logs.TCP
	}
	rule := route.RuleOf(t.view, svc)
	pool := rule.GetTrafficPolicy().GetConnectionPool()
	if pool == nil && svc != nil {
		pool = t.mesh.Config.GetDefaultTrafficPolicy().GetConnectionPool()
	}
	if v := pool.GetTcp().GetIdleTimeout(); v != nil {
		p.IdleTimeout = v
	}
	if v := pool.GetTcp().GetMaxConnectionDuration(); v != nil {
		p.MaxDownstreamConnectionDuration = v
	}
	if sourceHash(rule, subset) {
		p.HashPolicy = []*typev3.HashPolicy{{PolicySpecifier: &typev3.HashPolicy_SourceIp_{SourceIp: &typev3.HashPolicy_SourceIp{}}}}
	}
	p.TunnelingConfig = tunneling(rule, subset)
	return p
}

// sourceHash tells whether connections are balanced by the address of their source, the only hash of TCP.
func sourceHash(rule *networking.DestinationRule, subset string) bool {
	use := rule.GetTrafficPolicy().GetLoadBalancer().GetConsistentHash().GetUseSourceIp()
	for _, s := range rule.GetSubsets() {
		if subset != "" && s.Name == subset {
			if lb := s.GetTrafficPolicy().GetLoadBalancer(); lb != nil {
				use = lb.GetConsistentHash().GetUseSourceIp()
			}
			break
		}
	}
	return use
}
