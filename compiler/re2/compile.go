package re2

// code is what an instruction does.
type code uint8

const (
	fail    code = iota
	alt          // goes on at out or at out1
	bytes        // reads one byte of a range
	anyByte      // reads any byte
	jump         // captures and empty-width assertions: go on at out
	nop
	matched
	altMatch // an alternative of any byte, again, and the end: RE2 marks it by an instruction more
)

// inst is an instruction. Number 0 is the one that fails, and stands for an end that is not joined to anything yet.
type inst struct {
	code      code
	captures  bool // a jump that notes where a group begins or ends
	out, out1 int
}

// frag is a part of a program: where it begins, the ends that are not joined yet (twice the instruction, plus one for its
// second way out), and whether it matches the empty string. The zero frag matches nothing.
type frag struct {
	begin    int
	ends     []int
	nullable bool
}

type compiler struct{ insts []inst }

// add adds an instruction; beyond the limit it adds nothing.
func (c *compiler) add(i inst) int {
	if len(c.insts) >= Limit {
		return 0
	}
	c.insts = append(c.insts, i)
	return len(c.insts) - 1
}

func (c *compiler) patch(ends []int, to int) {
	for _, e := range ends {
		if e&1 == 1 {
			c.insts[e>>1].out1 = to
		} else {
			c.insts[e>>1].out = to
		}
	}
}

func (c *compiler) step(i inst, nullable bool) frag {
	id := c.add(i)
	return frag{id, []int{id << 1}, nullable}
}

func (c *compiler) byteRange() frag { return c.step(inst{code: bytes}, false) }
func (c *compiler) wholeByte() frag { return c.step(inst{code: anyByte}, false) }

func (c *compiler) match() frag { return frag{begin: c.add(inst{code: matched})} }

func (c *compiler) concat(a, b frag) frag {
	if a.begin == 0 || b.begin == 0 {
		return frag{}
	}
	c.patch(a.ends, b.begin)
	if i := c.insts[a.begin]; i.code == nop && len(a.ends) == 1 && a.ends[0] == a.begin<<1 {
		return b
	}
	return frag{a.begin, b.ends, a.nullable && b.nullable}
}

func (c *compiler) either(a, b frag) frag {
	if a.begin == 0 {
		return b
	}
	if b.begin == 0 {
		return a
	}
	return frag{c.add(inst{code: alt, out: a.begin, out1: b.begin}), append(a.ends, b.ends...), a.nullable || b.nullable}
}

// branch adds an alternative that leads into a fragment or past it.
func (c *compiler) branch(a frag, nonGreedy bool) (id int, past []int) {
	i := inst{code: alt, out: a.begin}
	if nonGreedy {
		i = inst{code: alt, out1: a.begin}
	}
	id = c.add(i)
	return id, []int{id<<1 | b2i(!nonGreedy)}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (c *compiler) plus(a frag, nonGreedy bool) frag {
	id, past := c.branch(a, nonGreedy)
	c.patch(a.ends, id)
	return frag{a.begin, past, a.nullable}
}

// star of what can be empty is (x+)?, so that alternatives keep their order.
func (c *compiler) star(a frag, nonGreedy bool) frag {
	if a.nullable {
		return c.quest(c.plus(a, nonGreedy), nonGreedy)
	}
	id, past := c.branch(a, nonGreedy)
	c.patch(a.ends, id)
	return frag{id, past, true}
}

func (c *compiler) quest(a frag, nonGreedy bool) frag {
	if a.begin == 0 {
		return c.step(inst{code: nop}, true)
	}
	id, past := c.branch(a, nonGreedy)
	return frag{id, append(a.ends, past...), true}
}

func (c *compiler) capture(a frag) frag {
	if a.begin == 0 {
		return a
	}
	begin := c.add(inst{code: jump, captures: true, out: a.begin})
	end := c.add(inst{code: jump, captures: true})
	c.patch(a.ends, end)
	return frag{begin, []int{end << 1}, a.nullable}
}

// compile makes the program of a node.
func (c *compiler) compile(n *node) frag {
	if len(c.insts) >= Limit {
		return frag{}
	}
	switch n.op {
	case opNoMatch:
		return frag{}
	case opLiteral:
		return c.literal(n)
	case opClass:
		return c.class(n.runes)
	case opEmptyWidth, opBeginText, opEndText:
		return c.step(inst{code: jump}, true)
	case opConcat, opAlternate:
		return c.several(n)
	case opStar:
		return c.star(c.compile(n.subs[0]), n.nonGreedy)
	case opPlus:
		return c.plus(c.compile(n.subs[0]), n.nonGreedy)
	case opQuest:
		return c.quest(c.compile(n.subs[0]), n.nonGreedy)
	case opCapture:
		return c.capture(c.compile(n.subs[0]))
	default:
		return c.step(inst{code: nop}, true)
	}
}

func (c *compiler) several(n *node) frag {
	if len(n.subs) == 0 {
		return c.step(inst{code: nop}, true)
	}
	f := c.compile(n.subs[0])
	for _, s := range n.subs[1:] {
		if g := c.compile(s); n.op == opConcat {
			f = c.concat(f, g)
		} else {
			f = c.either(f, g)
		}
	}
	return f
}

func (c *compiler) literal(n *node) frag {
	if len(n.runes) == 0 {
		return c.step(inst{code: nop}, true)
	}
	f := c.byteRange()
	for range len(n.runes) - 1 {
		f = c.concat(f, c.byteRange())
	}
	return f
}

// optimize joins instructions that can be reached from the start past those that do nothing, and marks loops over any byte
// that end with the match.
func (c *compiler) optimize(start int) {
	past := func(i int) int {
		for i != 0 && c.insts[i].code == nop {
			i = c.insts[i].out
		}
		return i
	}
	seen := make([]bool, len(c.insts))
	queue := []int{start}
	seen[start] = true
	visit := func(i int) {
		if i != 0 && !seen[i] {
			seen[i] = true
			queue = append(queue, i)
		}
	}
	for at := 0; at < len(queue); at++ {
		i := &c.insts[queue[at]]
		i.out = past(i.out)
		visit(i.out)
		if i.code == alt {
			i.out1 = past(i.out1)
			visit(i.out1)
		}
	}
	for _, id := range queue {
		if i := &c.insts[id]; i.code == alt && (c.loops(i.out, id) && c.ends(i.out1) || c.ends(i.out) && c.loops(i.out1, id)) {
			i.code = altMatch
		}
	}
}

// loops tells whether an instruction reads any byte and goes back.
func (c *compiler) loops(i, back int) bool {
	return c.insts[i].code == anyByte && c.insts[i].out == back
}

// ends tells whether an instruction leads to the match and nowhere else.
func (c *compiler) ends(i int) bool {
	for c.insts[i].code == nop || c.insts[i].captures {
		i = c.insts[i].out
	}
	return c.insts[i].code == matched
}
