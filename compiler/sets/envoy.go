package sets

import (
	"fmt"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// Matcher has the strings that a matcher of Envoy takes. The error says what cannot be decided.
func Matcher(m *matcherv3.StringMatcher) (Strings, error) {
	fold := m.GetIgnoreCase()
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return Exact(p.Exact, fold), nil
	case *matcherv3.StringMatcher_Prefix:
		return Prefix(p.Prefix, fold), nil
	case *matcherv3.StringMatcher_Suffix:
		return Suffix(p.Suffix, fold), nil
	case *matcherv3.StringMatcher_Contains:
		return Contains(p.Contains, fold), nil
	case *matcherv3.StringMatcher_SafeRegex:
		return Regex(p.SafeRegex.GetRegex())
	default:
		return Strings{}, fmt.Errorf("a matcher of kind %T cannot be decided", p)
	}
}

// HeaderMatcher has the values of a header, absence among them, that a condition of Envoy takes: a condition on the value
// does not take a header that is not there, even if it is inverted, unless that counts as empty.
func HeaderMatcher(m *routev3.HeaderMatcher) (Strings, error) {
	var s Strings
	switch p := m.GetHeaderMatchSpecifier().(type) {
	case nil:
		s = AnyString()
		if m.GetInvertMatch() {
			return s.Not(), nil
		}
		return s, nil
	case *routev3.HeaderMatcher_PresentMatch:
		s = AnyString()
		if m.GetTreatMissingHeaderAsEmpty() {
			s = s.OrAbsent()
		}
		if p.PresentMatch == m.GetInvertMatch() {
			return s.Not(), nil
		}
		return s, nil
	case *routev3.HeaderMatcher_StringMatch:
		var err error
		if s, err = Matcher(p.StringMatch); err != nil {
			return Strings{}, err
		}
	case *routev3.HeaderMatcher_RangeMatch:
		s = Integers(p.RangeMatch.GetStart(), p.RangeMatch.GetEnd())
	default:
		return Strings{}, fmt.Errorf("a condition on header %s of kind %T cannot be decided", m.GetName(), p)
	}
	if m.GetInvertMatch() {
		s = s.Not().Present()
	}
	if m.GetTreatMissingHeaderAsEmpty() && s.Has("") {
		s = s.OrAbsent()
	}
	return s, nil
}

// HeaderCondition is HeaderMatcher as a condition on a dimension. It is right for one of many values too: an inverted condition on the value holds
// where no value meets it and there is one.
func HeaderCondition(dim string, m *routev3.HeaderMatcher) (Cond, error) {
	s, err := HeaderMatcher(m)
	if err != nil || !m.GetInvertMatch() {
		return In(dim, s), err
	}
	plain := &routev3.HeaderMatcher{Name: m.GetName(), HeaderMatchSpecifier: m.GetHeaderMatchSpecifier(), TreatMissingHeaderAsEmpty: m.GetTreatMissingHeaderAsEmpty()}
	if s, err = HeaderMatcher(plain); err != nil {
		return Cond{}, err
	}
	c := In(dim, s).Not()
	switch m.GetHeaderMatchSpecifier().(type) {
	case nil, *routev3.HeaderMatcher_PresentMatch:
		return c, nil
	}
	if m.GetTreatMissingHeaderAsEmpty() {
		return c, nil
	}
	return c.And(In(dim, AnyString())), nil
}

// Ranges has the addresses of some ranges of Envoy; what is no range holds no address.
func Ranges(rs ...*corev3.CidrRange) Addresses {
	var blocks []netip.Prefix
	for _, r := range rs {
		if a, err := netip.ParseAddr(r.GetAddressPrefix()); err == nil {
			blocks = append(blocks, netip.PrefixFrom(a, int(r.GetPrefixLen().GetValue())))
		}
	}
	return Prefixes(blocks...)
}
