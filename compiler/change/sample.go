package change

import (
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// request is a witness under construction.
type request struct {
	method, at, path, query string
	headers                 []string // NAME=VALUE
}

// text writes the request as a call.
func (r request) text(client string) string {
	out := ""
	if r.method != "" && r.method != "GET" {
		out = r.method + " "
	}
	out += r.at + r.path
	if r.query != "" {
		out += "?" + r.query
	}
	out += " from " + client
	for _, h := range r.headers {
		out += " -H " + quote(h)
	}
	return out
}

func quote(s string) string {
	if strings.ContainsAny(s, " \t\"") {
		return "'" + s + "'"
	}
	return s
}

// callFor makes a request that a route matches; false where no value can be found.
func callFor(at string, m *routev3.RouteMatch) (request, bool) {
	r := request{at: at}
	ok := true
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		r.path = p.Prefix
		if strings.HasSuffix(r.path, "/") {
			r.path += "witness"
		}
	case *routev3.RouteMatch_Path:
		r.path = p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		r.path = p.PathSeparatedPrefix + "/witness"
	case *routev3.RouteMatch_SafeRegex:
		r.path, ok = sampleRegex(p.SafeRegex.GetRegex())
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		if ok = p.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t) == nil; ok {
			r.path = sampleTemplate(t.GetPathTemplate())
		}
	default:
		return r, false
	}
	for _, h := range m.GetHeaders() {
		value, present, found := sampleHeader(h)
		ok = ok && found
		switch {
		case !present:
		case h.GetName() == ":method":
			r.method = value
		case h.GetName() == ":authority":
			r.headers = append(r.headers, "host="+value)
		case strings.HasPrefix(h.GetName(), ":"):
		default:
			r.headers = append(r.headers, h.GetName()+"="+value)
		}
	}
	for _, q := range m.GetQueryParameters() {
		value, found := "witness", true
		if s := q.GetStringMatch(); s != nil {
			value, found = sampleString(s)
		}
		ok = ok && found
		if r.query != "" {
			r.query += "&"
		}
		r.query += q.GetName() + "=" + value
	}
	return r, ok && strings.HasPrefix(r.path, "/") && !strings.ContainsAny(r.path+r.query, " '\"\t\n")
}

// sampleHeader returns a value that a matcher accepts, or that the header must be absent.
func sampleHeader(m *routev3.HeaderMatcher) (value string, present, ok bool) {
	switch p := m.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_StringMatch:
		if m.GetInvertMatch() {
			return "witness", true, true
		}
		value, ok = sampleString(p.StringMatch)
		return value, true, ok
	case *routev3.HeaderMatcher_PresentMatch:
		return "witness", p.PresentMatch != m.GetInvertMatch(), true
	case *routev3.HeaderMatcher_RangeMatch:
		return strconv.FormatInt(p.RangeMatch.GetStart(), 10), true, !m.GetInvertMatch()
	}
	return "witness", !m.GetInvertMatch(), true
}

func sampleString(m *matcherv3.StringMatcher) (string, bool) {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return p.Exact, true
	case *matcherv3.StringMatcher_Prefix:
		return p.Prefix + "witness", true
	case *matcherv3.StringMatcher_Suffix:
		return "witness" + p.Suffix, true
	case *matcherv3.StringMatcher_Contains:
		return p.Contains, true
	case *matcherv3.StringMatcher_SafeRegex:
		return sampleRegex(p.SafeRegex.GetRegex())
	}
	return "", false
}

func sampleTemplate(t string) string {
	return strings.NewReplacer("**", "witness", "*", "witness").Replace(t)
}

// sampleRegex returns a text that an expression matches as a whole.
func sampleRegex(expr string) (string, bool) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	sample(re.Simplify(), &b)
	whole, err := regexp.Compile(`^(?:` + expr + `)$`)
	return b.String(), err == nil && whole.MatchString(b.String())
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
