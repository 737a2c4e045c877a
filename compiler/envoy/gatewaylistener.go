package envoy

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// gateway lowers one class of gateway proxies.
type gateway struct {
	*gatewayInputs
	logs     *Logs
	tracing  *httpTracing
	tcp      tcpSide
	httpAuth []*hcmv3.HttpFilter
	tcpAuth  []*listenerv3.Filter
	diags    diag.List
}

// GatewayListeners lowers the merged servers of a class of gateways: one listener per port and address, with one filter
// chain for plain HTTP, one per server that ends TLS, and one per tls route of servers that do not. A server that
// nothing routes to has no chain, unless it speaks HTTP, and a listener without chain is left out.
func GatewayListeners(in *gatewayInputs) ([]*Resource, diag.List) {
	logs := inboundLogs(in.inbound)
	g := &gateway{gatewayInputs: in, logs: logs, tracing: inboundTracing(in.inbound), tcp: tcpSide{mesh: in.mesh, view: in.view, proxy: in.proxy, logs: logs}}
	var d diag.List
	ports := serverPorts(in.servers)
	g.httpAuth, d = httpAuthFilters(in.inbound, ports)
	g.diags.Add(d...)
	g.tcpAuth, d = tcpAuthFilters(in.inbound, ports)
	g.diags.Add(d...)
	g.diags.Add(TelemetryFindings(in.inbound)...)
	var out []*Resource
	for _, m := range in.servers {
		if r := g.listener(m); r != nil {
			out = append(out, r)
		}
	}
	return out, g.diags
}

// serverPorts are the ports of gateways with a server that does not parse requests.
func serverPorts(servers []*mesh.MergedServer) openPorts {
	var out openPorts
	for _, m := range servers {
		if slices.ContainsFunc(m.Servers, func(s *mesh.GatewayServer) bool {
			return s.RouteName == "" && !mesh.ParseProtocol(s.Spec.GetPort().GetProtocol()).IsHTTP()
		}) {
			out.tcp = append(out.tcp, m.Port)
		}
	}
	return out
}

