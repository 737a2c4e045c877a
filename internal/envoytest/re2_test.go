package envoytest_test

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/re2"
	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/lab"
)

var reported = regexp.MustCompile(`RE2 program size of (\d+) > max`)

// The program sizes of the model are those that Envoy reports.
func TestProgramSize(t *testing.T) {
	envoytest.Start(t) // skips without an Envoy
	envoy, err := lab.FindEnvoy()
	if err != nil {
		t.Fatal(err)
	}
	p, err := envoytest.Launch(envoy, t.TempDir(), map[string]float64{"re2.max_program_size.error_level": 1})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	exprs, off := expressions(), 0
	for _, expr := range exprs {
		got, err := re2.ProgramSize(expr)
		want, refused := asked(t, p, expr)
		switch {
		case err != nil && want == 0 && refused != "": // neither takes it
		case err != nil || refused != "":
			t.Errorf("%q: %d, %v; Envoy says %d %s", expr, got, err, want, refused)
		case want == 0: // at most 1
			off += b2i(got > 1)
		case got < want-4 || got > want+4:
			t.Errorf("%.200q: %d, Envoy says %d", expr, got, want)
		case got != want: // alternatives that repeat each other, and folded letters beyond ASCII
			off++
		}
	}
	if off*50 > len(exprs) {
		t.Errorf("%d of %d sizes are not exact", off, len(exprs))
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func asked(t *testing.T, p *envoytest.Proxy, expr string) (size int, refused string) {
	t.Helper()
	err := p.Probe(&routev3.VirtualHost{Name: "x", Domains: []string{"*"}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: expr}}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}},
	}}})
	var r *envoytest.Refusal
	switch {
	case err == nil:
		return 0, ""
	case !errors.As(err, &r):
		t.Fatal(err)
	}
	m := reported.FindStringSubmatch(r.Message)
	if m == nil {
		return 0, r.Message
	}
	size, err = strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return size, ""
}

// expressions is a grid: parts that compile in ways of their own, alone, in pairs and under every operator.
func expressions() []string {
	atoms := []string{"a", "ab", "é", "日本", "😀", ".", "[a-z]", "[A-Za-z0-9_]", "[^/]", "[^a]", `\d`, `\w`, `\W`, `\s`, `\S`, `\pL`, `\p{Greek}`, `\P{Lu}`, "[é-ü]", "[߀-\u0900]",
		"[\u0100-\U0001F600]", "[一-鿿]", "^", "$", `\b`, `\B`, `\A`, `\z`, "(?i:a)", "(?i:k)", "(?i:sk)", "(?i:[a-f])", "(?i:straße)", "(a)", "(?P<x>a)", "(?:)", "()", "a|b", "ab|ac", "abc|abd|x", "a|", "foo|bar|baz",
		"[[:alpha:]]", "[^[:space:]]", `\x{10FFFF}`, "(?s:.)", "(?m:^a$)", `\Qa.b\E`, `[^\x00-\x{10FFFF}]`, `[\x00-\xff]`, `\x{e9}`, `\x{FF}`, "[Aa]", "[A-Z]", "[aA-Z]", "(?i)[^k]", `\.`, "/"}
	ops := []string{"%", "%*", "%+", "%?", "%*?", "%+?", "%??", "%{0}", "%{1}", "%{2}", "%{3,}", "%{0,3}", "%{2,5}", "%{1,}", "(?:%)*", "(?:%)+", "((?:%)*)*", "((?:%)?)+", "(%|x)*", "x(%)y", "^%$", "^(?:%)", "(?:%){2}", "(?:(?:%)*){3}", "%*%", "%+%*", "%?%{2}", "a*a%", "%|^%", "(?i)%", "(?:^%)+"}
	var out []string
	for _, a := range atoms {
		for _, o := range ops {
			out = append(out, strings.ReplaceAll(o, "%", a))
		}
		for _, b := range atoms {
			out = append(out, a+b, "(?:"+a+")|(?:"+b+")")
		}
	}
	return append(out, "[a-z]{1,1000}", strings.Repeat("[a-z]{1,1000}", 5), `(?:[0-9]{1,3}\.){3}[0-9]{1,3}`, `/api/v[0-9]+/users/[^/]+/?.*`, `^https?://([^.]+\.)*example\.com(:\d+)?$`,
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `(\d+|[a-z]+(?:-[a-z]+)*)\.(?:jpg|jpeg|png|gif|webp)`, `\pL{50}`, `(?i)(get|post|put|delete|patch|options)`, `(((((((((a)))))))))`, `(?:a|b|c|d|e|f|aa|bb|cc|dd)+`)
}
