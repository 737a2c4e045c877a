package trace

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
)

// maxProxies ends walks that go in circles: a gateway that routes to itself.
const maxProxies = 12

// walk is one walk.
type walk struct {
	w   *Tracer
	req Request

	across Crossing
}

// state is where a walk is. Copies are independent.
type state struct {
	v       *view
	proxy   string // namespace/name of the workload whose proxy acts, for people
	id      string // its identity
	address netip.Addr
	conn    conn
	call    match.Call
	service *bundle.Origin // the service that the client calls, where known
	called  string         // its cluster
	arrived bool           // the request came in from the network: the inbound side
	parsed  bool           // a connection manager of this proxy has read the request
	fronted bool           // a proxy before this one has read the request: it answers for those behind it
	hops    int
	steps   []Step
}

func (s *state) add(st Step) {
	if st.Proxy == "" {
		st.Proxy = s.proxy
	}
	s.steps = append(slices.Clip(s.steps), st)
}

// end ends a branch. A connection that is closed without an answer is a 503 of the proxy that had sent a request over it.
func (s state) end(verdict string, status int, text string, origins ...bundle.Origin) *Path {
	if status == 0 && s.fronted && (verdict == Failed || verdict == Denied) {
		status = 503
	}
	return &Path{Steps: s.steps, Outcome: &Outcome{Verdict: verdict, Status: status, At: s.proxy, Text: text, Origins: origins}}
}

// misread ends a connection that a connection manager cannot read.
func (s state) misread(what string) *Path {
	p := s.end(Failed, 0, "the connection manager expects HTTP and gets "+what+": it closes the connection")
	p.Outcome.Misread = true
	return p
}

// fork starts a branch.
func (s state) fork() state {
	s.steps = nil
	s.call.Headers = maps.Clone(s.call.Headers)
	s.conn.layers = slices.Clone(s.conn.layers)
	return s
}

func (s state) choose(on string, branches ...Branch) *Path {
	return &Path{Steps: s.steps, Choice: &Choice{On: on, Branches: branches}}
}

// undecided splits a walk where a condition cannot be judged.
func (s state) undecided(what string, err error, yes, no string, onYes, onNo *Path) *Path {
	return s.choose(what+" depends on what is not known here: "+strings.TrimPrefix(err.Error(), "cannot be judged: "), Branch{When: yes, Path: onYes}, Branch{When: no, Path: onNo})
}

// Walk follows a request. The error is about the request, or a bundle that cannot be read; what happens to the request
// is in the result.
func (w *Tracer) Walk(r Request) (*Result, error) {
	t, err := parseTarget(r.URL)
	if err != nil {
		return nil, err
	}
	if r.Method == "" {
		r.Method = "GET"
		if t.scheme == "grpc" {
			r.Method = "POST"
		}
	}
	k := &walk{w: w, req: r}
	s := k.start(t)
	var p *Path
	switch name, gateway := strings.CutPrefix(r.From, "gateway "); {
	case r.From == "outside":
		p, err = k.fromOutside(s, t)
	case gateway:
		p, err = k.fromGateway(s, t, strings.TrimSpace(name))
	default:
		p, err = k.fromWorkload(s, t)
	}
	if err != nil {
		return nil, err
	}
	text := r.Method + " " + r.URL
	if t.wire == wireTCP {
		text = r.URL
	}
	return &Result{Request: text, From: r.From, Verdict: p.verdict(), Path: p}, nil
}

// start is the request before it leaves its client.
func (k *walk) start(t target) state {
	s := state{conn: conn{wire: t.wire, source: k.req.Source, dest: netip.AddrPortFrom(k.req.Address, t.port)}}
	if ip, err := netip.ParseAddr(t.host); err == nil {
		s.conn.dest = netip.AddrPortFrom(ip, t.port)
	}
	s.call = match.Call{HTTP: t.wire != wireTCP, Method: k.req.Method, Authority: t.authority(), Path: t.path, Headers: map[string][]string{}}
	for n, v := range k.req.Headers {
		if n = strings.ToLower(n); n == "host" || n == ":authority" {
			s.call.Authority = strings.Join(v, ",")
		} else {
			s.call.Headers[n] = slices.Clone(v)
		}
	}
	if t.scheme == "grpc" && s.call.Headers["content-type"] == nil {
		s.call.Headers["content-type"] = []string{"application/grpc"}
	}
	if t.tls {
		l := layer{sni: t.host, by: "the client"}
		if _, err := netip.ParseAddr(t.host); err == nil {
			l.sni = ""
		}
		if s.call.HTTP {
			l.alpn = []string{"h2", "http/1.1"}
		}
		if len(k.req.ALPN) > 0 {
			l.alpn = k.req.ALPN
		}
		if k.req.Identity != "" {
			l.cert, l.ids = true, []string{k.req.Identity}
		}
		s.conn.layers = []layer{l}
	}
	return s
}

