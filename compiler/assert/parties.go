package assert

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// caller is who may send requests: one of those that the mesh treats alike.
type caller struct {
	from    string // as trace.Request.From
	name    string // NAMESPACE/NAME; "" outside
	class   string
	gateway bool
	outside bool
	proxy   bool
	space   string // namespace
	id      string // SPIFFE identity
	address netip.Addr
}

// callers are those of a bundle that keep wants, one of each that are alike: same says by what callers are told apart, besides the
// configuration by which their proxies send requests.
func (p *prover) callers(keep func(caller) bool, same func(caller) string) (out []caller) {
	seen := map[string]bool{}
	add := func(c caller, like string) {
		if !seen[like] {
			seen[like] = true
			out = append(out, c)
		}
	}
	for _, c := range p.all {
		like := "outside"
		if !keep(c) {
			continue
		}
		if !c.outside {
			like = fmt.Sprint(p.sends(c), "\x00", c.proxy, "\x00", c.gateway, "\x00", same(c))
		}
		add(c, like)
	}
	return out
}

// everybody lists all callers.
func (p *prover) everybody() (out []caller) {
	for i := range p.b.Workloads {
		w := &p.b.Workloads[i]
		c := caller{from: w.Namespace + "/" + w.Name, name: w.Namespace + "/" + w.Name, class: w.Class, proxy: w.Proxy, space: w.Namespace}
		account := w.ServiceAccount
		if account == "" {
			account = "default"
		}
		c.id = "spiffe://" + p.domain + "/ns/" + w.Namespace + "/sa/" + account
		if len(w.Addresses) > 0 {
			c.address, _ = netip.ParseAddr(w.Addresses[0])
		}
		if k := p.b.Class(w.Class); k != nil && k.Gateway {
			c.from, c.gateway = "gateway "+c.name, true
		}
		out = append(out, c)
	}
	return append(out, caller{from: "outside", outside: true})
}

// sends is equal for classes whose proxies send requests by the same configuration: all but their inbound side.
func (p *prover) sends(c caller) string {
	if s, ok := p.sending[c.class]; ok {
		return s
	}
	var digests []string
	if k := p.b.Class(c.class); k != nil {
		for _, r := range k.Resources() {
			if !names.IsInbound(r.Name) || k.Gateway {
				digests = append(digests, r.Digest.Hex())
			}
		}
	}
	slices.Sort(digests)
	sum := sha256.Sum256([]byte(strings.Join(digests, " ")))
	p.sending[c.class] = string(sum[:])
	return p.sending[c.class]
}

// seenAs is equal for callers that the rules of a server cannot tell apart: by identity and address.
func (c caller) seenAs(conds *conditions) string {
	var b strings.Builder
	for _, s := range conds.principals {
		b.WriteString(strconv.FormatBool(s.Has(c.id)))
	}
	for _, s := range conds.by[sets.Source] {
		if of, ok := s.(sets.Addresses); ok {
			b.WriteString(strconv.FormatBool(of.Has(c.address)))
		}
	}
	return b.String()
}

// fits tells whether a caller is one of those that patterns name. Clients outside come in by gateways, too.
func (c caller) fits(patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		switch gateway, named := strings.CutPrefix(p, "gateway "); {
		case p == "outside":
			return c.outside || c.gateway
		case p == "anybody" || p == "everybody":
			return true
		case named:
			return c.gateway && trace.Glob(gateway, c.name)
		default:
			return !c.outside && !c.gateway && (trace.Glob(p, c.name) || !strings.Contains(p, "/") && strings.HasSuffix(c.name, "/"+p))
		}
	})
}

// checkCallers refuses patterns that nobody fits.
func (p *prover) checkCallers(patterns []string) error {
	everybody := p.all
	for _, x := range patterns {
		found := slices.ContainsFunc(everybody, func(c caller) bool { return c.fits([]string{x}) })
		if !found {
			return fmt.Errorf("no workload and no gateway is called %s", x)
		}
	}
	return nil
}

// target is a way to call a server: the host and port of a service.
type target struct {
	host string
	port uint16
	at   uint16 // port of the workload; 0: not known by number
}

// server is a workload that requests may reach.
type server struct {
	name, class, space string
	address            netip.Addr
	targets            []target
}

