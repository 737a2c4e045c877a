package change

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/parts"
	"github.com/meshc/meshc/compiler/change/places"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// crossing is what a gateway between networks does otherwise with the connections of one server name.
type crossing struct {
	gateway pair
	cluster names.Cluster // as its callers call it
	sni     string
	port    uint16
	cell    cell
}

// betweenNetworks is 1 for gateways between networks, which are compared after their callers, and 0 for others.
func (p pair) betweenNetworks() int {
	for _, w := range []*workload{p.base, p.head} {
		if w.class != nil && w.gateway() && slices.ContainsFunc(w.class.Resources(), func(r *bundle.Resource) bool { return names.IsServerName(r.Name) }) {
			return 1
		}
	}
	return 0
}

// crossings compares what a gateway does with the connections of proxies of other networks, which name a cluster as their server. The
// workloads that ask for it there are the callers.
func (f *finder) crossings(p pair, was, is *trace.Proxy) error {
	type place struct {
		at  netip.AddrPort
		sni string
	}
	var all []place
	for _, x := range []*trace.Proxy{was, is} {
		if x == nil {
			continue
		}
		for _, l := range x.Listeners() {
			for _, c := range l.Message.GetFilterChains() {
				for _, n := range c.GetFilterChainMatch().GetServerNames() {
					if to := (place{boundTo(l.Message), n}); names.IsServerName(n) && !slices.Contains(all, to) {
						all = append(all, to)
					}
				}
			}
		}
	}
	groups := f.declared()
	alike := f.alike(groups)
	for _, to := range all {
		n, ok := names.ParseServerName(to.sni)
		if !ok {
			continue
		}
		address := to.at
		if !address.Addr().IsValid() {
			address = netip.AddrPortFrom(firstAddress(p.head, p.base), address.Port())
		}
		way := serverWay{way{"tcp", trace.Connection{TLS: true, SNI: to.sni, ALPN: alpnOfMesh[true]}}, true}
		coming, err := f.incoming(atGateway, n.Host, address, address, was, is, []serverWay{way})
		if err != nil {
			return err
		}
		for _, x := range coming {
			for _, y := range x.cells {
				y.base, y.head = f.atGateway(y.base, y.head, p, 0), f.atGateway(y.head, y.base, p, 1)
				if err := f.cross(crossing{p, n, to.sni, to.at.Port(), y}, groups, alike); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// atGateway is what a gateway does, with what refuses a connection: where nothing of it is left, the Gateways that take it on the other side,
// before all those in files that are gone from the side at.
func (f *finder) atGateway(r, other rule, p pair, at int) rule {
	if r.passes != refused {
		return r
	}
	o := *r.outcome
	o.text += " at the gateway " + p.head.key()
	if len(o.origins) == 0 {
		gone := places.Lost([]*side{f.base, f.head}[1-at].Bundle, []*side{f.base, f.head}[at].Bundle)
		for _, x := range other.origins {
			if x.Kind == "Gateway" {
				o.origins = append(o.origins, x)
			}
		}
		slices.SortStableFunc(o.origins, func(a, b bundle.Origin) int { return cmp.Compare(gone(a), gone(b)) })
	}
	r.outcome = &o
	return r
}

// cross reports what the callers of a gateway in other networks meet. Where servers deny the request, others of it may pass.
func (f *finder) cross(x crossing, groups []pair, alike map[pair][]Ref) error {
	asked, shown, denied := false, false, false
	for _, q := range groups {
		clients := alike[q]
		if len(clients) == 0 || q.head.network() == x.gateway.head.network() {
			continue
		}
		c, calls, err := f.crossedBy(x, q)
		if err != nil {
			return err
		}
		asked, denied = true, denied || calls && c == nil
		if c == nil {
			continue
		}
		w := witnessOf(*c)
		kind, base, head, err := f.walked(attempt{placed: c, witness: &w, from: clients[0]})
		if err != nil || kind == "" || kind != c.kind {
			denied = denied || err != nil || kind != "" || base.End().Verdict == trace.Denied || head.End().Verdict == trace.Denied
			continue
		}
		shown = true
		if d := f.said(c, clients[0]); d != nil { // its own proxy has shown it
			d.Resources = slices.Concat(d.Resources, c.base.resources, c.head.resources)
			continue
		}
		f.report(c, clients, nil)
	}
	if y := x.cell; !shown && (denied || !asked) {
		was, is := ends(y)
		f.undecided(Undecided{From: []Ref{x.gateway.ref()}, Host: x.cluster.Host, Port: uint16(x.cluster.Port), Resource: y.resource(), Causes: f.causes(y), Resources: slices.Concat(y.base.resources, y.head.resources),
			Why: fmt.Sprintf("no request of a workload in another network that is compared shows it; one would see: %s, %s: was %s, is %s", y.kind, y.category, was, is)})
	}
	return nil
}

// said is the difference of one kind that a caller is known to meet at a target.
func (f *finder) said(c *placed, from Ref) *Difference {
	i := slices.IndexFunc(f.found, func(d *Difference) bool {
		return d.Kind == c.kind && d.Host == c.at.host && d.Port == c.at.port && slices.ContainsFunc(f.callers[d], func(list []Ref) bool { return slices.Contains(list, from) })
	})
	if i < 0 {
		return nil
	}
	return f.found[i]
}

// crossedBy is the request of a client that its proxy sends to the cluster of a crossing on both sides; calls tells whether some may go there.
func (f *finder) crossedBy(x crossing, q pair) (request *placed, calls bool, err error) {
	cluster := names.Outbound(x.cluster.Port, x.cluster.Subset, x.cluster.Host)
	was, is, err := f.proxies(q)
	if err != nil || was == nil || is == nil {
		return nil, false, err
	}
	for i, proxy := range []*trace.Proxy{was, is} {
		c, err := proxy.Cluster(cluster)
		if err != nil || c == nil || parts.Unused(c.Resource, []*workload{q.base, q.head}[i].class.Resources()) {
			return nil, false, err
		}
	}
	t := sampleHost(x.cluster.Host)
	t.port = uint16(x.cluster.Port)
	for _, k := range clientWays(t) {
		a := connection{side: f.base, proxy: was, place: atClient, conn: k.conn, host: t.call, anonymous: true}
		b := connection{side: f.head, proxy: is, place: atClient, conn: k.conn, host: t.call, anonymous: true}
		for i, m := range []*connection{&a, &b} {
			gateway := []*workload{x.gateway.base, x.gateway.head}[i]
			m.conn.To = m.dialed(t)
			if gateway.class != nil {
				m.conn.Across = trace.Crossing{Class: gateway.class.ID, Port: x.port, SNI: x.sni}
			}
			m.settle()
		}
		if k.conn.HTTP != (a.isHTTP() || b.isHTTP()) {
			continue
		}
		request, conditional, err := f.leading(a, b, cluster)
		if err != nil {
			return nil, true, err
		}
		if request == nil {
			continue
		}
		c := x.cell
		c.request, c.of, c.named, c.where = request, nil, false, ""
		if conditional {
			c.where = "sent to " + cmp.Or(x.cluster.Subset, x.cluster.Host)
		}
		return &placed{cell: c, at: t, scheme: k.scheme, conn: k.conn, connections: [2]connection{a, b}}, true, nil
	}
	return nil, true, nil
}

// leading finds a request that the proxies of both sides send to a cluster, and says whether it depends on the request.
func (f *finder) leading(a, b connection, cluster string) (sets.Assignment, bool, error) {
	base, was, err := a.hop()
	if err != nil {
		return nil, false, err
	}
	head, is, err := b.hop()
	if err != nil {
		return nil, false, err
	}
	to := func(h *hop) sets.Cond {
		var out []sets.Cond
		for i := range len(h.rules) + 1 {
			if slices.Contains(h.at(i).clusters, cluster) {
				out = append(out, h.list().Decides(i))
			}
		}
		return sets.Any(out...)
	}
	given := sets.Assignment{condition.DimHost: sets.Value{Text: a.host}, sets.Principal: sets.Value{Absent: true}}
	space, there := f.spaceFor(a.host, false, slices.Concat(was.Optional, is.Optional)), sets.All(to(base), to(head))
	request, _, err := space.Find(there, given, searchBudget)
	if err != nil {
		return nil, false, err
	}
	_, others, err := space.Find(there.Not(), given, searchBudget)
	return request, others || err != nil, nil
}
