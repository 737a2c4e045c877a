package trace

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// Proxy answers questions about the proxies of one class without a walk: what takes a connection, which virtual host takes
// a name. Its answers are those that a walk acts on.
type Proxy struct{ v *view }

// Found is a message of a bundle with the resource that it came in; the resource is nil for what is inside of another.
type Found[M proto.Message] struct {
	Message  M
	Resource *bundle.Resource
}

// Connection is what is seen of one before anything is read from it.
type Connection struct {
	Source  netip.Addr
	To      netip.AddrPort // an address that is not valid is not known
	TLS     bool
	SNI     string
	ALPN    []string // with TLS
	HTTP    bool
	Version string // h2 for HTTP/2 without TLS

	Across Crossing // on the way behind it
}

// Crossing is a gateway of another network at which connections with a server name arrive, whether or not it takes them.
type Crossing struct {
	Class string
	Port  uint16 // where the gateway gets them
	SNI   string
}

// Proxy returns the proxies of a class.
func (w *Tracer) Proxy(class string) (*Proxy, error) {
	v, err := w.view(class)
	if err != nil {
		return nil, err
	}
	return &Proxy{v}, nil
}

// Message decodes a resource once: whoever asks for it later gets the same message.
func (w *Tracer) Message(r *bundle.Resource) (proto.Message, error) {
	if w.parsed[r] == nil {
		m, err := r.Message()
		if err != nil {
			return nil, err
		}
		w.parsed[r] = m
	}
	return w.parsed[r], nil
}

// Identity is the SPIFFE identity of a service account.
func (w *Tracer) Identity(namespace, account string) string { return w.identity(namespace, account) }

func foundOf[M proto.Message](l *located[M]) *Found[M] {
	if l == nil {
		return nil
	}
	return &Found[M]{l.msg, l.res}
}

func foundIf[M proto.Message](l located[M], ok bool, err error) (*Found[M], error) {
	if err != nil || !ok {
		return nil, err
	}
	return foundOf(&l), nil
}

// Outbound returns the listener that a connection from the workload of the proxy meets; nil: it goes its own way.
func (p *Proxy) Outbound(to netip.AddrPort) *Found[*listenerv3.Listener] {
	entry := p.v.named(names.VirtualOutbound)
	l := p.v.listenerFor(to, entry == nil)
	if l == nil || entry != nil && !entry.msg.GetUseOriginalDst().GetValue() {
		l = entry
	}
	return foundOf(l)
}

// Inbound returns the listener that a connection to the workload of the proxy meets; nil: the application gets it.
func (p *Proxy) Inbound(to netip.AddrPort) *Found[*listenerv3.Listener] {
	if l := p.v.named(names.VirtualInbound); l != nil {
		return foundOf(l)
	}
	bound := p.v.listenerFor(to, true)
	if bound == nil || bound.msg.GetTrafficDirection() != corev3.TrafficDirection_INBOUND {
		return nil
	}
	return foundOf(bound)
}

// Bound returns the listener of a gateway at an address; nil: nothing listens there.
func (p *Proxy) Bound(to netip.AddrPort) *Found[*listenerv3.Listener] {
	return foundOf(p.v.listenerFor(to, true))
}

// Listeners lists all of the class.
func (p *Proxy) Listeners() []Found[*listenerv3.Listener] {
	out := make([]Found[*listenerv3.Listener], len(p.v.listeners))
	for i, l := range p.v.listeners {
		out[i] = Found[*listenerv3.Listener]{l.msg, l.res}
	}
	return out
}

func connOf(c Connection) conn {
	in := conn{source: c.Source, dest: c.To, wire: wireTCP}
	if c.HTTP {
		in.wire = wireHTTP1
		if c.Version == wireHTTP2 {
			in.wire = wireHTTP2
		}
	}
	if c.TLS {
		in.layers = []layer{{sni: c.SNI, alpn: c.ALPN, by: "the client"}}
	}
	return in
}

// Chain returns the filter chain of a listener that takes a connection; nil: it is closed.
func Chain(l *listenerv3.Listener, c Connection) *listenerv3.FilterChain {
	in := connOf(c)
	return pickChain(l, &in, inspect(l, &in))
}

// RouteConfiguration returns that of a connection manager; nil: the class lacks it.
func (p *Proxy) RouteConfiguration(m *hcmv3.HttpConnectionManager) (*Found[*routev3.RouteConfiguration], error) {
	name := m.GetRds().GetRouteConfigName()
	if name == "" {
		return &Found[*routev3.RouteConfiguration]{Message: m.GetRouteConfig()}, nil
	}
	return foundIf(find[*routev3.RouteConfiguration](p.v, bundle.RouteConfigurationType, name))
}

// Hosts are the virtual hosts of one route configuration, in the order in which they are looked at.
type Hosts struct {
	table      *hostTable
	ignorePort bool
}

// VirtualHosts lists those of a route configuration.
func (p *Proxy) VirtualHosts(rc *routev3.RouteConfiguration) (Hosts, error) {
	table, err := p.v.virtualHosts(rc)
	return Hosts{table, rc.GetIgnorePortInHostMatching()}, err
}

// All lists the virtual hosts.
func (h Hosts) All() []Found[*routev3.VirtualHost] {
	if h.table == nil {
		return nil
	}
	out := make([]Found[*routev3.VirtualHost], len(h.table.all))
	for i, l := range h.table.all {
		out[i] = Found[*routev3.VirtualHost]{l.msg, l.res}
	}
	return out
}

// Pick returns the one that takes an authority.
func (h Hosts) Pick(authority string) *Found[*routev3.VirtualHost] {
	return foundOf(h.table.pick(authority, h.ignorePort))
}

// Cluster returns a cluster of the class by its name.
func (p *Proxy) Cluster(name string) (*Found[*clusterv3.Cluster], error) {
	return foundIf(p.v.cluster(name))
}

// Endpoints returns the load assignment of a class by its name.
func (p *Proxy) Endpoints(name string) (*Found[*endpointv3.ClusterLoadAssignment], error) {
	return foundIf(p.v.endpoints(name))
}

// Socket is the transport socket that a cluster uses towards an endpoint with some metadata.
func Socket(c *clusterv3.Cluster, meta *corev3.Metadata) *corev3.TransportSocket {
	s, _ := socketFor(c, meta)
	return s
}