// servers are the workloads that patterns name, by their own names or by services that select them; none: all that a service selects.
func (p *prover) servers(patterns []string) ([]server, error) {
	var out []server
	met := map[string]bool{}
	seen := map[string]bool{}
	for i := range p.b.Workloads {
		w := &p.b.Workloads[i]
		name := w.Namespace + "/" + w.Name
		if k := p.b.Class(w.Class); k != nil && k.Gateway {
			continue
		}
		s := server{name: name, class: w.Class, space: w.Namespace, targets: p.targetsOf(w)}
		if len(w.Addresses) > 0 {
			s.address, _ = netip.ParseAddr(w.Addresses[0])
		}
		fits := len(patterns) == 0 && len(s.targets) > 0
		for _, x := range patterns {
			if s.fits(x) {
				met[x], fits = true, true
			}
		}
		if like := fmt.Sprint(w.Class, w.Namespace, s.targets); fits && !seen[like] { // a Deployment and its pods, and versions with the same rules
			seen[like] = true
			out = append(out, s)
		}
	}
	for _, x := range patterns {
		if !met[x] {
			return nil, fmt.Errorf("no workload is called %s, and no service of that name has one", x)
		}
	}
	return out, nil
}

// fits tells whether a pattern names a server or a service of it.
func (s server) fits(pattern string) bool {
	if trace.Glob(pattern, s.name) || !strings.ContainsAny(pattern, "/.*") && strings.HasSuffix(s.name, "/"+pattern) {
		return true
	}
	return slices.ContainsFunc(s.targets, func(t target) bool {
		label, rest, _ := strings.Cut(t.host, ".")
		ns, _, _ := strings.Cut(rest, ".")
		return t.host == pattern || trace.Glob(pattern, ns+"/"+label) || label == pattern
	})
}

// targetsOf are the services that select a workload.
func (p *prover) targetsOf(w *bundle.Workload) (out []target) {
	for _, sel := range p.selects {
		if sel.Namespace != w.Namespace {
			continue
		}
		all := true
		for k, v := range sel.Workloads {
			all = all && w.Labels[k] == v
		}
		t := target{sel.Hostname, uint16(sel.Port), uint16(sel.TargetPort)}
		if all && !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return out
}

// way is a URL without its path, by which a caller may get at a server.
type way struct {
	url  string // SCHEME://HOST:PORT
	http bool
}

// protocolOf guesses what a port speaks from the listeners of its server: a chain with a connection manager is one for HTTP.
func (p *prover) ways(c caller, s server) (out []way) {
	add := func(scheme, host string, port uint16) {
		w := way{scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port))), scheme == "http" || scheme == "https"}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if c.gateway {
		for _, h := range p.gatewayHosts(c.class) {
			for _, scheme := range []string{"http", "https"} {
				add(scheme, h.host, h.port)
			}
		}
		return out
	}
	ports := map[uint16]bool{}
	for _, t := range s.targets {
		scheme := "tcp"
		if p.speaksHTTP(s.class, t.at) {
			scheme = "http"
		}
		add(scheme, t.host, t.port)
		ports[t.at] = true
	}
	if c.outside || !c.proxy {
		for port := range p.ports(s.class) {
			if s.address.IsValid() && port != 0 && !ports[port] {
				scheme := "tcp"
				if p.speaksHTTP(s.class, port) {
					scheme = "http"
				}
				add(scheme, s.address.String(), port)
			}
		}
	}
	for _, h := range p.hostsTo(c.class, s) {
		add("http", h.host, h.port)
	}
	slices.SortFunc(out, func(a, b way) int { return strings.Compare(a.url, b.url) })
	return out
}

// hostsTo are other hosts that the routes of a class lead from to a server's services.
func (p *prover) hostsTo(class string, s server) (out []target) {
	v := p.view(class)
	for _, h := range v.hosts {
		if slices.ContainsFunc(s.targets, func(t target) bool { return h.clusters[t.host] }) && !slices.ContainsFunc(s.targets, func(t target) bool { return t.host == h.host }) {
			out = append(out, target{host: h.host, port: h.port})
		}
	}
	return out
}

// gatewayHosts are the hosts that a gateway has routes for; a star stands for some name.
func (p *prover) gatewayHosts(class string) (out []target) {
	v := p.view(class)
	for _, h := range v.hosts {
		host := h.host
		if host == "*" {
			host = "any.example"
		} else if rest, wild := strings.CutPrefix(host, "*"); wild {
			host = "any" + rest
		}
		for _, port := range v.listeners {
			if t := (target{host: host, port: port}); h.port == 0 || h.port == port {
				out = append(out, t)
			}
		}
	}
	return out
}

// portOf reads the port in the name of a route configuration: 8080, http.8080, https.443.NAME.GATEWAY.NAMESPACE.
func portOf(routes string) uint16 {
	for _, part := range strings.Split(routes, ".") {
		if n, err := strconv.ParseUint(part, 10, 16); err == nil {
			return uint16(n)
		}
	}
	if n, ok := names.ListenerPort(routes); ok {
		return uint16(n)
	}
	return 0
}
