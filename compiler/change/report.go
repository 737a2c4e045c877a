package change

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/change/witness"
	"github.com/meshc/meshc/compiler/trace"
)

// Compare finds what two bundles do differently.
func Compare(base, head *bundle.Bundle) (*Report, error) {
	r := &Report{Base: base.Digest.String(), Head: head.Digest.String()}
	if base.Digest == head.Digest {
		return r, nil
	}
	f := newFinder(base, head)
	for _, w := range f.head.workloads {
		if f.base.byName[w.key()] == nil {
			r.Added = append(r.Added, w.ref())
		}
	}
	for _, w := range f.base.workloads {
		if f.head.byName[w.key()] == nil {
			r.Removed = append(r.Removed, w.ref())
		}
	}
	if err := f.run(); err != nil {
		return nil, err
	}
	f.gather()
	for _, d := range f.found {
		why := "following " + d.Witness.String() + " shows no difference"
		verdict := f.verify(d)
		delete(f.tries, d)
		switch {
		case verdict == shown:
			r.Differences = append(r.Differences, d)
			continue
		case verdict == refuted && d.Category != AccessWidened && d.Category != AccessNarrowed:
			for _, name := range d.Resources {
				f.refuted[name] = true
			}
			continue
		case verdict == refuted: // who may pass is another, whatever becomes of it behind
			why = "where " + d.Witness.String() + " goes behind it, it is refused on both sides"
		}
		u := Undecided{From: d.From, Host: d.Host, Port: d.Port, Servers: d.Servers, Resource: strings.Join(d.Resources[:min(1, len(d.Resources))], ""), Causes: d.Causes, Resources: d.Resources, Kind: d.Kind, Category: d.Category,
			Why: fmt.Sprintf("one proxy treats it otherwise (%s, %s: was %s, is %s), and %s", d.Kind, d.Category, d.Base, d.Head, why)}
		if d.From[0].Kind == KindOutside {
			u.From = nil
		}
		f.undecided(u)
	}
	r.Differences = append(r.Differences, f.elsewhere...)
	f.follows()
	r.Undecided = f.needed(r.Differences)
	slices.SortStableFunc(r.Differences, func(a, b *Difference) int {
		return cmp.Or(cmp.Compare(slices.Index(Kinds(), a.Kind), slices.Index(Kinds(), b.Kind)),
			cmp.Compare(slices.Index(Categories(), a.Category), slices.Index(Categories(), b.Category)),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Condition, b.Condition), cmp.Compare(a.Witness.To, b.Witness.To))
	})
	r.Ledger, r.Reach = f.ledger(r), f.reach()
	f.weigh(r.Differences)
	return r, nil
}

// gather gives each difference its callers and servers, sorted. Differences of the same callers have one list.
func (f *finder) gather() {
	lists := map[string][]Ref{}
	for _, d := range f.found {
		var key strings.Builder
		for _, group := range f.callers[d] {
			fmt.Fprintf(&key, "%p %d ", &group[0], len(group))
		}
		list, ok := lists[key.String()]
		if !ok {
			list = sortedRefs(slices.Concat(f.callers[d]...))
			lists[key.String()] = list
		}
		d.From, d.Servers = list, sortedRefs(d.Servers)
	}
	clear(f.callers)
}

func sortedRefs(list []Ref) []Ref {
	slices.SortFunc(list, report.CompareRefs)
	return slices.Clip(slices.Compact(list))
}

// report adds a cell to the differences: to the one that says the same of others, if there is one.
func (f *finder) report(c *placed, from, servers []Ref) {
	if c.undecided != "" {
		u := Undecided{Host: c.at.host, Port: c.at.port, Servers: servers, Resource: "filter chain", Why: c.undecided, Causes: f.causes(c.cell),
			Resources: append(slices.Clone(c.base.resources), c.head.resources...)}
		if c.weak { // about the class and not the target
			u.Host, u.Port = anyHost, 0
			f.weak[u.Resource+u.Why] = c.kind + c.category
		}
		if c.everywhere {
			u.Host, u.Port = anyHost, 0
		}
		if from[0].Kind != KindOutside {
			u.From = from
		}
		f.undecided(u)
		return
	}
	w := witnessOf(*c)
	key, request := c.key(w)+from[0].Kind, c.asks(w, servers)
	if f.another {
		if from = f.unsaid(request, from, c); len(from) == 0 {
			return
		}
	}
	d := f.byKey[key]
	if d == nil {
		d = &Difference{Category: c.category, Kind: c.kind, From: from, Host: c.at.host, Port: c.at.port, Condition: conditionText(*c), Witness: w, Causes: f.causes(c.cell),
			Resources: append(slices.Clone(c.base.resources), c.head.resources...)}
		d.Witness.From = from[0]
		if len(servers) > 0 && from[0].Kind == KindOutside {
			d.Witness.Server = &servers[0]
		}
		d.Base, d.Head = ends(c.cell)
		f.byKey[key] = d
		f.found = append(f.found, d)
	}
	if !slices.Contains(f.byRequest[request], d) {
		f.byRequest[request] = append(f.byRequest[request], d)
	}
	d.Servers = append(d.Servers, servers...)
	f.callers[d] = append(f.callers[d], from)
	f.keep(d, attempt{placed: c, witness: &w}, from, servers)
}

