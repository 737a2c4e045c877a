package attach

import (
	"maps"
	"slices"

	"github.com/meshc/meshc/compiler/endpoint"
)

// A namespace may hold thousands of workloads and as many selectors; both are indexed by label, so that a look-up meets
// few of them.

type labelPair struct{ namespace, key, value string }

// ByLabels finds the things that a selector matches, in the order they were added.
type ByLabels[T any] map[labelPair][]labelled[T]

type labelled[T any] struct {
	labels map[string]string
	thing  T
}

// Add adds a thing that has labels.
func (x ByLabels[T]) Add(namespace string, labels map[string]string, thing T) {
	for k, v := range labels {
		p := labelPair{namespace, k, v}
		x[p] = append(x[p], labelled[T]{labels, thing})
	}
}

// Matching returns the things of a namespace with all labels of a selector that is not empty.
func (x ByLabels[T]) Matching(namespace string, selector map[string]string) (out []T) {
	var few []labelled[T]
	first := true
	for k, v := range selector {
		if list := x[labelPair{namespace, k, v}]; first || len(list) < len(few) {
			few, first = list, false
		}
	}
	for _, e := range few {
		if endpoint.Subset(selector, e.labels) {
			out = append(out, e.thing)
		}
	}
	return out
}

// BySelector finds the things whose selector matches some labels, in the order they were added. Each is indexed under the
// one label of its selector that the fewest others ask for.
type BySelector[T any] struct {
	things   []selecting[T]
	byRarest map[labelPair][]int
}

type selecting[T any] struct {
	namespace string
	selector  map[string]string
	thing     T
}

// Add adds a thing with a selector that is not empty.
func (x *BySelector[T]) Add(namespace string, selector map[string]string, thing T) {
	x.things, x.byRarest = append(x.things, selecting[T]{namespace, selector, thing}), nil
}

func (x *BySelector[T]) file() {
	count := map[labelPair]int{}
	for _, t := range x.things {
		for k, v := range t.selector {
			count[labelPair{t.namespace, k, v}]++
		}
	}
	x.byRarest = make(map[labelPair][]int, len(x.things))
	for i, t := range x.things {
		var rarest labelPair
		n := -1
		for _, k := range slices.Sorted(maps.Keys(t.selector)) {
			p := labelPair{t.namespace, k, t.selector[k]}
			if c := count[p]; n < 0 || c < n {
				rarest, n = p, c
			}
		}
		x.byRarest[rarest] = append(x.byRarest[rarest], i)
	}
}

// Matching returns the things of a namespace whose selector the labels satisfy.
func (x *BySelector[T]) Matching(namespace string, labels map[string]string) (out []T) {
	if x.byRarest == nil {
		x.file()
	}
	var hits []int
	for k, v := range labels {
		for _, i := range x.byRarest[labelPair{namespace, k, v}] {
			if endpoint.Subset(x.things[i].selector, labels) {
				hits = append(hits, i)
			}
		}
	}
	slices.Sort(hits)
	for _, i := range hits {
		out = append(out, x.things[i].thing)
	}
	return out
}
