package sets

import (
	"math/bits"
	"slices"
	"strings"
)

// hull bounds the requests of a condition, by dimension. A dimension that is missing is not bounded, or not simply.
type hull map[string]bound

// bound is a set that values are in, and of strings what they begin with, if that is a list.
type bound struct {
	set     Set
	begins  []beginning
	bounded bool
}

func boundOf(s Set) bound {
	b := bound{set: s}
	if t, ok := s.(Strings); ok {
		b.begins, b.bounded = beginnings(t.expr())
	}
	return b
}

// mayMeet tells cheaply whether two conditions may hold at once: false is certain, true is not.
func (h hull) mayMeet(g hull) bool {
	if len(g) < len(h) {
		h, g = g, h
	}
	for dim, s := range h {
		if t, ok := g[dim]; ok && s.apart(t) {
			return false
		}
	}
	return true
}

func hullOf(n *cond) hull {
	switch n.op {
	case opExact:
		return hull{n.dim: boundOf(n.set)}
	case opAnd:
		out := hull{}
		for _, x := range n.subs {
			for dim, s := range hullOf(x) {
				if had, ok := out[dim]; !ok || s.bounded && (!had.bounded || len(s.begins) < len(had.begins)) {
					out[dim] = s
				}
			}
		}
		return out
	case opOr:
		sets := map[string][]Set{}
		for _, x := range n.subs {
			for dim, s := range hullOf(x) {
				sets[dim] = append(sets[dim], s.set)
			}
		}
		out := hull{}
		for dim, parts := range sets {
			if len(parts) == len(n.subs) {
				out[dim] = boundOf(unite(parts))
			}
		}
		return out
	default:
		return nil
	}
}

// unite joins sets of one type.
func unite(parts []Set) Set {
	if _, ok := parts[0].(Strings); !ok {
		all := parts[0]
		for _, s := range parts[1:] {
			all = all.either(s)
		}
		return all
	}
	var all []Strings
	for _, s := range parts {
		all = append(all, s.(Strings))
	}
	return Union(all...)
}

// apart tells cheaply whether two sets have nothing in common.
func (b bound) apart(c bound) bool {
	switch x := b.set.(type) {
	case Addresses:
		return x.And(c.set.(Addresses)).Empty()
	case Ports:
		return x.And(c.set.(Ports)).Empty()
	case Names:
		return x.And(c.set.(Names)).Empty()
	case Strings:
		if x.absent && c.set.(Strings).absent || !b.bounded || !c.bounded || len(b.begins)*len(c.begins) > manyBeginnings {
			return false
		}
		return !slices.ContainsFunc(b.begins, func(p beginning) bool { return slices.ContainsFunc(c.begins, p.meets) })
	default:
		return false
	}
}

// manyBeginnings is how many pairs of beginnings are compared.
const manyBeginnings = 4096

// beginning is a text that strings begin with, or are.
type beginning struct {
	text  string
	whole bool
}

func (p beginning) meets(q beginning) bool {
	switch {
	case p.whole && q.whole:
		return p.text == q.text
	case p.whole:
		return strings.HasPrefix(p.text, q.text)
	case q.whole:
		return strings.HasPrefix(q.text, p.text)
	default:
		return strings.HasPrefix(p.text, q.text) || strings.HasPrefix(q.text, p.text)
	}
}

// beginnings lists texts of which every string of the set begins with one; bounded is false if there is no such list.
func beginnings(e *expr) (out []beginning, bounded bool) {
	switch {
	case e.op == opNone:
		return nil, true
	case e.fold:
		return nil, false
	case e.op == opExact || e.op == opPrefix:
		return []beginning{{e.text, e.op == opExact}}, true
	case e.op == opRegex:
		return []beginning{e.re.begins}, e.re.begins != beginning{}
	case e.op == opOr:
		for _, x := range e.subs {
			some, ok := beginnings(x)
			if !ok {
				return nil, false
			}
			out = append(out, some...)
		}
		return out, true
	case e.op == opAnd:
		for _, x := range e.subs {
			if some, ok := beginnings(x); ok && (!bounded || len(some) < len(out)) {
				out, bounded = some, true
			}
		}
		return out, bounded
	default:
		return nil, false
	}
}

// literal is what everything begins with that the expression matches.
func (p *program) literal() beginning {
	if p.asserts != 0 {
		return beginning{}
	}
	var b []byte
	pcs, c := p.begin()
	for len(pcs) == 1 && p.insts[pcs[0]].do == doRead {
		only, single := p.insts[pcs[0]].takes.single()
		if !single || len(b) >= maxKey {
			return beginning{text: string(b)}
		}
		b = append(b, only)
		pcs, c = p.step(pcs, c, only)
	}
	return beginning{string(b), len(pcs) == 1 && p.insts[pcs[0]].do == doMatch}
}

// single is the only byte of a set, if it has one only.
func (s *byteSet) single() (b byte, ok bool) {
	n := 0
	for i, w := range s {
		if w != 0 {
			n += bits.OnesCount64(w)
			b = byte(i<<6 + bits.TrailingZeros64(w))
		}
	}
	return b, n == 1
}
