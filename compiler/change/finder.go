package change

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/places"
	"github.com/meshc/meshc/compiler/change/replaced"
	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/change/rest"
	"github.com/meshc/meshc/compiler/change/touched"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// finder compares two bundles.
type finder struct {
	base, head  *side
	spaces      map[string]*sets.Space
	identitySet sets.Set
	principal   map[string]sets.Dimension // see principals
	identities  []string
	found       []*Difference
	elsewhere   []*Difference // requests that go elsewhere and are refused at one of two places
	byKey       map[string]*Difference
	byRequest   map[string][]*Difference // by what is asked of whom by whom, whatever becomes of it
	another     bool                     // pod of the workload before is compared: what is said of that one is said
	paired      []pair
	resorted    map[string]bool // see resortedClusters; nil: not yet known
	open        report.Doubts
	objects     [2]map[places.Object]bool // of base and head
	someCause   []Cause
	outside     []string // names that gateways serve
	// serviceAddresses are those of the services of both sides.
	serviceAddresses map[netip.Addr]bool
	ports            []uint16 // that something in the mesh names
	replaced         *replaced.Finder
	compared         map[string]map[comparison]*compared // by place, of the hops of both sides that were kept
	servers          [2]*bundle.Class                    // those whose servers were compared last
	rest             []rest.Thing                        // that the bundles have otherwise beside resources and workloads
	haves            map[classSide]string
	parts            map[setSide]string
	changed          []string                        // see changedResources; nil: not yet known
	came             map[string]visit                // resources that differ and that requests come to
	unasked          map[string]bool                 // those that nothing asks for
	named            map[string]bool                 // those of which only names differ
	tries            map[*Difference][]attempt       // requests of each difference, to be walked
	near             map[*Difference]map[string]bool // namespaces where requests of each end
	callers          map[*Difference][][]Ref         // those of a difference, in groups that differences share
	weak             map[string]string               // what need not be said where a difference of this kind and category shows it
	searches         int                             // for requests that servers let through
	refuted          map[string]bool                 // those that only servers meet which refuse all on both sides
}

// pair is one workload on both sides.
type pair struct{ base, head *workload }

func (p pair) ref() Ref { return p.head.ref() }

func (w *workload) ref() Ref {
	kind := KindWorkload
	if w.gateway() {
		kind = KindGateway
	}
	return Ref{Namespace: w.namespace, Name: w.name, Kind: kind}
}

func newFinder(base, head *bundle.Bundle) *finder {
	f := &finder{base: newSide(base), head: newSide(head), spaces: map[string]*sets.Space{}, principal: map[string]sets.Dimension{}, replaced: replaced.New(), compared: map[string]map[comparison]*compared{atClient: {}, atServer: {}}, haves: map[classSide]string{}, parts: map[setSide]string{}, byKey: map[string]*Difference{}, byRequest: map[string][]*Difference{}, came: map[string]visit{}, named: map[string]bool{}, tries: map[*Difference][]attempt{}, callers: map[*Difference][][]Ref{}, near: map[*Difference]map[string]bool{}, weak: map[string]string{}, refuted: map[string]bool{}, unasked: map[string]bool{}}
	observe(f.base, f.head)
	for _, s := range []*side{f.base, f.head} {
		for _, w := range s.workloads {
			if id := s.identity(w); !slices.Contains(f.identities, id) {
				f.identities = append(f.identities, id)
			}
		}
	}
	slices.Sort(f.identities)
	f.identities = append(f.identities, "spiffe://"+cmp.Or(head.TrustDomain, "cluster.local")+"/ns/other/sa/stranger")
	set, err := sets.Regex(`spiffe://[0-9a-z._-]+/ns/[0-9a-z-]+/sa/[0-9a-z.-]+`)
	if err != nil {
		panic("change: " + err.Error()) // a constant
	}
	f.identitySet = set
	return f
}

