// Package memo shares what is made once.
//
// A Table remembers the values of a function, by its argument. The function is given the argument and nothing else, so
// what a value depends on has to be part of the key, or it is not there to be read. A List is a list that can be part of
// a key: two with the same elements are equal.
package memo

import (
	"sync"

	"github.com/meshc/meshc/internal/diag"
)

// Table remembers the values of a function of K. Each is made once, by whoever asks first, and whoever asks meanwhile
// waits for it. What is found on the way stays with the value, so that it does not matter who came first. It is safe for
// concurrent use.
type Table[K comparable, V any] struct {
	of func(K) (V, diag.List)

	mu      sync.Mutex
	entries map[K]func() (V, diag.List)
}

// New makes a table of a function, which must depend on its argument alone and may be called by several goroutines.
func New[K comparable, V any](of func(K) (V, diag.List)) *Table[K, V] {
	return &Table[K, V]{of: of, entries: map[K]func() (V, diag.List){}}
}

// Plain is New for a function that finds nothing.
func Plain[K comparable, V any](of func(K) V) *Table[K, V] {
	return New(func(k K) (V, diag.List) { return of(k), nil })
}

// Get returns the value of a key. A panic of the function is one for everybody who asks for the key.
func (t *Table[K, V]) Get(k K) V {
	v, _ := t.entry(k)()
	return v
}

func (t *Table[K, V]) entry(k K) func() (V, diag.List) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.entries[k]
	if e == nil {
		e = sync.OnceValues(func() (V, diag.List) { return t.of(k) })
		t.entries[k] = e
	}
	return e
}

// Findings returns what was found for all keys asked so far, sorted and each once.
func (t *Table[K, V]) Findings() diag.List {
	t.mu.Lock()
	entries := make([]func() (V, diag.List), 0, len(t.entries))
	for _, e := range t.entries {
		entries = append(entries, e)
	}
	t.mu.Unlock()
	var out diag.List
	for _, e := range entries {
		_, found := e()
		out.Add(found...)
	}
	out.Sort()
	return out
}
