// Package re2 tells how large a program RE2 makes of a regular expression. Envoy refuses expressions whose program is larger
// than a setting of its runtime, so a compiler has to know the figure without having RE2.
//
// Go's regexp/syntax is RE2's parser, so its tree is where the model starts. From there it does what RE2 does and Go does
// not: a literal at an anchored start is taken off, runs of one repeated thing are joined, repetitions are written out, and
// classes are ranges of bytes, since Envoy's RE2 reads Latin-1. The program is then flattened: alternatives vanish into lists
// of instructions, and a jump from one list into another costs an instruction. A test holds the figures to those that Envoy
// reports.
package re2

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"
)

// Limit is where counting ends: the size of every larger program is given as Limit. It is beyond what any setting of Envoy
// that meshc knows of allows.
const Limit = 1 << 17

// Sizes that Envoy knows.
const (
	// Default is the largest program that Envoy takes without a runtime setting.
	Default = 100
	// Bootstrap is the largest that it takes with the bootstrap of meshc, as re2.max_program_size.error_level.
	Bootstrap = 32768
)

// ProgramSize returns the number of instructions that RE2 compiles an expression to, at most Limit, or the error that makes
// it no expression.
func ProgramSize(expr string) (int, error) {
	tree, err := Parse(expr)
	if err != nil {
		return 0, err
	}
	n, anchoredStart := trimStart(simplify(coalesce(withoutPrefix(read(tree)))), 0)
	n, _ = trimEnd(n, 0)
	c := &compiler{insts: make([]inst, 1, 64)}
	all := c.compile(n)
	all = c.concat(all, c.match())
	start, unanchored := all.begin, all.begin
	if !anchoredStart {
		loop := c.concat(c.star(c.wholeByte(), true), all)
		unanchored = loop.begin
	}
	switch {
	case len(c.insts) >= Limit:
		return Limit, nil
	case start == 0 && unanchored == 0: // nothing matches
		c.insts = c.insts[:1]
	}
	c.optimize(start)
	return min(newFlattener(c.insts, start, unanchored).size(), Limit), nil
}

// Parse reads an expression byte by byte, as Latin-1. Characters beyond it that are left in classes match nothing.
func Parse(expr string) (*syntax.Regexp, error) {
	if err := beyondLatin1(expr); err != nil {
		return nil, err
	}
	latin1 := make([]rune, len(expr))
	for i := range len(expr) {
		latin1[i] = rune(expr[i])
	}
	return syntax.Parse(string(latin1), syntax.Perl)
}

// beyondLatin1 finds an escape \x{…} of a character that Latin-1 lacks: RE2 takes it for an error.
func beyondLatin1(expr string) error {
	for {
		i := strings.IndexByte(expr, '\\')
		if i < 0 || i+1 >= len(expr) {
			return nil
		}
		escape := expr[i+1:]
		expr = escape[1:]
		if strings.HasPrefix(escape, "Q") {
			_, expr, _ = strings.Cut(expr, `\E`)
		} else if digits, ok := strings.CutPrefix(escape, "x{"); ok {
			digits, _, _ = strings.Cut(digits, "}")
			if v, err := strconv.ParseUint(digits, 16, 32); err == nil && v > maxRune {
				return fmt.Errorf(`invalid escape sequence: \x{%s}: Envoy matches bytes`, digits)
			}
		}
	}
}

// withoutPrefix takes off a literal behind the beginning of the text: RE2 compares it by itself, and compiles the rest.
func withoutPrefix(n *node) *node {
	i := 0
	for n.op == opConcat && i < len(n.subs) && n.subs[i].op == opBeginText {
		i++
	}
	if i == 0 || i >= len(n.subs) || n.subs[i].op != opLiteral {
		return n
	}
	switch rest := n.subs[i+1:]; len(rest) {
	case 0:
		return &node{op: opEmpty}
	case 1:
		return rest[0]
	default:
		return &node{op: opConcat, subs: rest}
	}
}

// op is what a node of the tree does.
type op int

const (
	opNoMatch op = iota
	opEmpty
	opLiteral // runes, all with the same folding
	opClass
	opEmptyWidth
	opBeginText
	opEndText
	opConcat
	opAlternate
	opStar
	opPlus
	opQuest
	opRepeat
	opCapture
)

// node is a regular expression as RE2 has it after parsing.
type node struct {
	op        op
	subs      []*node
	runes     []rune // of a literal; of a class: pairs of first and last
	fold      bool   // of a literal
	width     string // which empty-width assertion
	min, max  int    // of a repetition; max -1: without end
	nonGreedy bool
}

// read turns Go's tree into RE2's.
func read(re *syntax.Regexp) *node {
	n := &node{nonGreedy: re.Flags&syntax.NonGreedy != 0}
	for _, s := range re.Sub {
		n.subs = append(n.subs, read(s))
	}
	switch re.Op {
	case syntax.OpNoMatch:
		n.op = opNoMatch
	case syntax.OpLiteral:
		return literal(re.Rune, re.Flags&syntax.FoldCase != 0)
	case syntax.OpCharClass:
		return class(re.Rune)
	case syntax.OpAnyCharNotNL:
		return class([]rune{0, '\n' - 1, '\n' + 1, maxRune})
	case syntax.OpAnyChar:
		return &node{op: opClass, runes: []rune{0, maxRune}}
	case syntax.OpBeginText:
		n.op = opBeginText
	case syntax.OpEndText:
		n.op = opEndText
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		n.op, n.width = opEmptyWidth, re.Op.String()
	case syntax.OpCapture:
		n.op = opCapture
	case syntax.OpStar:
		n.op = opStar
	case syntax.OpPlus:
		n.op = opPlus
	case syntax.OpQuest:
		n.op = opQuest
	case syntax.OpRepeat:
		n.op, n.min, n.max = opRepeat, re.Min, re.Max
	case syntax.OpConcat:
		n.op = opConcat
	case syntax.OpAlternate:
		n.op = opAlternate
	default:
		n.op = opEmpty
	}
	return n
}