// pairs lists the workloads that both sides have: where their pods have several classes, as in several localities, once for each two
// that pods have which stand for each other.
func (f *finder) pairs() []pair {
	if f.paired == nil {
		for _, w := range f.head.workloads {
			if b := f.base.byName[w.key()]; b != nil {
				f.paired = append(f.paired, pairsOf(b, w)...)
			}
		}
	}
	return slices.Clone(f.paired)
}

func pairsOf(b, h *workload) []pair {
	type classes struct{ base, head *bundle.Class }
	seen, before := map[classes]bool{}, map[*bundle.Class]bool{}
	var out []pair
	add := func(was, is pod) {
		before[was.class] = true
		if key := (classes{was.class, is.class}); !seen[key] {
			seen[key] = true
			out = append(out, pair{b.as(was), h.as(is)})
		}
	}
	for _, is := range h.pods {
		if was, ok := b.like(is); ok {
			add(was, is)
		}
	}
	for _, was := range b.pods { // of another address and place than any of head
		if is, ok := h.like(was); ok && !before[was.class] {
			add(was, is)
		}
	}
	if len(out) == 0 {
		out = append(out, pair{b, h})
	}
	return out
}

// declared lists those of which the input says with which configuration their proxies run: machines outside Kubernetes bring their
// labels themselves, whatever a WorkloadEntry says of them. Where there are no others, it is believed.
func (f *finder) declared() []pair {
	all := f.pairs()
	if !slices.ContainsFunc(all, func(p pair) bool { return !p.head.virtual }) {
		return all
	}
	return slices.DeleteFunc(all, func(p pair) bool { return p.head.virtual })
}

// machines lists the others.
func (f *finder) machines() []pair {
	known := f.declared()
	return slices.DeleteFunc(f.pairs(), func(p pair) bool { return slices.Contains(known, p) })
}

// run compares all workloads as clients, servers and gateways.
func (f *finder) run() error {
	var first, others []pair // others are further pods of a workload
	last := ""
	for _, p := range f.declared() {
		if p.head.key() == last {
			others = append(others, p)
		} else {
			first = append(first, p)
		}
		last = p.head.key()
	}
	for i, pairs := range [][]pair{first, others} {
		f.another = i == 1
		alike := f.alike(pairs)
		slices.SortStableFunc(pairs, func(a, b pair) int { return cmp.Compare(a.betweenNetworks(), b.betweenNetworks()) })
		for _, p := range pairs {
			if err := f.compareAt(p, alike[p]); err != nil {
				return err
			}
		}
	}
	f.another = false
	return f.undeclared()
}

// alike lists, for the first of all workloads whose proxies have the same on either side for what these ask, all of them: what one meets
// all do, so that it is sought and reported once.
func (f *finder) alike(pairs []pair) map[pair][]Ref {
	first, out := map[[2]string]pair{}, map[pair][]Ref{}
	for _, p := range pairs {
		if p.base.gateway() || p.head.gateway() {
			continue
		}
		key := f.asClient(p)
		if _, ok := first[key]; !ok {
			first[key] = p
		}
		out[first[key]] = append(out[first[key]], p.ref())
	}
	return out
}

// asClient is what the proxies of a workload have for what it asks, on both sides.
func (f *finder) asClient(p pair) [2]string {
	key := [2]string{f.have(p.base.class, false), f.have(p.head.class, false)}
	if !p.base.proxy {
		key[0] = "none"
	}
	if !p.head.proxy {
		key[1] = "none"
	}
	return key
}

// compareAt compares what happens at the proxy of one workload; clients are the workloads for which it stands where it asks others.
func (f *finder) compareAt(p pair, clients []Ref) error {
	switch {
	case p.base.gateway() && p.head.gateway():
		return f.gateway(p)
	case p.base.gateway() != p.head.gateway():
		f.undecided(Undecided{From: []Ref{p.ref()}, Resource: "workload " + p.head.key(), Why: "it is a gateway on one side and none on the other"})
		return nil
	}
	if err := f.client(p, clients); err != nil {
		return err
	}
	if err := f.server(p); err != nil {
		return err
	}
	return f.follow(p)
}

