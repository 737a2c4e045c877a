package sets

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
)

// Rule is one of a list: requests that meet its condition, and none before it, have its outcome.
type Rule struct {
	When    Cond
	Outcome string // any text; rules with equal ones do the same
}

// List is an ordered list of rules. The first that a request meets decides; Default is the outcome where none does.
type List struct {
	Rules   []Rule
	Default string
}

// Decide returns the position of the rule that decides a request, len(Rules) for the default.
func (l List) Decide(a Assignment) int {
	if i := slices.IndexFunc(l.Rules, func(r Rule) bool { return r.When.Holds(a) }); i >= 0 {
		return i
	}
	return len(l.Rules)
}

// Outcome of the rule at a position, as Decide counts.
func (l List) Outcome(i int) string {
	if i < len(l.Rules) {
		return l.Rules[i].Outcome
	}
	return l.Default
}

// Decides holds for the requests that the rule at a position decides, as Decide counts.
func (l List) Decides(at int) Cond {
	var all []Cond
	for i, r := range l.Rules {
		if i == at {
			all = append(all, r.When)
			break
		}
		all = append(all, r.When.Not())
	}
	return All(all...)
}

// Query asks for what two lists treat differently.
type Query struct {
	Base, Head List
	Within     Cond       // only requests that meet it count; the zero value: all
	Given      Assignment // dimensions that have one value
	Budget     int        // of steps; 0: DefaultBudget
	Cells      int        // how many are enough, after which ErrBudget is returned; 0: 10,000
}

// Cell is a set of requests that the lists treat differently: those that one rule of base decides and one of head.
type Cell struct {
	Base, Head int        // positions of the rules, as List.Decide counts
	From, To   string     // their outcomes
	Witness    Assignment // a request of the cell, with a value for every dimension in the lists and in Given
	Where      []Literal  // what parts the witness's part of the cell from other requests
}

// Literal is a condition that requests of a cell meet, or do not. Of a dimension with many values the set has one value that stands for its class.
type Literal struct {
	Dim string
	Set Set
	Not bool
}

// String describes the literal.
func (l Literal) String() string {
	c := In(l.Dim, l.Set)
	if l.Not {
		return c.Not().String()
	}
	return c.String()
}

// Differences returns a cell for each pair of rules that decide one request with different outcomes. The order is that of the search,
// which is the same each time. The error is ErrBudget; the cells that come with it are true, and others may be missing.
func (s *Space) Differences(q Query) ([]Cell, error) {
	if q.Base.Default == q.Head.Default && len(q.Base.Rules) == len(q.Head.Rules) && slices.EqualFunc(q.Base.Rules, q.Head.Rules, sameRule) {
		return nil, nil
	}
	s.m.budget = orDefault(q.Budget)
	x := newSearch(s, q)
	if err := x.prepare(); err != nil {
		return nil, err
	}
	in := make(box, len(x.dims))
	for d := range x.dims {
		in[d] = newBits(len(x.parts[d].values))
		for i := range x.parts[d].values {
			in[d].add(i)
		}
		if in[d].first() < 0 {
			return nil, nil // the dimension has no value, so there are no requests
		}
	}
	err := x.explore(in, x.base.positions(), x.head.positions(), nil)
	return x.cells, err
}

// Find returns a request that meets a condition, with a value for every dimension in it, or says that there is none.
func (s *Space) Find(c Cond, given Assignment, budget int) (a Assignment, found bool, err error) {
	cells, err := s.Differences(Query{Base: List{Rules: []Rule{{c, "yes"}}}, Head: List{}, Given: given, Budget: budget, Cells: 1})
	if len(cells) > 0 {
		return cells[0].Witness, true, nil
	}
	return nil, false, err
}

func sameRule(a, b Rule) bool { return a.Outcome == b.Outcome && a.When.Equal(b.When) }

// side is one of the lists in a search.
type side struct {
	list     List
	rules    []*formula // nil: not relevant
	changed  []bool     // one more than there are rules: the default
	relevant []bool     // whether a rule has something in common with what changed
}

