package sets

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// op is what an expression or a state of an automaton stands for.
type op uint8

const (
	opNone     op = iota // no string
	opAll                // every string
	opExact              // the text
	opPrefix             // what begins with the text
	opSuffix             // what ends with the text
	opContains           // what has the text in it
	opRegex              // what a regular expression matches as a whole
	opNot
	opAnd
	opOr
)

// expr is a set of strings as an expression. It never changes.
type expr struct {
	op   op
	text string // of a pattern, in lower case where fold is set
	fold bool   // ASCII letters have no case
	re   *program
	subs []*expr
	key  string // equal for equal expressions
}

// Strings is a set of strings. It may hold absence too: that of a header, a query parameter or a claim that is not there.
// The zero value is empty. Sets do not change; all methods return new ones.
type Strings struct {
	e      *expr
	absent bool
}

var (
	none = &expr{op: opNone, key: "none"}
	all  = &expr{op: opAll, key: "all"}
)

// maxKey is the length from which a key is replaced by its digest.
const maxKey = 256

func shortKey(key string) string {
	if len(key) <= maxKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + hex.EncodeToString(sum[:])
}

func pattern(o op, text string, ignoreCase bool) Strings {
	if ignoreCase {
		text = foldText(text)
		ignoreCase = text != strings.ToUpper(text)
	}
	if text == "" && o != opExact {
		return Strings{e: all}
	}
	return Strings{e: &expr{op: o, text: text, fold: ignoreCase,
		key: shortKey(fmt.Sprintf("%d%v%q", o, ignoreCase, text))}}
}

// foldText turns ASCII letters into lower case, and no others, as Envoy does.
func foldText(s string) string {
	b := []byte(s)
	for i, c := range b {
		b[i] = foldByte(c)
	}
	return string(b)
}

func foldByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// None is the empty set.
func None() Strings { return Strings{e: none} }

// AnyString has every string, the empty one included, and not absence.
func AnyString() Strings { return Strings{e: all} }

// Absent has absence alone.
func Absent() Strings { return Strings{e: none, absent: true} }

// Exact has one string, or all that differ from it in the case of ASCII letters only.
func Exact(text string, ignoreCase bool) Strings { return pattern(opExact, text, ignoreCase) }

// Prefix has the strings that begin with a text.
func Prefix(text string, ignoreCase bool) Strings { return pattern(opPrefix, text, ignoreCase) }

// Suffix has the strings that end with a text.
func Suffix(text string, ignoreCase bool) Strings { return pattern(opSuffix, text, ignoreCase) }

// Contains has the strings that a text occurs in.
func Contains(text string, ignoreCase bool) Strings { return pattern(opContains, text, ignoreCase) }

// Regex has the strings that a regular expression matches as a whole, as Envoy asks RE2: byte by byte. The error says why it
// is none, or what of it cannot be decided.
func Regex(re string) (Strings, error) {
	p, err := compileRegex(re)
	if err != nil {
		return Strings{}, err
	}
	return Strings{e: &expr{op: opRegex, text: re, re: p, key: shortKey("re" + strconv.Quote(re))}}, nil
}

// Union has what any of the sets has.
func Union(of ...Strings) Strings {
	var es []*expr
	absent := false
	for _, s := range of {
		es = append(es, s.expr())
		absent = absent || s.absent
	}
	return Strings{e: combine(opOr, es), absent: absent}
}

// Intersection has what all of the sets have; of no sets that is everything, absence too.
func Intersection(of ...Strings) Strings {
	var es []*expr
	absent := true
	for _, s := range of {
		es = append(es, s.expr())
		absent = absent && s.absent
	}
	return Strings{e: combine(opAnd, es), absent: absent}
}

// Or has what either set has.
func (s Strings) Or(t Strings) Strings { return Union(s, t) }

// And has what both sets have.
func (s Strings) And(t Strings) Strings { return Intersection(s, t) }

// Not has everything else: absence too, if the set lacks it.
func (s Strings) Not() Strings { return Strings{e: negate(s.expr()), absent: !s.absent} }

// Minus has what the other set lacks.
func (s Strings) Minus(t Strings) Strings { return s.And(t.Not()) }

