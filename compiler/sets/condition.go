package sets

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Cond is a condition on requests. It does not change. The zero value holds for every request.
type Cond struct{ n *cond }

// cond is a node of the tree: opAll, opNone, opNot, opAnd, opOr, or opExact for a set of a dimension.
type cond struct {
	op   op
	dim  string
	set  Set
	subs []*cond
	key  string
}

var (
	always = &cond{op: opAll, key: "always"}
	never  = &cond{op: opNone, key: "never"}
)

// Always holds for every request.
func Always() Cond { return Cond{always} }

// Never holds for no request.
func Never() Cond { return Cond{never} }

// In holds for requests whose value in a dimension is in a set.
func In(dim string, s Set) Cond {
	return Cond{&cond{op: opExact, dim: dim, set: s, key: shortKey("in " + dim + " " + s.key())}}
}

// All holds where all conditions hold; of none: always.
func All(of ...Cond) Cond { return joinConds(opAnd, always, never, of) }

// Any holds where one of the conditions holds; of none: never.
func Any(of ...Cond) Cond { return joinConds(opOr, never, always, of) }

// And holds where both hold.
func (c Cond) And(d Cond) Cond { return All(c, d) }

// Or holds where one holds.
func (c Cond) Or(d Cond) Cond { return Any(c, d) }

// Not holds where the condition does not.
func (c Cond) Not() Cond {
	switch n := c.node(); n.op {
	case opAll:
		return Never()
	case opNone:
		return Always()
	case opNot:
		return Cond{n.subs[0]}
	default:
		return Cond{&cond{op: opNot, subs: []*cond{n}, key: shortKey("not " + n.key)}}
	}
}

func (c Cond) node() *cond {
	if c.n == nil {
		return always
	}
	return c.n
}

func joinConds(o op, neutral, zero *cond, of []Cond) Cond {
	var subs []*cond
	for _, c := range of {
		switch n := c.node(); n.op {
		case neutral.op:
		case zero.op:
			return Cond{zero}
		case o:
			subs = append(subs, n.subs...)
		default:
			subs = append(subs, n)
		}
	}
	switch len(subs) {
	case 0:
		return Cond{neutral}
	case 1:
		return Cond{subs[0]}
	}
	keys := make([]string, len(subs))
	for i, n := range subs {
		keys[i] = n.key
	}
	slices.Sort(keys) // order makes no difference to equality; what is shown keeps it
	return Cond{&cond{op: o, subs: subs, key: shortKey(fmt.Sprint(o, keys))}}
}

// Equal tells whether two conditions are written alike.
func (c Cond) Equal(d Cond) bool { return c.node().key == d.node().key }

// Holds tells whether a request meets the condition. A dimension that it has no value for counts as absent.
func (c Cond) Holds(a Assignment) bool { return c.node().holds(a) }

func (n *cond) holds(a Assignment) bool {
	switch n.op {
	case opAll:
		return true
	case opNone:
		return false
	case opNot:
		return !n.subs[0].holds(a)
	case opAnd:
		return !slices.ContainsFunc(n.subs, func(x *cond) bool { return !x.holds(a) })
	case opOr:
		return slices.ContainsFunc(n.subs, func(x *cond) bool { return x.holds(a) })
	default:
		v, ok := a[n.dim]
		if !ok {
			v.Absent = true
		}
		return n.set.holds(v)
	}
}

// String describes the condition for people.
func (c Cond) String() string { return c.node().String() }

func (n *cond) operator() op { return n.op }

// node is a part of a tree of conditions or of one of patterns.
type node interface {
	fmt.Stringer
	operator() op
}

