package change

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/places"
	"github.com/meshc/meshc/compiler/change/rest"
	"github.com/meshc/meshc/compiler/change/touched"
	"github.com/meshc/meshc/compiler/names"
)

// ledger counts what became of each thing that differs.
func (f *finder) ledger(r *Report) Ledger {
	witnessed, met := map[string]bool{}, map[string]bool{}
	for _, d := range r.Differences {
		for _, k := range d.Resources {
			witnessed[k] = true
		}
		for _, w := range slices.Concat(d.From, d.Servers) {
			met[w.Namespace+"/"+w.Name] = true
		}
	}
	open, unsure, any := map[string]bool{}, map[string]bool{}, false
	for _, u := range r.Undecided {
		any = any || len(u.Resources) == 0
		for _, k := range u.Resources {
			unsure[k] = true
		}
		for _, w := range slices.Concat(u.From, u.Servers) {
			open[w.Namespace+"/"+w.Name] = true
		}
	}
	var l Ledger
	count := func(name string, seen, undecided bool, equal string) {
		e := Entry{Name: name, Fate: FateEqual, Why: equal}
		l.Changed++
		switch {
		case seen:
			e.Fate, e.Why = FateWitnessed, ""
			l.Witnessed++
		case undecided:
			e.Fate, e.Why = FateUndecided, ""
			l.Undecided++
		default:
			l.Equal++
		}
		l.Entries = append(l.Entries, e)
	}
	for _, k := range f.changedResources() {
		count(k, witnessed[k], any || unsure[k], f.whyEqual(k))
	}
	for _, w := range slices.Concat(r.Added, r.Removed) {
		count("workload "+w.String(), true, false, "")
	}
	for _, x := range f.rest {
		count(x.Name, false, x.Why == "" && unsure[x.Name], cmp.Or(x.Why, rest.WhyPlan))
	}
	counted := map[string]bool{}
	for _, p := range f.pairs() {
		if !p.alike() && !counted[p.head.key()] {
			counted[p.head.key()] = true
			count("workload "+p.head.key(), met[p.head.key()], open[p.head.key()], WhyProven)
		}
	}
	return l
}

// follows notes what servers would make otherwise of endpoints that are to come, where no resource for their host is another: those of
// today are the same, as when a Service begins to publish pods that are not ready and all are.
func (f *finder) follows() {
	f.rest = rest.Between(f.base.Bundle, f.head.Bundle)
	changed := map[string]bool{}
	for _, name := range f.changedResources() {
		if _, of, ok := strings.Cut(name, " "); ok {
			if c, ok := names.ParseCluster(of); ok {
				changed[c.Host] = true
			}
		}
	}
	for _, x := range f.rest {
		if x.Why == "" && !changed[x.Host] {
			f.undecided(Undecided{From: f.clientsOf(x.Host), Host: x.Host, Resource: x.Name, Resources: []string{x.Name}, Causes: f.serviceCause(x.Host),
				Why: "those of today are the same, and a server that follows endpoints chooses them otherwise from now on"})
		}
	}
}

// clientsOf lists the workloads whose proxies know a host; nobody, which is everybody, where there are none.
func (f *finder) clientsOf(host string) (out []Ref) {
	for _, p := range f.pairs() {
		if p.head.class == nil || slices.Contains(out, p.ref()) {
			continue
		}
		if slices.ContainsFunc(p.head.class.Resources(), func(r *bundle.Resource) bool {
			c, ok := names.ParseCluster(r.Name)
			return ok && r.Type == bundle.ClusterType && c.Host == host
		}) {
			out = append(out, p.ref())
		}
	}
	return out
}

// serviceCause is the place of what declares a host.
func (f *finder) serviceCause(host string) []Cause {
	for _, r := range f.head.Resources {
		if c, ok := names.ParseCluster(r.Name); ok && c.Host == host && r.Type == bundle.ClusterType {
			return places.Of(r.Origins)
		}
	}
	return nil
}

// whyEqual says why a resource that differs is equal in effect, where it is.
func (f *finder) whyEqual(name string) string {
	switch {
	case f.came[name] == passed && !f.refuted[name]:
		return WhyProven
	case f.came[name] == stopped, f.refuted[name]:
		return WhyRefused
	case f.unasked[name]:
		return WhyUnused
	case f.named[name]:
		return WhyNames
	}
	return WhyNobody
}

// alike tells whether a workload is the same on both sides as far as others can see.
func (p pair) alike() bool {
	return p.base.account == p.head.account && maps.Equal(p.base.labels, p.head.labels) && p.base.proxy == p.head.proxy && p.base.gateway() == p.head.gateway()
}

// changedResources lists the types and names under which the bundles, or a proxy by one and the other, have different resources.
func (f *finder) changedResources() []string {
	if f.changed != nil {
		return f.changed
	}
	out := map[string]bool{}
	only := func(a, b *bundle.Bundle) {
		for _, r := range a.Resources {
			if _, same := b.Find(r); !same {
				out[resourceName(r)] = true
			}
		}
	}
	only(f.base.Bundle, f.head.Bundle)
	only(f.head.Bundle, f.base.Bundle)
	var classes [][2]*bundle.Class
	for _, p := range f.pairs() {
		if p.base.class != nil && p.head.class != nil {
			classes = append(classes, [2]*bundle.Class{p.base.class, p.head.class})
		}
	}
	touched.Lost(classes, func(r *bundle.Resource) bool { return out[resourceName(r)] }, func(r *bundle.Resource) { out[resourceName(r)] = true })
	f.changed = slices.Sorted(maps.Keys(out))
	return f.changed
}

func resourceName(r *bundle.Resource) string {
	if r == nil {
		return ""
	}
	return shortTypeName(r.Type) + " " + r.Name
}

func shortTypeName(url string) string { return url[strings.LastIndexByte(url, '.')+1:] }
