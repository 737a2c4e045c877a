package listener

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// gateway lowers one class of gateway proxies.
type gateway struct {
	*route.GatewayInputs
	logs     *telemetry.Logs
	tracing  *telemetry.Tracing
	tcp      tcpSide
	httpAuth []*hcmv3.HttpFilter
	tcpAuth  []*listenerv3.Filter
	diags    diag.List
}

// ForGateway lowers the merged servers of a class of gateways: one listener per port and address, with one filter
// chain for plain HTTP, one per server that ends TLS, and one per tls route of servers that do not. A server that
// nothing routes to has no chain, unless it speaks HTTP, and a listener without chain is left out.
func ForGateway(in *route.GatewayInputs) ([]*xds.Resource, diag.List) {
	logs := inboundLogs(in.Inbound)
	g := &gateway{GatewayInputs: in, logs: logs, tracing: inboundTracing(in.Inbound), tcp: tcpSide{mesh: in.Mesh, view: in.View, proxy: in.Proxy, logs: logs}}
	var d diag.List
	ports := serverPorts(in.Servers)
	g.httpAuth, d = security.HTTPFiltersOn(in.Inbound, ports)
	g.diags.Add(d...)
	g.tcpAuth, d = security.TCPFiltersOn(in.Inbound, ports)
	g.diags.Add(d...)
	g.diags.Add(TelemetryFindings(in.Inbound)...)
	var out []*xds.Resource
	for _, m := range in.Servers {
		if r := g.listener(m); r != nil {
			out = append(out, r)
		}
	}
	return out, g.diags
}

// serverPorts are the ports of gateways with a server that does not parse requests.
func serverPorts(servers []*mesh.MergedServer) security.OpenPorts {
	var out security.OpenPorts
	for _, m := range servers {
		if slices.ContainsFunc(m.Servers, func(s *mesh.GatewayServer) bool {
			return s.RouteName == "" && !mesh.ParseProtocol(s.Spec.GetPort().GetProtocol()).IsHTTP()
		}) {
			out.TCP = append(out.TCP, m.Port)
		}
	}
	return out
}

func (g *gateway) listener(m *mesh.MergedServer) *xds.Resource {
	bind := m.Bind
	if bind == "" {
		bind = xds.Wildcard
	}
	var chains []*xds.Chain
	plain := false
	for _, s := range m.Servers {
		p := mesh.ParseProtocol(s.Spec.GetPort().GetProtocol())
		switch {
		case p.IsHTTP():
			if !plain {
				plain = true
				chains = append(chains, g.http(m, s, p))
			} else {
				// All plain HTTP servers of a port share one route configuration.
				i := slices.IndexFunc(chains, func(c *xds.Chain) bool { return c.Name == s.RouteName })
				if i >= 0 {
					chains[i].From = append(chains[i].From, serverPlace(s)...)
				}
			}
		case s.RouteName != "":
			chains = append(chains, g.https(m, s, p))
		case s.Spec.Tls == nil:
			chains = append(chains, g.opaque(s, p, nil)...)
		case s.Spec.Tls.Mode == networking.ServerTLSSettings_PASSTHROUGH:
			chains = g.passthrough(chains, s, p)
		case s.Spec.Tls.Mode == networking.ServerTLSSettings_AUTO_PASSTHROUGH:
			chains = append(chains, g.sni(s)...)
		default:
			chains = append(chains, g.opaque(s, p, security.ServerTLS(g.Mesh, s.Spec.Tls))...)
		}
	}
	if len(chains) == 0 {
		return nil
	}
	if plain {
		tellTLS(chains)
	}
	return g.build(m, bind, chains)
}

// tellTLS keeps a TLS server for any host apart from plain HTTP on the same port: both would match everything, and
// Envoy refuses such a listener.
func tellTLS(chains []*xds.Chain) {
	for _, c := range chains {
		if c.TLS != nil && c.MatchesAll() {
			c.Match = &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
		}
	}
}