// placed is a cell with the call that shows it.
type placed struct {
	cell
	at     target
	scheme string
	conn   trace.Connection
	open   string // instead of a cell: what could not be decided

	connections [2]connection // of both sides
	unread      *unread
}

// have is what of a class outbound (or inbound) requests meet, as a text to compare.
func (f *finder) have(c *bundle.Class, inbound bool) string {
	if c == nil {
		return "none"
	}
	key := classSide{c, inbound}
	if s, ok := f.haves[key]; ok {
		return s
	}
	var parts []string
	for _, set := range c.Sets {
		if part := f.part(set, inbound); part != "" {
			parts = append(parts, part)
		}
	}
	slices.Sort(parts)
	h := sha256.Sum256([]byte(strings.Join(parts, "")))
	f.haves[key] = string(h[:])
	return f.haves[key]
}

// part is the same for a set of resources that classes share; "": nothing of it is inbound, or outbound.
func (f *finder) part(s *bundle.Set, inbound bool) string {
	key := setSide{s, inbound}
	if p, ok := f.parts[key]; ok {
		return p
	}
	h, n := sha256.New(), 0
	for _, r := range s.Resources {
		if names.IsInbound(r.Name) == inbound {
			h.Write(r.Digest[:])
			n++
		}
	}
	if f.parts[key] = ""; n > 0 {
		f.parts[key] = string(h.Sum(nil))
	}
	return f.parts[key]
}

// setSide is the outbound or the inbound part of a set.
type setSide struct {
	set     *bundle.Set
	inbound bool
}

// classSide is the outbound or the inbound part of a class.
type classSide struct {
	class   *bundle.Class
	inbound bool
}

// client compares what the proxy of a workload does with what the workload asks for, and those for which it stands.
func (f *finder) client(p pair, clients []Ref) error {
	if key := f.asClient(p); key[0] == key[1] && len(f.resortedOf(p.head.class)) == 0 || len(clients) == 0 {
		return nil
	}
	cells, err := f.outbound(p)
	if err != nil {
		return err
	}
	for i, c := range cells {
		switch {
		case c.unread != nil:
			f.undecided(c.unread.undecided(clients, nil))
		case c.open != "":
			f.undecided(Undecided{From: clients, Host: c.at.host, Port: c.at.port, Resource: "the way to " + c.at.host, Why: c.open})
		default:
			f.report(&cells[i], clients, nil)
		}
	}
	return nil
}

// outbound compares all targets of a client.
func (f *finder) outbound(p pair) ([]placed, error) {
	was, err := f.base.proxyOf(p.base)
	if err != nil {
		return nil, err
	}
	is, err := f.head.proxyOf(p.head)
	if err != nil {
		return nil, err
	}
	targets, err := f.targetsOf(was, is)
	if err != nil {
		return nil, err
	}
	more, err := f.movedNames(was, is)
	if err != nil {
		return nil, err
	}
	targets = append(targets, more...)
	var out []placed
	f.base.seen, f.head.seen = visits{}, visits{}
	met := touched.By(p.base.class, p.head.class, f.resortedOf(p.head.class))
	mains := map[string]bool{} // cells of names that are no other form of one
	for _, t := range targets {
		if !(t.moved || met.Has(t.host, t.port) || p.base.proxy != p.head.proxy) {
			continue
		}
		m := func(s *side, proxy *trace.Proxy, c trace.Connection) connection {
			c.To = s.dialed(t)
			return connection{side: s, proxy: proxy, place: atClient, conn: c, host: t.call, anonymous: true}
		}
		cells, err := f.ways(t, func(c trace.Connection) (connection, connection) { return m(f.base, was, c), m(f.head, is, c) })
		if err != nil {
			return nil, err
		}
		for _, c := range cells {
			key := fmt.Sprint(c.kind, c.category, c.scheme, t.port, c.where, "\x00", c.open)
			if c.base.outcome != nil {
				key += c.base.key + "\x00" + c.head.key
			}
			if t.moved && mains[key] {
				continue
			}
			mains[key] = true
			out = append(out, c)
		}
	}
	if p.base.proxy && p.head.proxy {
		rest, err := f.account(p.base.class, p.head.class, func(r *bundle.Resource) bool { return !names.IsInbound(r.Name) })
		if err != nil {
			return nil, err
		}
		for i := range rest {
			out = append(out, placed{unread: &rest[i]})
		}
	}
	return out, nil
}

