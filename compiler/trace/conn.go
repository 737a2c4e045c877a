package trace

import (
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/trace/match"
)

// What runs inside a connection, below all TLS.
const (
	wireTCP   = "tcp"
	wireHTTP1 = "http/1.1"
	wireHTTP2 = "h2"
)

// conn is one connection on its way into a proxy.
type conn struct {
	source netip.Addr     // invalid: not known
	dest   netip.AddrPort // as the client dialed it; an invalid address is not known
	layers []layer        // TLS around the bytes, outermost first
	wire   string
}

// layer is one TLS session as its client opens it.
type layer struct {
	sni   string
	alpn  []string
	cert  bool     // the client has a certificate
	ids   []string // URI names in it
	wants []*tlsv3.SubjectAltNameMatcher
	by    string // who opens it
}

// dialed tells whether the client dialed an address.
func (c *conn) dialed(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip == c.dest.Addr()
}

// outer is the TLS that is seen on the wire, nil for plain text.
func (c *conn) outer() *layer {
	if len(c.layers) == 0 {
		return nil
	}
	return &c.layers[0]
}

// listenerAt finds the listener on an address and port.
func (v *view) listenerAt(address string, port uint16, bound bool) *located[*listenerv3.Listener] {
	if v.at == nil {
		v.indexListeners()
	}
	for _, l := range v.at[socket{address, uint32(port)}] {
		if !bound || l.msg.GetBindToPort() == nil || l.msg.GetBindToPort().GetValue() {
			return l
		}
	}
	return nil
}

// socket is what a listener is on.
type socket struct {
	address string
	port    uint32
}

// indexListeners finds where the listeners are, in their order.
func (v *view) indexListeners() {
	v.at = map[socket][]*located[*listenerv3.Listener]{}
	for i := range v.listeners {
		l := &v.listeners[i]
		add := func(a *corev3.Address) {
			if s := a.GetSocketAddress(); s != nil {
				key := socket{s.GetAddress(), s.GetPortValue()}
				v.at[key] = append(v.at[key], l)
			}
		}
		add(l.msg.GetAddress())
		for _, a := range l.msg.GetAdditionalAddresses() {
			add(a.GetAddress())
		}
	}
}

// listenerFor finds the listener for a destination: the exact address before the wildcard.
func (v *view) listenerFor(to netip.AddrPort, bound bool) *located[*listenerv3.Listener] {
	if to.Addr().IsValid() {
		if l := v.listenerAt(to.Addr().String(), to.Port(), bound); l != nil {
			return l
		}
	}
	if !to.Addr().Is6() {
		if l := v.listenerAt("0.0.0.0", to.Port(), bound); l != nil {
			return l
		}
	}
	return v.listenerAt("::", to.Port(), bound)
}

// named finds a listener by name.
func (v *view) named(name string) *located[*listenerv3.Listener] {
	for i := range v.listeners {
		if v.listeners[i].msg.GetName() == name {
			return &v.listeners[i]
		}
	}
	return nil
}

// seen is what the listener filters found out about a connection.
type seen struct {
	transport string
	sni       string
	alpn      []string
}

// inspect runs the listener filters that look at the first bytes.
func inspect(l *listenerv3.Listener, c *conn) seen {
	s := seen{transport: "raw_buffer"}
	for _, f := range l.GetListenerFilters() {
		if f.GetFilterDisabled() != nil && DisabledFor(f.GetFilterDisabled(), c.dest.Port()) {
			continue
		}
		if _, ok := unpack(f.GetTypedConfig(), &tlsinspectorv3.TlsInspector{}); ok {
			if o := c.outer(); o != nil {
				s.transport, s.sni, s.alpn = "tls", strings.ToLower(o.sni), o.alpn
			}
		}
		if _, ok := unpack(f.GetTypedConfig(), &httpinspectorv3.HttpInspector{}); ok && c.outer() == nil {
			switch c.wire {
			case wireHTTP1:
				s.alpn = []string{"http/1.1"}
			case wireHTTP2:
				s.alpn = []string{"h2c"}
			}
		}
	}
	return s
}

// DisabledFor tells whether a predicate of a listener filter holds for connections to a port.
func DisabledFor(m *listenerv3.ListenerFilterChainMatchPredicate, port uint16) bool {
	each := func(x *listenerv3.ListenerFilterChainMatchPredicate) bool { return DisabledFor(x, port) }
	switch r := m.GetRule().(type) {
	case *listenerv3.ListenerFilterChainMatchPredicate_AnyMatch:
		return r.AnyMatch
	case *listenerv3.ListenerFilterChainMatchPredicate_NotMatch:
		return !each(r.NotMatch)
	case *listenerv3.ListenerFilterChainMatchPredicate_OrMatch:
		return slices.ContainsFunc(r.OrMatch.GetRules(), each)
	case *listenerv3.ListenerFilterChainMatchPredicate_AndMatch:
		return !slices.ContainsFunc(r.AndMatch.GetRules(), func(x *listenerv3.ListenerFilterChainMatchPredicate) bool { return !each(x) })
	case *listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange:
		return int32(port) >= r.DestinationPortRange.GetStart() && int32(port) < r.DestinationPortRange.GetEnd()
	}
	return false
}

