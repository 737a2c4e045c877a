package assert

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// What becomes of a statement.
const (
	Proven    = "proven"
	Refuted   = "refuted"
	Undecided = "undecided"
)

// Result is what becomes of a statement.
type Result struct {
	Verdict string
	Why     string        // of what is not proven
	Call    string        // of a counterexample, as meshc route and *.calls files take it
	Walk    *trace.Result // the same
	Tried   int           // requests that were followed
}

// DefaultBudget is how many requests a statement may need.
const DefaultBudget = 50_000

type prover struct {
	b       *bundle.Bundle
	w       *trace.Tracer
	space   *sets.Space
	views   map[string]*view
	classOf map[string]string
	sending map[string]string // see sends
	domain  string            // of trust
	all     []caller
	selects []*endpoint.Selector

	listeners map[bundle.Digest]*listenerv3.Listener
	hostsOf   map[bundle.Digest][]virtualHost
	broken    error
	left      int
	doubt     string // what could not be judged
	found     *Result
}

// Prove decides a statement about a bundle. The error is about the statement: what it says, or whom it names.
func Prove(b *bundle.Bundle, w *trace.Tracer, text string, budget int) (*Result, error) {
	c, err := parse(text)
	if err != nil {
		return nil, err
	}
	if budget <= 0 {
		budget = DefaultBudget
	}
	p := &prover{b: b, w: w, space: sets.NewSpace(sets.Path("/"), sets.Method(c.methods...)), views: map[string]*view{}, classOf: map[string]string{}, sending: map[string]string{}, domain: cmp.Or(b.TrustDomain, "cluster.local"), left: budget,
		listeners: map[bundle.Digest]*listenerv3.Listener{}, hostsOf: map[bundle.Digest][]virtualHost{}}
	for _, x := range b.Workloads {
		p.classOf[x.Namespace+"/"+x.Name] = x.Class
	}
	for _, r := range b.Resources {
		if sel := r.Selector; r.Type == bundle.ClusterType && sel != nil && len(sel.Labels) == 0 && len(sel.Workloads) > 0 {
			p.selects = append(p.selects, sel)
		}
	}
	p.all = p.everybody()
	if err := p.checkCallers(c.callers); err != nil {
		return nil, err
	}
	switch c.kind {
	case access:
		err = p.access(c)
	case encrypted:
		err = p.encrypted(c)
	case retried:
		err = p.retried(c)
	default:
		p.egress(c)
	}
	switch {
	case err != nil:
		return nil, err
	case p.broken != nil:
		return nil, p.broken
	case p.found != nil:
		p.found.Tried = budget - max(p.left, 0)
		return p.found, nil
	case p.left < 0:
		return &Result{Verdict: Undecided, Why: fmt.Sprintf("it needs more than %d requests", budget), Tried: budget}, nil
	case p.doubt != "":
		return &Result{Verdict: Undecided, Why: p.doubt, Tried: budget - p.left}, nil
	}
	return &Result{Verdict: Proven, Tried: budget - p.left}, nil
}

// over tells whether the search has ended.
func (p *prover) over() bool { return p.found != nil || p.left < 0 }

// access looks for a caller that gets through and must not.
func (p *prover) access(c claim) error {
	servers, err := p.servers(c.servers)
	if err != nil {
		return err
	}
	for _, s := range servers {
		inbound := p.view(s.class).inbound
		forbidden := p.callers(func(x caller) bool {
			switch {
			case x.name == s.name: // what an application asks of itself
				return false
			case c.nobody:
				return len(c.callers) == 0 || x.fits(c.callers)
			}
			return !x.fits(c.callers)
		}, func(x caller) string { return x.seenAs(inbound) })
		for _, x := range forbidden {
			for _, w := range p.ways(x, s) {
				conds := newConditions()
				conds.merge(inbound)
				p.addRoutes(conds, x, w)
				p.each(c, x, w, conds, func(r *trace.Result, call string) {
					p.reach(r, call, s, x)
				})
				if p.over() {
					return nil
				}
			}
		}
	}
	return nil
}

