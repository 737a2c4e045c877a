package memo

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/meshc/meshc/internal/diag"
)

// TestTable: however many ask for a key at once, its value is made once and all get it; what was found on the way is there
// whoever came first, sorted and each once.
func TestTable(t *testing.T) {
	var made atomic.Int32
	table := New(func(k int) (*int, diag.List) {
		made.Add(1)
		return &k, diag.List{{Code: "B", Message: fmt.Sprint(k)}, {Code: "A"}}
	})
	var wait sync.WaitGroup
	got := make([]*int, 80)
	for i := range got {
		wait.Add(1)
		go func() {
			defer wait.Done()
			got[i] = table.Get(i % 4)
		}()
	}
	wait.Wait()
	for i, p := range got {
		if *p != i%4 || p != got[i%4] {
			t.Errorf("value %d of key %d, which has another place than before: %t", *p, i%4, p != got[i%4])
		}
	}
	if made.Load() != 4 {
		t.Errorf("made %d times, want 4", made.Load())
	}
	var found []string
	for _, d := range table.Findings() {
		found = append(found, d.Code+d.Message)
	}
	if want := []string{"A", "B0", "B1", "B2", "B3"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

// TestTablePanics: who asks for a value that cannot be made is told why, also if it is not the first.
func TestTablePanics(t *testing.T) {
	table := Plain(func(int) int { panic("no") })
	for range 2 {
		func() {
			defer func() {
				if r := recover(); r != "no" {
					t.Errorf("recovered %v", r)
				}
			}()
			table.Get(1)
			t.Error("there is a value")
		}()
	}
}

// TestLists: lists are equal if their elements are, in their order.
func TestLists(t *testing.T) {
	var x Lists[string]
	a := x.Of("a", "b")
	if a != x.Of("a", "b") || !slices.Equal(a.All(), []string{"a", "b"}) {
		t.Error("two lists with the same elements differ")
	}
	for _, other := range [][]string{nil, {"a"}, {"b", "a"}, {"a", "b", "c"}, {"ab"}, {"", "a", "b"}} {
		if b := x.Of(other...); a == b || !slices.Equal(b.All(), other) {
			t.Errorf("%v is %v", other, b.All())
		}
	}
	if x.Of() != (List[string]{}) {
		t.Error("an empty list is not the zero value")
	}
}
