package change

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/touched"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// target is a name and port that somebody may call.
type target struct {
	host string // as a report names it: a full name, *.x, or * for all that are not known
	call string // a name to call; the host where that is one
	port uint16
	bind netip.Addr // the address of the listener that takes the call, where it is bound to one that is no service's

	moved bool // another virtual host or chain takes it on one side
}

const (
	unknownHost = "unlisted.example.org"
	unknownPort = 12345 // stands for the ports that nothing names
)

// webPorts are those at which what is outside the mesh is called, whether or not something names them.
func webPorts() []uint16 { return []uint16{80, 443} }

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
		if s.Services[i].Hostname == host {
			if a := firstOf(s.Services[i].Addresses); a.IsValid() {
				return a
			}
		}
	}
	return netip.Addr{}
}

// firstOf is the first address that a service is called at; of a range one within it.
func firstOf(addresses []string) netip.Addr {
	for _, a := range addresses {
		if ip, err := netip.ParseAddr(a); err == nil && !ip.IsUnspecified() {
			return ip
		}
		switch p, err := netip.ParsePrefix(a); {
		case err != nil:
		case p.IsSingleIP():
			return p.Addr()
		default:
			return p.Masked().Addr().Next()
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
	if t.moved {
		key.call = t.call
	}
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
			own := firstOf(s.Services[i].Addresses)
			for _, p := range s.Services[i].Ports {
				t := sampleHost(s.Services[i].Hostname)
				t.port = uint16(p.Number)
				l.add(t)
				if own != s.addressOf(s.Services[i].Hostname) { // several namespaces have services of that name
					t.bind = own
					l.add(t)
				}
			}
		}
	}
	f.addFormerAddresses(&l)
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
		for _, port := range webPorts() {
			t := sampleHost(h)
			t.port = port
			l.add(t)
		}
	}
	for _, t := range slices.Clone(l.all) {
		l.add(target{host: anyHost, call: unknownHost, port: t.port})
	}
	for _, port := range append(webPorts(), unknownPort) {
		l.add(target{host: anyHost, call: unknownHost, port: port})
	}
	return l.all, nil
}

// addFormerAddresses adds the services that have another address in head, at the one that clients may still know, and those of
// outside that have addresses on one side only, at one that DNS may know.
func (f *finder) addFormerAddresses(l *list) {
	for i := range f.base.Services {
		s := &f.base.Services[i]
		was, is := f.base.addressOf(s.Hostname), f.head.addressOf(s.Hostname)
		at := was
		switch {
		case was == is, !was.IsValid() && !is.IsValid():
			continue
		case was.IsValid() && is.IsValid():
		case s.ClusterIP || s.Headless: // DNS knows the addresses of a Kubernetes Service, and no others
			continue
		default:
			at = outsideAddress
		}
		for _, p := range s.Ports {
			t := sampleHost(s.Hostname)
			t.port, t.bind, t.moved = uint16(p.Number), at, true
			l.add(t)
		}
	}
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
			if !names.IsServerName(n) {
				out = append(out, sampleHost(n))
			}
		}
		hosts, err := chainHosts(p, c)
		if err != nil {
			return nil, err
		}
		for _, h := range hosts.All() {
			for _, d := range touched.MainDomains(h.Message.GetDomains()) {
				out = append(out, sampleHost(d))
			}
		}
	}
	return out, nil
}

// servicesAt lists the names and ports under which clients reach a port of a workload.
func (s *side) servicesAt(w *workload, port uint16) []target {
	if s.served == nil {
		s.serve()
	}
	return s.served[w.key()][port]
}