// reach takes a walk that arrives at a server for a counterexample.
func (p *prover) reach(r *trace.Result, call string, s server, x caller) {
	for _, l := range ends(r.Path, nil, nil) {
		if l.outcome.Verdict != trace.Reached || p.at(l.outcome) != s.class {
			continue
		}
		if what := unjudged(l); what != "" {
			p.doubt = fmt.Sprintf("%s may reach %s: %s", x.from, s.name, what)
			continue
		}
		p.found = &Result{Verdict: Refuted, Why: fmt.Sprintf("%s reaches %s", x.from, s.name), Call: call, Walk: r}
	}
}

// at is the class of the workload that an outcome names.
func (p *prover) at(o *trace.Outcome) string {
	name, _, _ := strings.Cut(o.At, " and ")
	return p.classOf[name]
}

// end is one end of a walk, with all steps and choices on the way to it.
type end struct {
	outcome *trace.Outcome
	steps   []trace.Step
	unknown []string // choices whose chances are not known
}

func ends(p *trace.Path, steps []trace.Step, unknown []string) (out []end) {
	steps = slices.Concat(steps, p.Steps)
	if p.Choice == nil {
		return []end{{p.Outcome, steps, unknown}}
	}
	for _, b := range p.Choice.Branches {
		u := unknown
		if b.Chance == 0 && !strings.Contains(p.Choice.On, "load balancing") && len(p.Choice.Branches) > 1 {
			u = append(slices.Clip(unknown), p.Choice.On)
		}
		out = append(out, ends(b.Path, steps, u)...)
	}
	return out
}

// unjudged is what on the way to an end the walk cannot judge.
func unjudged(e end) string {
	for _, s := range e.steps {
		for _, f := range s.Effects {
			if f.Kind == trace.EffectUnjudged {
				return s.Proxy + " has " + f.Name + ", which is not judged"
			}
		}
	}
	if len(e.unknown) > 0 {
		return e.unknown[0]
	}
	return ""
}

// encrypted looks for a connection to a server that is no mutual TLS.
func (p *prover) encrypted(c claim) error {
	servers, err := p.servers(c.servers)
	if err != nil {
		return err
	}
	for _, s := range servers {
		callers := p.callers(func(x caller) bool {
			if x.name == s.name || c.between && x.space == s.space {
				return false
			}
			return len(c.callers) == 0 && !x.outside || x.fits(c.callers)
		}, func(caller) string { return "" })
		for _, x := range callers {
			for _, w := range p.ways(x, s) {
				conds := newConditions()
				p.addRoutes(conds, x, w)
				p.each(c, x, w, conds, func(r *trace.Result, call string) { p.plain(r, call, s, x) })
				if p.over() {
					return nil
				}
			}
		}
	}
	return nil
}

// plain takes a walk whose last connection to a server is no mutual TLS for a counterexample.
func (p *prover) plain(r *trace.Result, call string, s server, x caller) {
	for _, l := range ends(r.Path, nil, nil) {
		if l.outcome.Verdict == trace.Failed || p.at(l.outcome) != s.class {
			continue
		}
		mode := "plain"
		for _, st := range l.steps {
			for _, f := range st.Effects {
				if f.Kind == trace.EffectTLS {
					mode = f.Value
				}
			}
		}
		if mode == "mesh" || mode == "mutual" {
			continue
		}
		if what := unjudged(l); what != "" {
			p.doubt = fmt.Sprintf("%s to %s: %s", x.from, s.name, what)
			continue
		}
		text := map[string]string{"plain": "in plain text", "simple": "in TLS without a client certificate"}[mode]
		p.found = &Result{Verdict: Refuted, Why: fmt.Sprintf("%s reaches %s %s", x.from, s.name, text), Call: call, Walk: r}
	}
}

