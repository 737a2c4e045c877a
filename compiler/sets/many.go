package sets

import (
	"maps"
	"slices"
	"strconv"
)

// A dimension of which a request can have many values (a list of groups in a token, a header that is repeated) is taken
// apart: for each class of values there is a dimension of its own, whether the request has one of the class. That one of the
// values is in a set means that it has one of a class in it, and absence that it has none of any class.

// manyClasses are the classes of a dimension of many values.
type manyClasses struct {
	*partition
	setOf map[string]int // by the key of a set: its position in the partition
}

// gatherMany collects the sets that a condition holds dimensions of many values against.
func (x *search) gatherMany(n *cond, into map[string][]Set, seen map[string]bool) {
	for _, s := range n.subs {
		x.gatherMany(s, into, seen)
	}
	if n.op == opExact && x.space.dims[n.dim].Many && !seen[n.key] {
		seen[n.key] = true
		into[n.dim] = append(into[n.dim], n.set)
	}
}

// partMany makes the classes of all dimensions of many values.
func (x *search) partMany(conds []*cond) error {
	sets := map[string][]Set{}
	seen := map[string]bool{}
	for _, n := range conds {
		x.gatherMany(n, sets, seen)
	}
	for _, dim := range slices.Sorted(maps.Keys(sets)) {
		by := sets[dim]
		p, err := x.space.part(dim, by)
		if err != nil {
			return err
		}
		m := manyClasses{p, map[string]int{}}
		for i, s := range by {
			m.setOf[s.key()] = i
		}
		x.many[dim] = m
	}
	return nil
}

// manyLeaf is the formula of a set of a dimension of many values.
func (t *tables) manyLeaf(dim string, m manyClasses, l leaf) *formula {
	some := &formula{op: opOr}
	none := &formula{op: opAnd}
	members := m.members[m.setOf[l.set.key()]]
	for i := range m.values {
		has := t.leafOf(dim+"\x00"+strconv.Itoa(i), leaf{set: AnyString()})
		none.subs = append(none.subs, &formula{op: opExact, atom: has.atom, neg: true})
		if members.has(i) {
			some.subs = append(some.subs, &formula{op: opExact, atom: has.atom})
		}
	}
	if l.set.holds(Value{Absent: true}) {
		some.subs = append(some.subs, none.simplify())
	}
	if l.neg {
		return some.simplify().opposite()
	}
	return some.simplify()
}

// opposite is the negation of a formula.
func (f *formula) opposite() *formula {
	switch f.op {
	case opAll:
		return &formula{op: opNone}
	case opNone:
		return &formula{op: opAll}
	case opExact:
		return &formula{op: opExact, atom: f.atom, neg: !f.neg}
	default: // what joins others
	}
	out := &formula{op: opAnd + opOr - f.op}
	for _, s := range f.subs {
		out.subs = append(out.subs, s.opposite())
	}
	return out
}

// hull is hullOf without dimensions of many values: two sets that have nothing in common can both have one of them.
func (x *search) hull(c Cond) hull {
	h := hullOf(c.node())
	maps.DeleteFunc(h, func(dim string, _ bound) bool { return x.space.dims[dim].Many })
	return h
}

// hasOrNot is the partition of a dimension that says whether a request has a value of a class.
func (m manyClasses) hasOrNot(class int) *partition {
	return &partition{values: []Value{{Absent: true}, m.values[class]}, members: []bitset{{2}}}
}
