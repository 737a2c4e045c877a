package mesh

import (
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/names"
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
	return p.IsTLS() || s.GetTls() != nil && !p.IsHTTP()
}

// terminatesHTTPS tells whether a server ends TLS and speaks HTTP inside.
func terminatesHTTPS(s *networking.Server) bool {
	return ParseProtocol(s.GetPort().GetProtocol()) == HTTPS && s.GetTls() != nil && s.Tls.Mode != networking.ServerTLSSettings_PASSTHROUGH && s.Tls.Mode != networking.ServerTLSSettings_AUTO_PASSTHROUGH
}

// routeName names the route configuration of a server; "" for a server without HTTP routes. The HTTP form has the port that is listened on, the HTTPS form the written one.
func routeName(g *Gateway, s *networking.Server, port uint32) string {
	switch {
	case ParseProtocol(s.GetPort().GetProtocol()).IsHTTP():
		return names.ServerRoutes(port, s.Bind)
	case terminatesHTTPS(s):
		return names.TLSServerRoutes(s.Port.Number, s.Port.Name, g.Object.Name, g.Object.Namespace, s.Bind)
	}
	return ""
}

// gatewayMerge collects the servers of all Gateways that one group of gateway proxies serves.
type gatewayMerge struct {
	byPort   map[string]*MergedServer // by port and bind
	order    []*MergedServer
	first    map[uint32]*GatewayServer // that opened the port
	later    map[string]*GatewayServer // by port and bind: the first after the one that opened the port with TLS
	hosts    map[string]*GatewayServer // of servers with tls, by port, bind and host
	routes   map[string]*GatewayServer // by route name
	findings diag.List
}

// mergeServers merges the Gateways that select a proxy, oldest first, into one listener per port and address. Two
// servers on one port go together when both are plaintext HTTP, or when both are TLS with different hosts; a port that
// TLS opened also takes one plaintext server, if that comes second. A server that cannot join is left out and reported.
func (m *Mesh) mergeServers(f facts) ([]*MergedServer, diag.List) {
	g := &gatewayMerge{byPort: map[string]*MergedServer{}, first: map[uint32]*GatewayServer{}, later: map[string]*GatewayServer{}, hosts: map[string]*GatewayServer{}, routes: map[string]*GatewayServer{}}
	for _, gw := range f.gateways.All() {
		own := gatewayTargets(gw, f.targets.All())
		for i, s := range gw.Spec.Servers {
			for _, port := range resolvePorts(s.GetPort().GetNumber(), own, gw.Object.Annotations[annotationGatewayService] == "") {
				g.add(gw, i, s, port)
			}
		}
	}
	for _, ms := range g.order {
		for _, s := range ms.Servers {
			s.VirtualServices = m.boundTo(f.scope.namespace, s)
		}
	}
	return g.order, g.findings
}

// gatewayTargets are the service ports through which a proxy serves a Gateway. The annotation
// internal.istio.io/gateway-service, which a control plane writes and a lenient run tolerates, binds a Gateway to services
// by host instead of by selector.
func gatewayTargets(gw *Gateway, targets []Target) []Target {
	hosts := splitList(gw.Object.Annotations[annotationGatewayService])
	if len(hosts) == 0 {
		return targets
	}
	return slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return !slices.Contains(hosts, t.Service.Hostname) })
}

// gatewaysOf are the Gateways that proxies with the labels serve.
func (m *Mesh) gatewaysOf(labels map[string]string, targets []Target) (out []*Gateway) {
	for _, gw := range m.Gateways {
		if gw.Object.Annotations[annotationGatewayService] != "" {
			if len(gatewayTargets(gw, targets)) > 0 {
				out = append(out, gw)
			}
		} else if endpoint.Subset(gw.Spec.GetSelector(), labels) {
			out = append(out, gw)
		}
	}
	return out
}

const annotationGatewayService = "internal.istio.io/gateway-service"

// labelNoPortTranslation on a Service keeps gateways behind it listening on the ports that servers name.
const labelNoPortTranslation = "experimental.istio.io/disable-gateway-port-translation"