// fromWorkload starts at a workload, or any of a class, behind its own proxy.
func (k *walk) fromWorkload(s state, t target) (*Path, error) {
	class := k.req.From
	x, err := k.w.workload(k.req.From)
	if err != nil {
		return nil, err
	}
	switch {
	case x != nil:
		class = x.Class
		s.proxy, s.id = x.Namespace+"/"+x.Name, k.w.identity(x.Namespace, x.ServiceAccount)
		if len(x.Addresses) > 0 {
			s.address = firstAddress(x.Addresses)
		}
	case k.w.b.Class(class) == nil:
		return nil, fmt.Errorf("nothing is called %s: it is no workload NAMESPACE/NAME and no class of the bundle%s", k.req.From, k.suggest(k.req.From))
	}
	if s.v, err = k.w.view(class); err != nil {
		return nil, err
	}
	if s.proxy == "" {
		s.proxy = s.v.name()
	}
	if s.id == "" {
		s.id = k.w.identityOf(class)
	}
	if !s.address.IsValid() {
		s.address = k.onlyAddress(class)
	}
	if k.req.Source.IsValid() {
		s.address = k.req.Source
	}
	if s.v.class.Gateway {
		return k.fromGateway(s, t, class)
	}
	if x != nil && !x.Proxy {
		s.add(Step{Kind: "host", Name: s.proxy, Text: "has no proxy: its pods are not injected"})
		k.req.Source = s.address
		return k.fromOutside(s, t)
	}
	if p := k.locate(&s, t); p != nil {
		return p, nil
	}
	return k.outbound(s)
}

// onlyAddress is the address of the workloads of a class where they have one.
func (k *walk) onlyAddress(class string) netip.Addr {
	var out netip.Addr
	for _, x := range k.w.workloadsOf(class) {
		if len(x.Addresses) == 0 {
			continue
		}
		if a := firstAddress(x.Addresses); out.IsValid() && a != out {
			return netip.Addr{}
		} else {
			out = a
		}
	}
	return out
}

func firstAddress(list []string) netip.Addr {
	for _, a := range list {
		if ip, err := netip.ParseAddr(a); err == nil {
			return ip
		}
	}
	return netip.Addr{}
}

