package report_test

import (
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/meshgen"
)

var update = flag.Bool("update", false, "rewrite what is expected")

// compile compiles one file, which origins call mesh.yaml.
func compile(t *testing.T, text []byte) *bundle.Bundle {
	t.Helper()
	file := filepath.Join(t.TempDir(), "mesh.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	r, found, err := compiler.Compile(context.Background(), []string{file}, compiler.Options{Lenient: true})
	if err != nil || r.Bundle == nil {
		t.Fatalf("%v %v", err, found)
	}
	r.Bundle.RenameFiles(func(string) string { return "mesh.yaml" })
	return r.Bundle
}

// TestLargestChange: the page with the comment on a change of everything says what this code says of a smaller mesh: the same entries in the
// same order, each of many objects or of few.
func TestLargestChange(t *testing.T) {
	page, err := os.ReadFile("../../../docs/largest-change.md")
	if err != nil {
		t.Fatal(err)
	}
	one := func(changes ...meshgen.Change) *bundle.Bundle {
		dir := t.TempDir()
		if _, err := meshgen.Write(dir, meshgen.Options{Services: 100, Secured: true, Changes: changes}); err != nil {
			t.Fatal(err)
		}
		r, found, err := compiler.Compile(context.Background(), []string{filepath.Join(dir, "repo")}, compiler.Options{})
		if err != nil || r.Bundle == nil {
			t.Fatalf("%v %v", err, found)
		}
		return r.Bundle
	}
	r, err := change.Compare(one(), one(meshgen.Largest()...))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	got, want := outline(meshgen.Page(1000, meshgen.Largest(), b.Bytes())), outline(page)
	if !slices.Equal(got, want) {
		t.Errorf("go run ./internal/bench -comment docs/largest-change.md rewrites the page; it has\n%s\nand should have\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	if len(page) > 60_000 {
		t.Errorf("the page has %d bytes, more than a comment may have", len(page))
	}
}

// outline are the headings and entries of a page, without how many of what there are and where.
func outline(page []byte) []string {
	var out []string
	for _, line := range strings.Split(string(page), "\n") {
		summary, entry := strings.CutPrefix(line, "<details><summary><code>")
		if entry {
			line, _, _ = strings.Cut(summary, "-&gt;")
			line = regexp.MustCompile(`[0-9]+ (×|more)`).ReplaceAllString(line, "N $1")
		}
		if entry || strings.HasPrefix(line, "**") || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "- was") || strings.HasPrefix(line, "What ") {
			out = append(out, line)
		}
	}
	return out
}

// TestFormats: a change with a difference of each category reads in each format as its file says.
func TestFormats(t *testing.T) {
	const file = "testdata/categories.txtar"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a := txtar.Parse(data)
	if len(a.Files) < 2 {
		t.Fatal("there is no input")
	}
	r, err := change.Compare(compile(t, a.Files[0].Data), compile(t, a.Files[1].Data))
	if err != nil {
		t.Fatal(err)
	}
	r.Base, r.Head = "sha256:base", "sha256:head" // those of bundles change with the compiler
	for _, c := range report.Categories() {
		if !slices.ContainsFunc(r.Differences, func(d *report.Difference) bool { return d.Category == c }) {
			t.Errorf("no difference is of the category %s", c)
		}
	}
	got := slices.Clone(a.Files[:2])
	findings := func(format string) func(io.Writer) error {
		return func(w io.Writer) error {
			return diag.Print(w, format, r.Findings(), diag.Options{Version: "test", Code: codes.Find})
		}
	}
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{{"text", r.Print}, {"markdown", r.Markdown}, {"json", r.JSON}, {"github", findings("github")}, {"sarif", findings("sarif")}, {"junit", findings("junit")}} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(b.Bytes(), []byte("\n")) {
			b.WriteByte('\n')
		}
		got = append(got, txtar.File{Name: f.name, Data: b.Bytes()})
	}
	want := a.Files
	a.Files = got
	if *update {
		if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, f := range got {
		i := slices.IndexFunc(want, func(w txtar.File) bool { return w.Name == f.Name })
		if i < 0 || !bytes.Equal(want[i].Data, f.Data) {
			t.Errorf("%s is not as expected (go test ./compiler/change/report -update rewrites it):\n%s", f.Name, f.Data)
		}
	}
}