// way is a kind of connection that a client opens.
type way struct {
	scheme string // of a witness
	conn   trace.Connection
}

// clientWays are the kinds of connections to one target: HTTP of both versions, and bytes with TLS and without.
func clientWays(t target) []way {
	return []way{{"http", trace.Connection{HTTP: true}}, {"http2", trace.Connection{HTTP: true, Version: "h2"}}, {"tcp", trace.Connection{}},
		{"tls", trace.Connection{TLS: true, SNI: t.call}}}
}

// chosen are the filter chains that two connections come to, and how they are read there.
type chosen struct {
	base, head     *listenerv3.FilterChain
	http, tls, own bool
}

// worthwhile tells whether a way has to be compared: not if a proxy reads bytes as HTTP on both sides, or HTTP as bytes, since
// another way stands for that, and not if it comes to the same chains as one before.
func worthwhile(a, b connection, own bool, before map[chosen]bool) bool {
	http := a.isHTTP() || b.isHTTP()
	if a.conn.HTTP && !http || !a.conn.HTTP && a.isHTTP() && b.isHTTP() {
		return false
	}
	key := chosen{a.chain(), b.chain(), a.conn.HTTP, a.conn.TLS, own}
	if before[key] {
		return false
	}
	before[key] = true
	return true
}

// ways compares the kinds of connections to one target.
func (f *finder) ways(t target, at func(trace.Connection) (connection, connection)) ([]placed, error) {
	var out []placed
	seen, before := map[string]bool{}, map[chosen]bool{}
	for _, k := range clientWays(t) {
		a, b := at(k.conn)
		a.settle()
		b.settle()
		if !worthwhile(a, b, false, before) {
			continue
		}
		c, err := f.compare(a, b)
		if err != nil {
			return nil, err
		}
		for _, x := range c.cells {
			key := x.kind + x.category + x.base.key + "\x00" + x.head.key
			if !seen[key] {
				seen[key] = true
				out = append(out, placed{cell: x, at: t, scheme: k.scheme, conn: a.conn, connections: [2]connection{a, b}})
			}
		}
		if c.open != "" {
			out = append(out, placed{at: t, open: c.open})
		}
	}
	return out, nil
}

// proxies are those of a workload on both sides; nil where it has none.
func (f *finder) proxies(p pair) (was, is *trace.Proxy, err error) {
	if was, err = f.base.proxyOf(p.base); err != nil {
		return nil, nil, err
	}
	is, err = f.head.proxyOf(p.head)
	return was, is, err
}

// server compares what the proxy of a workload does with what others ask of the workload.
func (f *finder) server(p pair) error {
	base, head := f.have(p.base.class, true), f.have(p.head.class, true)
	if base == head && p.base.proxy == p.head.proxy {
		return nil
	}
	was, is, err := f.proxies(p)
	if err != nil {
		return err
	}
	ports, err := f.portsOf(p)
	if err != nil {
		return err
	}
	if classes := [2]*bundle.Class{p.base.class, p.head.class}; classes != f.servers {
		f.servers = classes // what was kept of others will not be asked for again
		clear(f.compared[atServer])
		clear(f.base.kept.servers)
		clear(f.head.kept.servers)
	}
	f.base.seen, f.head.seen = visits{}, visits{}
	for _, port := range ports {
		if err := f.serverPort(p, port, was, is); err != nil {
			return err
		}
	}
	if !p.base.proxy || !p.head.proxy {
		return nil
	}
	rest, err := f.account(p.base.class, p.head.class, func(r *bundle.Resource) bool { return names.IsInbound(r.Name) })
	for i := range rest {
		f.undecided(rest[i].undecided(nil, []Ref{p.ref()}))
	}
	return err
}

