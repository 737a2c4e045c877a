// Package meshc_test holds the packages of this module to the picture in docs/architecture.md.
package meshc_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/meshc/meshc"

// architecture is the page with the picture.
func architecture(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// section is what stands below a heading of a page.
func section(t *testing.T, page, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/architecture.md has no section %s", heading)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	return rest
}

// rows are those of the tables of a section, by cell, without their heads.
func rows(section string) (out [][]string) {
	head := true
	for _, line := range strings.Split(section, "\n") {
		switch {
		case !strings.HasPrefix(line, "| "):
			head = head || !strings.HasPrefix(line, "|")
		case head:
			head = false
		default:
			out = append(out, strings.Split(strings.Trim(line, "| "), " | "))
		}
	}
	return out
}

var quoted = regexp.MustCompile("`([^`]+)`")

// anything stands for the imports of tests and of tools of the project itself, which may use everything.
const anything = "anything"

// picture is what each package imports by the table of docs/architecture.md; "…" at the end of a path takes all below.
func picture(t *testing.T) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, row := range rows(section(t, architecture(t), "Packages")) {
		if len(row) != 3 {
			t.Fatalf("the row %q has not a package, a duty and imports", row)
		}
		for _, p := range quoted.FindAllStringSubmatch(row[0], -1) {
			if _, twice := out[p[1]]; twice {
				t.Errorf("%s has two rows", p[1])
			}
			out[p[1]] = []string{}
			if row[2] != "–" {
				out[p[1]] = strings.Split(row[2], ", ")
			}
		}
	}
	return out
}

// onlyHere lists, by the beginning of their paths, packages that the compiler does not link, or in one place alone, and who
// may import them.
var onlyHere = map[string][]string{
	"k8s.io/client-go/":             {"server/kube"},
	"github.com/prometheus/":        {"server"},
	"github.com/spiffe/":            {"server", "delivery/identities"},
	"github.com/go-git/":            {"compiler/load", "delivery/clone"},
	"oras.land/":                    {"delivery/registry"},
	"github.com/open-policy-agent/": {"policies"},
}

// packages calls f with each package of the module that has product code, by its path below the module, and its imports.
func packages(t *testing.T, f func(dir string, imports []string)) {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		f(strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/"), p.Imports)
	}
}

// TestImports: each package has its place in the picture and imports what stands there, not more and not less.
func TestImports(t *testing.T) {
	table, seen := picture(t), map[string]bool{}
	var free []string
	for dir, imports := range table {
		if slices.Equal(imports, []string{anything}) {
			free = append(free, dir)
		}
	}
	packages(t, func(dir string, imports []string) {
		seen[dir] = true
		below := func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") }
		if dir == "" || slices.ContainsFunc(free, below) {
			return
		}
		allowed, known := table[dir]
		if !known {
			t.Errorf("package %s has no row in docs/architecture.md", dir)
		}
		used := map[string]bool{}
		for _, i := range imports {
			if own, ok := strings.CutPrefix(i, module+"/"); ok {
				at := slices.IndexFunc(allowed, func(a string) bool {
					all, below := strings.CutSuffix(a, "…")
					return own == a || below && strings.HasPrefix(own, all)
				})
				if at < 0 {
					t.Errorf("package %s imports %s, and its row in docs/architecture.md does not", dir, own)
					continue
				}
				used[allowed[at]] = true
			}
			for beginning, by := range onlyHere {
				if strings.HasPrefix(i, beginning) && !slices.Contains(by, dir) {
					t.Errorf("package %s imports %s, which only %v may", dir, i, by)
				}
			}
		}
		for _, a := range allowed {
			if !used[a] {
				t.Errorf("docs/architecture.md has %s import %s, which it does not", dir, a)
			}
		}
	})
	for dir := range table {
		if !seen[dir] {
			t.Errorf("docs/architecture.md has a row of %s, which is no package", dir)
		}
	}
}
