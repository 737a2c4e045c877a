package intercept

import "net/netip"

// documentation are addresses at which nobody is (RFC 5737, RFC 3849): a connection there that is answered was redirected.
var documentation = map[bool][]netip.Prefix{
	false: {netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24")},
	true:  {netip.MustParsePrefix("2001:db8::/32")},
}

// discard is the port of connections that only try the rules.
const discard = 9

// Probe is where a connection of the application's user comes to the proxy's outbound port if the rules of a family are in
// force; ok is false if no connection does.
func (s Settings) Probe(six bool) (to netip.AddrPort, ok bool) {
	f := ipv4
	if six {
		f = ipv6
	}
	var ranges []netip.Prefix
	if s.Outbound.All || len(s.OutboundPorts) > 0 {
		ranges = append(ranges, documentation[six]...)
	}
	for _, p := range s.Outbound.List {
		if p.Addr().Is6() == six {
			ranges = append(ranges, p)
		}
	}
	for _, r := range ranges {
		addr := r.Masked().Addr()
		if r.Bits() < addr.BitLen() {
			addr = addr.Next()
		}
		for _, port := range append([]uint16{discard, discard + 1}, s.OutboundPorts...) {
			if s.takes(f, addr, port) {
				return netip.AddrPortFrom(addr, port), true
			}
		}
	}
	return netip.AddrPort{}, false
}

// takes tells whether a connection that the application sends goes to the proxy: it follows the rules of what is sent.
func (s Settings) takes(f family, addr netip.Addr, port uint16) bool {
	chain := outbound
	for range len(chains) {
		r, found := s.first(f, chain, addr, port)
		switch {
		case !found || r.then == pass:
			return false
		case r.then.port != 0:
			return r.then.port == OutboundPort
		}
		chain = r.then.jump
	}
	return false
}

// first is the first rule of a chain that such a connection meets, which leaves by an interface that no setting names.
func (s Settings) first(f family, chain string, addr netip.Addr, port uint16) (rule, bool) {
	for _, r := range s.of(f, chain) {
		within := func(prefix string) bool { return netip.MustParsePrefix(prefix).Contains(addr) }
		switch {
		case r.udp || r.proxy || r.in != "" || r.out != "" || r.from != "":
		case r.to != "" && !within(r.to), r.notTo != "" && within(r.notTo):
		case r.port != 0 && r.port != port:
		default:
			return r, true
		}
	}
	return rule{}, false
}