// peerAddress stands for the address of a client about which nothing else is known.
var peerAddress = netip.MustParseAddr("10.44.0.99")

// alpnOfMesh are the protocols that clients of the mesh offer.
var alpnOfMesh = map[bool][]string{true: {"istio-http/1.1", "istio", "http/1.1"}, false: {"istio-peer-exchange", "istio"}}

// serverWay is a kind of connection that a server gets; mesh: over the mutual TLS of the mesh.
type serverWay struct {
	way
	mesh bool
}

// serverWays are the kinds of connections to a port of a server.
func serverWays(sni, host string) []serverWay {
	tls := func(http bool, sni string, alpn ...string) trace.Connection {
		return trace.Connection{HTTP: http, TLS: true, SNI: sni, ALPN: alpn}
	}
	return []serverWay{
		{way{"http", trace.Connection{HTTP: true}}, false}, {way{"http2", trace.Connection{HTTP: true, Version: "h2"}}, false}, {way{"tcp", trace.Connection{}}, false},
		{way{"http", tls(true, sni, alpnOfMesh[true]...)}, true}, {way{"http2", tls(true, sni, "istio-h2", "istio", "h2")}, true},
		{way{"http", tls(true, sni, "istio-http/1.0", "istio", "http/1.0")}, true}, {way{"tcp", tls(false, sni, alpnOfMesh[false]...)}, true},
		{way{"tcp", tls(false, sni, "istio")}, true}, {way{"https", tls(true, host, "h2", "http/1.1")}, false}, {way{"tls", tls(false, host)}, false},
	}
}

// incoming is what comes over one kind of connection to a port of the proxies of both sides, compared.
type incoming struct {
	*compared
	serverWay
	connections [2]connection
}

// placed is one difference of them, with the call to a target that shows it.
func (x incoming) placed(c cell, at target) placed {
	return placed{cell: c, at: at, scheme: x.scheme, conn: x.connections[0].conn, connections: x.connections}
}

// incoming compares what both sides do with connections to an address, over each way in which it may be another.
func (f *finder) incoming(place, host string, base, head netip.AddrPort, was, is *trace.Proxy, ways []serverWay) (out []incoming, err error) {
	before := map[chosen]bool{}
	for _, k := range ways {
		c := k.conn
		c.To, c.Source = base, peerAddress
		a := connection{side: f.base, proxy: was, place: place, conn: c, host: host, anonymous: !k.mesh}
		c.To = head
		b := connection{side: f.head, proxy: is, place: place, conn: c, host: host, anonymous: !k.mesh}
		a.settle()
		b.settle()
		if !worthwhile(a, b, k.mesh, before) {
			continue
		}
		x, err := f.compare(a, b)
		if err != nil {
			return nil, err
		}
		out = append(out, incoming{x, k, [2]connection{a, b}})
	}
	return out, nil
}

// anybody connects to servers.
var anybody = []Ref{{Kind: KindOutside}}

