package coverage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// codeUnread is for a route block or match that no proxy has.
const codeUnread = "MESHC1270"

const meshGateway = "mesh"

// routes reports blocks and matches of VirtualServices that no proxy has, and those that a Gateway which they are bound to
// does not serve.
func (c *checker) routes() {
	for _, v := range c.mesh.VirtualServices {
		if v.Object.Kind != "VirtualService" {
			continue
		}
		u := &unread{checker: c, v: v, at: map[string]int{}}
		for _, b := range c.blocks(v) {
			u.block(b)
		}
		u.report()
	}
}

// unread collects the blocks of one VirtualService that are not read, those of one reason together.
type unread struct {
	*checker
	v    *mesh.VirtualService
	list []*silent
	at   map[string]int // in list, by kind and reason
}

// silent is blocks of one kind that nobody reads, for one reason.
type silent struct {
	blocks []*block
	why    string
	nobody bool // no proxy at all
}

func (u *unread) block(b *block) {
	if u.said(b.object.Ref(), b.field(), codeNothing, "IST0130", "IST0149", "MESHC1233", "MESHC1500") {
		return
	}
	t := u.marks[mark{b.object.Ref(), b.field()}]
	var nowhere []string
	reached := false
	for _, name := range u.v.Spec.Gateways {
		if !b.means(name) {
			continue
		}
		g := u.gateway(name)
		if t != nil && (name == meshGateway && t.sidecars && !u.astray(b) || g != nil && t.gateways[g]) {
			reached = true
			continue
		}
		if why := u.why(b, name, g); why != "" && (name != meshGateway || len(nowhere) == 0) {
			nowhere = append(nowhere, why)
		}
	}
	switch {
	case !reached && len(nowhere) > 0:
		u.note(b, strings.Join(nowhere, "; "), true)
	case reached:
		for _, why := range nowhere {
			if strings.HasPrefix(why, "Gateway ") {
				u.note(b, why, false)
			}
		}
		u.matches(b)
	}
}

func (u *unread) note(b *block, why string, nobody bool) {
	key := b.kind + b.object.Ref().String() + why
	i, ok := u.at[key]
	if !ok {
		i = len(u.list)
		u.at[key] = i
		u.list = append(u.list, &silent{why: why, nobody: nobody})
	}
	u.list[i].blocks = append(u.list[i].blocks, b)
}

func (u *unread) report() {
	for _, s := range u.list {
		b := s.blocks[0]
		what := "this " + b.kind + " route"
		if n := len(s.blocks); n > 1 {
			what = fmt.Sprintf("each of %d %s routes, from this one on,", n, b.kind)
		}
		message := what + " is in no proxy: " + s.why
		if !s.nobody {
			message = what + " is not everywhere it is bound to: " + s.why
		}
		u.findings.Add(b.object.Finding(diag.Warning, codeUnread, message, "Correct what the reason names, or remove the route.", b.path()...))
	}
}

// matches reports the matches of a block, others of which are read, that no proxy has.
func (u *unread) matches(b *block) {
	if len(b.matches) < 2 || b.kind == "tcp" {
		return
	}
	for _, m := range b.matches {
		field := b.field() + ".match[" + strconv.Itoa(m.index) + "]"
		if m.index < 0 || u.traced(b.object.Ref(), field) || u.said(b.object.Ref(), field, "IST0130", "IST0131", "MESHC1234", "MESHC1500") {
			continue
		}
		one := &block{object: b.object, kind: b.kind, index: b.index, matches: []match{m}}
		for _, name := range u.v.Spec.Gateways {
			if why := u.why(one, name, u.gateway(name)); one.means(name) && why != "" {
				u.findings.Add(b.object.Finding(diag.Warning, codeUnread, "this match is in no proxy: "+why, "Correct it, or remove it.", append(b.path(), "match", m.index)...))
				break
			}
		}
	}
}

// means tells whether a block can hold at a gateway that its VirtualService is bound to.
func (b *block) means(gateway string) bool {
	return len(b.matches) == 0 || slices.ContainsFunc(b.matches, func(m match) bool { return len(m.gateways) == 0 || slices.Contains(m.gateways, gateway) })
}

func (c *checker) gateway(name string) *mesh.Gateway {
	for _, g := range c.mesh.Gateways {
		if name == g.Object.Namespace+"/"+g.Object.Name {
			return g
		}
	}
	return nil
}

// why says why the proxies of a gateway, or sidecars, have no trace of a block; "" where that is said elsewhere or nothing
// is known of such proxies.
func (u *unread) why(b *block, name string, g *mesh.Gateway) string {
	switch {
	case name == meshGateway:
		return u.whySidecars(b)
	case g == nil:
		return "" // IST0101
	}
	if why := u.whyGateway(b, g); why != "" {
		return "Gateway " + name + ": " + why
	}
	return ""
}

