package listener

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/schema"
)

// outboundPort and inboundListenerPort are where intercepted connections enter a sidecar.
const (
	outboundPort        = 15001
	inboundListenerPort = 15006
)

// virtualOutbound builds the listener that all outbound connections enter. It hands them to the listener of their
// original destination, and treats those that have none by the outbound traffic policy. A connection to its own port
// would loop, so it is closed. Proxies that intercept nothing have none.
func (o *outbound) virtualOutbound() *xds.Resource {
	port := listenPort(o.Mesh)
	if o.none() || port == 0 {
		return nil
	}
	l := &listenerv3.Listener{
		Name:                    names.VirtualOutbound,
		Address:                 xds.Address(xds.Wildcard, port),
		UseOriginalDst:          xds.Bool(true),
		TrafficDirection:        corev3.TrafficDirection_OUTBOUND,
		ConnectionBalanceConfig: xds.ConnectionBalance(mesh.BalancesOutbound(o.Proxy)),
		FilterChains: []*listenerv3.FilterChain{
			{
				Name:             names.OutboundBlackHoleChain,
				FilterChainMatch: &listenerv3.FilterChainMatch{DestinationPort: xds.UInt32(port)},
				Filters:          blackHole(),
			},
			{Name: names.OutboundCatchAllChain, Filters: o.fallthroughFilters()},
		},
	}
	if o.dual {
		l.AdditionalAddresses = xds.AlsoIPv6(xds.Wildcard, port)
	}
	if o.Proxy.GetInterceptionMode() == meshconfig.ProxyConfig_TPROXY {
		l.Transparent = xds.Bool(true)
	}
	if o.logs != nil {
		l.AccessLog = o.logs.Listener
	}
	return &xds.Resource{Type: xds.Listener, Name: l.Name, Message: l, Origins: o.policyOrigin()}
}

func (o *outbound) policyOrigin() []xds.Origin {
	if sc := o.Sidecar; sc != nil && sc.Spec.GetOutboundTrafficPolicy() != nil {
		return xds.OriginAt(sc.Object, "spec", "outboundTrafficPolicy")
	}
	return xds.OriginAt(o.Mesh.Settings, "data", schema.MeshKey)
}

// fallthroughCluster is where connections go that no service takes: outboundTrafficPolicy of Sidecar or MeshConfig.
func (o *outbound) fallthroughCluster() string {
	switch p := o.Policy; {
	case p.RegistryOnly:
		return names.BlackHoleCluster
	case p.EgressProxy.Host != "":
		return names.Outbound(p.EgressProxy.Port, p.EgressProxy.Subset, p.EgressProxy.Host)
	default:
		return names.PassthroughCluster
	}
}

func (o *outbound) fallthroughFilters() []*listenerv3.Filter {
	cluster := o.fallthroughCluster()
	p := &tcpv3.TcpProxy{StatPrefix: cluster, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: cluster}, IdleTimeout: metadataIdleTimeout(o.Proxy)}
	if o.logs != nil {
		p.AccessLog = o.logs.TCP
	}
	return xds.TCPFilters(nil, mesh.TCP, p)
}

// blackHole closes every connection.
func blackHole() []*listenerv3.Filter {
	return xds.TCPFilters(nil, mesh.TCP, &tcpv3.TcpProxy{StatPrefix: names.BlackHoleCluster, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: names.BlackHoleCluster}})
}

// httpProxy builds the forward proxy of MeshConfig.proxyHttpPort, on the loopback address.
func (o *outbound) httpProxy() *xds.Resource {
	port := uint32(max(o.Mesh.Config.GetProxyHttpPort(), 0))
	if port == 0 {
		return nil
	}
	const routes = "http_proxy"
	var el *mesh.EgressListener
	if list := o.Listeners.All(); len(list) > 0 {
		el = list[len(list)-1]
	}
	o.route(route.Key{Name: routes, Listener: el})
	name := names.Listener("127.0.0.1", port)
	m := manager{role: outboundRole, mesh: o.Mesh, proxy: o.Proxy, protocol: mesh.HTTPProxy, rds: routes,
		stat: "outbound_" + name, logs: o.logs, tracing: o.tracing}
	if el != nil && o.dynamic && cluster.DynamicRequests(o.View, el.Services, el.VirtualServices, 0) {
		m.dynamic = cluster.DynamicHost(o.Mesh)
	}
	h := m.build()
	http1(h).AllowAbsoluteUrl = xds.Bool(true)
	return &xds.Resource{Type: xds.Listener, Name: name, Message: &listenerv3.Listener{
		Name: name, Address: xds.Address("127.0.0.1", port), TrafficDirection: corev3.TrafficDirection_OUTBOUND,
		FilterChains: []*listenerv3.FilterChain{{Filters: xds.HTTPChainFilters(h)}},
	}}
}

// listenPort is MeshConfig.proxyListenPort; the Istio default holds where the mesh has no configuration.
func listenPort(m *mesh.Mesh) uint32 {
	if p := m.Config.GetProxyListenPort(); p > 0 {
		return uint32(p)
	}
	return outboundPort
}

// inboundListenPort is MeshConfig.proxyInboundListenPort, likewise.
func inboundListenPort(m *mesh.Mesh) uint32 {
	if p := m.Config.GetProxyInboundListenPort(); p > 0 {
		return uint32(p)
	}
	return inboundListenerPort
}

func interceptionNone(p *meshconfig.ProxyConfig) bool {
	return p.GetInterceptionMode() == meshconfig.ProxyConfig_NONE
}