func (f *finder) serverPort(p pair, port uint16, was, is *trace.Proxy) error {
	served := f.served(p, port)
	t := served[0]
	ways := serverWays(names.ServerName(uint32(t.port), "", t.host), t.call)
	if was == nil || is == nil { // its clients know which side has a proxy
		ways = slices.DeleteFunc(ways, func(k serverWay) bool { return k.conn.TLS })
	}
	to := netip.AddrPortFrom(firstAddress(p.head, p.base), port)
	coming, err := f.incoming(atServer, t.call, to, to, was, is, ways)
	if err != nil {
		return err
	}
	var all []placed
	seen := map[string]bool{}
	for _, x := range coming {
		for _, y := range x.cells {
			key := y.kind + y.category + y.base.key + "\x00" + y.head.key + y.where + fmt.Sprint(y.token)
			if x.conn.TLS && !x.mesh { // the TLS of the application itself: where plain text shows the same, that is enough
				key = y.kind + y.category
			}
			if !seen[key] {
				seen[key], seen[y.kind+y.category] = true, true
				all = append(all, x.placed(y, t))
			}
		}
		if x.open != "" {
			f.undecided(Undecided{Servers: []Ref{p.ref()}, Host: t.host, Port: t.port, Resource: "Listener " + names.VirtualInbound, Why: x.open})
		}
	}
	for _, c := range all {
		for _, t := range served {
			one := c
			one.at = t
			f.report(&one, anybody, []Ref{p.ref()})
		}
	}
	return nil
}

// served are the names under which a port of a workload is called on both sides; the port alone if there is none.
func (f *finder) served(p pair, port uint16) []target {
	before := f.base.servicesAt(p.base, port)
	out := slices.DeleteFunc(slices.Clone(f.head.servicesAt(p.head, port)), func(t target) bool { return !slices.Contains(before, t) })
	if len(out) == 0 {
		out = []target{{call: unknownHost, port: port}}
	}
	return out
}

func firstAddress(ws ...*workload) netip.Addr {
	for _, w := range ws {
		for _, a := range w.addresses {
			if ip, err := netip.ParseAddr(a); err == nil {
				return ip
			}
		}
	}
	return netip.Addr{}
}

// portsOf lists the ports of a workload: those of its services, those that rules and listeners of the mesh name, and one that
// stands for all others.
func (f *finder) portsOf(p pair) ([]uint16, error) {
	named, err := f.namedPorts()
	if err != nil {
		return nil, err
	}
	out := append(slices.Clone(named), unknownPort)
	for i, s := range []*side{f.base, f.head} {
		w := []*workload{p.base, p.head}[i]
		if s.served == nil {
			s.serve()
		}
		out = slices.AppendSeq(out, maps.Keys(s.served[w.key()]))
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// namedPorts lists the ports that the inbound side of any proxy names.
func (f *finder) namedPorts() ([]uint16, error) {
	if f.ports != nil {
		return f.ports, nil
	}
	ports := map[uint16]bool{}
	for _, s := range []*side{f.base, f.head} {
		for _, r := range s.Resources {
			if r.Name != names.VirtualInbound || r.Type != bundle.ListenerType {
				continue
			}
			m, err := r.Message()
			if err != nil {
				return nil, err
			}
			l, _ := m.(*listenerv3.Listener)
			for _, x := range l.GetListenerFilters() {
				for _, n := range condition.PredicatePorts(x.GetFilterDisabled()) {
					ports[n] = true
				}
			}
			for _, c := range l.GetFilterChains() {
				if n := c.GetFilterChainMatch().GetDestinationPort(); n != nil {
					ports[uint16(n.GetValue())] = true
				}
				for _, n := range condition.RulePorts(c) {
					ports[n] = true
				}
			}
		}
	}
	delete(ports, 0)
	delete(ports, 15006)
	f.ports = slices.Sorted(maps.Keys(ports))
	return f.ports, nil
}

// gateway compares what a gateway does with requests from outside.
func (f *finder) gateway(p pair) error {
	if f.have(p.base.class, false) == f.have(p.head.class, false) && len(f.resortedOf(p.head.class)) == 0 {
		return nil
	}
	was, is, err := f.proxies(p)
	if err != nil {
		return err
	}
	f.base.seen, f.head.seen = visits{}, visits{}
	var l list
	for _, x := range []*trace.Proxy{was, is} {
		if x == nil {
			continue
		}
		for _, listener := range x.Listeners() {
			at := boundTo(listener.Message)
			hosts, err := hostsOf(x, listener.Message)
			if err != nil {
				return err
			}
			for _, t := range append(hosts, target{host: anyHost, call: unknownHost}) {
				t.port, t.bind = at.Port(), at.Addr()
				l.add(t)
			}
		}
	}
	more, err := f.movedNames(was, is)
	if err != nil {
		return err
	}
	for _, t := range more {
		l.add(t)
	}
	slices.SortStableFunc(l.all, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.port, b.port), a.bind.Compare(b.bind))
	})
	redirected := f.redirected(p)
	done := map[string]bool{}
	for _, t := range l.all {
		for _, e := range f.entrances(p, t, redirected, was, is) {
			if key := e.key(); !done[key] {
				done[key] = true
				if err := f.gatewayHost(p, t, e, was, is); err != nil {
					return err
				}
			}
		}
	}
	if err := f.crossings(p, was, is); err != nil {
		return err
	}
	rest, err := f.account(p.base.class, p.head.class, func(*bundle.Resource) bool { return true })
	for i := range rest {
		f.undecided(rest[i].undecided([]Ref{p.ref()}, nil))
	}
	return err
}