// unsaid leaves out the callers of whom another pod has shown that the request is treated otherwise.
func (f *finder) unsaid(request string, from []Ref, c *placed) []Ref {
	for _, d := range f.byRequest[request] {
		said := func(r Ref) bool {
			return slices.ContainsFunc(f.callers[d], func(list []Ref) bool { return slices.Contains(list, r) })
		}
		if slices.ContainsFunc(from, said) {
			d.Resources = append(append(d.Resources, c.base.resources...), c.head.resources...)
			from = slices.DeleteFunc(slices.Clone(from), said)
		}
	}
	return from
}

// keep notes the requests of some callers, to be walked: those of the first ones, and before all but one of them those of callers in the
// namespaces where the requests end, whom policies let in more often than others.
func (f *finder) keep(d *Difference, try attempt, from, servers []Ref) {
	if len(servers) > 0 {
		try.server = servers[0]
	}
	if f.near[d] == nil {
		f.near[d] = f.namespacesBehind(try.placed)
	}
	near := 0
	for _, who := range from {
		try.from = who
		list := f.tries[d]
		switch {
		case len(list) > 0 && near < mostNear && f.near[d][who.Namespace]:
			f.tries[d] = slices.Insert(list, 1, try)
			near++
		case len(list) < mostCallers:
			f.tries[d] = append(list, try)
		}
	}
}

// namespacesBehind are those of the workloads behind a proxy to which the requests of a cell go, on either side.
func (f *finder) namespacesBehind(c *placed) map[string]bool {
	out := map[string]bool{}
	for i, r := range []rule{c.base, c.head} {
		m := c.connections[i]
		if m.side == nil || m.place != atClient || r.outcome == nil {
			continue
		}
		for _, name := range r.clusters {
			if d, err := m.destination(m.proxy, name); err == nil {
				for server := range d.servers {
					namespace, _, _ := strings.Cut(server, "/")
					out[namespace] = true
				}
			}
		}
	}
	return out
}

// key is the same for cells that say the same of different callers and servers; w is the witness.
func (c *placed) key(w Witness) string {
	parts := strings.Join([]string{c.kind, c.category, c.at.host, c.scheme, c.where, witness.Key(w), c.base.text + c.base.outcome.text, c.head.text + c.head.outcome.text}, "\x00")
	h := sha256.Sum256([]byte(parts))
	return string(h[:])
}

// asks is the same for cells about one request, whatever becomes of it.
func (c *placed) asks(w Witness, servers []Ref) string {
	server := Ref{}
	if len(servers) > 0 {
		server = servers[0]
	}
	h := sha256.Sum256([]byte(strings.Join([]string{c.kind, c.category, c.at.host, c.where, witness.Key(w), server.String()}, "\x00")))
	return string(h[:])
}

// undecided notes what could not be decided, with a place of the input.
func (f *finder) undecided(u Undecided) {
	if len(u.Causes) == 0 {
		u.Causes = f.anyCause()
	}
	f.open.Add(u)
}

// ends describes both sides of a cell: the outcomes, and where both go the same way what differs on it.
func ends(c cell) (base, head End) {
	base, head = End{Verdict: c.base.verdict(), Detail: c.base.outcome.text}, End{Verdict: c.head.verdict(), Detail: c.head.outcome.text}
	if c.kind == Closed && head.Verdict == trace.Reached {
		head.Verdict = trace.Failed // a part of the requests
	}
	if c.kind == Opened && base.Verdict == trace.Reached {
		base.Verdict = trace.Failed
	}
	if c.kind == Changed || c.kind == Tuned {
		base.Detail, head.Detail = settingsText(c.base.settings, c.head.settings)
	}
	if base.Detail == "" {
		base.Detail = c.base.outcome.end
	}
	if head.Detail == "" {
		head.Detail = c.head.outcome.end
	}
	return base, head
}

// conditionText says which requests a cell holds.
func conditionText(c placed) string {
	var parts []string
	switch t := c.token; {
	case t == nil:
	case t.Invalid:
		parts = append(parts, "with a token of "+t.Issuer+" that is not valid")
	default:
		parts = append(parts, "with a token of "+t.Issuer+" in "+t.Place)
	}
	if c.where != "" {
		parts = append(parts, c.where)
	}
	if c.at.moved && strings.HasPrefix(c.at.host, c.at.call+".") {
		parts = append(parts, "called as "+c.at.call)
	}
	if c.conn.TLS && (c.scheme == "http" || c.scheme == "tcp") {
		parts = append(parts, "over mutual TLS")
	}
	return strings.Join(parts, ", ")
}

// needed leaves out what need not be said, since differences show all that it is about and that has changed. A difference of the
// same kind and category, as of the same log at another port, shows what proxies do with connections that they let through.
func (f *finder) needed(found []*Difference) []Undecided {
	witnessed, like := map[string]bool{}, map[string]*Difference{}
	for _, d := range found {
		for _, name := range d.Resources {
			witnessed[name] = true
		}
		if like[d.Kind+d.Category] == nil {
			like[d.Kind+d.Category] = d
		}
	}
	changed := f.changedResources()
	return slices.DeleteFunc(f.open.All, func(u Undecided) bool {
		kind, weak := f.weak[u.Resource+u.Why]
		if !weak {
			return false
		}
		rest := slices.DeleteFunc(slices.Clone(u.Resources), func(name string) bool { return witnessed[name] || !slices.Contains(changed, name) })
		if d := like[kind]; len(rest) > 0 && d != nil {
			d.Resources = append(d.Resources, rest...)
			return true
		}
		return len(rest) == 0
	})
}