// whySidecars asks visibility, imports, services, protocols, ports and labels, in this order.
func (u *unread) whySidecars(b *block) string {
	if b.kind == "http" && u.said(u.v.Object.Ref(), "spec.hosts", "IST0109") || u.said(u.v.Object.Ref(), "spec.hosts", codeNothing) || u.said(u.v.Object.Ref(), "metadata.name", "MESHC1425") {
		return ""
	}
	var seeing, importing []*mesh.Class
	sidecars := false
	for _, p := range u.proxies {
		k := p.Class
		if k.Gateway {
			continue
		}
		sidecars = true
		if u.v.Visibility.In(k.Scope.Namespace) {
			seeing = append(seeing, k)
			if slices.ContainsFunc(k.Scope.Listeners, func(l *mesh.EgressListener) bool { return slices.Contains(l.VirtualServices, u.v) }) {
				importing = append(importing, k)
			}
		}
	}
	switch {
	case !sidecars:
		return ""
	case len(seeing) == 0:
		return "its exportTo reaches no namespace that has workloads in the source"
	case len(importing) == 0:
		return "no Sidecar of the namespaces that see it imports one of its hosts"
	}
	ports := u.portsOf(importing)
	if len(ports) == 0 {
		return "no Service or ServiceEntry that callers see has the host " + strings.Join(u.v.Spec.Hosts, " or ")
	}
	if why := b.whyPorts(ports); why != "" {
		return why
	}
	if !slices.ContainsFunc(importing, b.fits) {
		return "no workload that calls has " + b.asks()
	}
	return "routes before it, or of another VirtualService, take all that it matches"
}

// astray tells whether an http block for Services is in proxies only for requests on port 80, which none of these has: their
// own ports are of other protocols or numbers.
func (u *unread) astray(b *block) bool {
	if b.kind != "http" {
		return false
	}
	var ports []*mesh.Port
	for _, h := range u.v.Spec.Hosts {
		s := u.services[h]
		if s == nil || !s.Kubernetes || s.Resolution == mesh.Alias {
			return false
		}
		ports = append(ports, s.Ports...)
	}
	return b.whyPorts(ports) != ""
}

// portsOf are the ports of the services that a VirtualService speaks for, as callers see them.
func (u *unread) portsOf(callers []*mesh.Class) (out []*mesh.Port) {
	seen := map[*mesh.View]bool{}
	for _, k := range callers {
		view := k.Scope.View()
		if seen[view] {
			continue
		}
		seen[view] = true
		for _, h := range u.v.Spec.Hosts {
			for _, s := range viewed(view, h) {
				for _, p := range s.Ports {
					if !slices.Contains(out, p) {
						out = append(out, p)
					}
				}
			}
		}
	}
	return out
}

// viewed are the services of a view that a host speaks for.
func viewed(view *mesh.View, host string) (out []*mesh.Service) {
	if s := view.Service(host); s != nil {
		return []*mesh.Service{s}
	}
	for _, s := range view.Services {
		if wild := strings.HasPrefix(host, "*") || strings.HasPrefix(s.Hostname, "*"); wild && hosts.Overlap(host, s.Hostname) {
			out = append(out, s)
		}
	}
	return out
}

// whyPorts says why a block speaks for none of the ports: their protocol, or their number.
func (b *block) whyPorts(ports []*mesh.Port) string {
	var kind []*mesh.Port
	for _, p := range ports {
		if b.reads(p.Protocol) {
			kind = append(kind, p)
		}
	}
	if len(kind) == 0 {
		return fmt.Sprintf("%s routes are read on %s ports, and its hosts have none (%s)", b.kind, map[string]string{"http": "HTTP", "tls": "TLS", "tcp": "TCP"}[b.kind], listed(ports))
	}
	if len(b.matches) == 0 || slices.ContainsFunc(b.matches, func(m match) bool {
		return m.port == 0 || slices.ContainsFunc(kind, func(p *mesh.Port) bool { return p.Number == m.port })
	}) {
		return ""
	}
	return fmt.Sprintf("it is for port %d, and its hosts have %s", b.matches[0].port, listed(ports))
}

// reads tells whether a block of this kind is asked on a port of the protocol.
func (b *block) reads(p mesh.Protocol) bool {
	switch b.kind {
	case "http":
		return p.IsHTTP() || p.IsAuto()
	case "tls":
		return p.IsTLS()
	}
	return !p.IsHTTP() && !p.IsTLS() && p != mesh.UDP
}

