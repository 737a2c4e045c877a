package attach

import "slices"

// Table holds the objects of one kind, in the order of precedence, by the namespaces whose workloads they may reach.
type Table[T comparable] struct {
	root        string
	byNamespace map[string][]attached[T]
}

type attached[T any] struct {
	Attachment
	thing T
}

// NewTable files a list. The list is in the order in which its objects hold.
func NewTable[T comparable](root string, list []T, of func(T) Attachment) *Table[T] {
	t := &Table[T]{root: root, byNamespace: map[string][]attached[T]{}}
	all, own := make([]attached[T], len(list)), map[string][]int{"": nil}
	var everywhere []int
	for i, x := range list {
		a := of(x)
		all[i] = attached[T]{a, x}
		if a.Idle(root) {
			continue
		}
		if ns := a.Namespace(root); ns != "" {
			own[ns] = append(own[ns], i)
		} else {
			everywhere = append(everywhere, i)
		}
	}
	for ns, list := range own {
		list = slices.Concat(list, everywhere)
		slices.Sort(list)
		for _, i := range list {
			t.byNamespace[ns] = append(t.byNamespace[ns], all[i])
		}
	}
	return t
}

// reaching returns what reaches a workload.
func (t *Table[T]) reaching(namespace string, labels map[string]string) (out []attached[T]) {
	list, own := t.byNamespace[namespace]
	if !own {
		list = t.byNamespace[""] // of those that reach every namespace
	}
	for _, a := range list {
		if a.Reaches(t.root, namespace, labels) {
			out = append(out, a)
		}
	}
	return out
}

// For returns all that hold for a workload, in order.
func (t *Table[T]) For(namespace string, labels map[string]string) (out []T) {
	for _, a := range t.reaching(namespace, labels) {
		out = append(out, a.thing)
	}
	return out
}

// Parted returns those of the root namespace that hold for a workload, and the others, each in order.
func (t *Table[T]) Parted(namespace string, labels map[string]string) (root, own []T) {
	for _, a := range t.reaching(namespace, labels) {
		if a.Object.Namespace == t.root {
			root = append(root, a.thing)
		} else {
			own = append(own, a.thing)
		}
	}
	return root, own
}

// Layers are the objects of a layered kind that hold for a workload, each laid over the one before.
type Layers[T comparable] struct {
	Mesh, Namespace T   // the first without a selector, zero: none; in the root namespace it is that of the mesh
	Workload        []T // that select the workload, in order
}

// Layers returns what holds for a workload.
func (t *Table[T]) Layers(namespace string, labels map[string]string) (l Layers[T]) {
	var none T
	for _, a := range t.reaching(namespace, labels) {
		switch {
		case a.Selects:
			l.Workload = append(l.Workload, a.thing)
		case a.Object.Namespace == t.root:
			if l.Mesh == none {
				l.Mesh = a.thing
			}
		case l.Namespace == none:
			l.Namespace = a.thing
		}
	}
	return l
}

// First is the first that selects the workload; zero: none does.
func (l Layers[T]) First() (first T) {
	if len(l.Workload) > 0 {
		return l.Workload[0]
	}
	return first
}
