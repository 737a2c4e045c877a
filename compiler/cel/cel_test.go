package cel_test

import (
	"testing"

	"github.com/meshc/meshc/compiler/cel"
	"github.com/meshc/meshc/internal/watchdog"
)

// TestParse: what Envoy lacks is an expression of the language all the same.
func TestParse(t *testing.T) {
	for _, expression := range []string{`x.exists(y, y > 1)`, `string(a)`, `has(a)`, `a.matches("(")`, `foo.Bar{x: 1}`, `response.code >= 400`} {
		if err := cel.Parse(expression); err != nil {
			t.Errorf("%s: %v", expression, err)
		}
	}
	for _, expression := range []string{"", ")++++", "a =", "a ? b", "x.exists(y,"} {
		if cel.Parse(expression) == nil {
			t.Errorf("%q passes", expression)
		}
	}
}

// TestCheck tries what people write; internal/envoytest compares many more with a stock Envoy.
func TestCheck(t *testing.T) {
	for expression, want := range map[string]string{
		`response.code >= 400 && !has(request.headers.x)`: "",
		`'x-a' in request.headers ? a.b : [1, 2u, -3][0]`: "",
		`request.url_path.matches("^/a")`:                 "",
		"":                                                "column 1: the end where a name has to be",
		"a +":                                             "column 4: the end where a name has to be",
		`a = b`:                                           `column 3: "=" where the end has to be`,
		`"a`:                                              "column 1: the text does not end",
		`x.exists(y, y)`:                                  "column 3: Envoy has exists switched off, as all that loops",
		`string(a)`:                                       "column 1: Envoy has no function string with 1 arguments here",
		`has(a)`:                                          "column 1: has takes a field, as a.b",
		`a.matches("(")`:                                  "column 11: RE2 does not take the regular expression: error parsing regexp: missing closing ): `(`",
		`a.matches("[a-z]{1,1000}")`:                      "column 11: the regular expression has the RE2 program size 2003, and 100 is the most that Envoy takes in an expression",
		`9223372036854775808`:                             "column 1: the number 9223372036854775808 is too large",
	} {
		got := ""
		if err := cel.Check(expression); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}

// FuzzCheck wants a verdict on any text.
func FuzzCheck(f *testing.F) {
	f.Add(`a.b["c"].d(1u, r'\x', {"a": -0x1}) ? [1.5e3,] : google.protobuf.Duration{seconds: 1}`)
	f.Fuzz(func(t *testing.T, expression string) {
		defer watchdog.Watch(t)()
		_ = cel.Check(expression)
	})
}
