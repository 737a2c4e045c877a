package policies

import (
	"math"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/limit"
)

// costFunc bounds the steps of a call of a builtin by its operands. It need not look further than most.
type costFunc func(operands []*ast.Term, most int64) int64

// endless is more than any budget.
const endless = math.MaxInt64 / 4

// times multiplies without overflow.
func times(a, b int64) int64 {
	if a > 0 && b > endless/a {
		return endless
	}
	return a * b
}

// length is the length of a text in steps, the elements of a collection, or the digits of a number.
func length(t *ast.Term) int64 {
	switch v := t.Value.(type) {
	case ast.String:
		return int64(len(v)) / limit.PolicyStepBytes
	case *ast.Array:
		return int64(v.Len())
	case ast.Object:
		return int64(v.Len())
	case ast.Set:
		return int64(v.Len())
	case ast.Number:
		return based(digits(v))
	}
	return 0
}

// based is for a number that is read or written: changing its base takes longer than in proportion to its digits.
func based(digits int64) int64 {
	return times(digits/limit.PolicyStepBytes, 1+digits/10_000)
}

// text is what an operand says, if it is a text.
func text(t *ast.Term) string {
	s, _ := t.Value.(ast.String)
	return string(s)
}

// integer is the value of an operand, if it is a whole number that a machine word holds.
func integer(t *ast.Term) (int64, bool) {
	n, ok := t.Value.(ast.Number)
	if !ok {
		return 0, false
	}
	return n.Int64()
}

// digits is how many digits a number takes when it is written out: 1e9999999 is short and large.
func digits(n ast.Number) int64 {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(n)), "e")
	out := int64(len(mantissa))
	if exponent == "" {
		return out
	}
	e, err := strconv.ParseInt(exponent, 10, 64)
	if err != nil {
		return endless
	}
	return min(out+max(e, -e), endless)
}

// wide is for what goes through its operands once, without looking into their elements.
func wide(operands []*ast.Term, _ int64) int64 {
	var n int64
	for _, t := range operands {
		n += length(t)
	}
	return n
}

// narrow is for what goes through the smallest of its operands.
func narrow(operands []*ast.Term, _ int64) int64 {
	return min(length(operands[0]), length(operands[1]))
}

// letters is for what goes through a text, and knows the length of a collection.
func letters(operands []*ast.Term, _ int64) int64 {
	return int64(len(text(operands[0]))) / limit.PolicyStepBytes
}

// member is for a search: sets and keys are found at once, elements of an array are not.
func member(operands []*ast.Term, most int64) int64 {
	n := deep(operands[:len(operands)-1], most)
	if _, ok := operands[len(operands)-1].Value.(*ast.Array); ok || len(operands) > 2 {
		n += length(operands[len(operands)-1])
	}
	return n
}

// elements is for what makes a value of each few bytes of a text.
func elements(operands []*ast.Term, _ int64) int64 {
	return times(wide(operands, 0), limit.PolicyStepBytes)
}

// deep is for what looks into its operands all the way, a few times over.
func deep(operands []*ast.Term, most int64) int64 {
	var n int64
	for _, t := range operands {
		n += size(t, most-n)
		if n > most {
			return endless
		}
	}
	return n
}

// size counts what a value holds as if it were written out, no further than most: a value can hold one other many times, and
// that one again, so that few lines make more than could ever be written.
func size(t *ast.Term, most int64) int64 {
	n := length(t)
	each := func(x *ast.Term) {
		if n <= most {
			n += size(x, most-n)
		}
	}
	switch v := t.Value.(type) {
	case *ast.Array:
		for i := 0; i < v.Len() && n <= most; i++ {
			each(v.Elem(i))
		}
	case ast.Set:
		v.Until(func(x *ast.Term) bool { each(x); return n > most })
	case ast.Object:
		v.Until(func(k, x *ast.Term) bool { each(k); each(x); return n > most })
	}
	return n
}

// square is for what compares the parts of a text with each other.
func square(operands []*ast.Term, most int64) int64 {
	n := deep(operands, most)
	return n + times(n, n)/64
}

// crossed is for what may try one operand at each place of another.
func crossed(operands []*ast.Term, most int64) int64 {
	n := int64(1)
	for _, t := range operands {
		n = times(n, 1+size(t, most))
	}
	return n
}

// numbers is for arithmetic, whose cost is the product of the digits.
func numbers(operands []*ast.Term, _ int64) int64 {
	n := int64(1)
	for _, t := range operands {
		if v, ok := t.Value.(ast.Number); ok {
			n = times(n, 1+based(digits(v)))
		} else {
			n += length(t) // minus of sets, to_number of a text
		}
	}
	return n - 1
}

// shift is for a shift to the left, which makes as many digits as it is told to.
func shift(operands []*ast.Term, most int64) int64 {
	n, ok := integer(operands[1])
	if !ok {
		return endless
	}
	return min(numbers(operands, most)+based(max(n, 0)/3), endless) // a third of a digit for each bit
}

