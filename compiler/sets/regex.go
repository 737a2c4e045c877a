package sets

import (
	"fmt"
	"regexp/syntax"
	"slices"

	"github.com/meshc/meshc/compiler/re2"
)

// instruction is one of a program over bytes.
type instruction struct {
	do       do
	when     syntax.EmptyOp // of an assertion
	takes    byteSet        // of a read
	out, arg uint32         // where to go on; arg is the second way of a fork
}

type do uint8

const (
	doFail do = iota
	doFork
	doSkip
	doAssert
	doRead
	doMatch
)

// byteSet is a set of bytes, one bit each.
type byteSet [4]uint64

func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }
func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 == 1 }

// program is a regular expression as a nondeterministic automaton over bytes.
type program struct {
	insts   []instruction
	start   uint32
	asserts syntax.EmptyOp // all assertions in it
	begins  beginning      // of all that it matches
}

// compileRegex makes the program of a regular expression. Go's parser is that of RE2; what differs is the alphabet: Envoy's RE2
// reads text and expression as Latin-1, so a character of several bytes is several characters, and only ASCII has case.
func compileRegex(re string) (*program, error) {
	tree, err := re2.Parse(re)
	if err != nil {
		return nil, err
	}
	if err := foldsLatin1(tree); err != nil {
		return nil, err
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	p := &program{start: uint32(prog.Start)}
	for i := range prog.Inst {
		p.insts = append(p.insts, readInstruction(&prog.Inst[i]))
		p.asserts |= p.insts[i].when
	}
	p.begins = p.literal()
	return p, nil
}

// foldsLatin1 refuses classes that ignore case and have letters beyond ASCII at a border: Go's parser has put their other case into
// them, which RE2 does not do in Latin-1.
func foldsLatin1(re *syntax.Regexp) error {
	if re.Op == syntax.OpCharClass && re.Flags&syntax.FoldCase != 0 {
		for i, r := range re.Rune { // a range that begins at 0x80 or ends at 0xff has all beyond ASCII or goes on from there
			if first := i%2 == 0; first && 0x80 < r && r <= 0xff || !first && 0x80 <= r && r < 0xff {
				return fmt.Errorf("the class %s ignores case and has letters beyond ASCII: what it matches is not known", re)
			}
		}
	}
	for _, s := range re.Sub {
		if err := foldsLatin1(s); err != nil {
			return err
		}
	}
	return nil
}

func readInstruction(i *syntax.Inst) instruction {
	out := instruction{out: i.Out, arg: i.Arg}
	switch i.Op {
	case syntax.InstAlt, syntax.InstAltMatch:
		out.do = doFork
	case syntax.InstCapture, syntax.InstNop:
		out.do = doSkip
	case syntax.InstEmptyWidth:
		out.do, out.when = doAssert, syntax.EmptyOp(i.Arg)
	case syntax.InstMatch:
		out.do = doMatch
	case syntax.InstFail:
		out.do = doFail
	default:
		out.do, out.takes = doRead, bytesOf(i)
	}
	return out
}

func bytesOf(i *syntax.Inst) (s byteSet) {
	fold := len(i.Rune) == 1 && syntax.Flags(i.Arg)&syntax.FoldCase != 0
	for c := range 256 {
		b, r := byte(c), rune(c)
		var hit bool
		switch {
		case i.Op == syntax.InstRuneAny:
			hit = true
		case i.Op == syntax.InstRuneAnyNotNL:
			hit = b != '\n'
		case len(i.Rune) == 1:
			hit = r == i.Rune[0] || fold && i.Rune[0] < 0x80 && foldByte(b) == foldByte(byte(i.Rune[0]))
		default:
			for k := 0; k+1 < len(i.Rune); k += 2 {
				hit = hit || i.Rune[k] <= r && r <= i.Rune[k+1]
			}
		}
		if hit {
			s.add(b)
		}
	}
	return s
}

// behind is what an assertion can know of what was read: whether nothing was, whether a line ended, whether a word character
// was the last.
type behind uint8

const (
	atBegin behind = 1 << iota
	afterLine
	afterWord
)

const (
	boundaries = syntax.EmptyWordBoundary | syntax.EmptyNoWordBoundary
	lineEnds   = syntax.EmptyEndLine | syntax.EmptyEndText
)

// relevant drops what no assertion of the program asks for.
func (p *program) relevant(c behind) behind {
	if p.asserts&(syntax.EmptyBeginText|syntax.EmptyBeginLine) == 0 {
		c &^= atBegin
	}
	if p.asserts&syntax.EmptyBeginLine == 0 {
		c &^= afterLine
	}
	if p.asserts&boundaries == 0 {
		c &^= afterWord
	}
	return c
}

func (p *program) after(b byte) (c behind) {
	if b == '\n' {
		c |= afterLine
	}
	if isWord(b) {
		c |= afterWord
	}
	return p.relevant(c)
}

func isWord(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '_'
}

// holds are the assertions that hold between what was read and the next byte, or the end.
func holds(c behind, next byte, end bool) (out syntax.EmptyOp) {
	if c&atBegin != 0 {
		out |= syntax.EmptyBeginText | syntax.EmptyBeginLine
	}
	if c&afterLine != 0 {
		out |= syntax.EmptyBeginLine
	}
	if end {
		out |= lineEnds
	} else if next == '\n' {
		out |= syntax.EmptyEndLine
	}
	if (c&afterWord != 0) != (!end && isWord(next)) {
		return out | syntax.EmptyWordBoundary
	}
	return out | syntax.EmptyNoWordBoundary
}

// closure returns where instructions lead without reading: those that read or match, and assertions that are not among the ones
// that hold, sorted. Assertions that can hold no more are dropped.
func (p *program) closure(from []uint32, held syntax.EmptyOp, c behind) []uint32 {
	var out []uint32
	seen := make([]bool, len(p.insts))
	stack := slices.Clone(from)
	for len(stack) > 0 {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[at] {
			continue
		}
		seen[at] = true
		switch i := &p.insts[at]; i.do {
		case doFork:
			stack = append(stack, i.out, i.arg)
		case doSkip:
			stack = append(stack, i.out)
		case doAssert:
			switch {
			case i.when&^held == 0:
				stack = append(stack, i.out)
			case i.when&syntax.EmptyBeginText != 0 && c&atBegin == 0:
			default:
				out = append(out, at)
			}
		case doRead, doMatch:
			out = append(out, at)
		case doFail: // ends here
		}
	}
	slices.Sort(out)
	return out
}

// begin is the first state.
func (p *program) begin() ([]uint32, behind) {
	c := p.relevant(atBegin)
	return p.closure([]uint32{p.start}, 0, c), c
}

// step is the state behind a byte.
func (p *program) step(pcs []uint32, c behind, b byte) ([]uint32, behind) {
	if p.asserts != 0 {
		pcs = p.closure(pcs, holds(c, b, false), c)
	}
	var next []uint32
	for _, at := range pcs {
		if i := &p.insts[at]; i.do == doRead && i.takes.has(b) {
			next = append(next, i.out)
		}
	}
	if len(next) == 0 {
		return nil, 0
	}
	c = p.after(b)
	return p.closure(next, 0, c), c
}

// accepts tells whether the text may end in a state.
func (p *program) accepts(pcs []uint32, c behind) bool {
	if p.asserts != 0 {
		pcs = p.closure(pcs, holds(c, 0, true), c)
	}
	return slices.ContainsFunc(pcs, func(at uint32) bool { return p.insts[at].do == doMatch })
}

func (p *program) matches(text string) bool {
	pcs, c := p.begin()
	for i := 0; i < len(text) && len(pcs) > 0; i++ {
		pcs, c = p.step(pcs, c, text[i])
	}
	return p.accepts(pcs, c)
}

// borders marks the bytes at which a state may begin to lead elsewhere.
func (p *program) borders(pcs []uint32, cuts *[256]bool) {
	if p.asserts != 0 {
		pcs = p.closure(pcs, ^syntax.EmptyOp(0), atBegin)
		for b := 1; b < 256; b++ {
			cuts[b] = cuts[b] || isWord(byte(b)) != isWord(byte(b-1)) || b == '\n' || b == '\n'+1
		}
	}
	for _, at := range pcs {
		if i := &p.insts[at]; i.do == doRead {
			for b := 1; b < 256; b++ {
				cuts[b] = cuts[b] || i.takes.has(byte(b)) != i.takes.has(byte(b-1))
			}
		}
	}
}