func (g *gateway) build(m *mesh.MergedServer, bind string, chains []*xds.Chain) *xds.Resource {
	l := &listenerv3.Listener{
		Name:             names.Listener(bind, m.Port),
		Address:          xds.Address(bind, m.Port),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	if g.logs != nil {
		l.AccessLog = g.logs.Listener
	}
	if xds.DualStack(g.Mesh) {
		l.AdditionalAddresses = xds.AlsoIPv6(bind, m.Port)
	}
	if v := connectionSettings(g.Proxy, true).GetListenerPerConnectionBufferLimitBytes(); v != nil {
		l.PerConnectionBufferLimitBytes = unsigned(v)
	}
	r := &xds.Resource{Type: xds.Listener, Name: l.Name, Message: l}
	for _, s := range m.Servers {
		r.Origins = append(r.Origins, serverPlace(s)...)
	}
	for _, c := range chains {
		l.FilterChains = append(l.FilterChains, c.Lower())
		r.Origins = append(r.Origins, c.Origins()...)
	}
	r.Origins = append(r.Origins, security.Origins(g.Inbound)...)
	l.ListenerFilters = gatewayFilters(l.FilterChains, g.Proxy.GetGatewayTopology().GetProxyProtocol() != nil)
	return r
}

func serverPlace(s *mesh.GatewayServer) []xds.Origin {
	return xds.OriginAt(s.Gateway.Object, "spec", "servers", s.Index)
}

// manager is the connection manager of a server.
func (g *gateway) manager(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *hcmv3.HttpConnectionManager {
	bind := m.Bind
	if bind == "" {
		bind = xds.Wildcard
	}
	stat := "outbound_" + names.Listener(bind, m.Port)
	if s.Spec.Name != "" && !p.IsHTTP() {
		stat = s.Spec.Name
	}
	h := manager{
		role: gatewayRole, mesh: g.Mesh, proxy: g.Proxy, protocol: p, rds: s.RouteName, stat: stat,
		auth: g.httpAuth, logs: g.logs, tracing: g.tracing,
	}
	if cluster.DynamicRequests(g.View, g.View.Services, nil, 0) {
		h.dynamic = cluster.DynamicHost(g.Mesh)
	}
	return h.build()
}

func (g *gateway) http(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *xds.Chain {
	return &xds.Chain{Name: s.RouteName, Filters: xds.HTTPChainFilters(g.manager(m, s, p)), From: serverPlace(s), Object: s.Gateway.Object}
}

func (g *gateway) https(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *xds.Chain {
	c := g.http(m, s, p)
	c.Match = xds.ChainMatch(serverNames(s), nil)
	c.TLS = security.ServerTLS(g.Mesh, s.Spec.Tls)
	c.Patient = true
	return c
}

// serverNames are the server names of a server: its hosts without the namespace that may bind to them.
func serverNames(s *mesh.GatewayServer) []string {
	var out []string
	for _, h := range s.Hosts {
		_, name := hosts.Split(h)
		out = append(out, name)
	}
	return security.Dedupe(out)
}

// opaque is the chain of a server whose bytes, after TLS if it ends here, are not parsed. The first tcp block that
// applies decides; gateways have no further conditions.
func (g *gateway) opaque(s *mesh.GatewayServer, p mesh.Protocol, tls *xds.DownstreamTLS) []*xds.Chain {
	for _, vs := range s.VirtualServices {
		for i, block := range vs.Spec.Tcp {
			if len(block.Match) > 0 && !slices.ContainsFunc(block.Match, func(m *networking.L4MatchAttributes) bool {
				return g.applies(s, m.Gateways, m.Port)
			}) {
				continue
			}
			c := &xds.Chain{
				Name:    g.chainName(s),
				Filters: g.secured(g.tcp.routes(block.Route, s.Spec.Port.Number, p)),
				From:    append(serverPlace(s), xds.OriginAt(vs.Object, "spec", "tcp", i)...),
				TLS:     tls,
				Patient: true,
				Object:  vs.Object,
			}
			if s.Spec.Tls != nil {
				c.Match = xds.ChainMatch(serverNames(s), nil)
			}
			return []*xds.Chain{c}
		}
	}
	return nil
}

func (g *gateway) chainName(s *mesh.GatewayServer) string {
	return fmt.Sprintf("%d.%s.%s.%s", s.Spec.Port.Number, s.Spec.Port.Name, s.Gateway.Object.Name, s.Gateway.Object.Namespace)
}

// secured puts authorization in front of the filters of a chain.
func (g *gateway) secured(filters []*listenerv3.Filter) []*listenerv3.Filter {
	return append(slices.Clone(g.tcpAuth), filters...)
}

// applies evaluates the part of a tcp or tls match that counts on gateways: the port as the server writes it, and the
// gateway.
func (g *gateway) applies(s *mesh.GatewayServer, gateways []string, port uint32) bool {
	name := s.Gateway.Object.Namespace + "/" + s.Gateway.Object.Name
	return (len(gateways) == 0 || slices.Contains(gateways, name)) && (port == 0 || port == s.Spec.Port.Number)
}

// passthrough adds a chain per tls match of the VirtualServices of a server, which forwards TLS as it is. A server name
// that an earlier chain of the listener has makes a match unreachable.
func (g *gateway) passthrough(chains []*xds.Chain, s *mesh.GatewayServer, p mesh.Protocol) []*xds.Chain {
	for _, vs := range s.VirtualServices {
		for i, block := range vs.Spec.Tls {
			for j, m := range block.Match {
				if !g.applies(s, m.Gateways, m.Port) {
					continue
				}
				c := &xds.Chain{
					Name:    names.ServerChain(g.chainName(s), vs.Object.Namespace, vs.Object.Name, runtimeKey(m.SniHosts, nil)),
					Match:   xds.ChainMatch(m.SniHosts, nil),
					Filters: g.secured(g.tcp.routes(block.Route, s.Spec.Port.Number, p)),
					From:    append(xds.OriginAt(vs.Object, "spec", "tls", i, "match", j), serverPlace(s)...),
					Object:  vs.Object,
				}
				if taken := g.taken(chains, c); taken != nil {
					g.duplicate(taken, c, i, j, s)
					continue
				}
				chains = append(chains, c)
			}
		}
	}
	return chains
}

func (g *gateway) taken(chains []*xds.Chain, c *xds.Chain) *xds.Chain {
	for _, have := range chains {
		if sameMatch(have.Match, c.Match) || slices.ContainsFunc(c.Match.GetServerNames(), func(n string) bool { return slices.Contains(have.Match.GetServerNames(), n) }) {
			return have
		}
	}
	return nil
}

func (g *gateway) duplicate(taken, c *xds.Chain, block, match int, s *mesh.GatewayServer) {
	if taken.Name == c.Name {
		return
	}
	d := c.Object.Finding(diag.Error, CodeDroppedChain,
		fmt.Sprintf("this tls match gets no traffic on gateway %s: %s matches one of its server names first", s.Gateway.Object.Ref(), taken.Object.Ref()),
		"give each sniHosts name to one route only", "spec", "tls", block, "match", match, "sniHosts")
	if len(taken.From) > 0 {
		d.Related = []diag.Related{{Pos: taken.From[0].Pos, Object: taken.Object.Ref(), Message: "matches first"}}
	}
	g.diags.Add(d)
}

// sni adds the chains of AUTO_PASSTHROUGH: mutual TLS of the mesh is forwarded by its server name, which names a
// cluster, to every service of the mesh below the hosts of the server.
func (g *gateway) sni(s *mesh.GatewayServer) []*xds.Chain {
	var out []*xds.Chain
	names := serverNames(s)
	for _, svc := range g.View.Services {
		if svc.MeshExternal || !slices.ContainsFunc(names, func(h string) bool { return hosts.Within(svc.Hostname, h) }) {
			continue
		}
		for _, p := range svc.Ports {
			if p.Protocol == mesh.UDP {
				continue
			}
			out = append(out, g.sniChain(s, svc, p, ""))
			if r := g.View.Rule(svc); r != nil {
				for _, ss := range r.Spec.Subsets {
					out = append(out, g.sniChain(s, svc, p, ss.Name))
				}
			}
		}
	}
	return out
}

// sniChain forwards to one cluster. Authorization policies of the gateway do not apply: it does not see who calls, and
// the workload behind it decides. Nor is the connection, which is meant for that workload, tunneled elsewhere.
func (g *gateway) sniChain(s *mesh.GatewayServer, svc *mesh.Service, p *mesh.Port, subset string) *xds.Chain {
	cluster := names.ServerName(p.Number, subset, svc.Hostname)
	return &xds.Chain{
		Name:    cluster,
		Match:   &listenerv3.FilterChainMatch{ServerNames: []string{cluster}, ApplicationProtocols: meshALPN(), TransportProtocol: "tls"},
		Filters: g.tcp.direct(cluster, subset, svc),
		From:    append(serverPlace(s), xds.OriginOfPort(svc, p)...),
		Object:  svc.Object,
	}
}

// AutoPassthrough tells whether a server forwards mutual TLS of the mesh unopened, by the server name. Then it needs a
// cluster for each port and subset of a service, named like that server name. They have no TLS of their own, and only
// endpoints that accept mutual TLS. Services outside the mesh have none.
func AutoPassthrough(in *route.GatewayInputs) bool {
	return slices.ContainsFunc(in.Servers, func(m *mesh.MergedServer) bool {
		return slices.ContainsFunc(m.Servers, func(s *mesh.GatewayServer) bool {
			return s.Spec.GetTls().GetMode() == networking.ServerTLSSettings_AUTO_PASSTHROUGH
		})
	})
}