// serve finds which ports of which workloads the services lead to: by their selectors, and by the endpoints that are known,
// since a port may be known by its name only.
func (s *side) serve() {
	s.served = map[string]map[uint16][]target{}
	add := func(w string, port uint16, t target) {
		if s.served[w] == nil {
			s.served[w] = map[uint16][]target{}
		}
		if ports := s.served[w]; port != 0 && !slices.Contains(ports[port], t) {
			ports[port] = append(ports[port], t)
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

// knownName is a domain of a virtual host, or an address range of a filter chain, on a port.
type knownName struct {
	port uint16
	bind netip.Addr
	name string
	cidr bool
}

// compareKnown puts names before addresses: people call names.
func compareKnown(a, b knownName) int {
	address := func(k knownName) int {
		if _, err := netip.ParseAddr(strings.Trim(k.name, "[]")); err == nil || k.cidr {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(a.port, b.port), a.bind.Compare(b.bind), cmp.Compare(address(a), address(b)), cmp.Compare(a.name, b.name))
}

// fullName is the full name of a short form, which the virtual hosts that take it on one of the sides are named after.
func fullName(short string, hosts ...string) string {
	for _, h := range strings.Fields(strings.Join(hosts, " ")) {
		if full, _, _ := strings.Cut(h, ":"); strings.HasPrefix(full, short+".") {
			return full
		}
	}
	return short
}

// movedNames lists the names that only one side knows on a port, or that another virtual host takes there, whatever short
// forms and addresses they are, and the borders of the address ranges of filter chains that are not the same.
func (f *finder) movedNames(was, is *trace.Proxy) ([]target, error) {
	if was == nil || is == nil {
		return nil, nil
	}
	before, err := knownNames(was)
	if err != nil {
		return nil, err
	}
	after, err := knownNames(is)
	if err != nil {
		return nil, err
	}
	var l list
	for _, m := range []map[knownName]string{before, after} {
		var moved []knownName // few of thousands
		for k := range m {
			if before[k] != after[k] {
				moved = append(moved, k)
			}
		}
		slices.SortFunc(moved, compareKnown)
		for _, k := range moved {
			if k.cidr {
				for _, ip := range touched.Borders(k.name) {
					l.add(target{host: ip.String(), call: ip.String(), port: k.port, bind: ip, moved: true})
				}
				continue
			}
			t := sampleHost(k.name)
			if t.host == t.call {
				t.host = fullName(t.call, before[k], after[k])
			}
			t.port, t.bind, t.moved = k.port, k.bind, true
			l.add(t)
		}
	}
	return l.all, nil
}

// knownNames are the domains and address ranges that the listeners of a proxy know, each with what takes it.
func knownNames(p *trace.Proxy) (map[knownName]string, error) {
	out := map[knownName]string{}
	for _, x := range p.Listeners() {
		if x.Message.GetName() == names.VirtualInbound {
			continue
		}
		at := boundTo(x.Message)
		for _, c := range append(slices.Clone(x.Message.GetFilterChains()), x.Message.GetDefaultFilterChain()) {
			for _, r := range c.GetFilterChainMatch().GetPrefixRanges() {
				cidr := r.GetAddressPrefix() + "/" + strconv.Itoa(int(r.GetPrefixLen().GetValue()))
				out[knownName{at.Port(), at.Addr(), cidr, true}] += c.GetName() + " "
			}
			hosts, err := chainHosts(p, c)
			if err != nil {
				return nil, err
			}
			for _, h := range hosts.All() {
				for _, d := range h.Message.GetDomains() {
					k := knownName{at.Port(), at.Addr(), strings.TrimSuffix(d, ":"+strconv.Itoa(int(at.Port()))), false}
					out[k] += h.Message.GetName() + " "
				}
			}
		}
	}
	return out, nil
}

// chainHosts are the virtual hosts behind a filter chain.
func chainHosts(p *trace.Proxy, c *listenerv3.FilterChain) (trace.Hosts, error) {
	for _, f := range c.GetFilters() {
		m, ok := unpack(f.GetTypedConfig(), &hcmv3.HttpConnectionManager{})
		if !ok {
			continue
		}
		rc, err := p.RouteConfiguration(m)
		if err != nil || rc == nil {
			return trace.Hosts{}, err
		}
		return p.VirtualHosts(rc.Message)
	}
	return trace.Hosts{}, nil
}
