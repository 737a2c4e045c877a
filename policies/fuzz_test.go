package policies

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/meshc/meshc/internal/watchdog"
)

// FuzzPolicies gives the engine any text for a policy: it is judged within its budget, and what is wrong with it is a
// finding at a place.
func FuzzPolicies(f *testing.F) {
	for _, body := range []string{
		`input.kind == "VirtualService"; some i in numbers.range(1, 9); sprintf("%05d", [i]) != ""`,
		`walk(input, [p, v]); is_string(v); regex.match("a+", v)`,
		`x := [y | some k, v in data.meshc.objects; y := {k: count(v)}]; count(x) > 0`,
		`every h in input.spec.hosts { contains(h, "a") }`,
	} {
		f.Add("package main\n# METADATA\n# custom:\n#   code: A1\ndeny contains {\"msg\": \"no\", \"field\": \"spec\"} if { " + body + " }")
	}
	f.Add("package main\ndeny[msg] { msg := input.a.b[_]; f(msg) }\nf(x) = y { y := x[0] } else = 1 { x == 2 }")
	f.Add("") // an error without a line
	all := objects(f, mesh)
	f.Fuzz(func(t *testing.T, rego string) {
		defer watchdog.Watch(t)()
		files := fstest.MapFS{"p.rego": &fstest.MapFile{Data: []byte(rego), Mode: 0o644}}
		l, _, err := Eval(context.Background(), all, Options{Folders: []Folder{{"policies", files}}, Budget: Budget{Object: 200_000, Run: 1_000_000}})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range l {
			if d.Code == "" || d.Message == "" || d.Pos.File == "" || d.Pos.Line < 1 {
				t.Errorf("incomplete: %+v", d)
			}
		}
	})
}
