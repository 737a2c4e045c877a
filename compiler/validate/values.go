package validate

import (
	"math"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/re2"
)

// maxSeconds is the longest duration that Envoy reads: what 63 bits of nanoseconds hold.
const maxSeconds = math.MaxInt64 / 1_000_000_000

// durationRule: Envoy refuses what is negative or too long where it reads a duration (DurationUtil in
// source/common/protobuf/utility.cc).
func durationRule(v *visit, m proto.Message) {
	d := m.(*durationpb.Duration)
	switch {
	case d.GetSeconds() < 0 || d.GetNanos() < 0:
		v.bad("", "Write a duration that is not negative.", "the duration is negative")
	case d.GetSeconds() >= maxSeconds || d.GetNanos() > 999_999_999:
		v.bad("", "Write a duration of at most 290 years.", "the duration is out of range")
	}
}

// regexRule: what RE2 does not compile, or to a larger program than the bootstrap of meshc lets pass, is refused
// (source/common/common/regex.cc).
func regexRule(v *visit, m proto.Message) {
	v.expression("regex", m.(*matcherv3.RegexMatcher).GetRegex())
}

// stringRule: source/common/common/matchers.cc.
func stringRule(v *visit, m proto.Message) {
	if s := m.(*matcherv3.StringMatcher); s.GetIgnoreCase() && s.GetSafeRegex() != nil {
		v.bad("ignore_case", "Write (?i) at the front of the expression.", "ignore_case does not hold for safe_regex")
	}
}

// expression checks a regular expression.
func (v *visit) expression(field, expr string) {
	known, ok := v.checker.sizes.Load(expr)
	if !ok {
		n, err := re2.ProgramSize(expr)
		if known = any(n); err != nil {
			known = err
		}
		v.checker.sizes.Store(expr, known)
	}
	n, ok := known.(int)
	switch {
	case !ok:
		v.bad(field, "Write it in RE2 syntax.", "RE2 does not take the regular expression: %v", known)
		return
	case n > re2.Bootstrap:
		more := ""
		if n == re2.Limit {
			more = " or more"
		}
		v.bad(field, "Write a shorter expression: smaller counts of repetition, or several matches.", "the regular expression has the RE2 program size %d%s, and %d is the most that Envoy takes", n, more, re2.Bootstrap)
	}
	v.ProgramSize = max(v.ProgramSize, n)
}