// Present is the set without absence.
func (s Strings) Present() Strings { return Strings{e: s.expr()} }

// OrAbsent is the set with absence.
func (s Strings) OrAbsent() Strings { return Strings{e: s.expr(), absent: true} }

// HasAbsent tells whether absence is in the set.
func (s Strings) HasAbsent() bool { return s.absent }

func (s Strings) expr() *expr {
	if s.e == nil {
		return none
	}
	return s.e
}

func negate(e *expr) *expr {
	switch e.op {
	case opNone:
		return all
	case opAll:
		return none
	case opNot:
		return e.subs[0]
	default:
		return &expr{op: opNot, subs: []*expr{e}, key: shortKey("not(" + e.key + ")")}
	}
}

// combine makes an and or an or, flat, without what decides nothing, each part once, in an order that does not depend on
// that of the arguments.
func combine(o op, es []*expr) *expr {
	neutral, zero := all, none
	if o == opOr {
		neutral, zero = none, all
	}
	var flat []*expr
	for _, e := range es {
		if e.op == o {
			flat = append(flat, e.subs...)
		} else {
			flat = append(flat, e)
		}
	}
	slices.SortFunc(flat, func(a, b *expr) int { return strings.Compare(a.key, b.key) })
	flat = slices.CompactFunc(flat, func(a, b *expr) bool { return a.key == b.key })
	flat = slices.DeleteFunc(flat, func(e *expr) bool { return e.op == neutral.op })
	if slices.ContainsFunc(flat, func(e *expr) bool { return e.op == zero.op }) {
		return zero
	}
	switch len(flat) {
	case 0:
		return neutral
	case 1:
		return flat[0]
	}
	var key strings.Builder
	fmt.Fprintf(&key, "%d(", o)
	for _, e := range flat {
		key.WriteString(e.key)
		key.WriteByte(',')
	}
	key.WriteByte(')')
	return &expr{op: o, subs: flat, key: shortKey(key.String())}
}

// Has tells whether a string is in the set.
func (s Strings) Has(text string) bool { return s.expr().has(text) }

func (e *expr) has(text string) bool {
	folded := text
	if e.fold {
		folded = foldText(text)
	}
	switch e.op {
	case opNone:
		return false
	case opAll:
		return true
	case opExact:
		return folded == e.text
	case opPrefix:
		return strings.HasPrefix(folded, e.text)
	case opSuffix:
		return strings.HasSuffix(folded, e.text)
	case opContains:
		return strings.Contains(folded, e.text)
	case opRegex:
		return e.re.matches(text)
	case opNot:
		return !e.subs[0].has(text)
	case opAnd:
		return !slices.ContainsFunc(e.subs, func(x *expr) bool { return !x.has(text) })
	default:
		return slices.ContainsFunc(e.subs, func(x *expr) bool { return x.has(text) })
	}
}

// Equal tells whether two sets are written alike; sets with the same members may be written in different ways, see Same.
func (s Strings) Equal(t Strings) bool { return s.absent == t.absent && s.expr().key == t.expr().key }

// String describes the set for people.
func (s Strings) String() string {
	switch e := s.expr(); {
	case !s.absent:
		return e.String()
	case e.op == opNone:
		return "absent"
	case e.op == opAll:
		return "anything or absent"
	case e.op == opNot:
		return "absent or " + e.String()
	default:
		return e.String() + " or absent"
	}
}

func (e *expr) operator() op { return e.op }

func (e *expr) String() string {
	fold := ""
	if e.fold {
		fold = " (any case)"
	}
	switch e.op {
	case opNone:
		return "nothing"
	case opAll:
		return "anything"
	case opExact:
		if e.text == "" {
			return "empty"
		}
		return e.text + fold
	case opPrefix:
		return e.text + "*" + fold
	case opSuffix:
		return "*" + e.text + fold
	case opContains:
		return "*" + e.text + "*" + fold
	case opRegex:
		return "regex " + e.text
	case opNot:
		if x := e.subs[0]; x.op == opAnd || x.op == opOr {
			return "not (" + x.String() + ")"
		}
		return "not " + e.subs[0].String()
	case opAnd:
		return joined(e.subs, " and ")
	default:
		return joined(e.subs, " or ")
	}
}
