package change

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// Places where a proxy meets requests.
const (
	atClient  = "client"
	atServer  = "server"
	atGateway = "gateway"
)

// connection is one kind of connection at one proxy, on one side.
type connection struct {
	*side
	proxy     *trace.Proxy // nil: the workload has none
	place     string
	conn      trace.Connection
	host      string // that is asked for, where it is fixed
	principal string // in the certificate of the client, where it is fixed
	anonymous bool   // the client has no certificate
	token     *condition.Token
	source    netip.Addr // the address of the client, where there is one for all requests

	at *taken // what takes it, once that is settled
}

// taken is what takes a connection.
type taken struct {
	listener *trace.Found[*listenerv3.Listener]
	chain    *listenerv3.FilterChain
}

// settle finds what takes the connection, for all who ask from then on.
func (m *connection) settle() {
	at := &taken{listener: m.listener()}
	if at.listener != nil {
		at.chain = trace.Chain(at.listener.Message, m.conn)
	}
	m.at = at
}

// listener returns what takes the connection; nil: nothing does.
func (m *connection) listener() *trace.Found[*listenerv3.Listener] {
	switch {
	case m.at != nil:
		return m.at.listener
	case m.proxy == nil:
		return nil
	case m.place == atClient:
		return m.proxy.Outbound(m.conn.To)
	case m.place == atServer:
		return m.proxy.Inbound(m.conn.To)
	}
	return m.proxy.Bound(m.conn.To)
}

// hop makes the list of rules that the requests of a connection meet. named tells whether a rule asks for the host.
func (m *connection) hop() (h *hop, is condition.Assumptions, err error) {
	l := m.listener()
	key, host, keep := m.keyOf(l)
	if keep {
		if h, is, ok := m.find(key, host); ok {
			return h, is, nil
		}
	}
	b := &builder{side: m.side, p: m.proxy, listener: l, conn: m.conn, inbound: m.place == atServer, gateway: m.place == atGateway}
	b.is = condition.Assumptions{HTTP: m.conn.HTTP, Port: m.conn.To.Port(), SNI: m.conn.SNI, Token: m.token, Anonymous: m.anonymous, Peer: m.principal, Host: m.host}
	b.is.Source = m.source
	if m.place == atServer {
		b.is.Server = m.conn.To.Addr()
	}
	if h, err = b.throughListener(); keep && err == nil {
		h.made = h
		kept := m.kept.of(m.place)
		kept[key] = append(kept[key], keptHop{h, b.is, host, b.deps, m.conn})
	}
	return h, b.is, err
}

// tokenFilters are those that look at the tokens of the requests of a connection.
func (m *connection) tokenFilters() []*jwtv3.JwtAuthentication {
	c := m.chain()
	if c == nil || !m.conn.HTTP {
		return nil
	}
	out, ok := m.kept.tokens[c]
	if !ok {
		for _, x := range m.kept.manager(c).GetHttpFilters() {
			if j, ok := unpack(x.GetTypedConfig(), &jwtv3.JwtAuthentication{}); ok {
				out = append(out, j)
			}
		}
		m.kept.tokens[c] = out
	}
	return out
}

// cell is a set of requests that the two sides treat differently.
type cell struct {
	kind, category string
	base, head     rule
	request        sets.Assignment
	where          string
	token          *condition.Token
	named          bool   // the client shows a certificate
	undecided      string // what of it cannot be decided
	weak           bool   // that need not be said where something else shows the change
	everywhere     bool   // what is undecided is so at every port
	of             *asking
}

// resource is the first that a cell is about.
func (x *cell) resource() string {
	return slices.Concat(x.base.resources, x.head.resources, []string{""})[0]
}

// asking is what a cell is an answer to: all requests of the cell follow from it.
type asking struct {
	sets.Query
	base, head int      // positions of the rules that decide the cell
	dims       []string // of optional parts
}

// cond holds for the requests of the cell.
func (a *asking) cond() sets.Cond {
	out := []sets.Cond{a.Base.Decides(a.base), a.Head.Decides(a.head)}
	if a.Within != (sets.Cond{}) {
		out = append(out, a.Within)
	}
	return sets.All(out...)
}

// comparison is that of two hops that were kept, for calls of a host.
type comparison struct {
	base, head *hop
	host       string
}

// verdict of a comparison of two connections.
type compared struct {
	cells []cell
	open  string // why the comparison is incomplete
}

