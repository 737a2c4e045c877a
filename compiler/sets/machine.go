package sets

import (
	"encoding/binary"
	"slices"
	"strconv"
)

// id is a state of a machine.
type id = int32

// The first states of every machine.
const (
	noneID id = iota // accepts nothing any more
	allID            // accepts whatever follows
)

// state is what may still follow: a pattern that has been read in part, or a formula over states. Equal states have one id.
type state struct {
	op      op
	text    string // rest of an exact or prefix pattern; the whole of a suffix or contains pattern
	fold    bool
	at      int // characters of a suffix or contains pattern that were read last
	re      *program
	pcs     []uint32
	behind  behind
	subs    []id
	accepts bool
	edges   []edge // nil until asked for
}

// edge leads from a byte, the one behind the last of the edge before, to the last byte of its own.
type edge struct {
	last byte
	to   id
}

// machine makes states as they are reached. It is not safe for concurrent use.
type machine struct {
	states   []state
	ids      map[string]id
	exprs    map[string]id
	programs map[*program]int
	fails    map[string][]int // by pattern: how much of it remains read after a character that does not fit
	budget   int
}

func newMachine(budget int) *machine {
	m := &machine{ids: map[string]id{}, exprs: map[string]id{}, programs: map[*program]int{}, fails: map[string][]int{}, budget: budget}
	m.states = []state{{op: opNone, edges: []edge{{255, noneID}}}, {op: opAll, accepts: true, edges: []edge{{255, allID}}}}
	return m
}

// spend takes steps off the budget.
func (m *machine) spend(n int) error {
	if m.budget -= n; m.budget < 0 {
		return ErrBudget
	}
	return nil
}

func (m *machine) intern(key string, s state) id {
	if i, ok := m.ids[key]; ok {
		return i
	}
	i := id(len(m.states))
	m.states = append(m.states, s)
	m.ids[key] = i
	return i
}

// of is the first state of an expression.
func (m *machine) of(e *expr) id {
	if i, ok := m.exprs[e.key]; ok {
		return i
	}
	var i id
	switch e.op {
	case opNone:
		i = noneID
	case opAll:
		i = allID
	case opExact, opPrefix:
		i = m.literal(e.op, e.text, e.fold)
	case opSuffix, opContains:
		i = m.search(e.op, e.text, e.fold, 0)
	case opRegex:
		pcs, c := e.re.begin()
		i = m.regex(e.re, pcs, c)
	case opNot:
		i = m.not(m.of(e.subs[0]))
	default:
		ids := make([]id, len(e.subs))
		for k, s := range e.subs {
			ids[k] = m.of(s)
		}
		i = m.formula(e.op, ids)
	}
	m.exprs[e.key] = i
	return i
}

func (m *machine) literal(o op, text string, fold bool) id {
	if o == opPrefix && text == "" {
		return allID
	}
	kind := "e"
	if o == opPrefix {
		kind = "p"
	}
	if fold {
		kind += "i"
	}
	return m.intern(kind+":"+text, state{op: o, text: text, fold: fold, accepts: text == ""})
}

func (m *machine) search(o op, text string, fold bool, at int) id {
	if o == opContains && at == len(text) {
		return allID
	}
	key := strconv.Itoa(int(o)) + strconv.FormatBool(fold) + strconv.Itoa(at) + ":" + text
	return m.intern(key, state{op: o, text: text, fold: fold, at: at, accepts: at == len(text)})
}

func (m *machine) regex(p *program, pcs []uint32, c behind) id {
	if len(pcs) == 0 {
		return noneID
	}
	n, ok := m.programs[p]
	if !ok {
		n = len(m.programs)
		m.programs[p] = n
	}
	key := append([]byte{'r', byte(c)}, binary.AppendUvarint(nil, uint64(n))...)
	for _, at := range pcs {
		key = binary.LittleEndian.AppendUint32(key, at)
	}
	if i, ok := m.ids[string(key)]; ok {
		return i
	}
	return m.intern(string(key), state{op: opRegex, re: p, pcs: pcs, behind: c, accepts: p.accepts(pcs, c)})
}

func (m *machine) not(x id) id {
	switch s := &m.states[x]; {
	case x == noneID:
		return allID
	case x == allID:
		return noneID
	case s.op == opNot:
		return s.subs[0]
	default:
		return m.intern("n"+string(idKey(nil, x)), state{op: opNot, subs: []id{x}, accepts: !s.accepts})
	}
}

func idKey(key []byte, ids ...id) []byte {
	for _, i := range ids {
		key = binary.LittleEndian.AppendUint32(key, uint32(i))
	}
	return key
}

// formula makes an and or an or, simplified: flat, each part once, without what decides nothing, and decided by a part that
// decides it or by two that are opposites.
func (m *machine) formula(o op, parts []id) id {
	neutral, zero, kind := allID, noneID, byte('a')
	if o == opOr {
		neutral, zero, kind = noneID, allID, 'o'
	}
	var flat []id
	for _, x := range parts {
		switch {
		case x == zero:
			return zero
		case x == neutral:
		case m.states[x].op == o:
			flat = append(flat, m.states[x].subs...)
		default:
			flat = append(flat, x)
		}
	}
	slices.Sort(flat)
	flat = slices.Compact(flat)
	accepts := o == opAnd
	for _, x := range flat {
		s := &m.states[x]
		if s.op == opNot {
			if _, opposite := slices.BinarySearch(flat, s.subs[0]); opposite {
				return zero
			}
		}
		if o == opAnd {
			accepts = accepts && s.accepts
		} else {
			accepts = accepts || s.accepts
		}
	}
	switch len(flat) {
	case 0:
		return neutral
	case 1:
		return flat[0]
	}
	return m.intern(string(idKey([]byte{kind}, flat...)), state{op: o, subs: flat, accepts: accepts})
}