func (g *gateway) listener(m *mesh.MergedServer) *Resource {
	bind := m.Bind
	if bind == "" {
		bind = wildcard
	}
	var chains []*chain
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
				i := slices.IndexFunc(chains, func(c *chain) bool { return c.name == s.RouteName })
				if i >= 0 {
					chains[i].from = append(chains[i].from, serverPlace(s)...)
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
			chains = append(chains, g.opaque(s, p, serverTLS(g.mesh, s.Spec.Tls))...)
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
func tellTLS(chains []*chain) {
	for _, c := range chains {
		if c.tls != nil && c.matchesAll() {
			c.match = &listenerv3.FilterChainMatch{TransportProtocol: "tls"}
		}
	}
}

func (g *gateway) build(m *mesh.MergedServer, bind string, chains []*chain) *Resource {
	l := &listenerv3.Listener{
		Name:             names.Listener(bind, m.Port),
		Address:          address(bind, m.Port),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	if g.logs != nil {
		l.AccessLog = g.logs.Listener
	}
	if dualStack(g.mesh) {
		l.AdditionalAddresses = alsoIPv6(bind, m.Port)
	}
	if v := connectionSettings(g.proxy, true).GetListenerPerConnectionBufferLimitBytes(); v != nil {
		l.PerConnectionBufferLimitBytes = unsigned(v)
	}
	r := &Resource{Type: Listener, Name: l.Name, Message: l}
	for _, s := range m.Servers {
		r.Origins = append(r.Origins, serverPlace(s)...)
	}
	for _, c := range chains {
		l.FilterChains = append(l.FilterChains, c.lower())
		r.Origins = append(r.Origins, c.origins()...)
	}
	r.Origins = append(r.Origins, securityOrigins(g.inbound)...)
	l.ListenerFilters = gatewayFilters(l.FilterChains, g.proxy.GetGatewayTopology().GetProxyProtocol() != nil)
	return r
}

func serverPlace(s *mesh.GatewayServer) []Origin {
	return place(s.Gateway.Object, "spec", "servers", s.Index)
}

// manager is the connection manager of a server.
func (g *gateway) manager(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *hcmv3.HttpConnectionManager {
	bind := m.Bind
	if bind == "" {
		bind = wildcard
	}
	stat := "outbound_" + names.Listener(bind, m.Port)
	if s.Spec.Name != "" && !p.IsHTTP() {
		stat = s.Spec.Name
	}
	h := manager{
		role: gatewayRole, mesh: g.mesh, proxy: g.proxy, protocol: p, rds: s.RouteName, stat: stat,
		auth: g.httpAuth, logs: g.logs, tracing: g.tracing,
	}
	if dynamicRequests(g.view, g.view.Services, nil, 0) {
		h.dynamic = dynamicHost(g.mesh)
	}
	return h.build()
}

func (g *gateway) http(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *chain {
	return &chain{name: s.RouteName, filters: httpChainFilters(g.manager(m, s, p)), from: serverPlace(s), object: s.Gateway.Object}
}

func (g *gateway) https(m *mesh.MergedServer, s *mesh.GatewayServer, p mesh.Protocol) *chain {
	c := g.http(m, s, p)
	c.match = chainMatch(serverNames(s), nil)
	c.tls = serverTLS(g.mesh, s.Spec.Tls)
	c.patient = true
	return c
}

// serverNames are the server names of a server: its hosts without the namespace that may bind to them.
func serverNames(s *mesh.GatewayServer) []string {
	var out []string
	for _, h := range s.Hosts {
		_, name := mesh.SplitHost(h)
		out = append(out, name)
	}
	return dedupe(out)
}

// opaque is the chain of a server whose bytes, after TLS if it ends here, are not parsed. The first tcp block that
// applies decides; gateways have no further conditions.
func (g *gateway) opaque(s *mesh.GatewayServer, p mesh.Protocol, tls *tlsContext) []*chain {
	for _, vs := range s.VirtualServices {
		for i, block := range vs.Spec.Tcp {
			if len(block.Match) > 0 && !slices.ContainsFunc(block.Match, func(m *networking.L4MatchAttributes) bool {
				return g.applies(s, m.Gateways, m.Port)
			}) {
				continue
			}
			c := &chain{
				name:    g.chainName(s),
				filters: g.secured(g.tcp.routes(block.Route, s.Spec.Port.Number, p)),
				from:    append(serverPlace(s), place(vs.Object, "spec", "tcp", i)...),
				tls:     tls,
				patient: true,
				object:  vs.Object,
			}
			if s.Spec.Tls != nil {
				c.match = chainMatch(serverNames(s), nil)
			}
			return []*chain{c}
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
func (g *gateway) passthrough(chains []*chain, s *mesh.GatewayServer, p mesh.Protocol) []*chain {
	for _, vs := range s.VirtualServices {
		for i, block := range vs.Spec.Tls {
			for j, m := range block.Match {
				if !g.applies(s, m.Gateways, m.Port) {
					continue
				}
				c := &chain{
					name:    names.ServerChain(g.chainName(s), vs.Object.Namespace, vs.Object.Name, runtimeKey(m.SniHosts, nil)),
					match:   chainMatch(m.SniHosts, nil),
					filters: g.secured(g.tcp.routes(block.Route, s.Spec.Port.Number, p)),
					from:    append(place(vs.Object, "spec", "tls", i, "match", j), serverPlace(s)...),
					object:  vs.Object,
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

func (g *gateway) taken(chains []*chain, c *chain) *chain {
	for _, have := range chains {
		if sameMatch(have.match, c.match) || slices.ContainsFunc(c.match.GetServerNames(), func(n string) bool { return slices.Contains(have.match.GetServerNames(), n) }) {
			return have
		}
	}
	return nil
}

func (g *gateway) duplicate(taken, c *chain, block, match int, s *mesh.GatewayServer) {
	if taken.name == c.name {
		return
	}
	d := c.object.Finding(diag.Error, CodeDroppedChain,
		fmt.Sprintf("this tls match gets no traffic on gateway %s: %s matches one of its server names first", s.Gateway.Object.Ref(), taken.object.Ref()),
		"give each sniHosts name to one route only", "spec", "tls", block, "match", match, "sniHosts")
	if len(taken.from) > 0 {
		d.Related = []diag.Related{{Pos: taken.from[0].Pos, Object: taken.object.Ref(), Message: "matches first"}}
	}
	g.diags.Add(d)
}

// sni adds the chains of AUTO_PASSTHROUGH: mutual TLS of the mesh is forwarded by its server name, which names a
// cluster, to every service of the mesh below the hosts of the server.
func (g *gateway) sni(s *mesh.GatewayServer) []*chain {
	var out []*chain
	names := serverNames(s)
	for _, svc := range g.view.Services {
		if svc.MeshExternal || !slices.ContainsFunc(names, func(h string) bool { return mesh.HostWithin(svc.Hostname, h) }) {
			continue
		}
		for _, p := range svc.Ports {
			if p.Protocol == mesh.UDP {
				continue
			}
			out = append(out, g.sniChain(s, svc, p, ""))
			if r := g.view.Rule(svc); r != nil {
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
func (g *gateway) sniChain(s *mesh.GatewayServer, svc *mesh.Service, p *mesh.Port, subset string) *chain {
	cluster := names.ServerName(p.Number, subset, svc.Hostname)
	return &chain{
		name:    cluster,
		match:   &listenerv3.FilterChainMatch{ServerNames: []string{cluster}, ApplicationProtocols: meshALPN(), TransportProtocol: "tls"},
		filters: g.tcp.direct(cluster, subset, svc),
		from:    append(serverPlace(s), portPlace(svc, p)...),
		object:  svc.Object,
	}
}

// autoPassthrough tells whether a server forwards mutual TLS of the mesh unopened, by the server name. Then it needs a
// cluster for each port and subset of a service, named like that server name. They have no TLS of their own, and only
// endpoints that accept mutual TLS. Services outside the mesh have none.
func autoPassthrough(in *gatewayInputs) bool {
	return slices.ContainsFunc(in.servers, func(m *mesh.MergedServer) bool {
		return slices.ContainsFunc(m.Servers, func(s *mesh.GatewayServer) bool {
			return s.Spec.GetTls().GetMode() == networking.ServerTLSSettings_AUTO_PASSTHROUGH
		})
	})
}
