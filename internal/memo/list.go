package memo

import (
	"hash/maphash"
	"slices"
	"sync"
)

// List is a list that can be compared: two that one Lists made are equal if they have the same elements in the same
// order. The zero List is empty.
type List[T comparable] struct{ items *[]T }

// All returns the elements, which must not be changed.
func (l List[T]) All() []T {
	if l.items == nil {
		return nil
	}
	return *l.items
}

// Lists makes lists, one for all with the same elements. The zero value is ready. It is safe for concurrent use.
type Lists[T comparable] struct {
	mu     sync.Mutex
	seed   maphash.Seed
	byHash map[uint64][]List[T]
}

// Of returns the list with these elements. It may keep them.
func (x *Lists[T]) Of(items ...T) List[T] {
	if len(items) == 0 {
		return List[T]{}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byHash == nil {
		x.seed, x.byHash = maphash.MakeSeed(), map[uint64][]List[T]{}
	}
	var h uint64
	for _, e := range items {
		h = (h<<7 | h>>57) ^ maphash.Comparable(x.seed, e)
	}
	for _, l := range x.byHash[h] {
		if slices.Equal(*l.items, items) {
			return l
		}
	}
	items = slices.Clip(items)
	l := List[T]{&items}
	x.byHash[h] = append(x.byHash[h], l)
	return l
}
