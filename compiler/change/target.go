package change

import (
	"net/netip"
	"slices"
	"strings"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// target is a name and port that somebody may call.
type target struct {
	host string // as a report names it: a full name, *.x, or * for all that are not known
	call string // a name to call; the host where that is one
	port uint16
	bind netip.Addr // the address of the listener that takes the call, where it is bound to one that is no service's
}

const (
	anyHost     = "*"
	unknownHost = "unlisted.example.org"
	unknownPort = 12345 // stands for the ports that nothing names
)

// outsideAddress stands for the address of a name that only DNS knows.
var outsideAddress = netip.MustParseAddr("198.51.100.7")

// sampleHost is a name that a domain of a virtual host takes.
func sampleHost(domain string) (t target) {
	switch {
	case domain == "*":
		return target{host: anyHost, call: unknownHost}
	case strings.HasPrefix(domain, "*"):
		return target{host: domain, call: "w" + domain[1:]}
	case strings.HasSuffix(domain, "*"):
		return target{host: strings.TrimSuffix(domain, "*") + "w", call: strings.TrimSuffix(domain, "*") + "w"}
	}
	domain = strings.TrimSuffix(domain, ".")
	return target{host: domain, call: domain}
}

// addressOf is the address under which a service is called; invalid: it has none.
func (s *side) addressOf(host string) netip.Addr {
	if a, ok := s.dialAt[host]; ok {
		return a
	}
	a := s.findAddress(host)
	s.dialAt[host] = a
	return a
}

func (s *side) findAddress(host string) netip.Addr {
	for i := range s.Services {
		if s.Services[i].Hostname != host {
			continue
		}
		for _, a := range s.Services[i].Addresses {
			if ip, err := netip.ParseAddr(a); err == nil && !ip.IsUnspecified() {
				return ip
			}
			if p, err := netip.ParsePrefix(a); err == nil {
				return p.Masked().Addr().Next()
			}
		}
	}
	return netip.Addr{}
}

// dialed is where a client connects to for a target.
func (s *side) dialed(t target) netip.AddrPort {
	if t.bind.IsValid() {
		return netip.AddrPortFrom(t.bind, t.port)
	}
	if ip := s.addressOf(t.host); ip.IsValid() {
		return netip.AddrPortFrom(ip, t.port)
	}
	if ip, err := netip.ParseAddr(t.call); err == nil {
		return netip.AddrPortFrom(ip, t.port)
	}
	return netip.AddrPortFrom(outsideAddress, t.port)
}

// list collects targets, each once.
type list struct {
	all  []target
	seen map[target]bool
}

func (l *list) add(t target) {
	if l.seen == nil {
		l.seen = map[target]bool{}
	}
	key := target{host: t.host, port: t.port, bind: t.bind}
	if t.port != 0 && !l.seen[key] {
		l.seen[key] = true
		l.all = append(l.all, t)
	}
}

// targetsOf lists what the clients of one class may call, by what the proxies of both sides know: services, the virtual
// hosts and server names of their listeners, and names and ports that nobody knows.
func (f *finder) targetsOf(proxies ...*trace.Proxy) ([]target, error) {
	var l list
	for _, s := range []*side{f.base, f.head} {
		for i := range s.Services {
			for _, p := range s.Services[i].Ports {
				t := sampleHost(s.Services[i].Hostname)
				t.port = uint16(p.Number)
				l.add(t)
			}
		}
	}
	for _, p := range proxies {
		if p == nil {
			continue
		}
		for _, x := range p.Listeners() {
			if x.Message.GetName() == names.VirtualInbound || x.Message.GetName() == names.VirtualOutbound {
				continue
			}
			at := boundTo(x.Message)
			if f.isService(at.Addr()) {
				at = netip.AddrPortFrom(netip.Addr{}, at.Port())
			}
			hosts, err := hostsOf(p, x.Message)
			if err != nil {
				return nil, err
			}
			for _, t := range append(hosts, target{host: anyHost, call: unknownHost}) {
				t.port, t.bind = at.Port(), at.Addr()
				l.add(t)
			}
		}
	}
	for _, h := range f.gatewayHosts() {
		for _, port := range []uint16{80, 443} {
			t := sampleHost(h)
			t.port = port
			l.add(t)
		}
	}
	for _, t := range slices.Clone(l.all) {
		l.add(target{host: anyHost, call: unknownHost, port: t.port})
	}
	l.add(target{host: anyHost, call: unknownHost, port: unknownPort})
	return l.all, nil
}

// boundTo is the port of a listener, and its address if it is bound to one.
func boundTo(l *listenerv3.Listener) netip.AddrPort {
	a := l.GetAddress().GetSocketAddress()
	ip, err := netip.ParseAddr(a.GetAddress())
	if err != nil || ip.IsUnspecified() {
		ip = netip.Addr{}
	}
	return netip.AddrPortFrom(ip, uint16(a.GetPortValue()))
}

// isService tells whether a service has an address: a call by the name of the service goes there.
func (f *finder) isService(ip netip.Addr) bool {
	if f.serviceAddresses == nil {
		f.serviceAddresses = map[netip.Addr]bool{}
		for _, s := range []*side{f.base, f.head} {
			for i := range s.Services {
				f.serviceAddresses[s.addressOf(s.Services[i].Hostname)] = true
				for _, text := range s.Services[i].Addresses {
					if a, err := netip.ParseAddr(text); err == nil {
						f.serviceAddresses[a] = true
					}
				}
			}
		}
	}
	return f.serviceAddresses[ip]
}

// gatewayHosts lists the names that gateways serve: workloads may ask for them, too.
func (f *finder) gatewayHosts() []string {
	if f.outside != nil {
		return f.outside
	}
	f.outside = []string{}
	for _, s := range []*side{f.base, f.head} {
		for _, r := range s.Resources {
			if r.Type != bundle.VirtualHostType {
				continue
			}
			routes, host := names.ParseVirtualHost(r.Name)
			if _, isPort := names.RoutesPort(routes); isPort && !strings.HasPrefix(routes, "http") {
				continue
			}
			host, _, _ = strings.Cut(host, ":")
			if host != anyHost && strings.Contains(host, ".") && !slices.Contains(f.outside, host) {
				f.outside = append(f.outside, host)
			}
		}
	}
	slices.Sort(f.outside)
	return f.outside
}

// hostsOf lists the names that the chains of a listener know: server names, and one domain of each virtual host.
func hostsOf(p *trace.Proxy, l *listenerv3.Listener) (out []target, err error) {
	for _, c := range l.GetFilterChains() {
		for _, n := range c.GetFilterChainMatch().GetServerNames() {
			if !strings.HasPrefix(n, "outbound_.") {
				out = append(out, sampleHost(n))
			}
		}
		for _, f := range c.GetFilters() {
			m, ok := unpack(f.GetTypedConfig(), &hcmv3.HttpConnectionManager{})
			if !ok {
				continue
			}
			rc, err := p.RouteConfiguration(m)
			if err != nil {
				return nil, err
			}
			if rc == nil {
				continue
			}
			hosts, err := p.VirtualHosts(rc.Message)
			if err != nil {
				return nil, err
			}
			for _, h := range hosts.All() {
				for _, d := range mainDomains(h.Message.GetDomains()) {
					out = append(out, sampleHost(d))
				}
			}
		}
	}
	return out, nil
}

// mainDomains are those of a virtual host that are no short form and no address of another.
func mainDomains(domains []string) []string {
	var out []string
	for _, d := range domains {
		short := slices.ContainsFunc(domains, func(o string) bool {
			return o != d && strings.HasPrefix(o, strings.TrimSuffix(d, ".")+".") && len(o) > len(d)+1
		})
		if _, err := netip.ParseAddr(strings.Trim(d, "[]")); err == nil || short || strings.HasSuffix(d, ".") || strings.Contains(d, ":") && d != "*" {
			continue
		}
		out = append(out, d)
	}
	if len(out) == 0 && len(domains) > 0 {
		out = domains[:1]
	}
	return out
}

// servicesAt lists the names and ports under which clients reach a port of a workload.
func (s *side) servicesAt(w *workload, port uint16) []target {
	if s.served == nil {
		s.serve()
	}
	return s.served[servedPort{w.key(), port}]
}

// servedPort is a port of a workload.
type servedPort struct {
	workload string
	port     uint16
}

// serve finds which ports of which workloads the services lead to: by their selectors, and by the endpoints that are known,
// since a port may be known by its name only.
func (s *side) serve() {
	s.served = map[servedPort][]target{}
	add := func(w string, port uint16, t target) {
		key := servedPort{w, port}
		if port != 0 && !slices.Contains(s.served[key], t) {
			s.served[key] = append(s.served[key], t)
		}
	}
	for _, r := range s.Resources {
		switch n, ok := names.ParseCluster(r.Name); {
		case !ok, n.Inbound, n.Subset != "":
		case r.Type == bundle.EndpointsType:
			m, err := r.Message()
			if err != nil {
				continue
			}
			load, _ := m.(*endpointv3.ClusterLoadAssignment)
			for _, g := range load.GetEndpoints() {
				for _, e := range g.GetLbEndpoints() {
					a := e.GetEndpoint().GetAddress().GetSocketAddress()
					if w := s.byAddress[a.GetAddress()]; w != "" {
						add(w, uint16(a.GetPortValue()), target{host: n.Host, call: n.Host, port: uint16(n.Port)})
					}
				}
			}
		case r.Type == bundle.ClusterType && r.Selector != nil && len(r.Selector.Workloads) > 0:
			for _, w := range s.selected(r.Selector.Namespace, r.Selector.Workloads) {
				add(w, uint16(r.Selector.TargetPort), target{host: n.Host, call: n.Host, port: uint16(n.Port)})
			}
		}
	}
}