// resolvePorts translates a server's port, which is a port of the gateway's Service, to ports of the pod. A Gateway that
// selects pods by label does not say which Service it means: the first with the port counts, and if there is none, the
// number is listened on as it is.
func resolvePorts(number uint32, targets []Target, selected bool) []uint32 {
	var ports []uint32
	for _, t := range targets {
		if _, off := t.Service.Labels[labelNoPortTranslation]; off && selected {
			continue
		}
		if t.Port.Number == number && t.TargetPort != 0 && !slices.Contains(ports, t.TargetPort) {
			ports = append(ports, t.TargetPort)
		}
	}
	switch {
	case selected && len(ports) == 0:
		return []uint32{number}
	case selected:
		return ports[:1]
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
		ns, name := hosts.Split(h)
		if ns == "." {
			ns = gw.Object.Namespace
		}
		if ns != "" {
			name = ns + "/" + name
		}
		s.Hosts = append(s.Hosts, strings.ToLower(name))
	}
	key := strconv.Itoa(int(port)) + "|" + spec.Bind
	if !g.takesHosts(s, key) || !g.joins(s, port, key) {
		return
	}
	if g.routes[s.RouteName] == nil {
		g.routes[s.RouteName] = s
	}
	ms := g.byPort[key]
	if ms == nil {
		ms = &MergedServer{Bind: spec.Bind, Port: port}
		g.byPort[key] = ms
		g.order = append(g.order, ms)
	}
	ms.Servers = append(ms.Servers, s)
}

// takesHosts notes the hosts of a server with tls, each of which only one server of a port may have: TLS chooses the
// server by them, whoever may bind to them. Plaintext servers that redirect to HTTPS have no such need; as in Istio they
// have the rule.
func (g *gatewayMerge) takesHosts(s *GatewayServer, key string) bool {
	if s.Spec.Tls == nil {
		return true
	}
	at := func(h string) string {
		if isTLS(s.Spec) {
			_, h = hosts.Split(h)
		}
		return key + "|" + strings.TrimPrefix(h, "*/")
	}
	redirected := 0 // hosts that are, by others, so that nothing is lost
	for _, h := range s.Hosts {
		if have := g.hosts[at(h)]; have != nil && have.Spec.Tls.HttpsRedirect && s.Spec.Tls.HttpsRedirect && !isTLS(s.Spec) {
			redirected++
		}
	}
	for _, h := range s.Hosts {
		if have := g.hosts[at(h)]; have != nil {
			if redirected < len(s.Hosts) {
				g.conflict(s, have, "host "+h+" is served there already")
			}
			return false
		}
	}
	for _, h := range s.Hosts {
		g.hosts[at(h)] = s
	}
	return true
}

// joins tells whether a server can go together with those that its port has.
func (g *gatewayMerge) joins(s *GatewayServer, port uint32, key string) bool {
	first := g.first[port]
	switch {
	case first == nil:
		g.first[port] = s
		return true
	case !isTLS(first.Spec):
		if first.Spec.Bind == s.Spec.Bind && !(ParseProtocol(first.Spec.Port.Protocol).IsHTTP() && ParseProtocol(s.Spec.Port.Protocol).IsHTTP()) {
			g.conflict(s, first, "protocols "+first.Spec.Port.Protocol+" and "+s.Spec.Port.Protocol+" cannot share a port")
			return false
		}
		return true
	}
	if have := g.routes[s.RouteName]; s.RouteName != "" && have != nil {
		g.conflict(s, have, "their routes are named "+s.RouteName+" both, so they could not be told apart")
		return false
	}
	have := g.later[key]
	if have != nil && s.Spec.Tls == nil {
		g.conflict(s, have, "beside TLS servers a port has room for one plaintext server, if that is the second")
		return false
	}
	if have == nil {
		g.later[key] = s
	}
	return true
}

// boundTo returns the VirtualServices that a server serves: those that name its Gateway, are visible to the gateway's
// namespace, and share a host with it that its namespace part admits. Order is private, exported, public; then age.
func (m *Mesh) boundTo(namespace string, s *GatewayServer) []*VirtualService {
	name := s.Gateway.Object.Namespace + "/" + s.Gateway.Object.Name
	var out []*VirtualService
	for _, v := range m.index.visible.Get(visibleInputs{namespace, name}) {
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
		ns, name := hosts.Split(h)
		if ns != "" && ns != "*" && ns != v.Object.Namespace {
			continue
		}
		for _, vh := range v.Spec.Hosts {
			if !hosts.Overlap(name, vh) {
				continue
			}
			host := vh
			if !hosts.Within(vh, name) {
				host = name
			}
			out = appendNew(out, host)
		}
	}
	return out
}

// visibleInputs ask for the VirtualServices of a gateway, namespace/name or "mesh" for sidecars, that a namespace sees.
type visibleInputs struct{ namespace, gateway string }

// visibleVirtualServices returns the VirtualServices bound to a gateway that a namespace sees: its own private ones, those
// exported to it, public ones; each oldest first.
func (m *Mesh) visibleVirtualServices(in visibleInputs) []*VirtualService {
	var ranked [3][]*VirtualService
	for _, v := range m.index.byGateway[in.gateway] {
		if r := v.Visibility.rank(v.Object.Namespace, in.namespace); r >= 0 {
			ranked[r] = append(ranked[r], v)
		}
	}
	return slices.Concat(ranked[0], ranked[1], ranked[2])
}