func (s *side) positions() []int {
	out := make([]int, 0, len(s.rules)+1)
	for i, f := range s.rules {
		if f != nil {
			out = append(out, i)
		}
	}
	return append(out, len(s.rules))
}

// search is a question under way.
type search struct {
	*tables
	space      *Space
	q          Query
	base, head side
	within     *formula
	parts      []*partition
	found      map[[2]int]bool
	seen       map[[sha256.Size]byte]bool
	cells      []Cell
	limit      int
}

func newSearch(s *Space, q Query) *search {
	x := &search{tables: newTables(q.Given), space: s, q: q, found: map[[2]int]bool{}, seen: map[[sha256.Size]byte]bool{}, limit: q.Cells}
	if x.limit <= 0 {
		x.limit = 10_000
	}
	x.base, x.head = side{list: q.Base}, side{list: q.Head}
	x.base.changed, x.head.changed = changedRules(q.Base, q.Head)
	return x
}

// prepare makes formulas of the rules that can matter, and the classes of the dimensions in them.
func (x *search) prepare() error {
	var changed []hull
	for _, s := range []*side{&x.base, &x.head} {
		for i, r := range s.list.Rules {
			if s.changed[i] {
				changed = append(changed, x.hull(r.When))
			}
		}
	}
	everywhere := x.base.changed[len(x.q.Base.Rules)] || len(changed) > manyChanged
	conds := []*cond{x.q.Within.node()}
	for _, s := range []*side{&x.base, &x.head} {
		s.relevant = make([]bool, len(s.list.Rules))
		for i, r := range s.list.Rules {
			if s.changed[i] || everywhere || slices.ContainsFunc(changed, x.hull(r.When).mayMeet) {
				s.relevant[i] = true
				conds = append(conds, r.When.node())
			}
		}
	}
	if err := x.partMany(conds); err != nil {
		return err
	}
	x.within = x.read(x.q.Within.node(), false)
	for _, s := range []*side{&x.base, &x.head} {
		s.rules = make([]*formula, len(s.list.Rules))
		for i, r := range s.list.Rules {
			if s.relevant[i] {
				s.rules[i] = x.read(r.When.node(), false)
			}
		}
	}
	return x.partDimensions()
}

// partDimensions makes the classes of the dimensions that formulas mention.
func (x *search) partDimensions() error {
	by := make([][]Set, len(x.dims))
	atoms := make([][]int, len(x.dims))
	for i, a := range x.atoms {
		by[a.dim], atoms[a.dim] = append(by[a.dim], a.set), append(atoms[a.dim], i)
	}
	for d, name := range x.dims {
		dim, class, one := strings.Cut(name, "\x00")
		var p *partition
		var err error
		if one {
			n, _ := strconv.Atoi(class)
			p = x.many[dim].hasOrNot(n)
		} else if p, err = x.space.part(dim, by[d]); err != nil {
			return err
		}
		for k, i := range atoms[d] {
			x.atoms[i].bits = p.members[k]
		}
		x.parts = append(x.parts, p)
	}
	return nil
}

// manyChanged is how many changed rules are held against each unchanged one.
const manyChanged = 256

// changedRules marks the rules that are not in a longest common part of both lists, and the defaults if they differ.
func changedRules(base, head List) (b, h []bool) {
	b, h = make([]bool, len(base.Rules)+1), make([]bool, len(head.Rules)+1)
	b[len(base.Rules)], h[len(head.Rules)] = base.Default != head.Default, base.Default != head.Default
	first, n, m := 0, len(base.Rules), len(head.Rules)
	for first < n && first < m && sameRule(base.Rules[first], head.Rules[first]) {
		first++
	}
	for n > first && m > first && sameRule(base.Rules[n-1], head.Rules[m-1]) {
		n, m = n-1, m-1
	}
	for i := first; i < n; i++ {
		b[i] = true
	}
	for i := first; i < m; i++ {
		h[i] = true
	}
	key := func(r Rule) string { return r.Outcome + "\x00" + r.When.node().key }
	where := map[string]int{} // position in head of what stands there once
	for i := first; i < m; i++ {
		if k := key(head.Rules[i]); where[k] == 0 {
			where[k] = i + 1
		} else {
			where[k] = -1
		}
	}
	var pairs [][2]int
	for i := first; i < n; i++ {
		if j := where[key(base.Rules[i])]; j > 0 {
			pairs = append(pairs, [2]int{i, j - 1})
			where[key(base.Rules[i])] = -1
		}
	}
	for _, p := range rising(pairs) {
		b[p[0]], h[p[1]] = false, false
	}
	return b, h
}