func listed(ports []*mesh.Port) string {
	var out []string
	for _, p := range ports {
		protocol := string(p.Protocol)
		if p.Protocol.IsAuto() {
			protocol = "sniffed"
		}
		if s := fmt.Sprintf("%d %s", p.Number, protocol); !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// fits tells whether a match of the block can hold for callers of a class.
func (b *block) fits(k *mesh.Class) bool {
	return len(b.matches) == 0 || slices.ContainsFunc(b.matches, func(m match) bool {
		if b.kind == "http" && len(m.gateways) > 0 {
			return true // then the caller is not looked at
		}
		return (m.namespace == "" || m.namespace == k.Scope.Namespace) && slices.ContainsFunc(k.Workloads, func(w *mesh.Workload) bool { return endpoint.Subset(m.labels, w.Labels) })
	})
}

// asks says what the matches ask of the caller.
func (b *block) asks() string {
	var out []string
	for _, m := range b.matches {
		var pairs []string
		for key, v := range m.labels {
			pairs = append(pairs, key+"="+v)
		}
		slices.Sort(pairs)
		if len(pairs) > 0 {
			out = append(out, "the sourceLabels "+strings.Join(pairs, ","))
		}
		if m.namespace != "" {
			out = append(out, "the sourceNamespace "+m.namespace)
		}
	}
	return strings.Join(out, " or ")
}

// whyGateway asks visibility, hosts, the kind of server, ports and labels, in this order.
func (u *unread) whyGateway(b *block, g *mesh.Gateway) string {
	var classes []*mesh.Class
	var servers, bound []*mesh.GatewayServer
	for _, p := range u.proxies {
		for _, ms := range p.Class.Servers {
			for _, s := range ms.Servers {
				if s.Gateway != g {
					continue
				}
				servers = append(servers, s)
				if !slices.Contains(classes, p.Class) {
					classes = append(classes, p.Class)
				}
				if slices.Contains(s.VirtualServices, u.v) {
					bound = append(bound, s)
				}
			}
		}
	}
	switch {
	case len(servers) == 0:
		return "" // nobody serves it, or only conflicting servers, which is reported
	case !slices.ContainsFunc(classes, func(k *mesh.Class) bool { return u.v.Visibility.In(k.Scope.Namespace) }):
		return "the VirtualService is not exported to namespace " + classes[0].Scope.Namespace + ", where its proxies are: they answer 404"
	case len(bound) == 0:
		return "" // IST0132
	}
	reading := slices.DeleteFunc(slices.Clone(bound), func(s *mesh.GatewayServer) bool { return sectionOf(s) != b.kind })
	if len(reading) == 0 {
		s := bound[0]
		return fmt.Sprintf("its server on port %d for these hosts (%s) reads %s routes only", s.Spec.GetPort().GetNumber(), speaks(s), sectionOf(s))
	}
	if len(b.matches) > 0 && !slices.ContainsFunc(b.matches, func(m match) bool {
		return m.port == 0 || slices.ContainsFunc(reading, func(s *mesh.GatewayServer) bool { return s.Spec.GetPort().GetNumber() == m.port })
	}) {
		return fmt.Sprintf("the match is for port %d, and its server is on port %d", b.matches[0].port, reading[0].Spec.GetPort().GetNumber())
	}
	if b.kind == "http" && !slices.ContainsFunc(classes, b.fits) {
		return "its proxies do not have " + b.asks()
	}
	if first := reading[0].VirtualServices[0]; b.kind == "tcp" && first != u.v {
		return fmt.Sprintf("the tcp routes of %s come first, and hosts do not tell connections apart", first.Object.Ref())
	}
	return "routes before it take all that it matches"
}

// sectionOf is the section of VirtualServices that a server reads; "none" for AUTO_PASSTHROUGH.
func sectionOf(s *mesh.GatewayServer) string {
	switch mode := s.Spec.GetTls().GetMode(); {
	case s.RouteName != "" || mesh.ParseProtocol(s.Spec.GetPort().GetProtocol()).IsHTTP():
		return "http"
	case s.Spec.Tls == nil:
		return "tcp"
	case mode == networking.ServerTLSSettings_PASSTHROUGH:
		return "tls"
	case mode == networking.ServerTLSSettings_AUTO_PASSTHROUGH:
		return "no"
	}
	return "tcp"
}

func speaks(s *mesh.GatewayServer) string {
	if s.Spec.Tls != nil && s.RouteName == "" || s.Spec.Tls != nil && mesh.ParseProtocol(s.Spec.GetPort().GetProtocol()).IsTLS() {
		return s.Spec.GetPort().GetProtocol() + ", tls mode " + s.Spec.GetTls().GetMode().String()
	}
	return s.Spec.GetPort().GetProtocol()
}
