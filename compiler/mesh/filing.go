package mesh

import (
	"maps"
	"slices"

	"github.com/meshc/meshc/schema"
)

// A namespace may hold thousands of workloads and as many selectors; both are filed by label, so that a look-up meets
// few of them.

// reaching files a list of objects by the namespaces they may reach workloads in: their own, or all for those of the root
// namespace. It is filled when it is first asked, so the list must be complete then.
type reaching[T any] struct {
	lists map[string][]T
}

// in returns the objects that may reach a namespace, in the order of the list.
func (x *reaching[T]) in(m *Mesh, namespace string, list []T, object func(T) *schema.Object) []T {
	out, ok := x.lists[namespace]
	if !ok {
		for _, e := range list {
			if ns := object(e).Namespace; ns == namespace || ns == m.RootNamespace {
				out = append(out, e)
			}
		}
		if x.lists == nil {
			x.lists = map[string][]T{}
		}
		x.lists[namespace] = out
	}
	return out
}

type labelPair struct{ namespace, key, value string }

// labelled finds the things that a selector matches, in the order they were added.
type labelled[T any] map[labelPair][]labelledThing[T]

type labelledThing[T any] struct {
	labels map[string]string
	thing  T
}

func (x labelled[T]) add(namespace string, labels map[string]string, thing T) {
	for k, v := range labels {
		p := labelPair{namespace, k, v}
		x[p] = append(x[p], labelledThing[T]{labels, thing})
	}
}

// matching returns the things of a namespace with all labels of a selector that is not empty.
func (x labelled[T]) matching(namespace string, selector map[string]string) (out []T) {
	var few []labelledThing[T]
	first := true
	for k, v := range selector {
		if list := x[labelPair{namespace, k, v}]; first || len(list) < len(few) {
			few, first = list, false
		}
	}
	for _, e := range few {
		if subset(selector, e.labels) {
			out = append(out, e.thing)
		}
	}
	return out
}

// selecting finds the things whose selector matches some labels, in the order they were added. Each is filed under the
// one label of its selector that the fewest others ask for.
type selecting[T any] struct {
	things []selectingThing[T]
	filed  map[labelPair][]int
}

type selectingThing[T any] struct {
	namespace string
	selector  map[string]string
	thing     T
}

// add adds a thing with a selector that is not empty.
func (x *selecting[T]) add(namespace string, selector map[string]string, thing T) {
	x.things, x.filed = append(x.things, selectingThing[T]{namespace, selector, thing}), nil
}

func (x *selecting[T]) file() {
	count := map[labelPair]int{}
	for _, t := range x.things {
		for k, v := range t.selector {
			count[labelPair{t.namespace, k, v}]++
		}
	}
	x.filed = make(map[labelPair][]int, len(x.things))
	for i, t := range x.things {
		var rarest labelPair
		n := -1
		for _, k := range slices.Sorted(maps.Keys(t.selector)) {
			p := labelPair{t.namespace, k, t.selector[k]}
			if c := count[p]; n < 0 || c < n {
				rarest, n = p, c
			}
		}
		x.filed[rarest] = append(x.filed[rarest], i)
	}
}

// matching returns the things of a namespace whose selector the labels satisfy.
func (x *selecting[T]) matching(namespace string, labels map[string]string) (out []T) {
	if x.filed == nil {
		x.file()
	}
	var hits []int
	for k, v := range labels {
		for _, i := range x.filed[labelPair{namespace, k, v}] {
			if subset(x.things[i].selector, labels) {
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
