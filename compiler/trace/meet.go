package trace

import "cmp"

// WalkFrom follows a request that comes to the proxies of a class over a connection, whatever way it took there, and from there on;
// outbound: their own workload opens it, as r.From under the given identity. Of r the method, URL, headers, tokens and the
// identity in the certificate count.
func (p *Proxy) WalkFrom(c Connection, outbound bool, identity string, r Request) (*Result, error) {
	t, err := parseTarget(r.URL)
	if err != nil {
		return nil, err
	}
	r.Method, r.Source = cmp.Or(r.Method, "GET"), c.Source
	k := &walk{w: p.v.w, req: r, across: c.Across}
	s := k.start(t)
	s.call.HTTP, s.conn = c.HTTP, connOf(c)
	if r.Identity != "" && c.TLS {
		s.conn.layers[0].cert, s.conn.layers[0].ids = true, []string{r.Identity}
	}
	s.v, s.proxy, s.id, s.arrived, s.address = p.v, cmp.Or(r.From, p.v.name()), identity, !outbound, c.Source
	path, err := map[bool]func(state) (*Path, error){true: k.outbound, false: k.inbound}[outbound](s)
	if err != nil {
		return nil, err
	}
	return &Result{Request: r.Method + " " + r.URL, From: r.From, Verdict: path.verdict(), Path: path}, nil
}
