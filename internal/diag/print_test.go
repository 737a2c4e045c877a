package diag

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden")

func sample() List {
	return List{
		{
			Code: "IST0101", Severity: Error, Pos: Pos{File: "mesh/reviews.yaml", Line: 3, Column: 11, EndLine: 3, EndColumn: 18},
			Object: Ref{"VirtualService", "shop", "reviews"}, Field: "spec.http[0].route[0].destination.host",
			Message: `host "reviews" has no Service in namespace shop`, Help: "Add the Service, or correct the name.",
			Related: []Related{{Pos: Pos{File: "mesh/dr.yaml", Line: 7, Column: 3}, Object: Ref{"DestinationRule", "shop", "reviews"}, Message: "names the same host"}},
		},
		{Code: "MESHC1002", Severity: Error, Pos: Pos{File: "a,b: 100%.yaml", Line: 2}, Message: "not YAML:\nfound <tab> & \x1b[31mred"},
		{Code: "MESHC-P001", Severity: Warning, Pos: Pos{File: "mesh/reviews.yaml", Line: 5, Column: 3}, Object: Ref{"VirtualService", "shop", "reviews"}, Field: "spec.http[1]", Message: "no timeout"},
		{Code: "MESHC1010", Severity: Info, Message: "3 objects of foreign kinds were left alone"},
	}
}

// declaration knows one of the codes of sample.
func declaration(id string) (Code, bool) {
	c := Code{ID: "IST0101", Severity: Error, Also: []Severity{Warning}, Means: "something that is named does not exist", Example: "`host: reviewz`", Remedy: "create it"}
	return c, id == c.ID
}

func TestPrint(t *testing.T) {
	text := "kind: VirtualService\nspec:\n    host: reviews\n\tx: 1\n  http: []\n"
	o := Options{Version: "v1.2.3", Source: func(f string) (string, bool) { return text, f == "mesh/reviews.yaml" }, Code: declaration}
	for _, f := range Formats() {
		for name, l := range map[string]List{f: sample(), f + "-clean": nil} {
			var b bytes.Buffer
			if err := Print(&b, f, l, o); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		}
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestFingerprintsIgnoreLinesAndDiffer(t *testing.T) {
	a, b := sample(), sample()
	for i := range b {
		b[i].Pos.Line += 40
	}
	fa, fb := fingerprints(a), fingerprints(b)
	seen := map[string]bool{}
	for i := range fa {
		if fa[i] != fb[i] {
			t.Errorf("finding %d: the fingerprint moved with the line", i)
		}
		seen[fa[i]] = true
	}
	if len(seen) != len(a) {
		t.Error("two findings share a fingerprint")
	}
}

func TestFormatAliases(t *testing.T) {
	for alias, want := range map[string]string{"github-actions": "github", "gitlab-code-quality": "gitlab"} {
		if got, err := Format(alias); err != nil || got != want {
			t.Errorf("Format(%q) = %q, %v", alias, got, err)
		}
	}
	if _, err := Format("yaml"); err == nil || !strings.Contains(err.Error(), "sarif") {
		t.Errorf("an unknown format should name the known ones: %v", err)
	}
}

// What is left of findings that are alike does not depend on the order in which they were found.
func TestSortForgetsTheOrder(t *testing.T) {
	at := func(line int, help string, related ...string) Diagnostic {
		d := Diagnostic{Code: "A", Pos: Pos{File: "f", Line: line}, Help: help}
		for _, r := range related {
			d.Related = append(d.Related, Related{Message: r})
		}
		return d
	}
	list := List{at(1, "x", "b"), at(1, "x", "a"), at(1, "y"), at(2, "x"), at(1, "x", "a", "b"), at(2, "w"), at(1, "x")}
	want := "f:1 x [], f:2 w []"
	for range list {
		list = append(list[1:], list[0])
		l := slices.Clone(list)
		l.Sort()
		var got []string
		for _, d := range l {
			got = append(got, fmt.Sprint(d.Pos, " ", d.Help, " ", d.Related))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}
