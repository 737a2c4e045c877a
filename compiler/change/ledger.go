package change

import (
	"maps"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
)

// Ledger accounts for all that differs between two bundles: each resource, by type and name, and each workload is proven
// equal in effect, has a witness, or is undecided.
type Ledger struct {
	Changed   int `json:"changed"`
	Equal     int `json:"equal"`
	Witnessed int `json:"witnessed"`
	Undecided int `json:"undecided"`
}

// ledger counts what became of each thing that differs.
func (f *finder) ledger(r *Report) Ledger {
	witnessed := map[string]bool{}
	touched := map[string]bool{}
	for _, d := range r.Differences {
		for _, k := range d.resources {
			witnessed[k] = true
		}
		for _, w := range slices.Concat(d.From, d.Servers) {
			touched[w.Namespace+"/"+w.Name] = true
		}
	}
	open := map[string]bool{}
	for _, u := range r.Undecided {
		for _, w := range slices.Concat(u.From, u.Servers) {
			open[w.Namespace+"/"+w.Name] = true
		}
	}
	var l Ledger
	count := func(seen, undecided bool) {
		l.Changed++
		switch {
		case seen:
			l.Witnessed++
		case undecided:
			l.Undecided++
		default:
			l.Equal++
		}
	}
	for _, k := range f.changedResources() {
		count(witnessed[k], len(r.Undecided) > 0)
	}
	for range slices.Concat(r.Added, r.Removed) {
		count(true, false)
	}
	for _, p := range f.pairs() {
		if !p.alike() {
			count(touched[p.head.key()], open[p.head.key()])
		}
	}
	return l
}

// alike tells whether a workload is the same on both sides as far as others can see.
func (p pair) alike() bool {
	return p.base.account == p.head.account && maps.Equal(p.base.labels, p.head.labels) && p.base.proxy == p.head.proxy && p.base.gateway() == p.head.gateway()
}

// changedResources lists the types and names under which the bundles have different resources.
func (f *finder) changedResources() []string {
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
	return slices.Sorted(maps.Keys(out))
}

func resourceName(r *bundle.Resource) string {
	if r == nil {
		return ""
	}
	return shortTypeName(r.Type) + " " + r.Name
}

func shortTypeName(url string) string { return url[strings.LastIndexByte(url, '.')+1:] }