// compare finds what two sides do differently with one kind of connection.
func (f *finder) compare(a, b connection) (*compared, error) {
	out := &compared{}
	filters := slices.Concat(a.tokenFilters(), b.tokenFilters())
	for _, t := range condition.Tokens(filters...) {
		a.token, b.token = t, t
		if err := f.compareWith(out, a, b); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (f *finder) compareWith(out *compared, a, b connection) error {
	base, was, err := a.hop()
	if err != nil {
		return err
	}
	head, is, err := b.hop()
	if err != nil {
		return err
	}
	f.base.seen.add(base)
	f.head.seen.add(head)
	q := sets.Query{Base: base.list(), Head: head.list(), Given: sets.Assignment{}}
	switch {
	case a.place == atServer:
	case was.AsksHost || is.AsksHost:
		q.Within = f.region(a, b)
	default:
		q.Given[condition.DimHost] = sets.Value{Text: a.host}
	}
	switch {
	case a.anonymous && b.anonymous:
		q.Given[sets.Principal] = sets.Value{Absent: true}
	case a.principal == "" && b.principal == "": // who shows a certificate has a name
		q.Within = sets.All(append(trusted(was, is), q.Within, sets.In(sets.Principal, sets.AnyString()))...)
	}
	x := compared{}
	key := comparison{base.made, head.made, a.host}
	asksHost := a.place == atClient && (was.AsksHost || is.AsksHost) // whose names are those of the class
	lasts := key.base != nil && key.head != nil && !asksHost         // it says the same of other classes
	if before := f.compared[a.place][key]; lasts && before != nil {
		x = *before
	} else {
		x = f.cells(q, a, base, head, slices.Concat(was.Optional, is.Optional))
	}
	if lasts {
		f.compared[a.place][key] = &x
	}
	out.cells = append(out.cells, x.cells...)
	out.open = cmp.Or(x.open, out.open)
	return nil
}

// cells are those of a question about two hops that are differences.
func (f *finder) cells(q sets.Query, a connection, base, head *hop, optional []string) (out compared) {
	cells, err := f.spaceFor(a.host, a.place == atGateway, optional).Differences(q)
	if err != nil {
		out.open = err.Error()
	}
	for _, c := range cells {
		x := cell{base: base.at(c.Base), head: head.at(c.Head), request: c.Witness, token: a.token, named: !a.anonymous, of: &asking{q, c.Base, c.Head, optional}}
		x.where, x.undecided = whereText(c)
		if x.judge() {
			out.cells = append(out.cells, x)
		}
	}
	return out
}

// judge says of which kind a cell is, and what of it cannot be decided; false: it is no difference.
func (x *cell) judge() bool {
	x.kind, x.category = compareOutcomes(x.base.outcome, x.head.outcome)
	odd := oddOnOneSide(x.base.outcome, x.head.outcome)
	if x.kind == "" && odd == "" {
		return false
	}
	if odd != "" {
		x.undecided = odd
	}
	was, is := settingsText(x.base.settings, x.head.settings)
	switch {
	case x.kind == Changed && onlyKeys(x.base.settings, x.head.settings):
		x.everywhere, x.undecided = true, fmt.Sprintf("whether the keys of tokens are others where they are fetched from now: was %s, is %s", was, is)
	case x.kind == Tuned && onlyLatent(x.base.settings, x.head.settings):
		x.undecided, x.weak = fmt.Sprintf("what no request of today shows: was %s, is %s", was, is), true
	case x.kind != "" && x.base.untouched && x.head.untouched && x.undecided == "":
		x.undecided, x.weak = fmt.Sprintf("what the proxy does with connections that it lets through as they come: was %s, is %s", was, is), true
	}
	return true
}

// trusted holds for the names that the mesh gives. Where both sides take the same ones, or one takes no certificate at all, no client has
// another: the authority of the mesh signs none.
func trusted(a, b condition.Assumptions) []sets.Cond {
	x, y := sets.All(a.Trusted...), sets.All(b.Trusted...)
	if len(a.Trusted) > 0 && len(b.Trusted) > 0 && !x.Equal(y) {
		return nil
	}
	return []sets.Cond{x, y}
}

// oddOnOneSide names a part that cannot be judged and that only one of two outcomes has.
func oddOnOneSide(a, b *outcome) string {
	if a.passes == refused || b.passes == refused {
		return "" // refused before the filter
	}
	for _, u := range slices.Concat(a.undecided, b.undecided) {
		if slices.Contains(a.undecided, u) != slices.Contains(b.undecided, u) {
			return u
		}
	}
	return ""
}

// whereText says which requests are in a cell, and which condition of it cannot be decided.
func whereText(c sets.Cell) (text, undecided string) {
	var parts []string
	for _, l := range c.Where {
		if what, ok := strings.CutPrefix(l.Dim, condition.DimUnknown); ok {
			undecided = what
			continue
		}
		if l.Dim == sets.Principal && !l.Not && l.Set.String() == sets.AnyString().String() {
			continue // every client with a certificate has a name
		}
		parts = append(parts, strings.ReplaceAll(l.String(), condition.ClaimPath, "."))
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), ", "), undecided
}

// region holds for the names that the virtual hosts of both sides take which take the host of the connection.
func (f *finder) region(a, b connection) sets.Cond {
	return sets.All(a.hostCond(), b.hostCond())
}

// hostCond holds for the names that one virtual host takes: its domains, without those that others know better.
func (m *connection) hostCond() sets.Cond {
	hosts, ok := m.hosts()
	if !ok {
		return sets.Always()
	}
	mine := hosts.Pick(m.host)
	if mine == nil {
		return sets.In(condition.DimHost, sets.Exact(m.host, true))
	}
	in, out := sets.None(), sets.None()
	for _, h := range hosts.All() {
		for _, d := range h.Message.GetDomains() {
			set := domainSet(d)
			if h.Message.GetName() == mine.Message.GetName() {
				in = in.Or(set)
			} else if d != "*" && len(d) > 0 {
				out = out.Or(set)
			}
		}
	}
	if slices.Contains(mine.Message.GetDomains(), "*") || hasWildcard(mine.Message.GetDomains()) {
		return sets.In(condition.DimHost, in.Minus(out))
	}
	return sets.In(condition.DimHost, in)
}

func hasWildcard(domains []string) bool {
	return slices.ContainsFunc(domains, func(d string) bool { return strings.Contains(d, "*") })
}

// domainSet has the names that a domain of a virtual host takes.
func domainSet(d string) sets.Strings {
	switch {
	case d == "*":
		return sets.AnyString()
	case strings.HasPrefix(d, "*"):
		return sets.Suffix(d[1:], true).Minus(sets.Exact(d[1:], true))
	case strings.HasSuffix(d, "*"):
		return sets.Prefix(d[:len(d)-1], true).Minus(sets.Exact(d[:len(d)-1], true))
	}
	return sets.Exact(d, true)
}

// hosts are the virtual hosts that a request of the connection can come to.
func (m *connection) hosts() (trace.Hosts, bool) {
	if !m.isHTTP() {
		return trace.Hosts{}, false
	}
	h, err := chainHosts(m.proxy, m.chain())
	return h, err == nil && len(h.All()) > 0
}

// chain is the filter chain that takes the connection; nil: none does.
func (m *connection) chain() *listenerv3.FilterChain {
	if m.at != nil {
		return m.at.chain
	}
	l := m.listener()
	if l == nil {
		return nil
	}
	return trace.Chain(l.Message, m.conn)
}

// isHTTP tells whether a connection manager takes the connection.
func (m *connection) isHTTP() bool {
	return slices.ContainsFunc(m.chain().GetFilters(), func(f *listenerv3.Filter) bool {
		return f.GetTypedConfig().MessageIs((*hcmv3.HttpConnectionManager)(nil))
	})
}

// principals is the dimension of the identities of clients. There are as many of them as a mesh has workloads, so what rules can tell apart of
// them is found out once.
func (f *finder) principals(of sets.Set) sets.Dimension {
	key := sets.Key(of)
	d, ok := f.principal[key]
	if !ok {
		d = sets.Dimension{Name: sets.Principal, Universe: of, Optional: true, Prefer: f.identities}.Shared()
		f.principal[key] = d
	}
	return d
}

// spaceFor makes the dimensions of requests whose host is known; optional are those that a request may lack.
// Clients of a gateway may have certificates of others, with whatever names.
func (f *finder) spaceFor(host string, gateway bool, optional []string) *sets.Space {
	slices.Sort(optional)
	optional = slices.Compact(optional)
	key := fmt.Sprint(host, gateway, "\n", strings.Join(optional, "\n"))
	if s := f.spaces[key]; s != nil {
		return s
	}
	identities := f.identitySet
	if gateway {
		identities = sets.Printable()
	}
	dims := []sets.Dimension{sets.Path("/"), sets.Method("GET"), sets.Authority(host), f.principals(identities), {Name: sets.Source, Prefer: []string{"10.44.0.99"}}}
	for _, dim := range optional {
		switch kind, name, _ := strings.Cut(dim, ":"); kind {
		case "header":
			dims = append(dims, sets.Header(name))
		case "query":
			dims = append(dims, sets.QueryParameter(name))
		default:
			dims = append(dims, sets.Dimension{Name: dim, Optional: true, Prefer: []string{"1"}})
		}
	}
	s := sets.NewSpace(dims...)
	f.spaces[key] = s
	return s
}
