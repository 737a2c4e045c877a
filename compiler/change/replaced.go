package change

import (
	"cmp"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
)

// typedName identifies a resource of a class.
type typedName struct{ url, name string }

// replaced is a resource that two classes do not have alike; nil: one of them lacks it.
type replaced struct{ base, head *bundle.Resource }

// one is the resource, of the side that is asked first where both have it.
func (r replaced) one() *bundle.Resource { return cmp.Or(r.base, r.head) }

// replaced lists what is not the same in two classes, sorted by type and name. Sets that both have are passed over: most of what the
// classes of a mesh have they share, and of that most is as it was.
func (f *finder) replaced(base, head *bundle.Class) []replaced {
	var out []replaced
	for _, r := range f.unshared(base, head) {
		h := f.lookUp(head, r)
		if h == nil || h.Digest != r.Digest {
			out = append(out, replaced{r, h})
		}
	}
	for _, r := range f.unshared(head, base) {
		if f.lookUp(base, r) == nil {
			out = append(out, replaced{nil, r})
		}
	}
	slices.SortFunc(out, func(a, b replaced) int {
		return cmp.Or(cmp.Compare(a.one().Type, b.one().Type), cmp.Compare(a.one().Name, b.one().Name))
	})
	return out
}

// unshared lists the resources of the sets of a class that another class has not.
func (f *finder) unshared(c, other *bundle.Class) []*bundle.Resource {
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
func (f *finder) lookUp(c *bundle.Class, r *bundle.Resource) *bundle.Resource {
	if c == nil {
		return nil
	}
	for _, s := range c.Sets {
		if x := f.index(s)[typedName{r.Type, r.Name}]; x != nil {
			return x
		}
	}
	return nil
}

func (f *finder) index(s *bundle.Set) map[typedName]*bundle.Resource {
	if m := f.indexes[s]; m != nil {
		return m
	}
	m := make(map[typedName]*bundle.Resource, len(s.Resources))
	for _, r := range s.Resources {
		m[typedName{r.Type, r.Name}] = r
	}
	f.indexes[s] = m
	return m
}
