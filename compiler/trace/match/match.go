package match

import (
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// Unsupported is a part of a configuration that this package cannot judge.
type Unsupported struct{ What string }

// Error names the part.
func (u *Unsupported) Error() string { return "cannot be judged: " + u.What }

func NewUnsupported(v any) error { return &Unsupported{What: fmt.Sprintf("%T", v)} }

// Regex matches the whole string, as Envoy does with RE2.
func Regex(m *matcherv3.RegexMatcher, s string) (bool, error) {
	re, err := regexp.Compile(`^(?:` + m.GetRegex() + `)$`)
	if err != nil {
		return false, err
	}
	return re.MatchString(s), nil
}

// Lower folds ASCII only, as Envoy does.
func Lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// String tells whether a matcher takes a text. The error says what cannot be judged.
func String(m *matcherv3.StringMatcher, s string) (bool, error) {
	fold := func(v string) string {
		if m.GetIgnoreCase() {
			return Lower(v)
		}
		return v
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return fold(s) == fold(p.Exact), nil
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(fold(s), fold(p.Prefix)), nil
	case *matcherv3.StringMatcher_Suffix:
		return strings.HasSuffix(fold(s), fold(p.Suffix)), nil
	case *matcherv3.StringMatcher_Contains:
		return strings.Contains(fold(s), fold(p.Contains)), nil
	case *matcherv3.StringMatcher_SafeRegex:
		return Regex(p.SafeRegex, s)
	}
	return false, NewUnsupported(m.GetMatchPattern())
}

// Header tells whether a call meets a condition on a header: with several of one name, whether one of them does. The
// error says what cannot be judged.
func Header(m *routev3.HeaderMatcher, c *Call) (bool, error) {
	values := c.values(m.GetName())
	present := len(values) > 0
	if p, ok := m.GetHeaderMatchSpecifier().(*routev3.HeaderMatcher_PresentMatch); ok {
		return (present || m.GetTreatMissingHeaderAsEmpty()) == p.PresentMatch != m.GetInvertMatch(), nil
	}
	if m.GetHeaderMatchSpecifier() == nil {
		return present != m.GetInvertMatch(), nil
	}
	if !present {
		if !m.GetTreatMissingHeaderAsEmpty() {
			return false, nil // Envoy: a value match on a missing header is false even when inverted
		}
		values = []string{""}
	}
	ok, err := anyOf(values, func(v string) (bool, error) { return matchValueOf(m, v) })
	return ok != m.GetInvertMatch(), err
}

// matchValueOf holds one value against a condition, without its inversion.
func matchValueOf(m *routev3.HeaderMatcher, v string) (bool, error) {
	switch p := m.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_StringMatch:
		return String(p.StringMatch, v)
	case *routev3.HeaderMatcher_RangeMatch:
		n, err := strconv.ParseInt(v, 10, 64)
		return err == nil && n >= p.RangeMatch.GetStart() && n < p.RangeMatch.GetEnd(), nil
	}
	return false, NewUnsupported(m.GetHeaderMatchSpecifier())
}

// CIDR cannot be decided for an address that is not known; whose says what the address is of.
func CIDR(r *corev3.CidrRange, a netip.Addr, whose string) (bool, error) {
	base, err := netip.ParseAddr(r.GetAddressPrefix())
	if err != nil {
		return false, nil //nolint:nilerr // such a range holds no address
	}
	if !a.IsValid() {
		return false, &Unsupported{What: "the address of the " + whose + " is not known"}
	}
	p, err := base.Prefix(int(r.GetPrefixLen().GetValue()))
	return err == nil && p.Contains(a), nil // an IPv4 address in IPv6 form is one of IPv6, as for Envoy
}

// Metadata walks the path; what is not there has no value, which only present_match: false accepts.
func Metadata(m *matcherv3.MetadataMatcher, c *Call) (bool, error) {
	var v any
	fields, ok := c.Metadata[m.GetFilter()]
	if ok {
		v = fields
	}
	for i, s := range m.GetPath() {
		var inner map[string]any
		if i == 0 {
			inner = fields
		} else if inner, ok = v.(map[string]any); !ok {
			v = nil
			break
		}
		if v, ok = inner[s.GetKey()]; !ok {
			break
		}
	}
	got, err := matchValue(m.GetValue(), v, ok)
	return got != m.GetInvert(), err
}

func matchValue(m *matcherv3.ValueMatcher, v any, there bool) (bool, error) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_NullMatch_:
		return there && v == nil, nil
	case *matcherv3.ValueMatcher_PresentMatch:
		return there == p.PresentMatch, nil
	case *matcherv3.ValueMatcher_BoolMatch:
		b, ok := v.(bool)
		return ok && b == p.BoolMatch, nil
	case *matcherv3.ValueMatcher_DoubleMatch:
		f, ok := v.(float64)
		if r := p.DoubleMatch.GetRange(); r != nil {
			return ok && f >= r.GetStart() && f < r.GetEnd(), nil
		}
		return ok && f == p.DoubleMatch.GetExact(), nil
	case *matcherv3.ValueMatcher_StringMatch:
		s, ok := v.(string)
		if !ok {
			return false, nil
		}
		return String(p.StringMatch, s)
	case *matcherv3.ValueMatcher_ListMatch:
		list, _ := v.([]any)
		return anyOf(list, func(x any) (bool, error) { return matchValue(p.ListMatch.GetOneOf(), x, true) })
	case *matcherv3.ValueMatcher_OrMatch:
		return anyOf(p.OrMatch.GetValueMatchers(), func(o *matcherv3.ValueMatcher) (bool, error) { return matchValue(o, v, there) })
	}
	return false, NewUnsupported(m.GetMatchPattern())
}

// anyOf and allOf are decided by one true or false element even where others cannot be judged.
func anyOf[T any](list []T, f func(T) (bool, error)) (bool, error) {
	var undecided error
	for _, x := range list {
		switch ok, err := f(x); {
		case err != nil:
			undecided = err
		case ok:
			return true, nil
		}
	}
	return false, undecided
}

func AllOf[T any](list []T, f func(T) (bool, error)) (bool, error) {
	var undecided error
	for _, x := range list {
		switch ok, err := f(x); {
		case err != nil:
			undecided = err
		case !ok:
			return false, nil
		}
	}
	return undecided == nil, undecided
}

// Template matches a path against a URI template without variables: * is one segment, ** any rest.
func Template(template, path string) (bool, error) {
	var b strings.Builder
	for i, s := range strings.Split(template, "/") {
		if i > 0 {
			b.WriteString("/")
		}
		switch {
		case s == "*":
			b.WriteString(`[a-zA-Z0-9\-._~%!$&'()+,;:@=]+`)
		case s == "**":
			b.WriteString(`[a-zA-Z0-9\-._~%!$&'()+,;:@=/]*`)
		case strings.ContainsAny(s, "*{}"):
			return false, &Unsupported{What: "URI template " + template}
		default:
			b.WriteString(regexp.QuoteMeta(s))
		}
	}
	return Regex(&matcherv3.RegexMatcher{Regex: b.String()}, path)
}
