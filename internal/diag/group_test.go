package diag

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestFindingsThatAreAlikeAreOne: what says the same of four hundred places fills no screen, and keeps its places in JSON.
func TestFindingsThatAreAlikeAreOne(t *testing.T) {
	var l List
	for i := range 400 {
		l.Add(Diagnostic{Code: "MESHC1440", Severity: Warning, Pos: Pos{File: "a.yaml", Line: i + 1}, Message: "no effect", Help: "remove it"})
	}
	for i := range 3 {
		l.Add(Diagnostic{Code: "IST0101", Severity: Error, Pos: Pos{File: "b.yaml", Line: i + 1}, Message: "no host", Help: "correct it"})
	}
	for i := range 5 {
		l.Add(Diagnostic{Code: "MESHC1111", Severity: Info, Pos: Pos{File: "c.yaml", Line: i + 1}, Message: fmt.Sprintf("label %d has no effect", i)})
	}
	print := func(format string, o Options) string {
		var b bytes.Buffer
		if err := Print(&b, format, l, o); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	text := print("text", Options{})
	want := `a.yaml:1: warning: no effect [MESHC1440]
  help: remove it
  and 399 more like it, at a.yaml:2, a.yaml:3, a.yaml:4, a.yaml:5, a.yaml:6 and 394 more places, which -o json lists
b.yaml:1: error: no host [IST0101]
  help: correct it
b.yaml:2: error: no host [IST0101]
  help: correct it
b.yaml:3: error: no host [IST0101]
  help: correct it
c.yaml:1: info: label 0 has no effect [MESHC1111]
  and 4 more like it, at c.yaml:2, c.yaml:3, c.yaml:4, c.yaml:5
3 errors, 400 warnings, 5 infos
`
	if text != want {
		t.Errorf("got\n%s\nwant\n%s", text, want)
	}
	if n := strings.Count(print("text", Options{Quiet: true}), "\n"); n != 408 {
		t.Errorf("%d lines with --quiet", n)
	}
	for _, f := range []string{"json", "sarif", "github", "junit", "gitlab"} {
		if out := print(f, Options{}); !strings.Contains(out, "400") {
			t.Errorf("%s lacks a place:\n%.300s", f, out)
		}
	}
	if out := print("github", Options{}); !strings.HasSuffix(out, "\n3 errors, 400 warnings, 5 infos; GitHub annotates 10 of each kind, all of them stand above\n") {
		t.Errorf("no summary ends in …%s", out[len(out)-200:])
	}
}
