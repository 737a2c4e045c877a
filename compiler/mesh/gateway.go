package mesh

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

func (m *Mesh) linkGateways(objects []*schema.Object) {
	for _, o := range objects {
		if s, ok := o.Spec.(*networking.Gateway); ok {
			m.Gateways = append(m.Gateways, &Gateway{o, s})
			m.index.gateways[o.Namespace+"/"+o.Name] = m.Gateways[len(m.Gateways)-1]
		}
	}
	sortByAge(m.Gateways, func(g *Gateway) *schema.Object { return g.Object })
}

func (m *Mesh) gatewayExists(name string) bool { return m.index.gateways[name] != nil }

// isTLS tells whether connections to a server start with a TLS handshake.
func isTLS(s *networking.Server) bool {
	p := ParseProtocol(s.GetPort().GetProtocol())
	return p.IsTLS() || s.GetTls() != nil && !p.IsHTTP() && !s.Tls.HttpsRedirect
}

// terminatesHTTPS tells whether a server ends TLS and speaks HTTP inside.
func terminatesHTTPS(s *networking.Server) bool {
	return ParseProtocol(s.GetPort().GetProtocol()) == HTTPS && s.GetTls() != nil && s.Tls.Mode != networking.ServerTLSSettings_PASSTHROUGH && s.Tls.Mode != networking.ServerTLSSettings_AUTO_PASSTHROUGH
}

// RouteName names the route configuration of a server: http.PORT[.BIND] or https.PORT.NAME.GATEWAY.NAMESPACE[.BIND];
// "" for a server without HTTP routes. The HTTP form has the port that is listened on, the HTTPS form the written one.
func routeName(g *Gateway, s *networking.Server, port uint32) string {
	bind := ""
	if s.Bind != "" {
		bind = "." + s.Bind
	}
	switch {
	case ParseProtocol(s.GetPort().GetProtocol()).IsHTTP():
		return "http." + strconv.Itoa(int(port)) + bind
	case terminatesHTTPS(s):
		return fmt.Sprintf("https.%d.%s.%s.%s%s", s.Port.Number, s.Port.Name, g.Object.Name, g.Object.Namespace, bind)
	}
	return ""
}

// gatewayMerge collects the servers of all Gateways that one group of gateway proxies serves.
type gatewayMerge struct {
	byPort    map[string]*MergedServer
	order     []*MergedServer
	plaintext map[string]*GatewayServer // first plaintext server by port and bind
	tlsHosts  map[string]*GatewayServer // by port, bind and host
	routes    map[string]*GatewayServer // HTTPS route names in use
	findings  diag.List
}

// mergeServers merges the Gateways that select a proxy, oldest first, into one listener per port and address. Two
// servers on one port go together when both are plaintext HTTP, or when both are TLS with different hosts; a server
// that cannot join is left out and reported.
func (m *Mesh) mergeServers(namespace string, labels map[string]string, targets []*Target) ([]*MergedServer, diag.List) {
	g := &gatewayMerge{byPort: map[string]*MergedServer{}, plaintext: map[string]*GatewayServer{}, tlsHosts: map[string]*GatewayServer{}, routes: map[string]*GatewayServer{}}
	for _, gw := range m.Gateways {
		own, ok := gatewayTargets(gw, labels, targets)
		if !ok {
			continue
		}
		for i, s := range gw.Spec.Servers {
			ports := resolvePorts(s.GetPort().GetNumber(), own)
			if len(ports) == 0 && gw.Object.Annotations[annotationGatewayService] == "" {
				ports = []uint32{s.GetPort().GetNumber()}
			}
			for _, port := range ports {
				g.add(gw, i, s, port)
			}
		}
	}
	for _, ms := range g.order {
		for _, s := range ms.Servers {
			s.VirtualServices = m.boundTo(namespace, s)
		}
	}
	return g.order, g.findings
}

// gatewayTargets tells whether a Gateway is served by proxies with the labels, and through which service ports. The
// annotation internal.istio.io/gateway-service, which a control plane writes and a lenient run tolerates, binds a Gateway to services by host instead
// of by selector.
func gatewayTargets(gw *Gateway, labels map[string]string, targets []*Target) ([]*Target, bool) {
	hosts := splitList(gw.Object.Annotations[annotationGatewayService])
	if len(hosts) == 0 {
		return targets, subset(gw.Spec.Selector, labels)
	}
	var own []*Target
	for _, t := range targets {
		if slices.Contains(hosts, t.Service.Hostname) {
			own = append(own, t)
		}
	}
	return own, len(own) > 0
}

const annotationGatewayService = "internal.istio.io/gateway-service"

// labelNoPortTranslation on a Service keeps gateways behind it listening on the ports that servers name.
const labelNoPortTranslation = "experimental.istio.io/disable-gateway-port-translation"

// resolvePorts translates a server's port, which is a port of the gateway's Service, to the ports of the pod; none when
// no service has it, and then the server's own number is listened on.
func resolvePorts(number uint32, targets []*Target) []uint32 {
	var ports []uint32
	for _, t := range targets {
		if t.Service.Labels[labelNoPortTranslation] == "true" {
			continue
		}
		if t.Port.Number == number && t.TargetPort != 0 && !slices.Contains(ports, t.TargetPort) {
			ports = append(ports, t.TargetPort)
		}
	}
	slices.Sort(ports)
	return ports
}