// retried looks for a route that retries a method.
func (p *prover) retried(c claim) error {
	servers, err := p.servers(c.servers)
	if err != nil {
		return err
	}
	for _, s := range servers {
		callers := p.callers(func(x caller) bool {
			return x.name != s.name && !x.outside && (x.proxy || x.gateway) && (len(c.callers) == 0 || x.fits(c.callers))
		}, func(caller) string { return "" })
		for _, x := range callers {
			for _, w := range p.ways(x, s) {
				if !w.http {
					continue
				}
				conds := newConditions()
				p.addRoutes(conds, x, w)
				p.each(c, x, w, conds, func(r *trace.Result, call string) { p.retries(r, call, x) })
				if p.over() {
					return nil
				}
			}
		}
	}
	return nil
}

// retries takes a walk on which some proxy retries for a counterexample. The proxy of the server does not count: it asks its own
// application again only for what that has never got.
func (p *prover) retries(r *trace.Result, call string, x caller) {
	for _, l := range ends(r.Path, nil, nil) {
		for _, st := range l.steps {
			if st.Proxy != x.name && p.classOf[st.Proxy] == p.at(l.outcome) {
				continue
			}
			for _, f := range st.Effects {
				if f.Kind == trace.EffectRetries {
					p.found = &Result{Verdict: Refuted, Why: fmt.Sprintf("%s retries it %s times on %s", st.Proxy, f.Value, f.Name), Call: call, Walk: r}
					return
				}
			}
		}
	}
}

// egress looks for a call that leaves the mesh to another host.
func (p *prover) egress(c claim) {
	callers := p.callers(func(x caller) bool { return !x.outside && (len(c.callers) == 0 || x.fits(c.callers)) }, func(caller) string { return "" })
	for _, x := range callers {
		for _, w := range p.waysOut(x) {
			conds := newConditions()
			p.addRoutes(conds, x, w)
			p.each(c, x, w, conds, func(r *trace.Result, call string) {
				for _, l := range ends(r.Path, nil, nil) {
					host, leaves := strings.CutPrefix(l.outcome.At, "outside: ")
					if l.outcome.Verdict != trace.Reached || !leaves || slices.ContainsFunc(c.hosts, func(h string) bool { return trace.Glob(h, host) }) {
						continue
					}
					if what := unjudged(l); what != "" {
						p.doubt = fmt.Sprintf("%s may reach %s: %s", x.from, host, what)
						continue
					}
					p.found = &Result{Verdict: Refuted, Why: fmt.Sprintf("%s reaches %s", x.from, host), Call: call, Walk: r}
				}
			})
			if p.over() {
				return
			}
		}
	}
}

// waysOut are all hosts that a caller has routes for, all ports of services, and some that nobody knows.
func (p *prover) waysOut(x caller) (out []way) {
	add := func(scheme, host string, port uint16) {
		if rest, wild := strings.CutPrefix(host, "*"); wild {
			host = "any" + rest
			if rest == "" {
				host = "any.example"
			}
		}
		w := way{scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port))), scheme == "http"}
		if !slices.Contains(out, w) {
			out = append(out, w)
		}
	}
	if x.gateway {
		for _, h := range p.gatewayHosts(x.class) {
			add("http", h.host, h.port)
			add("https", h.host, h.port)
		}
		return out
	}
	routed := map[target]bool{}
	for _, h := range p.view(x.class).hosts {
		if h.port != 0 {
			add("http", h.host, h.port)
			routed[target{host: h.host, port: h.port}] = true
		}
	}
	for _, s := range p.b.Services {
		for _, port := range s.Ports {
			if t := (target{host: s.Hostname, port: uint16(port.Number)}); !routed[t] {
				add("tls", t.host, t.port)
				add("tcp", t.host, t.port)
			}
		}
	}
	add("http", "unlisted.example", 80)
	add("tls", "unlisted.example", 443)
	add("tcp", "198.51.100.77", 9999)
	return out
}