// suggest lists names that look like a mistyped one.
func (k *walk) suggest(name string) string {
	_, short, ok := strings.Cut(name, "/")
	if !ok {
		short = name
	}
	var near []string
	for i := range k.w.b.Workloads {
		x := &k.w.b.Workloads[i]
		if n := x.Namespace + "/" + x.Name; short != "" && strings.Contains(x.Name, short) && !slices.Contains(near, n) && len(near) < 3 {
			near = append(near, n)
		}
	}
	if len(near) == 0 {
		return "; meshc bundle inspect lists them"
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// outbound is what the proxy of a client does with a connection that its application opens: the connection enters
// virtualOutbound, which hands it to the listener of its destination, or treats it itself.
func (k *walk) outbound(s state) (*Path, error) {
	s.conn.source = s.address
	entry := s.v.named(names.VirtualOutbound)
	l := s.v.listenerFor(s.conn.dest, entry == nil)
	if l == nil && entry == nil {
		return k.forwardOriginal(s, "this proxy takes no outbound connections over, so this one goes its own way")
	}
	if l == nil || entry != nil && !entry.msg.GetUseOriginalDst().GetValue() {
		l = entry
	}
	return k.listener(s, l, "of "+addressText(s.conn.dest))
}

// inbound is what the proxy of a server does with a connection from outside.
func (k *walk) inbound(s state) (*Path, error) {
	if s.hops++; s.hops > maxProxies {
		return s.end(Failed, 0, "the request goes in circles: it has passed 12 proxies"), nil
	}
	if s.v.class.Gateway {
		l := s.v.listenerFor(s.conn.dest, true)
		if l == nil {
			return s.end(Failed, 0, fmt.Sprintf("the gateway does not listen on port %d", s.conn.dest.Port())), nil
		}
		return k.listener(s, l, "of port "+fmt.Sprint(s.conn.dest.Port()))
	}
	l := s.v.named(names.VirtualInbound)
	if bound := s.v.listenerFor(s.conn.dest, true); l == nil && bound != nil && bound.msg.GetTrafficDirection().String() == "INBOUND" {
		l = bound
	}
	if l == nil {
		s.add(Step{Kind: "host", Name: s.proxy, Text: "this proxy takes no inbound connections over, so the application gets them as they come"})
		return k.application(s), nil
	}
	return k.listener(s, l, "of inbound connections")
}

// listener chooses the filter chain and ends TLS.
func (k *walk) listener(s state, l *located[*listenerv3.Listener], why string) (*Path, error) {
	sees := inspect(l.msg, &s.conn)
	fc := pickChain(l.msg, &s.conn, sees)
	s.add(Step{Kind: "listener", Name: l.msg.GetName(), Text: why, Origins: trim(about(originsAt(l.res, names.Part{}), s.service))})
	what := fmt.Sprintf("port %d, %s", s.conn.dest.Port(), sees.transport)
	if sees.sni != "" {
		what += ", server name " + sees.sni
	}
	if len(sees.alpn) > 0 {
		what += ", protocols " + strings.Join(sees.alpn, " ")
	}
	if fc == nil {
		p := s.end(Failed, 0, "no filter chain takes the connection ("+what+"): it is closed"+onlyMutual(l, &s.conn), closers(l.res)...)
		p.Outcome.Unprotected = true
		return p, nil
	}
	name := fc.GetName()
	if name == "" {
		name = "the only chain"
	}
	st := Step{Kind: "chain", Name: name, Text: what, Origins: trim(about(originsAt(l.res, names.ChainPart(fc.GetName())), s.service))}
	text, peer, err := k.w.terminate(&s.conn, fc.GetTransportSocket(), s.id)
	if err != nil {
		s.add(st)
		p := s.end(Failed, 0, "the TLS handshake fails: "+strings.TrimPrefix(err.Error(), "cannot be judged: "), st.Origins...)
		p.Outcome.Unprotected = true
		return p, nil
	}
	if peer != nil {
		s.call.SNI = peer.sni
		s.call.Principals = nil
		if peer.cert {
			s.call.Principals = peer.ids
		}
		st.Notes = append(st.Notes, text)
	} else if s.arrived {
		s.call.SNI, s.call.Principals = sees.sni, nil
	}
	if len(s.call.Principals) > 0 {
		st.Notes = append(st.Notes, "client identity "+strings.Join(s.call.Principals, ", "))
	}
	s.add(st)
	s.call.Source, s.call.Remote, s.call.Destination = s.conn.source, s.conn.source, s.conn.dest
	return k.network(s, l.res, fc, 0)
}

// onlyMutual says so where a port takes nothing but TLS and the client sends plain text.
func onlyMutual(l *located[*listenerv3.Listener], c *conn) string {
	port := uint32(c.dest.Port())
	cs := chains(l.msg.GetFilterChains()).where(func(m *listenerv3.FilterChainMatch) bool { return m.GetDestinationPort().GetValue() == port })
	if c.outer() != nil || len(cs) == 0 || slices.ContainsFunc(cs, func(fc *listenerv3.FilterChain) bool { return fc.GetTransportSocket() == nil }) {
		return ""
	}
	return "; the server takes mutual TLS only, the client speaks plain text"
}

// closers are the places that can shut a port.
func closers(r *bundle.Resource) []bundle.Origin {
	var out []bundle.Origin
	for _, o := range r.Origins {
		if o.Kind == "PeerAuthentication" && !slices.ContainsFunc(out, func(x bundle.Origin) bool { return sameObject(x, o) }) {
			out = append(out, o)
		}
	}
	return trim(out)
}

// trim keeps the places that people can read.
func trim(origins []bundle.Origin) []bundle.Origin {
	const most = 4
	if len(origins) > most {
		return origins[:most]
	}
	return origins
}

func addressText(a netip.AddrPort) string {
	if !a.Addr().IsValid() {
		return fmt.Sprintf("port %d", a.Port())
	}
	return a.String()
}
