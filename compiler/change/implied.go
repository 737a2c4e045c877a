package change

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/names"
)

// WhyNobody is why a resource that differs makes no difference: it is for proxies of which the input declares none.
const WhyNobody = "no workload of the input has a proxy with it"

// implied lists the classes of a side that stand for proxies which the input does not declare: those that a selector or a Gateway
// asks for. Those of single addresses are left out, since the addresses of a ServiceEntry need no proxy, and gateways for whose
// Gateways the input declares one.
func (s *side) implied() []*bundle.Class {
	declared := map[string]bool{}
	for i := range s.Workloads {
		declared[s.Workloads[i].Class] = true
	}
	served := map[string]bool{} // selectors that a declared gateway meets
	for _, c := range s.Classes {
		if c.Gateway && declared[c.ID] {
			for _, id := range c.Selectors {
				served[id] = true
			}
		}
	}
	return slices.DeleteFunc(slices.Clone(s.Classes), func(c *bundle.Class) bool {
		unserved := func(id string) bool { return !served[id] }
		return declared[c.ID] || strings.Contains(names.ClassProxies(c.ID), "@") || c.Gateway && len(c.Selectors) > 0 && !slices.ContainsFunc(c.Selectors, unserved)
	})
}

// counterpart is the class that the proxies of a class of the other side would have here: they meet the selectors that both
// sides have. nil: there is none.
func (s *side) counterpart(c *bundle.Class) *bundle.Class {
	known := func(id string) bool {
		return slices.ContainsFunc(s.Selectors, func(x bundle.Selector) bool { return x.ID == id })
	}
	var both []string
	for _, id := range c.Selectors {
		if known(id) {
			both = append(both, id)
		}
	}
	for _, x := range s.Classes {
		if x.Gateway == c.Gateway && x.Namespace == c.Namespace && slices.Equal(x.Selectors, both) {
			return x
		}
	}
	if x := s.Class(c.ID); x != nil && x.Gateway == c.Gateway {
		return x
	}
	return nil
}

// impliedPairs lists the proxies that the input does not declare, as workloads of both sides.
func (f *finder) impliedPairs() []pair {
	var out []pair
	done := map[[2]*bundle.Class]bool{}
	add := func(base, head *bundle.Class) {
		if key := [2]*bundle.Class{base, head}; !done[key] {
			done[key] = true
			out = append(out, pair{impliedWorkload(base, head), impliedWorkload(head, base)})
		}
	}
	for _, c := range f.head.implied() {
		if b := f.base.counterpart(c); b != nil || c.Gateway {
			add(b, c)
		}
	}
	for _, c := range f.base.implied() {
		if h := f.head.counterpart(c); h != nil || c.Gateway {
			add(c, h)
		}
	}
	return out
}

// impliedWorkload stands for a proxy of a class; other is that of the other side, for where this one has none.
func impliedWorkload(c, other *bundle.Class) *workload {
	of := c
	if of == nil {
		of = other
	}
	name := names.ClassProxies(of.ID)
	return &workload{namespace: of.Namespace, name: strings.TrimPrefix(name, of.Namespace+"/"), account: "default", class: c, proxy: c != nil, router: of.Gateway}
}

// digests identify what a resource was and is.
type digests struct {
	name       string
	base, head bundle.Digest
}

// changesOf lists what differs between two classes.
func (f *finder) changesOf(base, head *bundle.Class) map[digests]bool {
	out := map[digests]bool{}
	for _, r := range f.replaced.Between(base, head) {
		d := digests{name: resourceName(r.One())}
		if r.Base != nil {
			d.base = r.Base.Digest
		}
		if r.Head != nil {
			d.head = r.Head.Digest
		}
		out[d] = true
	}
	return out
}

// undeclared compares what would happen at proxies that the input does not declare, as far as no declared one has the same
// change. Where the input declares no workload at all, these are all there is to compare; else what they would see is
// undecided, since there may be none.
func (f *finder) undeclared() error {
	pairs := f.impliedPairs()
	if len(f.base.workloads)+len(f.head.workloads) == 0 {
		for _, p := range pairs {
			if err := f.compareAt(p, []Ref{p.ref()}); err != nil {
				return err
			}
		}
		return nil
	}
	pairs = append(pairs, f.machines()...)
	if len(pairs) == 0 {
		return nil
	}
	declared, done := map[digests]bool{}, map[[2]*bundle.Class]bool{}
	for _, p := range f.declared() {
		if key := [2]*bundle.Class{p.base.class, p.head.class}; !done[key] {
			done[key] = true
			for k := range f.changesOf(p.base.class, p.head.class) {
				declared[k] = true
			}
		}
	}
	witnessed := map[bool]map[string]bool{true: {}, false: {}} // at gateways and elsewhere
	for _, d := range f.found {
		for _, name := range d.Resources {
			witnessed[d.From[0].Kind == KindGateway][name] = true
		}
	}
	for _, p := range pairs {
		fresh := map[string]bool{}
		for k := range f.changesOf(p.base.class, p.head.class) {
			if !declared[k] && !witnessed[p.head.gateway()][k.name] {
				fresh[k.name] = true
			}
		}
		if len(fresh) == 0 && !(p.head.virtual && p.base.account != p.head.account) {
			continue
		}
		if err := f.wouldSee(p, fresh); err != nil {
			return err
		}
	}
	return nil
}

// wouldSee notes what a proxy that the input does not declare would see of changes that no declared one has.
func (f *finder) wouldSee(p pair, fresh map[string]bool) error {
	found, byKey, byRequest, open := f.found, f.byKey, f.byRequest, f.open
	f.found, f.byKey, f.byRequest, f.open = nil, map[string]*Difference{}, map[string][]*Difference{}, report.Doubts{}
	err := f.compareAt(p, []Ref{p.ref()})
	differences, undecided := f.found, f.open.All
	f.found, f.byKey, f.byRequest, f.open = found, byKey, byRequest, open
	for _, d := range differences {
		i := slices.IndexFunc(d.Resources, func(r string) bool { return fresh[r] })
		if i < 0 && (d.From[0].Kind == KindOutside || p.base.account == p.head.account) {
			continue
		}
		i = max(i, 0) // of a machine that is somebody else now
		why := WhyNobody
		if p.head.virtual {
			why = "a machine outside Kubernetes brings its labels itself, and the input does not say which"
		}
		u := Undecided{Host: d.Host, Port: d.Port, Resource: d.Resources[i], Causes: d.Causes, Resources: d.Resources,
			Why: fmt.Sprintf("%s; one would see: %s, %s: was %s, is %s", why, d.Kind, d.Category, d.Base, d.Head)}
		if d.From[0].Kind == KindOutside {
			u.Servers = []Ref{p.ref()}
		} else {
			u.From = []Ref{p.ref()}
		}
		f.undecided(u)
	}
	for _, u := range undecided {
		if len(u.Resources) == 0 || slices.ContainsFunc(u.Resources, func(r string) bool { return fresh[r] }) {
			f.undecided(u)
		}
	}
	return err
}