// addRoutes adds the conditions of the routes that a caller's proxy has for a host.
func (p *prover) addRoutes(c *conditions, x caller, w way) {
	if x.outside || x.class == "" {
		return
	}
	v := p.view(x.class)
	_, rest, _ := strings.Cut(w.url, "://")
	host, text, _ := net.SplitHostPort(rest)
	port, _ := strconv.Atoi(text)
	if x.gateway {
		c.merge(v.inbound)
	}
	for _, h := range v.hosts {
		if (h.port == 0 || int(h.port) == port) && (h.host == host || strings.HasPrefix(h.host, "*") && strings.HasSuffix(host, h.host[1:]) || strings.HasPrefix(host, h.host+".")) {
			c.merge(h.conds)
		}
	}
}

// each follows one request for each class of those that a statement is about.
func (p *prover) each(c claim, x caller, w way, conds *conditions, visit func(*trace.Result, string)) {
	if conds.undecided != "" {
		p.doubt = conds.undecided
	}
	base := trace.Request{From: x.from, URL: w.url, Headers: map[string][]string{}}
	if host, _, err := net.SplitHostPort(strings.TrimPrefix(w.url, "tcp://")); err == nil {
		if a, err := netip.ParseAddr(host); err == nil {
			base.Address = a
		}
	}
	e := &enumeration{p: p, c: c, x: x, w: w, conds: conds, visit: visit}
	if w.http {
		e.dims = e.dimensions()
	} else if by := conds.by[sets.Source]; len(by) > 0 && (x.outside || x.gateway) {
		e.dims = []string{sets.Source}
	}
	e.fill(base, "/", 0)
}

// enumeration goes through the combinations of classes.
type enumeration struct {
	p     *prover
	c     claim
	x     caller
	w     way
	conds *conditions
	dims  []string
	visit func(*trace.Result, string)
}

// dimensions are those that conditions ask for, and those that the statement names.
func (e *enumeration) dimensions() (out []string) {
	for dim := range e.conds.by {
		switch {
		case strings.HasPrefix(dim, "claim:"), dim == sets.Source && !e.x.outside && !e.x.gateway, dim == "path", dim == "method":
		default:
			out = append(out, dim)
		}
	}
	slices.Sort(out)
	if len(e.conds.issuers) > 0 {
		out = append(out, "token")
	}
	return append([]string{"path", "method"}, out...)
}

func (e *enumeration) fill(r trace.Request, path string, at int) {
	p := e.p
	if p.over() {
		return
	}
	if at == len(e.dims) {
		if p.left--; p.left < 0 {
			return
		}
		if e.w.http {
			r.URL = e.w.url + path
		}
		if res, err := p.w.Walk(r); err == nil { // what a caller cannot even ask for reaches nobody
			e.visit(res, r.Call())
		}
		return
	}
	dim := e.dims[at]
	if dim == "token" {
		e.tokens(r, path, at)
		return
	}
	values, err := e.values(dim)
	if err != nil {
		p.doubt = "the conditions on " + dim + ": " + err.Error()
		return
	}
	for _, v := range values {
		next := r
		next.Headers = cloned(r.Headers)
		nextPath := path
		switch name, arg, _ := strings.Cut(dim, ":"); name {
		case "path":
			nextPath = v.Text
		case "method":
			next.Method = v.Text
		case "authority":
			next.Headers["host"] = []string{v.Text}
		case sets.Source:
			next.Source, _ = netip.ParseAddr(v.Text)
		case "header":
			if !v.Absent {
				next.Headers[arg] = []string{v.Text}
			}
		case "query":
			if !v.Absent {
				sign := "?"
				if strings.Contains(path, "?") {
					sign = "&"
				}
				nextPath = path + sign + arg + "=" + v.Text
			}
		}
		e.fill(next, nextPath, at+1)
	}
}

func cloned(h map[string][]string) map[string][]string {
	out := make(map[string][]string, len(h)+1)
	for k, v := range h {
		out[k] = v
	}
	return out
}

