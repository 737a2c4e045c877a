package sets

import (
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// bitset is a set of small numbers. Those of one dimension have one length.
type bitset []uint64

func newBits(n int) bitset      { return make(bitset, (n+63)/64) }
func (b bitset) add(i int)      { b[i>>6] |= 1 << (i & 63) }
func (b bitset) has(i int) bool { return b[i>>6]>>(i&63)&1 == 1 }
func (b bitset) and(c bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] & c[i]
	}
	return out
}

func (b bitset) minus(c bitset) bitset {
	out := make(bitset, len(b))
	for i := range b {
		out[i] = b[i] &^ c[i]
	}
	return out
}

// compare tells whether b has something in c, and something outside it.
func (b bitset) compare(c bitset) (inside, outside bool) {
	for i := range b {
		inside = inside || b[i]&c[i] != 0
		outside = outside || b[i]&^c[i] != 0
	}
	return inside, outside
}

func (b bitset) first() int {
	for i, w := range b {
		if w != 0 {
			return i<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// partition parts the values of a dimension into classes that some sets cannot tell apart.
type partition struct {
	values  []Value  // one of each class, the best first
	members []bitset // of each set: the classes in it
}

// class is a value, and which of the sets have all values like it.
type class struct {
	value Value
	in    []int // positions of sets, sorted
}

// part makes the partition of a dimension by sets that are all of one type.
func (s *Space) part(dim string, by []Set) (*partition, error) {
	key := strings.Builder{}
	key.WriteString(dim)
	for _, x := range by {
		key.WriteByte(0)
		key.WriteString(x.key())
	}
	d, ok := s.dims[dim]
	if !ok {
		d = Dimension{Name: dim}
	}
	known := s.parts
	if d.parts != nil {
		known = d.parts
	}
	if p, ok := known[key.String()]; ok {
		return p, nil
	}
	classes, err := s.classes(d, by)
	if err != nil {
		return nil, err
	}
	p := &partition{members: make([]bitset, len(by))}
	for i := range by {
		p.members[i] = newBits(len(classes))
	}
	for i, c := range classes {
		p.values = append(p.values, c.value)
		for _, k := range c.in {
			p.members[k].add(i)
		}
	}
	known[key.String()] = p
	return p, nil
}

func (s *Space) classes(d Dimension, by []Set) (out []class, err error) {
	seen := map[string]bool{}
	add := func(v Value) {
		if d.Universe != nil && !v.Absent && !d.Universe.holds(v) {
			return
		}
		c := class{value: v}
		for i, x := range by {
			if x.holds(v) {
				c.in = append(c.in, i)
			}
		}
		if k := fmt.Sprint(c.in); !seen[k] {
			seen[k] = true
			out = append(out, c)
		}
	}
	if d.Optional && !d.Many {
		add(Value{Absent: true})
	}
	for _, text := range d.Prefer {
		if valid(by[0], text) {
			add(Value{Text: text})
		}
	}
	switch by[0].(type) {
	case Strings:
		more, err := s.words(d, by, seen)
		return append(out, more...), err
	case Addresses:
		addressClasses(d, by, add)
	case Ports:
		portClasses(d, by, add)
	case Names:
		nameClasses(d, by, add)
	}
	return out, s.m.spend(len(out) + len(by))
}

// valid tells whether a text can be a value at all.
func valid(s Set, text string) bool {
	switch s.(type) {
	case Addresses:
		_, err := netip.ParseAddr(text)
		return err == nil
	case Ports:
		_, err := strconv.ParseUint(text, 10, 16)
		return err == nil
	default:
		return true
	}
}

// addressClasses adds an address of each range between borders.
func addressClasses(d Dimension, by []Set, add func(Value)) {
	for _, a := range []string{"203.0.113.10", "2001:db8::10"} { // set aside for documentation
		add(Value{Text: a})
	}
	cuts := []netip.Addr{familySpan(32).first, familySpan(128).first}
	if d.Universe != nil {
		by = append([]Set{d.Universe}, by...)
	}
	for _, x := range by {
		for _, r := range x.(Addresses).spans {
			cuts = append(cuts, r.first)
			if next := r.last.Next(); next.IsValid() {
				cuts = append(cuts, next)
			}
		}
	}
	slices.SortFunc(cuts, netip.Addr.Compare)
	cuts = slices.Compact(cuts)
	for i, a := range cuts {
		x := span{a, familySpan(a.BitLen()).last}
		if i+1 < len(cuts) && cuts[i+1].BitLen() == a.BitLen() {
			x.last = cuts[i+1].Prev()
		}
		add(Value{Text: x.example().String()})
	}
}

// portClasses adds a port of each range between borders; 0 is the worst example.
func portClasses(d Dimension, by []Set, add func(Value)) {
	for _, p := range []string{"80", "8080", "443"} {
		add(Value{Text: p})
	}
	if d.Universe != nil {
		by = append([]Set{d.Universe}, by...)
	}
	cuts := []int{1}
	for _, x := range by {
		for _, r := range x.(Ports).ranges {
			cuts = append(cuts, int(r.First), int(r.Last)+1)
		}
	}
	slices.Sort(cuts)
	for _, c := range append(slices.Compact(cuts), 0) {
		if c <= 65535 {
			add(Value{Text: strconv.Itoa(c)})
		}
	}
}

// nameClasses adds all names that sets have and one that none has.
func nameClasses(d Dimension, by []Set, add func(Value)) {
	if d.Universe != nil {
		by = append([]Set{d.Universe}, by...)
	}
	taken := map[string]bool{}
	for _, x := range by {
		for _, n := range x.(Names).names {
			if taken[n] = true; n != "" {
				add(Value{Text: n})
			}
		}
	}
	other := "other"
	for i := 2; taken[other]; i++ {
		other = "other-" + strconv.Itoa(i)
	}
	add(Value{Text: other})
	add(Value{})
}

// place is a state of all automata of a dimension at once.
type place struct {
	within id     // state of the universe
	live   []step // states of sets that are not decided
	in     []int  // sets that have whatever follows
}

// words finds the cheapest word of each class of strings, by walking the automata of the universe and of all sets at once.
// Classes that are known already are left out.
func (s *Space) words(d Dimension, by []Set, seen map[string]bool) ([]class, error) {
	m := s.m
	universe := Printable()
	if u, ok := d.Universe.(Strings); ok {
		universe = u
	}
	w := walk{m: m, numbers: map[string]int{}}
	first := place{within: m.of(universe.expr())}
	for i, x := range by {
		first.add(step{i, m.of(x.(Strings).expr())})
	}
	if err := w.reach(first, -1, 0, 0); err != nil {
		return nil, err
	}
	var out []class
	for {
		at, ok := w.t.next()
		if !ok {
			return out, nil
		}
		p := w.places[at]
		if m.states[p.within].accepts {
			if c := (class{in: p.accepted(m)}); !seen[fmt.Sprint(c.in)] {
				seen[fmt.Sprint(c.in)] = true
				c.value.Text = w.t.word(at)
				out = append(out, c)
			}
		}
		if err := w.leave(at, p); err != nil {
			return nil, err
		}
	}
}

func (p *place) add(x step) {
	switch x.to {
	case noneID:
	case allID:
		p.in = append(p.in, x.from)
	default:
		p.live = append(p.live, x)
	}
}

// accepted are the sets that have the word that ends here.
func (p *place) accepted(m *machine) []int {
	in := slices.Clone(p.in)
	for _, x := range p.live {
		if m.states[x.to].accepts {
			in = append(in, x.from)
		}
	}
	slices.Sort(in)
	return in
}

type walk struct {
	m       *machine
	t       trail
	numbers map[string]int
	places  []place
}

func (w *walk) reach(p place, from int, by byte, cost int) error {
	if p.within == noneID {
		return nil
	}
	slices.Sort(p.in)
	key := idKey(nil, p.within)
	for _, x := range p.live {
		key = idKey(key, id(x.from), x.to)
	}
	key = idKey(key, -1)
	for _, i := range p.in {
		key = idKey(key, id(i))
	}
	n, known := w.numbers[string(key)]
	if !known {
		n = len(w.places)
		w.numbers[string(key)] = n
		w.places = append(w.places, p)
		if err := w.m.spend(1 + len(p.live)/16); err != nil {
			return err
		}
	}
	w.t.reach(n, from, by, cost)
	return nil
}

// leave reaches what follows a place.
func (w *walk) leave(at int, p place) error {
	states := []id{p.within}
	for _, x := range p.live {
		states = append(states, x.to)
	}
	sweep := sweeper{neutral: noneID}
	if err := sweep.of(w.m, states); err != nil {
		return err
	}
	first := byte(0)
	for run, last := range sweep.lasts {
		b := cheapest(first, last)
		first = last + 1
		next := place{in: slices.Clone(p.in)}
		for _, t := range sweep.targets[run] {
			if t.from == 0 {
				next.within = t.to
			} else {
				next.add(step{p.live[t.from-1].from, t.to})
			}
		}
		if err := w.reach(next, at, b, w.t.cost[at]+byteCost(b)); err != nil {
			return err
		}
	}
	return nil
}

// Classes returns one value of each class of values of a dimension that some sets cannot tell apart, the best first. The sets are
// of one type.
func (s *Space) Classes(dim string, by []Set, budget int) ([]Value, error) {
	if len(by) == 0 {
		return nil, nil
	}
	s.m.budget = orDefault(budget)
	p, err := s.part(dim, by)
	if err != nil {
		return nil, err
	}
	return slices.Clone(p.values), nil
}

// Key is equal for sets that are written alike.
func Key(s Set) string { return s.key() }