// rising picks a longest part of pairs, which rise in the first number, that rises in the second too.
func rising(pairs [][2]int) [][2]int {
	before := make([]int, len(pairs))
	var ends []int // by length, the pair that such a part ends with, as low as possible
	for i, p := range pairs {
		k, _ := slices.BinarySearchFunc(ends, p[1], func(e, v int) int { return pairs[e][1] - v })
		if before[i] = -1; k > 0 {
			before[i] = ends[k-1]
		}
		if k == len(ends) {
			ends = append(ends, i)
		} else {
			ends[k] = i
		}
	}
	var out [][2]int
	if len(ends) > 0 {
		for i := ends[len(ends)-1]; i >= 0; i = before[i] {
			out = append(out, pairs[i])
		}
	}
	slices.Reverse(out)
	return out
}

// known is a rule's truth, by position.
func (x *search) known(s *side, i int, in box) truth {
	if i == len(s.rules) {
		return yes
	}
	return x.eval(s.rules[i], in)
}

// left returns what of the rules left can still decide a request of a box: those undecided, and the first that is met.
func (x *search) left(s *side, rules []int, in box) []int {
	var out []int
	for _, i := range rules {
		switch x.known(s, i, in) {
		case open:
			out = append(out, i)
		case yes:
			return append(out, i)
		case no:
		}
	}
	return out
}

// decision is an atom that was decided on the way to a box.
type decision struct {
	atom int
	not  bool
	up   *decision
}

// explore finds the cells in a box, in which rules can decide that are left of those given.
func (x *search) explore(in box, base, head []int, way *decision) error {
	if err := x.space.m.spend(1 + (len(base)+len(head))/64); err != nil {
		return err
	}
	base, head = x.left(&x.base, base, in), x.left(&x.head, head, in)
	within := x.eval(x.within, in)
	if within == no || x.nothingNew(base, head) {
		return nil
	}
	b, h := base[0], head[0]
	if decided := len(base) == 1 && len(head) == 1; decided && within == yes {
		x.found[[2]int{b, h}] = true
		x.cells = append(x.cells, Cell{Base: b, Head: h, From: x.q.Base.Outcome(b), To: x.q.Head.Outcome(h), Witness: x.witness(in), Where: x.where(in, way)})
		if len(x.cells) >= x.limit {
			return ErrBudget
		}
		return nil
	}
	key := x.look(in, base, head)
	if x.seen[key] {
		return nil
	}
	x.seen[key] = true
	a := x.choose(in, base, head)
	dim, set := x.atoms[a].dim, x.atoms[a].bits
	half := slices.Clone(in)
	half[dim] = in[dim].and(set)
	if err := x.explore(half, base, head, &decision{a, false, way}); err != nil {
		return err
	}
	half = slices.Clone(in)
	half[dim] = in[dim].minus(set)
	return x.explore(half, base, head, &decision{a, true, way})
}

// nothingNew tells whether no cell can be found that is not found already: no changed rule is left, all outcomes left are
// equal, or the pairs left are known.
func (x *search) nothingNew(base, head []int) bool {
	changed := false
	for _, i := range base {
		changed = changed || x.base.changed[i]
	}
	for _, i := range head {
		changed = changed || x.head.changed[i]
	}
	if !changed {
		return true
	}
	if len(base)*len(head) > 64 {
		return false
	}
	for _, i := range base {
		for _, j := range head {
			if x.q.Base.Outcome(i) != x.q.Head.Outcome(j) && !x.found[[2]int{i, j}] {
				return false
			}
		}
	}
	return true
}