func (g *gatewayMerge) conflict(s, with *GatewayServer, why string) {
	f := s.Gateway.Object.Finding(diag.Error, "IST0145", "this server conflicts with another on the same port and is not served: "+why, "use another port, another bind address, or other hosts", "spec", "servers", s.Index)
	f.Related = []diag.Related{{Pos: with.Gateway.Object.Pos("spec", "servers", with.Index), Object: with.Gateway.Object.Ref(), Message: "the server in effect"}}
	g.findings.Add(f)
	o := with.Gateway.Object.Finding(diag.Warning, "IST0145", "this server is served, and another on the same port that conflicts with it is not: "+why, "use another port, another bind address, or other hosts", "spec", "servers", with.Index)
	o.Related = []diag.Related{{Pos: s.Gateway.Object.Pos("spec", "servers", s.Index), Object: s.Gateway.Object.Ref(), Message: "the server left out"}}
	g.findings.Add(o)
}

func (g *gatewayMerge) add(gw *Gateway, index int, spec *networking.Server, port uint32) {
	s := &GatewayServer{Gateway: gw, Index: index, Spec: spec, RouteName: routeName(gw, spec, port)}
	for _, h := range spec.Hosts {
		ns, name := SplitHost(h)
		if ns == "." {
			ns = gw.Object.Namespace
		}
		if ns != "" {
			name = ns + "/" + name
		}
		s.Hosts = append(s.Hosts, strings.ToLower(name))
	}
	key := strconv.Itoa(int(port)) + "|" + spec.Bind
	if isTLS(spec) {
		for _, h := range s.Hosts {
			_, name := SplitHost(h)
			if have := g.tlsHosts[key+"|"+name]; have != nil {
				g.conflict(s, have, "host "+name+" is served with TLS already")
				return
			}
		}
		if have := g.plaintext[key]; have != nil && g.byPort[key].Servers[0] == have {
			g.conflict(s, have, "the port is plaintext "+have.Spec.Port.Protocol)
			return
		}
		if have := g.routes[s.RouteName]; s.RouteName != "" && have != nil {
			g.conflict(s, have, "the port name "+spec.Port.Name+" is used twice in one Gateway, so their routes could not be told apart")
			return
		}
		for _, h := range s.Hosts {
			_, name := SplitHost(h)
			g.tlsHosts[key+"|"+name] = s
		}
		g.routes[s.RouteName] = s
	} else if have := g.plaintext[key]; have != nil {
		if !ParseProtocol(have.Spec.Port.Protocol).IsHTTP() || s.RouteName == "" {
			g.conflict(s, have, "protocols "+have.Spec.Port.Protocol+" and "+spec.Port.Protocol+" cannot share a port")
			return
		}
	} else {
		g.plaintext[key] = s
	}
	ms := g.byPort[key]
	if ms == nil {
		ms = &MergedServer{Bind: spec.Bind, Port: port}
		g.byPort[key] = ms
		g.order = append(g.order, ms)
	}
	ms.Servers = append(ms.Servers, s)
}

// boundTo returns the VirtualServices that a server serves: those that name its Gateway, are visible to the gateway's
// namespace, and share a host with it that its namespace part admits. Order is private, exported, public; then age.
func (m *Mesh) boundTo(namespace string, s *GatewayServer) []*VirtualService {
	name := s.Gateway.Object.Namespace + "/" + s.Gateway.Object.Name
	var out []*VirtualService
	for _, v := range m.visibleVirtualServices(namespace, name) {
		if len(s.MatchingHosts(v)) > 0 {
			out = append(out, v)
		}
	}
	return out
}

// MatchingHosts returns the hosts under which a server serves a VirtualService: for each pair that has hosts in common,
// the more specific of the two.
func (s *GatewayServer) MatchingHosts(v *VirtualService) []string {
	var out []string
	for _, h := range s.Hosts {
		ns, name := SplitHost(h)
		if ns != "" && ns != "*" && ns != v.Object.Namespace {
			continue
		}
		for _, vh := range v.Spec.Hosts {
			if !HostMatches(name, vh) {
				continue
			}
			host := vh
			if !HostWithin(vh, name) {
				host = name
			}
			out = appendNew(out, host)
		}
	}
	return out
}

// visibleVirtualServices returns the VirtualServices bound to a gateway ("mesh" for sidecars) that a namespace sees:
// its own private ones, those exported to it, public ones; each oldest first.
func (m *Mesh) visibleVirtualServices(namespace, gateway string) []*VirtualService {
	key := namespace + "|" + gateway
	if out, ok := m.index.visible[key]; ok {
		return out
	}
	var ranked [3][]*VirtualService
	for _, v := range m.index.byGateway[gateway] {
		if r := v.Visibility.rank(v.Object.Namespace, namespace); r >= 0 {
			ranked[r] = append(ranked[r], v)
		}
	}
	out := slices.Concat(ranked[0], ranked[1], ranked[2])
	m.index.visible[key] = out
	return out
}