// interval is for a list of the numbers between two.
func interval(operands []*ast.Term, _ int64) int64 {
	from, ok := integer(operands[0])
	to, also := integer(operands[1])
	if !ok || !also {
		return endless
	}
	step := int64(1)
	if len(operands) > 2 {
		if n, ok := integer(operands[2]); ok {
			step = max(n, 1)
		}
	}
	return int64(math.Abs(float64(to)-float64(from)) / float64(step))
}

// joined is for a text made of those in a collection.
func joined(operands []*ast.Term, most int64) int64 {
	between, n, bytes := int64(len(text(operands[0]))), int64(0), int64(0)
	each := func(t *ast.Term) bool {
		n++
		bytes += int64(len(text(t))) + between
		return n > most || bytes > limit.PolicyTextBytes
	}
	switch v := operands[1].Value.(type) {
	case *ast.Array:
		v.Until(each)
	case ast.Set:
		v.Until(each)
	}
	return n + written(bytes)
}

// made is what a result costs besides the expression it stands in.
func made(t *ast.Term) int64 {
	if v, ok := t.Value.(ast.String); ok {
		return written(int64(len(v)))
	}
	return length(t)
}

// written is what a text of so many bytes costs.
func written(bytes int64) int64 {
	if bytes > limit.PolicyTextBytes {
		return endless
	}
	return bytes / limit.PolicyStepBytes
}

// parts is for the pieces of a text between separators.
func parts(operands []*ast.Term, most int64) int64 {
	return wide(operands, most) + int64(strings.Count(text(operands[0]), text(operands[1])))
}

// replaced is for a text with each piece of one kind replaced.
func replaced(operands []*ast.Term, most int64) int64 {
	s, old, with := text(operands[0]), text(operands[1]), text(operands[2])
	return wide(operands, most) + written(int64(len(s))+times(int64(strings.Count(s, old)), int64(len(with))))
}

// replacedAll is for a text with each of several pieces replaced.
func replacedAll(operands []*ast.Term, most int64) int64 {
	pairs, ok := operands[0].Value.(ast.Object)
	if !ok {
		return 0
	}
	longest := 0
	pairs.Foreach(func(_, with *ast.Term) { longest = max(longest, len(text(with))) })
	n := int64(len(text(operands[1]))) + 1
	return deep(operands, most) + times(n, int64(pairs.Len()))/limit.PolicyStepBytes + written(times(n, int64(longest)+1))
}

var width = regexp.MustCompile(`\d+`)

// formatted is for a text with values in it, which may ask for any width.
func formatted(operands []*ast.Term, most int64) int64 {
	format, bytes := text(operands[0]), int64(0)
	if strings.ContainsAny(format, "123456789*") {
		for _, w := range width.FindAllString(format, -1) {
			n, err := strconv.ParseInt(w, 10, 64)
			if err != nil {
				return endless
			}
			bytes = min(bytes+n, endless)
		}
		if stars := int64(strings.Count(format, "*")); stars > 0 {
			if args, ok := operands[1].Value.(*ast.Array); ok {
				args.Foreach(func(t *ast.Term) {
					if n, ok := integer(t); ok {
						bytes = min(bytes+times(stars, max(n, -n)), endless)
					}
				})
			}
		}
	}
	verbs := int64(1)
	if strings.Contains(format, "[") { // %[1]s shows one value many times
		verbs = int64(strings.Count(format, "%")) + 1
	}
	return length(operands[0]) + times(verbs, deep(operands[1:], most)) + written(bytes)
}

// expression is for a regular expression that runs over a text, pattern first or second.
func expression(operands []*ast.Term, most int64) int64 {
	pattern := text(operands[0])
	return times(program(pattern), 1+deep(operands[1:], most)) / 4
}

// pieces is for a regular expression that makes a value of each match.
func pieces(operands []*ast.Term, most int64) int64 {
	return expression(operands, most) + int64(len(text(operands[1])))
}

// substitution is for regex.replace, in whose outcome each match may stand many times.
func substitution(operands []*ast.Term, most int64) int64 {
	s, pattern, with := text(operands[0]), text(operands[1]), text(operands[2])
	n := int64(len(s)) + 1
	return times(program(pattern), n)/(4*limit.PolicyStepBytes) + written(times(n, int64(len(with)))+times(n, int64(strings.Count(with, "$"))))
}

// program bounds the states of a regular expression: repeats of repeats are short to write.
func program(pattern string) int64 {
	if !strings.Contains(pattern, "{") {
		return int64(len(pattern)) + 1
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return int64(len(pattern)) + 1
	}
	return states(re)
}

func states(re *syntax.Regexp) int64 {
	n := int64(1 + len(re.Rune))
	for _, sub := range re.Sub {
		n = min(n+states(sub), endless)
	}
	if re.Op == syntax.OpRepeat {
		n = times(n, int64(max(re.Max, re.Min, 1)))
	}
	return n
}