func (f *finder) gatewayHost(p pair, t target, e entrance, was, is *trace.Proxy) error {
	address := t.bind
	if !address.IsValid() {
		address = firstAddress(p.head, p.base)
	}
	coming, err := f.incoming(atGateway, t.call, netip.AddrPortFrom(address, e.base), netip.AddrPortFrom(address, e.head), was, is, gatewayWays(t))
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, x := range coming {
		for _, y := range x.cells {
			key := fmt.Sprint(y.kind, y.category, y.base.key, "\x00", y.head.key, y.where, y.token, x.conn.TLS)
			if t.bind.IsLoopback() {
				was, is := ends(y)
				f.undecided(Undecided{From: []Ref{p.ref()}, Host: t.host, Port: t.port, Resource: y.resource(), Causes: f.causes(y), Resources: slices.Concat(y.base.resources, y.head.resources),
					Why: fmt.Sprintf("only programs beside the gateway come to %s, and the input does not say whether there are any; one would see: %s, %s: was %s, is %s", t.bind, y.kind, y.category, was, is)})
				continue
			}
			if !seen[key] {
				seen[key] = true
				for _, port := range e.ports {
					one := x.placed(y, t)
					one.at.port = port
					f.report(&one, []Ref{p.ref()}, nil)
				}
			}
		}
		if x.open != "" {
			f.undecided(Undecided{From: []Ref{p.ref()}, Host: t.host, Port: t.port, Resource: fmt.Sprintf("port %d of the gateway", t.port), Why: x.open})
		}
	}
	return nil
}

// gatewayWays are the kinds of connections to a port of a gateway, with TLS and without; mesh stands for a client with a
// certificate.
func gatewayWays(t target) []serverWay {
	out := []serverWay{{way{"http", trace.Connection{HTTP: true}}, false}, {way{"http2", trace.Connection{HTTP: true, Version: "h2"}}, false}, {way{"tcp", trace.Connection{}}, false}}
	for _, cert := range []bool{false, true} {
		out = append(out, serverWay{way{"https", trace.Connection{HTTP: true, TLS: true, SNI: t.call, ALPN: []string{"h2", "http/1.1"}}}, cert},
			serverWay{way{"tls", trace.Connection{TLS: true, SNI: t.call}}, cert})
	}
	return out
}

// ownPort tells whether a server of a Gateway has the port that its listener is bound to.
func ownPort(p *trace.Proxy, t target) bool {
	l := p.Bound(netip.AddrPortFrom(t.bind, t.port))
	return l != nil && slices.ContainsFunc(l.Message.GetFilterChains(), func(c *listenerv3.FilterChain) bool {
		hosts, err := chainHosts(p, c)
		return err == nil && slices.ContainsFunc(hosts.All(), func(h trace.Found[*routev3.VirtualHost]) bool {
			return strings.HasSuffix(h.Message.GetName(), ":"+strconv.Itoa(int(t.port)))
		})
	})
}
