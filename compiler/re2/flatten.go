package re2

import "slices"

// flattener counts the instructions of a flattened program: each root is the begin of a list, and a list has the
// instructions that are reached from its root without reading anything.
type flattener struct {
	insts             []inst
	start, unanchored int
	roots             []int
	isRoot            []bool
	before            [][]int // alternatives that lead to an instruction
	seen              []int   // the last walk that met an instruction
	walks             int
}

func newFlattener(insts []inst, start, unanchored int) *flattener {
	return &flattener{insts: insts, start: start, unanchored: unanchored, isRoot: make([]bool, len(insts)), before: make([][]int, len(insts)), seen: make([]int, len(insts))}
}

func (f *flattener) root(i int) {
	if !f.isRoot[i] {
		f.isRoot[i] = true
		f.roots = append(f.roots, i)
	}
}

func (f *flattener) size() int {
	f.root(0)
	f.root(f.unanchored)
	f.root(f.start)
	f.successors()
	sorted := slices.Clone(f.roots)
	slices.Sort(sorted)
	for _, r := range slices.Backward(sorted[1:]) {
		if r != f.start && r != f.unanchored {
			f.dominators(r)
		}
	}
	n := 0
	for _, r := range f.roots {
		n += f.list(r)
	}
	return n
}

// walk visits what can be reached from an instruction, first ways out first. next says where to go on from one.
func (f *flattener) walk(from int, visit func(i int) (next []int)) {
	f.walks++
	stack := []int{from}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if f.seen[i] == f.walks {
			continue
		}
		f.seen[i] = f.walks
		next := visit(i)
		for _, j := range slices.Backward(next) {
			stack = append(stack, j)
		}
	}
}

// successors makes a root of whatever follows something that reads.
func (f *flattener) successors() {
	f.walk(f.unanchored, func(i int) []int {
		x := f.insts[i]
		switch x.code {
		case alt, altMatch:
			f.before[x.out] = append(f.before[x.out], i)
			f.before[x.out1] = append(f.before[x.out1], i)
			return []int{x.out, x.out1}
		case bytes, anyByte, jump:
			f.root(x.out)
			return []int{x.out}
		case nop:
			return []int{x.out}
		default:
			return nil
		}
	})
}

// silent is where an instruction leads without reading.
func (f *flattener) silent(i int) []int {
	switch x := f.insts[i]; x.code {
	case alt, altMatch:
		return []int{x.out, x.out1}
	case nop:
		return []int{x.out}
	default:
		return nil
	}
}

// dominators makes a root of what is reached from a root and from elsewhere too.
func (f *flattener) dominators(root int) {
	var reached []int
	f.walk(root, func(i int) []int {
		reached = append(reached, i)
		if i != root && f.isRoot[i] {
			return nil
		}
		return f.silent(i)
	})
	for _, i := range reached {
		if !f.isRoot[i] && slices.ContainsFunc(f.before[i], func(p int) bool { return f.seen[p] != f.walks }) {
			f.root(i)
		}
	}
}

// list counts the instructions of the list of a root.
func (f *flattener) list(root int) (n int) {
	f.walk(root, func(i int) []int {
		if i != root && f.isRoot[i] {
			n++ // a jump to the other list
			return nil
		}
		if c := f.insts[i].code; c != alt && c != nop {
			n++
		}
		return f.silent(i)
	})
	return n
}
