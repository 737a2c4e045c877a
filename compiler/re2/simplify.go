package re2

import "slices"

// coalesce joins neighbours in a concatenation that repeat the same literal or class: x*xx? becomes x{1,}.
func coalesce(n *node) *node {
	out := *n
	out.subs = make([]*node, len(n.subs))
	for i, s := range n.subs {
		out.subs[i] = coalesce(s)
	}
	if n.op != opConcat {
		return &out
	}
	joined := false
	for i := 0; i+1 < len(out.subs); i++ {
		if canJoin(out.subs[i], out.subs[i+1]) {
			out.subs[i], out.subs[i+1] = join(out.subs[i], out.subs[i+1])
			joined = true
		}
	}
	if joined {
		out.subs = slices.DeleteFunc(out.subs, func(s *node) bool { return s.op == opEmpty })
	}
	return &out
}

func repeats(n *node) bool {
	return n.op == opStar || n.op == opPlus || n.op == opQuest || n.op == opRepeat
}

// single tells whether a node matches one character.
func single(n *node) bool { return n.op == opClass || n.op == opLiteral && len(n.runes) == 1 }

func equal(a, b *node) bool {
	return a.op == b.op && a.fold == b.fold && slices.Equal(a.runes, b.runes)
}

func canJoin(a, b *node) bool {
	if !repeats(a) || !single(a.subs[0]) {
		return false
	}
	x := a.subs[0]
	switch {
	case repeats(b):
		return equal(x, b.subs[0]) && a.nonGreedy == b.nonGreedy
	case single(b):
		return equal(x, b)
	default:
		return x.op == opLiteral && b.op == opLiteral && len(b.runes) > 0 && b.runes[0] == x.runes[0] && b.fold == x.fold
	}
}

// bounds of a repetition.
func bounds(n *node) (least, most int) {
	switch n.op {
	case opStar:
		return 0, -1
	case opPlus:
		return 1, -1
	case opQuest:
		return 0, 1
	case opRepeat:
		return n.min, n.max
	default:
		return 1, 1
	}
}

// join joins two neighbours into the second place, or into the first where a part of a string is left over.
func join(a, b *node) (first, second *node) {
	out := &node{op: opRepeat, subs: a.subs, nonGreedy: a.nonGreedy}
	out.min, out.max = bounds(a)
	least, most := bounds(b)
	var rest *node
	if b.op == opLiteral {
		n := 1
		for n < len(b.runes) && b.runes[n] == a.subs[0].runes[0] {
			n++
		}
		least, most = n, n
		if n < len(b.runes) {
			rest = &node{op: opLiteral, runes: b.runes[n:], fold: b.fold}
		}
	}
	out.min += least
	if out.max >= 0 {
		out.max += most
	}
	if most < 0 {
		out.max = -1
	}
	if rest != nil {
		return out, rest
	}
	return &node{op: opEmpty}, out
}

// simplify writes repetitions out.
func simplify(n *node) *node {
	out := *n
	out.subs = make([]*node, len(n.subs))
	for i, s := range n.subs {
		out.subs[i] = simplify(s)
	}
	switch n.op {
	case opStar, opPlus, opQuest:
		sub := out.subs[0]
		if sub.op == opEmpty || sub.op == n.op && sub.nonGreedy == n.nonGreedy && sub != n.subs[0] {
			return sub
		}
	case opRepeat:
		if out.subs[0].op == opEmpty {
			return out.subs[0]
		}
		return writtenOut(out.subs[0], n.min, n.max, n.nonGreedy)
	default:
	}
	return &out
}

func emptyWidth(n *node) bool {
	return n.op == opEmptyWidth || n.op == opBeginText || n.op == opEndText
}

// writtenOut is x{min,max} in terms of *, + and ?: x{2,5} is xx(x(x(x)?)?)?.
func writtenOut(x *node, least, most int, nonGreedy bool) *node {
	if emptyWidth(x) || (x.op == opConcat || x.op == opAlternate) && !slices.ContainsFunc(x.subs, func(s *node) bool { return !emptyWidth(s) }) {
		least, most = min(least, 1), min(most, 1)
	}
	times := func(n int) []*node { return slices.Repeat([]*node{x}, n) }
	quest := func(n *node) *node { return &node{op: opQuest, subs: []*node{n}, nonGreedy: nonGreedy} }
	switch {
	case most < 0 && least == 0:
		return &node{op: opStar, subs: times(1), nonGreedy: nonGreedy}
	case most < 0:
		plus := &node{op: opPlus, subs: times(1), nonGreedy: nonGreedy}
		if least == 1 {
			return plus
		}
		return &node{op: opConcat, subs: append(times(least-1), plus)}
	case most == 0:
		return &node{op: opEmpty}
	case least == 1 && most == 1:
		return x
	}
	parts := times(least)
	if most > least {
		tail := quest(x)
		for range most - least - 1 {
			tail = quest(&node{op: opConcat, subs: []*node{x, tail}})
		}
		parts = append(parts, tail)
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &node{op: opConcat, subs: parts}
}

// anchorDepth is how deep RE2 looks for an anchor.
const anchorDepth = 4

// trimStart takes off the beginning of the text where an expression is sure to start there.
func trimStart(n *node, depth int) (*node, bool) {
	return trim(n, depth, opBeginText, func(int) int { return 0 })
}

// trimEnd takes off the end of the text.
func trimEnd(n *node, depth int) (*node, bool) {
	return trim(n, depth, opEndText, func(n int) int { return n - 1 })
}

func trim(n *node, depth int, anchor op, at func(n int) int) (*node, bool) {
	if depth >= anchorDepth {
		return n, false
	}
	switch n.op {
	case anchor:
		return &node{op: opLiteral}, true
	case opConcat, opCapture:
		if len(n.subs) == 0 {
			return n, false
		}
		i := at(len(n.subs))
		sub, ok := trim(n.subs[i], depth+1, anchor, at)
		if !ok {
			return n, false
		}
		out := *n
		out.subs = slices.Clone(n.subs)
		out.subs[i] = sub
		return &out, true
	default:
		return n, false
	}
}
