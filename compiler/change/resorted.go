package change

import (
	"maps"
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
)

// resortedClusters are those that are the same on both sides and lead to other workloads, by name: where it is left to the labels of
// the workloads which endpoints a service has, since none are known or the node of the client picks one.
func (f *finder) resortedClusters() map[string]bool {
	if f.resorted != nil {
		return f.resorted
	}
	f.resorted = map[string]bool{}
	same := func(a, b *workload) bool { return a != nil && maps.Equal(a.labels, b.labels) }
	if len(f.base.workloads) == len(f.head.workloads) && !slices.ContainsFunc(f.head.workloads, func(w *workload) bool { return !same(f.base.byName[w.key()], w) }) {
		return f.resorted
	}
	for _, r := range f.head.Resources {
		if sel := r.Selector; r.Type == bundle.ClusterType && sel != nil && len(sel.Workloads) > 0 {
			was, is := f.base.selected(sel.Namespace, sel.Workloads, sel.Labels), f.head.selected(sel.Namespace, sel.Workloads, sel.Labels)
			if !slices.Equal(was, is) {
				f.resorted[r.Name] = true
			}
		}
	}
	return f.resorted
}

// resortedOf lists those that a class has.
func (f *finder) resortedOf(c *bundle.Class) (out []string) {
	if all := f.resortedClusters(); c != nil && len(all) > 0 {
		for _, r := range c.Resources() {
			if r.Type == bundle.ClusterType && all[r.Name] {
				out = append(out, r.Name)
			}
		}
	}
	return out
}