// joined is the text of several nodes, those that have parts themselves in parentheses.
func joined[N node](nodes []N, by string) string {
	var parts []string
	for _, x := range nodes {
		text := x.String()
		if o := x.operator(); o == opAnd || o == opOr {
			text = "(" + text + ")"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, by)
}

func (n *cond) String() string {
	switch n.op {
	case opAll:
		return "any request"
	case opNone:
		return "no request"
	case opNot:
		return "not (" + n.subs[0].String() + ")"
	case opAnd:
		return joined(n.subs, " and ")
	case opOr:
		return joined(n.subs, " or ")
	default:
		return strings.ReplaceAll(n.dim, ":", " ") + " " + n.set.String()
	}
}

// atom is a set of a dimension, as a question compares requests with it.
type atom struct {
	dim  int
	set  Set
	bits bitset // the classes of the dimension that are in the set
}

// formula is a condition over atoms, negated only at its leaves, with at most one leaf of each dimension in an and or or.
type formula struct {
	op   op // opAll, opNone, opAnd, opOr or opExact
	atom int
	neg  bool
	subs []*formula
}

// tables hold the atoms of one question.
type tables struct {
	given    Assignment
	dims     []string
	dimOf    map[string]int
	atoms    []atom
	atomOf   map[string]int
	formulas map[string]*formula
	many     map[string]manyClasses
}

func newTables(given Assignment) *tables {
	return &tables{given: given, dimOf: map[string]int{}, atomOf: map[string]int{}, formulas: map[string]*formula{}, many: map[string]manyClasses{}}
}

// leaf is a set of a dimension or its complement, before it is an atom.
type leaf struct {
	set Set
	neg bool
}

func (l leaf) plain() Set {
	if l.neg {
		return l.set.not()
	}
	return l.set
}

// read makes the formula of a condition or of its negation.
func (t *tables) read(n *cond, neg bool) *formula {
	key := fmt.Sprint(neg, n.key)
	if f, ok := t.formulas[key]; ok {
		return f
	}
	f := t.make(n, neg)
	t.formulas[key] = f
	return f
}

func (t *tables) make(n *cond, neg bool) *formula {
	switch n.op {
	case opNot:
		return t.read(n.subs[0], !neg)
	case opAll, opNone:
		if (n.op == opAll) != neg {
			return &formula{op: opAll}
		}
		return &formula{op: opNone}
	case opExact:
		return t.leaf(n.dim, leaf{n.set, neg})
	default: // what joins others
	}
	o := n.op
	if neg {
		o = opAnd + opOr - o
	}
	out := &formula{op: o}
	leaves := map[string]leaf{}
	var order []string
	var others []*formula
	t.gather(n, neg, o, func(dim string, l leaf) {
		had, ok := leaves[dim]
		switch {
		case !ok:
			order = append(order, dim)
			leaves[dim] = l
		case o == opAnd:
			leaves[dim] = leaf{set: had.plain().both(l.plain())}
		default:
			leaves[dim] = leaf{set: had.plain().either(l.plain())}
		}
	}, func(f *formula) { others = append(others, f) })
	for _, dim := range order {
		out.subs = append(out.subs, t.leaf(dim, leaves[dim]))
	}
	out.subs = append(out.subs, others...)
	return out.simplify()
}

// gather visits what an and or or joins, through parts that join in the same way.
func (t *tables) gather(n *cond, neg bool, o op, visit func(string, leaf), other func(*formula)) {
	for _, x := range n.subs {
		xneg := neg
		for x.op == opNot {
			x, xneg = x.subs[0], !xneg
		}
		xop := x.op
		if xneg && (xop == opAnd || xop == opOr) {
			xop = opAnd + opOr - xop
		}
		switch {
		case x.op == opExact && t.many[x.dim].partition == nil:
			visit(x.dim, leaf{x.set, xneg})
		case xop == o:
			t.gather(x, xneg, o, visit, other)
		default:
			other(t.read(x, xneg))
		}
	}
}

func (f *formula) simplify() *formula {
	neutral, zero := opAll, opNone
	if f.op == opOr {
		neutral, zero = opNone, opAll
	}
	f.subs = slices.DeleteFunc(f.subs, func(x *formula) bool { return x.op == neutral })
	if slices.ContainsFunc(f.subs, func(x *formula) bool { return x.op == zero }) {
		return &formula{op: zero}
	}
	switch len(f.subs) {
	case 0:
		return &formula{op: neutral}
	case 1:
		return f.subs[0]
	}
	return f
}

func (t *tables) leaf(dim string, l leaf) *formula {
	if v, ok := t.given[dim]; ok {
		if l.set.holds(v) != l.neg {
			return &formula{op: opAll}
		}
		return &formula{op: opNone}
	}
	if m, ok := t.many[dim]; ok {
		return t.manyLeaf(dim, m, l)
	}
	return t.leafOf(dim, l)
}

// leafOf is the formula of an atom.
func (t *tables) leafOf(dim string, l leaf) *formula {
	key := dim + "\x00" + l.set.key()
	i, ok := t.atomOf[key]
	if !ok {
		d, known := t.dimOf[dim]
		if !known {
			d = len(t.dims)
			t.dimOf[dim] = d
			t.dims = append(t.dims, dim)
		}
		i = len(t.atoms)
		t.atomOf[key] = i
		t.atoms = append(t.atoms, atom{dim: d, set: l.set})
	}
	return &formula{op: opExact, atom: i, neg: l.neg}
}

// truth is what is known of a formula in a box.
type truth uint8

const (
	open truth = iota
	yes
	no
)

func (x truth) not(neg bool) truth {
	switch {
	case !neg || x == open:
		return x
	case x == yes:
		return no
	default:
		return yes
	}
}

// box is a set of requests: some classes of each dimension.
type box []bitset

func (t *tables) eval(f *formula, in box) truth {
	switch f.op {
	case opAll:
		return yes
	case opNone:
		return no
	case opExact:
		a := &t.atoms[f.atom]
		inside, outside := in[a.dim].compare(a.bits)
		switch {
		case inside && outside:
			return open
		case inside:
			return yes.not(f.neg)
		default:
			return no.not(f.neg)
		}
	default: // what joins others
	}
	decides, result := no, yes
	if f.op == opOr {
		decides, result = yes, no
	}
	for _, x := range f.subs {
		switch v := t.eval(x, in); v {
		case decides:
			return decides
		case open:
			result = open
		default: // decides nothing
		}
	}
	return result
}

// undecided finds the first atom that keeps an undecided formula so.
func (t *tables) undecided(f *formula, in box) int {
	if f.op == opExact {
		return f.atom
	}
	for _, x := range f.subs {
		if t.eval(x, in) == open {
			return t.undecided(x, in)
		}
	}
	return -1
}

// residue appends which parts of an undecided formula are undecided, and marks the dimensions in them: with the formula, it
// says what is left to be decided.
func (t *tables) residue(to []byte, f *formula, in box, dims []bool) []byte {
	if f.op == opExact {
		dims[t.atoms[f.atom].dim] = true
		return to
	}
	for i, x := range f.subs {
		if t.eval(x, in) == open {
			to = t.residue(binary.LittleEndian.AppendUint32(to, uint32(i)), x, in, dims)
		}
	}
	return binary.LittleEndian.AppendUint32(to, 1<<30)
}