// edges are the ways out of a state: they cover all bytes.
func (m *machine) edges(x id) ([]edge, error) {
	if e := m.states[x].edges; e != nil {
		return e, nil
	}
	if err := m.spend(1); err != nil {
		return nil, err
	}
	var out []edge
	var err error
	switch s := m.states[x]; s.op { // a copy: new states move the table
	case opExact, opPrefix:
		out = m.literalEdges(s)
	case opSuffix, opContains:
		out = m.searchEdges(s)
	case opRegex:
		out = m.regexEdges(s)
	case opNot:
		var inner []edge
		if inner, err = m.edges(s.subs[0]); err == nil {
			for _, e := range inner {
				out = append(out, edge{e.last, m.not(e.to)})
			}
		}
	default:
		out, err = m.formulaEdges(s)
	}
	if err != nil {
		return nil, err
	}
	m.states[x].edges = out
	return out, nil
}

func (m *machine) literalEdges(s state) []edge {
	if s.text == "" {
		return []edge{{255, noneID}}
	}
	next := m.literal(s.op, s.text[1:], s.fold)
	return only(next, noneID, bothCases(s.text[0], s.fold)...)
}

func bothCases(b byte, fold bool) []byte {
	if fold && 'a' <= b && b <= 'z' {
		return []byte{b - 'a' + 'A', b}
	}
	return []byte{b}
}

// only makes edges of which those of some bytes, in their order, lead to one state and the others to another.
func only(to, others id, bytes ...byte) (out []edge) {
	for i, b := range bytes {
		if first := i == 0; first && b > 0 || !first && b > bytes[i-1]+1 {
			out = append(out, edge{b - 1, others})
		}
		out = append(out, edge{b, to})
	}
	if out[len(out)-1].last < 255 {
		out = append(out, edge{255, others})
	}
	return out
}

// searchEdges follows the pattern as Knuth, Morris and Pratt do.
func (m *machine) searchEdges(s state) []edge {
	fail := m.failures(s.text)
	var to [256]int
	for at := s.at; ; at = fail[at-1] {
		if at < len(s.text) {
			for _, b := range bothCases(s.text[at], s.fold) {
				to[b] = max(to[b], at+1)
			}
		}
		if at == 0 {
			break
		}
	}
	var out []edge
	for b := range 256 {
		if b == 255 || to[b] != to[b+1] {
			out = append(out, edge{byte(b), m.search(s.op, s.text, s.fold, to[b])})
		}
	}
	return out
}

// failures returns, for each length of a prefix of the text less one, how long the longest prefix is that ends it too.
func (m *machine) failures(text string) []int {
	if f, ok := m.fails[text]; ok {
		return f
	}
	f := make([]int, len(text))
	for i, k := 1, 0; i < len(text); i++ {
		for k > 0 && text[i] != text[k] {
			k = f[k-1]
		}
		if text[i] == text[k] {
			k++
		}
		f[i] = k
	}
	m.fails[text] = f
	return f
}

func (m *machine) regexEdges(s state) (out []edge) {
	var cuts [256]bool
	s.re.borders(s.pcs, &cuts)
	for b := 0; b < 256; {
		last := b
		for last < 255 && !cuts[last+1] {
			last++
		}
		pcs, c := s.re.step(s.pcs, s.behind, byte(b))
		out = appendEdge(out, edge{byte(last), m.regex(s.re, pcs, c)})
		b = last + 1
	}
	return out
}

// appendEdge joins edges to one state that are side by side.
func appendEdge(to []edge, e edge) []edge {
	if n := len(to); n > 0 && to[n-1].to == e.to {
		to[n-1].last = e.last
		return to
	}
	return append(to, e)
}

func (m *machine) formulaEdges(s state) ([]edge, error) {
	sweep := sweeper{neutral: allID}
	if s.op == opOr {
		sweep.neutral = noneID
	}
	if err := m.spend(len(s.subs) / 16); err != nil {
		return nil, err
	}
	if err := sweep.of(m, s.subs); err != nil {
		return nil, err
	}
	var out []edge
	for run, last := range sweep.lasts {
		ids := make([]id, 0, len(sweep.targets[run]))
		for _, t := range sweep.targets[run] {
			ids = append(ids, t.to)
		}
		out = appendEdge(out, edge{last, m.formula(s.op, ids)})
	}
	return out, nil
}

// sweeper parts the bytes into runs that some states cannot tell apart.
type sweeper struct {
	neutral id       // a target that is left out
	lasts   []byte   // last byte of each run
	targets [][]step // of each run, in the order of the states
}

// step is where one of the states leads.
type step struct {
	from int // position of the state
	to   id
}

func (w *sweeper) of(m *machine, states []id) error {
	var cuts [257]bool // a run begins here
	cuts[0], cuts[256] = true, true
	for _, x := range states {
		edges, err := m.edges(x)
		if err != nil {
			return err
		}
		for _, e := range edges {
			cuts[int(e.last)+1] = true
		}
	}
	var run [256]int
	for b := range 256 {
		run[b] = len(w.lasts)
		if cuts[b+1] {
			w.lasts = append(w.lasts, byte(b))
		}
	}
	w.targets = make([][]step, len(w.lasts))
	for i, x := range states {
		first := 0
		for _, e := range m.states[x].edges {
			if e.to != w.neutral {
				for r := run[first]; r <= run[e.last]; r++ {
					w.targets[r] = append(w.targets[r], step{i, e.to})
				}
			}
			first = int(e.last) + 1
		}
	}
	return nil
}
