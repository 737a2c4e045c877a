package change

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// finder compares two bundles.
type finder struct {
	base, head  *side
	spaces      map[string]*sets.Space
	identitySet sets.Set
	identities  []string
	found       []*Difference
	byKey       map[string]*Difference
	open        []Undecided
	objects     [2]map[object]bool // of base and head
	someCause   []Cause
	outside     []string // names that gateways serve
	// serviceAddresses are those of the services of both sides.
	serviceAddresses map[netip.Addr]bool
	ports            []uint16 // that something in the mesh names
	haves            map[classSide]string
	parts            map[setSide]string
	clients          map[string][]placed // by what the proxies have, on both sides
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
	f := &finder{base: newSide(base), head: newSide(head), spaces: map[string]*sets.Space{}, haves: map[classSide]string{}, parts: map[setSide]string{}, byKey: map[string]*Difference{}, clients: map[string][]placed{}}
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

// pairs lists the workloads that both sides have.
func (f *finder) pairs() []pair {
	var out []pair
	for _, w := range f.head.workloads {
		if b := f.base.byName[w.key()]; b != nil {
			out = append(out, pair{b, w})
		}
	}
	return out
}

// run compares all workloads as clients, servers and gateways.
func (f *finder) run() error {
	for _, p := range f.pairs() {
		var err error
		switch {
		case p.base.gateway() && p.head.gateway():
			err = f.gateway(p)
		case p.base.gateway() != p.head.gateway():
			f.undecided(Undecided{From: []Ref{p.ref()}, Resource: "workload " + p.head.key(), Why: "it is a gateway on one side and none on the other"})
		default:
			if err = f.client(p); err == nil {
				err = f.server(p)
			}
			if err == nil {
				err = f.follow(p)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// placed is a cell with the call that shows it.
type placed struct {
	cell
	at     target
	scheme string
	conn   trace.Connection
	open   string // instead of a cell: what could not be decided
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
		if isInbound(r) == inbound {
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

func isInbound(r *bundle.Resource) bool {
	if !strings.HasPrefix(r.Name, "inbound|") {
		return r.Name == names.VirtualInbound || r.Name == names.InboundPassthroughCluster
	}
	n, ok := names.ParseCluster(r.Name)
	return r.Name == names.VirtualInbound || ok && n.Inbound || r.Name == names.InboundPassthroughCluster
}

// client compares what the proxy of a workload does with what the workload asks for.
func (f *finder) client(p pair) error {
	base, head := f.have(p.base.class, false), f.have(p.head.class, false)
	if !p.base.proxy {
		base = "none"
	}
	if !p.head.proxy {
		head = "none"
	}
	if base == head {
		return nil
	}
	cells, ok := f.clients[base+head]
	if !ok {
		var err error
		if cells, err = f.outbound(p); err != nil {
			return err
		}
		f.clients[base+head] = cells
	}
	for _, c := range cells {
		if c.open != "" {
			f.undecided(Undecided{From: []Ref{p.ref()}, Host: c.at.host, Port: c.at.port, Resource: "the way to " + c.at.host, Why: c.open})
			continue
		}
		f.report(c, p.ref(), nil)
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
	var out []placed
	touched := touchedBy(p.base.class, p.head.class)
	for _, t := range targets {
		if !(touched.has(t) || p.base.proxy != p.head.proxy) {
			continue
		}
		m := func(s *side, proxy *trace.Proxy, c trace.Connection) meeting {
			c.To = s.dialed(t)
			return meeting{side: s, proxy: proxy, place: atClient, conn: c, host: t.call, anonymous: true}
		}
		cells, err := f.ways(t, func(c trace.Connection) (meeting, meeting) { return m(f.base, was, c), m(f.head, is, c) })
		if err != nil {
			return nil, err
		}
		out = append(out, cells...)
	}
	return out, nil
}

// ways compares the kinds of connections to one target: HTTP where a proxy reads it, bytes else, with TLS and without.
func (f *finder) ways(t target, at func(trace.Connection) (meeting, meeting)) ([]placed, error) {
	http := trace.Connection{HTTP: true}
	a, b := at(http)
	kinds := []struct {
		scheme string
		conn   trace.Connection
	}{{"http", http}}
	switch {
	case a.isHTTP() && b.isHTTP():
	case !a.isHTTP() && !b.isHTTP():
		kinds = kinds[:0]
		fallthrough
	default:
		kinds = append(kinds, struct {
			scheme string
			conn   trace.Connection
		}{"tcp", trace.Connection{}}, struct {
			scheme string
			conn   trace.Connection
		}{"tls", trace.Connection{TLS: true, SNI: t.call}})
	}
	var out []placed
	seen := map[string]bool{}
	for _, k := range kinds {
		a, b := at(k.conn)
		c, err := f.compare(a, b)
		if err != nil {
			return nil, err
		}
		for _, x := range c.cells {
			key := x.kind + x.category + x.base.key + "\x00" + x.head.key
			if !seen[key] {
				seen[key] = true
				out = append(out, placed{cell: x, at: t, scheme: k.scheme, conn: a.conn})
			}
		}
		if c.open != "" {
			out = append(out, placed{at: t, open: c.open})
		}
	}
	return out, nil
}

// server compares what the proxy of a workload does with what others ask of the workload.
func (f *finder) server(p pair) error {
	base, head := f.have(p.base.class, true), f.have(p.head.class, true)
	if base == head && p.base.proxy == p.head.proxy {
		return nil
	}
	was, err := f.base.proxyOf(p.base)
	if err != nil {
		return err
	}
	is, err := f.head.proxyOf(p.head)
	if err != nil {
		return err
	}
	ports, err := f.portsOf(p)
	if err != nil {
		return err
	}
	for _, port := range ports {
		if err := f.serverPort(p, port, was, is); err != nil {
			return err
		}
	}
	return nil
}

// peerAddress stands for the address of a client about which nothing else is known.
var peerAddress = netip.MustParseAddr("10.44.0.99")

// alpnOfMesh are the protocols that clients of the mesh offer.
var alpnOfMesh = map[bool][]string{true: {"istio-http/1.1", "istio", "http/1.1"}, false: {"istio-peer-exchange", "istio"}}

func (f *finder) serverPort(p pair, port uint16, was, is *trace.Proxy) error {
	served := f.served(p, port)
	t := served[0]
	address := firstAddress(p.head, p.base)
	var all []placed
	seen := map[string]bool{}
	for _, mesh := range []bool{false, true} {
		if mesh && (was == nil || is == nil) {
			continue // its clients know which side has a proxy
		}
		for _, http := range []bool{true, false} {
			c := trace.Connection{HTTP: http, To: netip.AddrPortFrom(address, port), Source: peerAddress}
			if mesh {
				c.TLS, c.ALPN = true, alpnOfMesh[http]
				c.SNI = names.ServerName(uint32(t.port), "", t.host)
			}
			a := meeting{side: f.base, proxy: was, place: atServer, conn: c, host: t.call, anonymous: !mesh}
			b := meeting{side: f.head, proxy: is, place: atServer, conn: c, host: t.call, anonymous: !mesh}
			if a.isHTTP() != http && b.isHTTP() != http || !http && a.isHTTP() && b.isHTTP() {
				continue
			}
			x, err := f.compare(a, b)
			if err != nil {
				return err
			}
			for _, y := range x.cells {
				key := y.kind + y.category + y.base.key + "\x00" + y.head.key + y.where + fmt.Sprint(y.token)
				if !seen[key] {
					seen[key] = true
					all = append(all, placed{cell: y, at: t, scheme: map[bool]string{true: "http", false: "tcp"}[http], conn: c})
				}
			}
			if x.open != "" {
				f.undecided(Undecided{Servers: []Ref{p.ref()}, Host: t.host, Port: t.port, Resource: "Listener " + names.VirtualInbound, Why: x.open})
			}
		}
	}
	for _, c := range all {
		for _, t := range served {
			c.at = t
			f.report(c, Ref{Kind: KindOutside}, []Ref{p.ref()})
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
		for at := range s.served {
			if at.workload == w.key() {
				out = append(out, at.port)
			}
		}
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
			for _, c := range l.GetFilterChains() {
				if n := c.GetFilterChainMatch().GetDestinationPort(); n != nil {
					ports[uint16(n.GetValue())] = true
				}
				for _, n := range rulePorts(c) {
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

// rulePorts lists the ports that access rules of a chain name.
func rulePorts(c *listenerv3.FilterChain) (out []uint16) {
	var visit func(p *rbacv3.Permission)
	visit = func(p *rbacv3.Permission) {
		out = append(out, uint16(p.GetDestinationPort()))
		for _, x := range slices.Concat(p.GetAndRules().GetRules(), p.GetOrRules().GetRules()) {
			visit(x)
		}
		if n := p.GetNotRule(); n != nil {
			visit(n)
		}
	}
	for _, r := range rulesOf(c) {
		for _, p := range r.GetPolicies() {
			for _, x := range p.GetPermissions() {
				visit(x)
			}
		}
	}
	return out
}

// rulesOf lists the access rules of a chain.
func rulesOf(c *listenerv3.FilterChain) (out []*rbacv3.RBAC) {
	for _, f := range c.GetFilters() {
		if m, ok := unpack(f.GetTypedConfig(), &networkrbacv3.RBAC{}); ok {
			out = append(out, m.GetRules())
		}
		m, ok := unpack(f.GetTypedConfig(), &hcmv3.HttpConnectionManager{})
		if !ok {
			continue
		}
		for _, x := range m.GetHttpFilters() {
			if r, ok := unpack(x.GetTypedConfig(), &httprbacv3.RBAC{}); ok {
				out = append(out, r.GetRules())
			}
		}
	}
	return out
}

// gateway compares what a gateway does with requests from outside.
func (f *finder) gateway(p pair) error {
	if f.have(p.base.class, false) == f.have(p.head.class, false) {
		return nil
	}
	was, err := f.base.proxyOf(p.base)
	if err != nil {
		return err
	}
	is, err := f.head.proxyOf(p.head)
	if err != nil {
		return err
	}
	var l list
	for _, x := range []*trace.Proxy{was, is} {
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
	slices.SortStableFunc(l.all, func(a, b target) int {
		return cmp.Or(cmp.Compare(a.port, b.port), a.bind.Compare(b.bind))
	})
	for _, t := range l.all {
		if err := f.gatewayHost(p, t, was, is); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) gatewayHost(p pair, t target, was, is *trace.Proxy) error {
	address := t.bind
	if !address.IsValid() {
		address = firstAddress(p.head, p.base)
	}
	for _, tls := range []bool{false, true} {
		seen := map[string]bool{}
		for _, http := range []bool{true, false} {
			for _, cert := range []bool{false, true} {
				if cert && !tls {
					continue
				}
				c := trace.Connection{HTTP: http, To: netip.AddrPortFrom(address, t.port), TLS: tls, Source: peerAddress}
				if tls {
					c.SNI = t.call
					if http {
						c.ALPN = []string{"h2", "http/1.1"}
					}
				}
				a := meeting{side: f.base, proxy: was, place: atGateway, conn: c, host: t.call, anonymous: !cert}
				b := meeting{side: f.head, proxy: is, place: atGateway, conn: c, host: t.call, anonymous: !cert}
				if http != (a.isHTTP() || b.isHTTP()) {
					continue
				}
				x, err := f.compare(a, b)
				if err != nil {
					return err
				}
				scheme := map[bool]map[bool]string{true: {true: "https", false: "http"}, false: {true: "tls", false: "tcp"}}[http][tls]
				for _, y := range x.cells {
					key := y.kind + y.category + y.base.key + "\x00" + y.head.key + y.where + fmt.Sprint(y.token)
					if !seen[key] {
						seen[key] = true
						f.report(placed{cell: y, at: f.gatewayPort(p, t), scheme: scheme, conn: c}, p.ref(), nil)
					}
				}
				if x.open != "" {
					f.undecided(Undecided{From: []Ref{p.ref()}, Host: t.host, Port: t.port, Resource: fmt.Sprintf("port %d of the gateway", t.port), Why: x.open})
				}
			}
		}
	}
	return nil
}

// gatewayPort is a target with the port under which clients outside know it.
func (f *finder) gatewayPort(p pair, t target) target {
	for _, s := range append(f.head.servicesAt(p.head, t.port), f.base.servicesAt(p.base, t.port)...) {
		t.port = s.port
		return t
	}
	return t
}
