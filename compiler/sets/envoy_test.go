package sets_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace/match"
)

func stringMatchers() []*matcherv3.StringMatcher {
	var out []*matcherv3.StringMatcher
	for _, fold := range []bool{false, true} {
		for _, text := range []string{"a", "Ab", "/a"} {
			out = append(out,
				&matcherv3.StringMatcher{IgnoreCase: fold, MatchPattern: &matcherv3.StringMatcher_Exact{Exact: text}},
				&matcherv3.StringMatcher{IgnoreCase: fold, MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: text}},
				&matcherv3.StringMatcher{IgnoreCase: fold, MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: text}},
				&matcherv3.StringMatcher{IgnoreCase: fold, MatchPattern: &matcherv3.StringMatcher_Contains{Contains: text}})
		}
	}
	return append(out,
		&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{}},
		&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "(?i)a.*|1+"}}})
}

// The sets of conditions have the values that the walk takes.
func TestHeaderMatcherIsThatOfTheWalk(t *testing.T) {
	matchers := []*routev3.HeaderMatcher{
		{Name: "x"},
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}},
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{}},
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{Start: -1, End: 12}}},
	}
	for _, m := range stringMatchers() {
		matchers = append(matchers, &routev3.HeaderMatcher{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m}})
	}
	for _, m := range matchers {
		for flags := range 4 {
			m.InvertMatch, m.TreatMissingHeaderAsEmpty = flags&1 == 1, flags&2 == 2
			s, err := sets.HeaderMatcher(m)
			if err != nil {
				t.Fatal(err)
			}
			want, err := match.Header(m, &match.Call{HTTP: true})
			if err != nil || s.HasAbsent() != want {
				t.Errorf("%v has absence: %v (%v)", m, s.HasAbsent(), err)
			}
			c, err := sets.HeaderCondition("header:x", m)
			if err != nil {
				t.Fatal(err)
			}
			for _, vs := range [][]string{{}, {""}, {"a"}, {"b", "a"}, {"1", "Ab", "x"}, {"xa", "11"}} {
				want, err := match.Header(m, &match.Call{HTTP: true, Headers: headers(vs)})
				a := sets.Value{Absent: true}
				if len(vs) > 0 {
					a = sets.Value{Text: vs[0], More: vs[1:]}
				}
				if got := c.Holds(sets.Assignment{"header:x": a}); err != nil || got != want {
					t.Errorf("%v takes %q: %v (%v)", m, vs, got, err)
				}
			}
			for _, v := range []string{"", "a", "A", "ab", "AB", "aab", "xab", "/a", "/a/", "/A", "1", "11", "12", "-1", "b"} {
				want, err := match.Header(m, &match.Call{HTTP: true, Headers: map[string][]string{"x": {v}}})
				if err != nil || s.Has(v) != want {
					t.Errorf("%v has %q: %v (%v)", m, v, s.Has(v), err)
				}
			}
		}
	}
	if _, err := sets.HeaderMatcher(&routev3.HeaderMatcher{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_ContainsMatch{ContainsMatch: "a"}}); err == nil { //nolint:staticcheck // deprecated, and still taken by Envoy
		t.Error("a condition of a kind that the walk does not know is taken")
	}
}

func TestRanges(t *testing.T) {
	got := sets.Ranges(&corev3.CidrRange{AddressPrefix: "10.1.0.0", PrefixLen: wrapperspb.UInt32(16)}, &corev3.CidrRange{AddressPrefix: "x"}).String()
	if got != "10.1.0.0/16" {
		t.Error(got)
	}
}

func headers(values []string) map[string][]string {
	if len(values) == 0 {
		return nil
	}
	return map[string][]string{"x": values}
}