type chains []*listenerv3.FilterChain

// where narrows a list to the chains whose match f accepts; the criteria of a chain without match are empty.
func (cs chains) where(f func(*listenerv3.FilterChainMatch) bool) chains {
	var out chains
	for _, c := range cs {
		if f(c.GetFilterChainMatch()) {
			out = append(out, c)
		}
	}
	return out
}

// prefer takes the chains of the first criterion that any chain names, else those that name none.
func (cs chains) prefer(wanted []string, named func(*listenerv3.FilterChainMatch) []string) chains {
	for _, x := range wanted {
		if hit := cs.where(func(m *listenerv3.FilterChainMatch) bool { return slices.Contains(named(m), x) }); len(hit) > 0 {
			return hit
		}
	}
	return cs.where(func(m *listenerv3.FilterChainMatch) bool { return len(named(m)) == 0 })
}

// longest takes the chains with the longest prefix that holds an address. No prefix at all has length 0, and is all that
// an unknown address matches.
func (cs chains) longest(ip netip.Addr, ranges func(*listenerv3.FilterChainMatch) []*corev3.CidrRange) chains {
	best, out := -1, chains(nil)
	for _, c := range cs {
		bits := -1
		if len(ranges(c.GetFilterChainMatch())) == 0 {
			bits = 0
		}
		for _, r := range ranges(c.GetFilterChainMatch()) {
			if in, err := match.CIDR(r, ip, "server"); in && err == nil {
				bits = max(bits, int(r.GetPrefixLen().GetValue()))
			}
		}
		switch {
		case bits > best:
			best, out = bits, chains{c}
		case bits == best && bits >= 0:
			out = append(out, c)
		}
	}
	return out
}

// pickChain chooses the filter chain: each criterion in Envoy's order keeps the most specific chains, and nothing goes
// back to an earlier one. nil: the connection is closed.
func pickChain(l *listenerv3.Listener, c *conn, s seen) *listenerv3.FilterChain {
	port := c.dest.Port()
	cs := chains(l.GetFilterChains())
	if hit := cs.where(func(m *listenerv3.FilterChainMatch) bool {
		return m.GetDestinationPort() != nil && m.GetDestinationPort().GetValue() == uint32(port)
	}); len(hit) > 0 {
		cs = hit
	} else {
		cs = cs.where(func(m *listenerv3.FilterChainMatch) bool { return m.GetDestinationPort() == nil })
	}
	cs = cs.longest(c.dest.Addr(), (*listenerv3.FilterChainMatch).GetPrefixRanges)
	cs = cs.prefer(serverNames(s.sni), func(m *listenerv3.FilterChainMatch) []string { return lowered(m.GetServerNames()) })
	cs = cs.prefer([]string{s.transport}, func(m *listenerv3.FilterChainMatch) []string { return nonEmpty(m.GetTransportProtocol()) })
	cs = cs.prefer(s.alpn, (*listenerv3.FilterChainMatch).GetApplicationProtocols)
	cs = cs.longest(c.source, (*listenerv3.FilterChainMatch).GetDirectSourcePrefixRanges)
	local := c.source.IsValid() && (c.source.IsLoopback() || c.source == c.dest.Addr())
	cs = cs.prefer([]string{sourceType(local)}, func(m *listenerv3.FilterChainMatch) []string {
		if m.GetSourceType() == listenerv3.FilterChainMatch_ANY {
			return nil
		}
		return []string{m.GetSourceType().String()}
	})
	cs = cs.longest(c.source, (*listenerv3.FilterChainMatch).GetSourcePrefixRanges)
	cs = cs.where(func(m *listenerv3.FilterChainMatch) bool { return len(m.GetSourcePorts()) == 0 }) // the port of a client is any
	if len(cs) == 0 {
		return l.GetDefaultFilterChain()
	}
	return cs[0]
}

func sourceType(local bool) string {
	if local {
		return listenerv3.FilterChainMatch_SAME_IP_OR_LOOPBACK.String()
	}
	return listenerv3.FilterChainMatch_EXTERNAL.String()
}

// serverNames are the names under which a chain may know a server name, the most specific first.
func serverNames(sni string) []string {
	if sni == "" {
		return nil
	}
	out := []string{sni}
	for rest := sni; ; {
		i := strings.IndexByte(rest, '.')
		if i < 0 {
			return out
		}
		out = append(out, "*"+rest[i:])
		rest = rest[i+1:]
	}
}

func lowered(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strings.ToLower(s)
	}
	return out
}

func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}
