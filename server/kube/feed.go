package kube

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Feed is one watch that several listen to, so that an API server is asked once. Whoever joins late hears first of what there is.
// Objects are kept as Keep makes them, and all listeners get the same.
type Feed[T Object] struct {
	Keep func(T) T // leaves out of an object what no listener wants

	mu      sync.Mutex // held while listeners are told: one thing at a time, to all
	sinks   []Sink[T]
	objects map[[2]string]T // by namespace and name
	listed  bool
	problem error
}

// Run watches until the context ends.
func (f *Feed[T]) Run(ctx context.Context, c *Client, q Query) {
	Watch(ctx, c, q, Sink[T]{
		Replace: func(all []T) {
			f.change(func() {
				f.listed, f.objects = true, make(map[[2]string]T, len(all))
				for _, o := range all {
					f.objects[nameOf(o)] = f.Keep(o)
				}
			}, func(s Sink[T]) { call(s.Replace, f.list()) })
		},
		Put: func(o T) {
			o = f.Keep(o)
			f.change(func() { f.objects[nameOf(o)] = o }, func(s Sink[T]) { call(s.Put, o) })
		},
		Delete: func(o T) {
			f.change(func() { delete(f.objects, nameOf(o)) }, func(s Sink[T]) { call(s.Delete, o) })
		},
		Problem: func(err error) {
			f.change(func() { f.problem = err }, func(s Sink[T]) { call(s.Problem, err) })
		},
	})
}

// Join has a sink hear of everything from now on, and first of what there is. It does not leave again. Its functions must not
// join.
func (f *Feed[T]) Join(s Sink[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sinks = append(f.sinks, s)
	if f.listed {
		call(s.Replace, f.list())
	}
	if f.problem != nil {
		call(s.Problem, f.problem)
	}
}

// change notes a change and tells all of it.
func (f *Feed[T]) change(note func(), tell func(Sink[T])) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note()
	for _, s := range f.sinks {
		tell(s)
	}
}

func (f *Feed[T]) list() []T { return slices.Collect(maps.Values(f.objects)) }

func nameOf[T Object](o T) [2]string { return [2]string{o.GetNamespace(), o.GetName()} }

func call[T any](f func(T), v T) {
	if f != nil {
		f(v)
	}
}
