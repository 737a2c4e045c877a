// Package replaced finds which resources two classes of proxies do not have alike, as those of one workload before and after a change.
//
// Sets of resources that both have are passed over: most of what the classes of a mesh have they share, and of that most is as it was. The rest
// is looked up by type and name, in indexes of sets that are made once.
package replaced

import (
	"cmp"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
)

// Resource is one that two classes do not have alike; nil: one of them lacks it.
type Resource struct{ Base, Head *bundle.Resource }

// One is the resource, that of base where both have it.
func (r Resource) One() *bundle.Resource { return cmp.Or(r.Base, r.Head) }

// Finder remembers the sets that it has seen. It is not safe for concurrent use.
type Finder struct {
	indexes map[*bundle.Set]map[name]*bundle.Resource
	sums    map[[2]*bundle.Class]Sum
}

// Sum counts what a proxy is sent and loses when the one class takes the place of the other.
type Sum struct {
	New, Gone int // resources that are new or others, and those that are gone
	Bytes     int // of the new ones
}

type name struct{ url, name string }

// New makes a Finder.
func New() *Finder {
	return &Finder{indexes: map[*bundle.Set]map[name]*bundle.Resource{}, sums: map[[2]*bundle.Class]Sum{}}
}

// Sum counts what is not the same in two classes.
func (f *Finder) Sum(base, head *bundle.Class) Sum {
	key := [2]*bundle.Class{base, head}
	if s, ok := f.sums[key]; ok {
		return s
	}
	var s Sum
	for _, r := range f.Between(base, head) {
		if r.Head == nil {
			s.Gone++
			continue
		}
		s.New++
		s.Bytes += len(r.Head.Bytes)
	}
	f.sums[key] = s
	return s
}

// Between lists what is not the same in two classes, sorted by type and name. nil stands for a class without resources.
func (f *Finder) Between(base, head *bundle.Class) []Resource {
	var out []Resource
	for _, r := range unshared(base, head) {
		h := f.lookUp(head, r)
		if h == nil || h.Digest != r.Digest {
			out = append(out, Resource{r, h})
		}
	}
	for _, r := range unshared(head, base) {
		if f.lookUp(base, r) == nil {
			out = append(out, Resource{nil, r})
		}
	}
	slices.SortFunc(out, func(a, b Resource) int {
		return cmp.Or(cmp.Compare(a.One().Type, b.One().Type), cmp.Compare(a.One().Name, b.One().Name))
	})
	return out
}

// unshared lists the resources of the sets of a class that another class has not.
func unshared(c, other *bundle.Class) []*bundle.Resource {
	if c == nil {
		return nil
	}
	var lists [][]*bundle.Resource
	for _, s := range c.Sets {
		if other == nil || !slices.ContainsFunc(other.Sets, func(o *bundle.Set) bool { return o.Digest == s.Digest }) {
			lists = append(lists, s.Resources)
		}
	}
	return bundle.Union(lists...)
}

// lookUp finds the resource of a class that has the type and name of another; nil: there is none.
func (f *Finder) lookUp(c *bundle.Class, r *bundle.Resource) *bundle.Resource {
	if c == nil {
		return nil
	}
	for _, s := range c.Sets {
		if x := f.index(s)[name{r.Type, r.Name}]; x != nil {
			return x
		}
	}
	return nil
}

func (f *Finder) index(s *bundle.Set) map[name]*bundle.Resource {
	if m := f.indexes[s]; m != nil {
		return m
	}
	m := make(map[name]*bundle.Resource, len(s.Resources))
	for _, r := range s.Resources {
		m[name{r.Type, r.Name}] = r
	}
	f.indexes[s] = m
	return m
}
