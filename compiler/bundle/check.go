package bundle

import (
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/names"
)

// finish checks what must hold between the parts of a bundle and builds the look-up tables. It numbers the resources.
func (b *Bundle) finish() error {
	for i, r := range b.Resources {
		r.index = int32(i)
	}
	ids := make(map[string]bool, len(b.Selectors))
	for i := range b.Selectors {
		if err := b.Selectors[i].check(); err != nil {
			return err
		}
		if ids[b.Selectors[i].ID] {
			return refuse(CodeConflict, "", "", "two selectors have the id %q", b.Selectors[i].ID)
		}
		ids[b.Selectors[i].ID] = true
	}
	names := newNameTable(b.Resources)
	for _, c := range b.Classes {
		for _, id := range c.Selectors {
			if !ids[id] {
				return refuse(CodeMalformed, "", "", "class %q names the selector %q, which the bundle does not have", c.ID, id)
			}
		}
		if err := names.check(c); err != nil {
			return err
		}
	}
	return b.matcher.build(b)
}

func (s *Selector) check() error {
	n := 0
	for _, set := range []bool{len(s.Labels) > 0, s.Address != "", s.Locality != "", s.Network != ""} {
		if set {
			n++
		}
	}
	if s.ID == "" || n > 1 || n == 0 && s.Cluster == "" {
		return refuse(CodeMalformed, "", "", "selector %q has %d conditions of labels, address, locality and network; it needs an id and one condition, or a cluster alone", s.ID, n)
	}
	return nil
}

// nameTable finds resources of one type and name that differ within a class. Pairs of sets are looked at once, however
// many classes share them.
type nameTable struct {
	key   []int32 // by resource: number of its type and name
	bySet map[*Set][]int32
	ok    map[[2]*Set]bool
}

func newNameTable(rs []*Resource) *nameTable {
	t := &nameTable{key: make([]int32, len(rs)), bySet: map[*Set][]int32{}, ok: map[[2]*Set]bool{}}
	for i := 1; i < len(rs); i++ {
		t.key[i] = t.key[i-1]
		if rs[i].Name != rs[i-1].Name || rs[i].Type != rs[i-1].Type {
			t.key[i]++
		}
	}
	return t
}

func (t *nameTable) keys(s *Set) []int32 {
	k, ok := t.bySet[s]
	if !ok {
		k = make([]int32, len(s.Resources))
		for i, r := range s.Resources {
			k[i] = t.key[r.index]
		}
		t.bySet[s] = k
	}
	return k
}

func (t *nameTable) check(c *Class) error {
	for i, s := range c.Sets {
		if !t.ok[[2]*Set{s, s}] {
			k := t.keys(s)
			for j := 1; j < len(k); j++ {
				if k[j] == k[j-1] {
					return conflict(c, s.Resources[j-1], s.Resources[j])
				}
			}
			t.ok[[2]*Set{s, s}] = true
		}
		for _, o := range c.Sets[:i] {
			if t.ok[[2]*Set{o, s}] {
				continue
			}
			small, large := o, s
			if len(small.Resources) > len(large.Resources) {
				small, large = large, small
			}
			k := t.keys(large)
			for j, key := range t.keys(small) {
				if at, found := slices.BinarySearch(k, key); found && large.Resources[at] != small.Resources[j] {
					return conflict(c, large.Resources[at], small.Resources[j])
				}
			}
			t.ok[[2]*Set{o, s}] = true
		}
	}
	return nil
}

func conflict(c *Class, a, b *Resource) error {
	return &Error{Code: CodeConflict, Origins: append(slices.Clone(a.Origins), b.Origins...),
		Message: "class " + strconv.Quote(c.ID) + " has two different resources " + shortType(a.Type) + " " + strconv.Quote(a.Name) + place(a) + place(b),
		Help:    "this is a fault of the compiler; please report it"}
}

func place(r *Resource) string {
	if len(r.Origins) == 0 {
		return ""
	}
	return ", from " + r.Origins[0].Place()
}

// Place renders file:line.
func (o Origin) Place() string { return o.File + ":" + strconv.Itoa(o.Line) }

// signatureKey identifies a class for look-up.
func signatureKey(gateway bool, namespace string, ids []string) string {
	kind := "sidecar"
	if gateway {
		kind = "router"
	}
	return kind + "\x00" + namespace + "\x00" + strings.Join(ids, "\x00")
}

// OriginsAt returns the places behind a part of the resource, or behind all of it where the part has none.
func (r *Resource) OriginsAt(part names.Part) []Origin {
	if at := r.OriginsOf(part); len(at) > 0 {
		return at
	}
	return r.OriginsOf(names.Part{})
}

// OriginsOf returns the places behind a part of the resource alone. The list is the resource's own where they stand together, as those
// of listeners of many services do, of whom each is asked for.
func (r *Resource) OriginsOf(part names.Part) []Origin {
	first := slices.IndexFunc(r.Origins, func(o Origin) bool { return o.At == part })
	if first < 0 {
		return nil
	}
	end := first + 1
	for end < len(r.Origins) && r.Origins[end].At == part {
		end++
	}
	out := r.Origins[first:end:end]
	for _, o := range r.Origins[end:] {
		if o.At == part {
			out = append(out, o)
		}
	}
	return out
}