// choose picks the atom to split by: of the first changed rule that is undecided, as long as no changed rule is met, since nothing
// differs where none is; then of the first undecided rule of base, and of head; and of what limits the question last.
func (x *search) choose(in box, base, head []int) int {
	pick := func(s *side, i int) int { return x.undecided(s.rules[i], in) }
	if b, h := base[len(base)-1], head[len(head)-1]; !x.base.changed[b] && !x.head.changed[h] {
		for _, i := range base {
			if x.base.changed[i] {
				return pick(&x.base, i)
			}
		}
		for _, i := range head {
			if x.head.changed[i] {
				return pick(&x.head, i)
			}
		}
	}
	switch {
	case len(base) > 1:
		return pick(&x.base, base[0])
	case len(head) > 1:
		return pick(&x.head, head[0])
	default:
		return x.undecided(x.within, in)
	}
}

// look is equal for boxes that the rules left cannot tell apart: those in which the same parts of the same rules are undecided,
// and that have the same classes of the dimensions in these parts. That the dimensions agree is not enough, since another
// dimension may have decided other parts of a rule.
func (x *search) look(in box, base, head []int) [sha256.Size]byte {
	var text []byte
	dims := make([]bool, len(in))
	for k, s := range []*side{&x.base, &x.head} {
		for _, i := range [][]int{base, head}[k] {
			text = binary.LittleEndian.AppendUint32(text, uint32(i))
			if x.known(s, i, in) == open {
				text = x.residue(text, s.rules[i], in, dims)
			}
		}
		text = binary.LittleEndian.AppendUint32(text, 1<<31)
	}
	if x.eval(x.within, in) == open {
		text = x.residue(text, x.within, in, dims)
	}
	text = binary.LittleEndian.AppendUint32(text, 1<<31)
	for d, asked := range dims {
		if asked {
			text = binary.LittleEndian.AppendUint32(text, uint32(d))
			for _, w := range in[d] {
				text = binary.LittleEndian.AppendUint64(text, w)
			}
		}
	}
	return sha256.Sum256(text)
}

// witness takes the best value of each dimension.
func (x *search) witness(in box) Assignment {
	out := Assignment{}
	for dim, v := range x.q.Given {
		out[dim] = v
	}
	for d, name := range x.dims {
		v := x.parts[d].values[in[d].first()]
		dim, _, many := strings.Cut(name, "\x00")
		if had, ok := out[dim]; many && ok && !v.Absent && !had.Absent {
			v = Value{Text: had.Text, More: append(slices.Clip(had.More), v.Text)}
		} else if many && ok && v.Absent {
			v = had
		}
		out[dim] = v
	}
	return out
}

// where lists what was decided on the way to a box, without negations that another decision implies.
func (x *search) where(in box, way *decision) (out []Literal) {
	positive := make(box, len(in))
	for w := way; w != nil; w = w.up {
		if a := x.atoms[w.atom]; !w.not {
			if positive[a.dim] == nil {
				positive[a.dim] = a.bits
			} else {
				positive[a.dim] = positive[a.dim].and(a.bits)
			}
		}
	}
	for w := way; w != nil; w = w.up {
		a := x.atoms[w.atom]
		if w.not && positive[a.dim] != nil {
			if inside, _ := positive[a.dim].compare(a.bits); !inside {
				continue
			}
		}
		dim, _, many := strings.Cut(x.dims[a.dim], "\x00")
		if many {
			a.set = Exact(x.parts[a.dim].values[1].Text, false)
		}
		out = append(out, Literal{Dim: dim, Set: a.set, Not: w.not})
	}
	slices.Reverse(out)
	return out
}
