package touched

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
)

// Lost calls note for resources that only one of two classes has, of each pair. So it sees those, too, that both bundles have and
// some proxy has lost: of two gateways with one listener the one keeps it. What known has is passed over.
func Lost(pairs [][2]*bundle.Class, known func(*bundle.Resource) bool, note func(*bundle.Resource)) {
	done := map[string]bool{}
	for _, p := range pairs {
		was, is := setsOnlyIn(p[0], p[1]), setsOnlyIn(p[1], p[0])
		if key := setKey(was) + "|" + setKey(is); !done[key] {
			done[key] = true
			lost(was, is, p[1], known, note)
			lost(is, was, p[0], known, note)
		}
	}
}

// setsOnlyIn are the sets of a class that another has not.
func setsOnlyIn(a, b *bundle.Class) []*bundle.Set {
	return slices.DeleteFunc(slices.Clone(a.Sets), func(s *bundle.Set) bool {
		return slices.ContainsFunc(b.Sets, func(o *bundle.Set) bool { return o.Digest == s.Digest })
	})
}

func setKey(sets []*bundle.Set) string {
	var b strings.Builder
	for _, s := range sets {
		b.WriteString(s.Digest.Hex())
	}
	return b.String()
}

// lost notes the resources of sets that neither the sets in their place nor the class with all of its sets has.
func lost(sets, instead []*bundle.Set, class *bundle.Class, known func(*bundle.Resource) bool, note func(*bundle.Resource)) {
	have := map[bundle.Digest]bool{}
	for _, s := range instead {
		for _, r := range s.Resources {
			have[r.Digest] = true
		}
	}
	for _, s := range sets {
		for _, r := range s.Resources {
			if !have[r.Digest] && !known(r) && !within(class, r) {
				note(r)
			}
		}
	}
}

func within(class *bundle.Class, r *bundle.Resource) bool {
	return slices.ContainsFunc(class.Sets, func(s *bundle.Set) bool {
		return slices.ContainsFunc(s.Resources, func(x *bundle.Resource) bool { return x.Digest == r.Digest })
	})
}
