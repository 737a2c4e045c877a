package re2_test

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/re2"
	"github.com/meshc/meshc/internal/watchdog"
)

// Sizes that Envoy 1.40 reports; internal/envoytest asks it about thousands more.
func TestProgramSize(t *testing.T) {
	for expr, want := range map[string]int{
		"a":                                  5,
		"a.":                                 7,
		"^a$":                                4,
		`a\pL`:                               12,
		"(?:a)|(?:(?i:k))":                   7,
		"a(?i:sk)":                           7,
		"(?s:.)*":                            6,
		strings.Repeat("[a-z]{1,1000}", 20):  39984,
		"(?:[a-z]{1,1000}){1}[a-z]{1,1000}x": 4003,
		strings.Repeat("(?:[a-z]{1,1000}|x)", 99): re2.Limit,
	} {
		got, err := re2.ProgramSize(expr)
		if err != nil || got != want {
			t.Errorf("%.40q: %d, %v; want %d", expr, got, err, want)
		}
	}
}

// What RE2 takes for an error is one.
func TestErrors(t *testing.T) {
	for _, expr := range []string{"(", "a{1001}", `\x{100}`, "(?:a{1000}){1000}", "[b-a]", "*", `\C`} {
		if n, err := re2.ProgramSize(expr); err == nil {
			t.Errorf("%q is no error, and has the size %d", expr, n)
		}
	}
	for _, expr := range []string{`\\x{100}`, `\Q\x{100}\E`, `\x{ff}`} {
		if _, err := re2.ProgramSize(expr); err != nil {
			t.Errorf("%q: %v", expr, err)
		}
	}
}

// FuzzProgramSize wants a size within the limit, or an error, of any text.
func FuzzProgramSize(f *testing.F) {
	for _, expr := range []string{`^(a|b{2,5})*[^\n\x{ff}]$`, `(?i:\pL\d)+?|\Q.\E`, "((a{0,1000}){0,1}|)*", "(?s:.)(?U:x*)\\b"} {
		f.Add(expr)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		defer watchdog.Watch(t)()
		if n, err := re2.ProgramSize(expr); err == nil && (n < 1 || n > re2.Limit) {
			t.Errorf("%q has the size %d", expr, n)
		}
	})
}
