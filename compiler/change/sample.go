package change

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/trace"
)

// requestFor makes a request that a route matches, or says of which conditions no value was found.
func requestFor(at place, from string, m *routev3.RouteMatch) (trace.Request, []Untried) {
	var missed []Untried
	miss := func(what, value, why string) {
		if why != "" {
			missed = append(missed, Untried{What: what, Value: value, Why: why})
		}
	}
	path, why := samplePath(m)
	miss("path", trace.MatchText(&routev3.RouteMatch{PathSpecifier: m.GetPathSpecifier()}), why)
	method, headers := "GET", []header{}
	for _, h := range m.GetHeaders() {
		value, present, why := sampleHeader(h)
		miss("condition", trace.HeaderText(h), why)
		switch {
		case !present:
		case h.GetName() == ":method":
			method = value
		case h.GetName() == ":authority":
			headers = append(headers, header{"host", value})
		case h.GetName() == ":scheme": // the place has one
		case strings.HasPrefix(h.GetName(), ":"):
			miss("condition", trace.HeaderText(h), "no witness sets this pseudo header")
		default:
			headers = append(headers, header{h.GetName(), value})
		}
	}
	query := ""
	for _, q := range m.GetQueryParameters() {
		value, why := "witness", ""
		if s := q.GetStringMatch(); s != nil {
			if value, why = sampleString(s); why == "" {
				why = onTheWire(value, " #&")
			}
		}
		miss("query parameter", q.GetName()+" "+trace.StringText(q.GetStringMatch()), why)
		query += map[bool]string{true: "?", false: "&"}[query == ""] + q.GetName() + "=" + value
	}
	return at.request(from, method, path+query, headers...), missed
}

// samplePath returns a path, without query, that a route takes.
func samplePath(m *routev3.RouteMatch) (path, why string) {
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		path = p.Prefix
		if strings.HasSuffix(path, "/") {
			path += "witness"
		}
	case *routev3.RouteMatch_Path:
		path = p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		path = p.PathSeparatedPrefix + "/witness"
	case *routev3.RouteMatch_SafeRegex:
		if path, why = sampleRegex(p.SafeRegex.GetRegex()); why != "" {
			return "", why
		}
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := p.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t); err != nil {
			return "", "the condition is of a kind that is not known here"
		}
		path = sampleTemplate(t.GetPathTemplate())
	default:
		return "", "the condition is of a kind that is not known here"
	}
	return path, pathOnTheWire(path)
}

// pathOnTheWire says why a request cannot have a path.
func pathOnTheWire(path string) string {
	if !strings.HasPrefix(path, "/") {
		return "a path begins with a slash"
	}
	return onTheWire(path, " ?#")
}

// onTheWire says why a value cannot be part of a request: control characters, and the others that are named, end it.
func onTheWire(value, others string) string {
	if i := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(others, r) }); i >= 0 {
		return fmt.Sprintf("no request can carry the character %q there", value[i])
	}
	return ""
}

// sampleHeader returns a value that a matcher accepts, or that the header must be absent; or why there is no value.
func sampleHeader(m *routev3.HeaderMatcher) (value string, present bool, why string) {
	candidates := []string{"witness", "other"} // of conditions that exclude values
	switch p := m.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_PresentMatch:
		return "witness", p.PresentMatch != m.GetInvertMatch(), ""
	case *routev3.HeaderMatcher_StringMatch:
		if !m.GetInvertMatch() {
			if value, why = sampleString(p.StringMatch); why != "" {
				return "", true, why
			}
			candidates = []string{value}
		}
	case *routev3.HeaderMatcher_RangeMatch:
		candidates = []string{strconv.FormatInt(p.RangeMatch.GetStart(), 10), strconv.FormatInt(p.RangeMatch.GetEnd(), 10)}
	case nil:
		return "witness", !m.GetInvertMatch(), ""
	}
	for _, v := range candidates {
		if why = headerOnTheWire(v); why != "" {
			return "", true, why
		}
		if ok, err := trace.MatchHeader(m, &trace.Call{HTTP: true, Method: v, Authority: v, Headers: map[string][]string{m.GetName(): {v}}}); ok && err == nil {
			return v, true, ""
		}
	}
	return "", true, "no value was found that meets the condition"
}

// headerOnTheWire says why a header cannot have a value.
func headerOnTheWire(v string) string {
	if strings.TrimSpace(v) != v {
		return "a header does not keep blanks at its ends"
	}
	return onTheWire(strings.ReplaceAll(v, "\t", ""), "")
}

// sampleString returns a text that a matcher accepts, or why there is none.
func sampleString(m *matcherv3.StringMatcher) (value, why string) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return p.Exact, ""
	case *matcherv3.StringMatcher_Prefix:
		return p.Prefix + "witness", ""
	case *matcherv3.StringMatcher_Suffix:
		return "witness" + p.Suffix, ""
	case *matcherv3.StringMatcher_Contains:
		return p.Contains, ""
	case *matcherv3.StringMatcher_SafeRegex:
		return sampleRegex(p.SafeRegex.GetRegex())
	}
	return "", "the condition is of a kind that is not known here"
}

func sampleTemplate(t string) string {
	return strings.NewReplacer("**", "witness", "*", "witness").Replace(t)
}

// sampleRegex returns a text that an expression matches as a whole, or why there is none.
func sampleRegex(expr string) (value, why string) {
	const none = "no text was found that the expression matches"
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", none
	}
	var b strings.Builder
	sample(re.Simplify(), &b)
	whole, err := regexp.Compile(`^(?:` + expr + `)$`)
	if err != nil || !whole.MatchString(b.String()) {
		return "", none
	}
	return b.String(), ""
}

func sample(re *syntax.Regexp, b *strings.Builder) {
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		if len(re.Rune) > 0 {
			b.WriteRune(preferred(re.Rune))
		}
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('w')
	case syntax.OpCapture, syntax.OpPlus:
		sample(re.Sub[0], b)
	case syntax.OpRepeat:
		for range re.Min {
			sample(re.Sub[0], b)
		}
	case syntax.OpConcat:
		for _, s := range re.Sub {
			sample(s, b)
		}
	case syntax.OpAlternate:
		sample(re.Sub[0], b)
	}
}

// preferred takes a letter or digit of a class where it has one.
func preferred(ranges []rune) rune {
	for _, want := range "wa0A" {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= want && want <= ranges[i+1] {
				return want
			}
		}
	}
	return ranges[0]
}