// values are one of each class of a dimension, of those that the statement is about.
func (e *enumeration) values(dim string) ([]sets.Value, error) {
	by := slices.Clone(e.conds.by[dim])
	var within sets.Strings
	limited := false
	switch {
	case dim == "path" && e.c.path != "":
		within, limited = pathSet(e.c.path), true
	case dim == "method" && len(e.c.methods) > 0:
		var of []sets.Strings
		for _, m := range e.c.methods {
			of = append(of, sets.Exact(m, false))
		}
		within, limited = sets.Union(of...), true
	}
	if limited {
		by = append(by, within)
	}
	if len(by) == 0 {
		return map[string][]sets.Value{"path": {{Text: "/"}}, "method": {{Text: "GET"}}}[dim], nil
	}
	space := e.p.space
	switch name, arg, _ := strings.Cut(dim, ":"); name {
	case "header":
		space = sets.NewSpace(sets.Header(arg))
	case "query":
		space = sets.NewSpace(sets.QueryParameter(arg))
	case "authority":
		_, host, _ := strings.Cut(e.w.url, "://")
		bare, _, _ := net.SplitHostPort(host)
		space = sets.NewSpace(sets.Authority(host, bare))
	}
	values, err := space.Classes(dim, by, 0)
	if limited {
		values = slices.DeleteFunc(values, func(v sets.Value) bool { return v.Absent || !within.Has(v.Text) })
	}
	return values, err
}

// tokens goes on without a token, and with one of each issuer, of each class of claims.
func (e *enumeration) tokens(r trace.Request, path string, at int) {
	e.fill(r, path, at+1)
	var dims []string
	for dim := range e.conds.by {
		if strings.HasPrefix(dim, "claim:") && dim != "claim:iss" {
			dims = append(dims, dim)
		}
	}
	slices.Sort(dims)
	for _, issuer := range e.conds.issuers {
		e.claims(r, path, at, map[string]any{"iss": issuer}, dims)
	}
}

func (e *enumeration) claims(r trace.Request, path string, at int, claims map[string]any, dims []string) {
	if len(dims) == 0 {
		next := r
		next.Headers, next.Tokens = cloned(r.Headers), nil
		if text, t, err := trace.ClaimsToken(claims); err == nil {
			next.AddToken(text, t)
			e.fill(next, path, at+1)
		}
		return
	}
	name := strings.TrimPrefix(dims[0], "claim:")
	values, err := sets.NewSpace(sets.Dimension{Name: dims[0], Optional: true, Prefer: []string{"1"}}).Classes(dims[0], e.conds.by[dims[0]], 0)
	if err != nil {
		e.p.doubt = "the conditions on claim " + strings.ReplaceAll(name, "\x00", ".") + ": " + err.Error()
		return
	}
	for _, v := range values {
		next := claims
		if !v.Absent {
			next = withClaim(claims, strings.Split(name, "\x00"), v.Text)
		}
		e.claims(r, path, at, next, dims[1:])
	}
	if e.conds.lists[dims[0]] {
		e.lists(r, path, at, claims, dims, values)
	}
}

// manyListed is how many classes of values a claim may have for all lists of them to be tried.
const manyListed = 6

// lists goes on with each list of two and more values of a claim.
func (e *enumeration) lists(r trace.Request, path string, at int, claims map[string]any, dims []string, values []sets.Value) {
	values = slices.DeleteFunc(values, func(v sets.Value) bool { return v.Absent })
	name := strings.Split(strings.TrimPrefix(dims[0], "claim:"), "\x00")
	if len(values) > manyListed {
		e.p.doubt = "lists of the claim " + strings.Join(name, ".") + " are too many"
		return
	}
	for set := range 1 << len(values) {
		var list []any
		for i, v := range values {
			if set>>i&1 == 1 {
				list = append(list, v.Text)
			}
		}
		if len(list) > 1 {
			e.claims(r, path, at, withClaim(claims, name, list), dims[1:])
		}
	}
}

// withClaim adds a claim at a path to a copy.
func withClaim(claims map[string]any, path []string, value any) map[string]any {
	out := map[string]any{}
	for k, v := range claims {
		out[k] = v
	}
	if len(path) == 1 {
		out[path[0]] = value
		return out
	}
	inner, _ := out[path[0]].(map[string]any)
	out[path[0]] = withClaim(inner, path[1:], value)
	return out
}
