package listener

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"

	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// Application protocols by which a mesh client marks what travels in its mutual TLS.
func meshALPN() []string {
	return []string{"istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"}
}

func meshHTTPALPN() []string { return []string{"istio-http/1.0", "istio-http/1.1", "istio-h2"} }

func meshTCPALPN() []string { return []string{"istio-peer-exchange", "istio"} }

// kind is one filter chain that an inbound port gets: what it matches and what it does.
type kind struct {
	alpn      []string
	transport string // "", "tls", "raw_buffer"
	terminate bool   // mutual TLS ends here
	http      bool
}

// kinds are the chains of a port by its protocol and the mutual TLS mode in effect (PeerAuthentication). In PERMISSIVE
// mode only clients that mark themselves as mesh clients get mutual TLS; other TLS on a TCP port is the application's
// own and passes through. An HTTP port has nothing to offer to such clients.
func kinds(f family, mode mesh.MTLSMode) []kind {
	switch f {
	case httpFamily:
		switch mode {
		case mesh.Strict:
			return []kind{{transport: "tls", terminate: true, http: true}}
		case mesh.Permissive:
			return []kind{{alpn: meshALPN(), transport: "tls", terminate: true, http: true}, {transport: "raw_buffer", http: true}}
		default:
			return []kind{{transport: "raw_buffer", http: true}}
		}
	case tcpFamily:
		switch mode {
		case mesh.Strict:
			return []kind{{transport: "tls", terminate: true}}
		case mesh.Permissive:
			return []kind{{alpn: meshALPN(), transport: "tls", terminate: true}, {transport: "tls"}, {transport: "raw_buffer"}}
		default:
			return []kind{{}}
		}
	default:
		switch mode {
		case mesh.Strict:
			return []kind{{alpn: meshHTTPALPN(), transport: "tls", terminate: true, http: true}, {transport: "tls", terminate: true}}
		case mesh.Permissive:
			return []kind{
				{alpn: meshHTTPALPN(), transport: "tls", terminate: true, http: true},
				{alpn: plainHTTP(), transport: "raw_buffer", http: true},
				{alpn: meshTCPALPN(), transport: "tls", terminate: true},
				{transport: "raw_buffer"},
				{transport: "tls"},
			}
		default:
			return []kind{{alpn: plainHTTP(), transport: "raw_buffer", http: true}, {transport: "raw_buffer"}}
		}
	}
}

// match builds the match of a kind on a port, 0 for ports that no service has.
func (k kind) match(port uint32) *listenerv3.FilterChainMatch {
	m := &listenerv3.FilterChainMatch{TransportProtocol: k.transport, ApplicationProtocols: k.alpn}
	if port != 0 {
		m.DestinationPort = xds.UInt32(port)
	}
	return m
}

// inboundPort is one port that virtualInbound has chains for.
type inboundPort struct {
	number      uint32 // on the workload; 0: every port that no other entry has
	servicePort uint32 // names the virtual host
	protocol    mesh.Protocol
	cluster     string
	passthrough bool
	service     *mesh.Service // nil for Sidecar ingress listeners and passthrough
	bind        string        // Sidecar ingress listeners that are not intercepted
	tls         *sidecarTLS   // Sidecar.ingress.tls
	from        []xds.Origin
}

// name of the chains, as Istio has it: all chains of a port share it.
func (p *inboundPort) name(http bool) string {
	switch {
	case p.passthrough && http:
		return names.InboundCatchAllHTTP
	case p.passthrough:
		return names.VirtualInbound
	}
	return names.Listener(p.address(), p.number)
}

func (p *inboundPort) address() string {
	if p.bind != "" {
		return p.bind
	}
	return xds.Wildcard
}

// chains lowers a port to its filter chains.
func (b *inbound) chains(p *inboundPort) []*xds.Chain {
	mode := b.in.ModeFor(p.number)
	var out []*xds.Chain
	list := kinds(familyOf(p.protocol), mode)
	if p.tls != nil {
		list = ingressKinds(familyOf(p.protocol), p.tls)
	}
	for _, k := range list {
		c := &xds.Chain{Name: p.name(k.http), Match: k.match(p.number), From: append(p.from, b.modeOrigins()...)}
		if k.http {
			h := b.manager(p).build()
			c.Filters = xds.HTTPChainFilters(h)
		} else {
			c.Filters = xds.TCPFilters(b.tcpAuth(), p.protocol, b.tcpProxy(p))
		}
		switch {
		case k.terminate && p.tls != nil:
			c.TLS, c.Patient = security.ServerTLS(b.in.Mesh, p.tls), true
		case k.terminate:
			c.TLS = security.DownstreamMTLS(b.in, b.serverALPN(k))
		}
		out = append(out, c)
	}
	return out
}

// serverALPN is what the server side offers. The chain was chosen by what the client offers, whatever is agreed on.
// Never istio-peer-exchange: an istio-proxy client that agrees on it writes its metadata before the first byte of the
// application, and stock Envoy has no filter that would read it.
func (b *inbound) serverALPN(k kind) []string {
	if k.http {
		return []string{"h2", "http/1.1"}
	}
	return []string{"istio", "h2", "http/1.1"}
}

func (b *inbound) manager(p *inboundPort) manager {
	bind := p.address()
	if p.passthrough {
		bind = names.InboundPassthroughCluster
	} else {
		bind = "inbound_" + names.Listener(bind, p.servicePort)
	}
	return manager{
		role: inboundRole, mesh: b.in.Mesh, proxy: b.in.Proxy, protocol: p.protocol, stat: bind,
		routes: inboundRoutes(b.in.Mesh, p), auth: b.httpAuth(), logs: b.logs, tracing: b.tracing,
	}
}

func (b *inbound) tcpProxy(p *inboundPort) *tcpv3.TcpProxy {
	t := &tcpv3.TcpProxy{StatPrefix: p.cluster, ClusterSpecifier: &tcpv3.TcpProxy_Cluster{Cluster: p.cluster}, IdleTimeout: metadataIdleTimeout(b.in.Proxy)}
	if b.logs != nil {
		t.AccessLog = b.logs.TCP
	}
	return t
}
