package meshc_test

import (
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestCodesAreDocumented holds docs/diagnostics.md to the source: every code that the source can print has a row, and
// no row is about a code that is gone.
func TestCodesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("docs/diagnostics.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (MESHC-P\d{3}|MESHC\d{4}|IST0\d{3}) \|`).FindAllStringSubmatch(string(page), -1) {
		if rows[m[1]] {
			t.Errorf("docs/diagnostics.md has two rows for %s", m[1])
		}
		rows[m[1]] = true
	}
	inGo := regexp.MustCompile(`"(MESHC\d{4}|IST0\d{3})"`)
	inRego := regexp.MustCompile(`code: (MESHC-P\d{3})`)
	source := map[string]string{}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return cmp.Or(err, error(fs.SkipDir))
		}
		find := inGo
		switch {
		case strings.HasSuffix(path, "_test.go"), strings.HasSuffix(path, "_test.rego"), strings.HasPrefix(path, "examples"+string(filepath.Separator)):
			return nil
		case strings.HasSuffix(path, ".rego"):
			find = inRego
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		b, err := os.ReadFile(path)
		for _, m := range find.FindAllStringSubmatch(string(b), -1) {
			source[m[1]] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for code, path := range source {
		if !rows[code] {
			t.Errorf("%s (%s) has no row in docs/diagnostics.md: add its meaning, an example and what to do", code, path)
		}
	}
	for code := range rows {
		if source[code] == "" {
			t.Errorf("docs/diagnostics.md has a row for %s, which no source prints", code)
		}
	}
}

// TestLinksOfTheDocs: a page that is named is there.
func TestLinksOfTheDocs(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	guides, _ := filepath.Glob("docs/*/*.md")
	examples, _ := filepath.Glob("examples/*/*.md")
	code := regexp.MustCompile("(?s)```.*?```|`[^`\n]*`")
	link := regexp.MustCompile(`\]\(([\w./-]+)(#[^)]*)?\)`)
	for _, p := range slices.Concat([]string{"README.md"}, pages, guides, examples) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(string(b), ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(p), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", p, m[1])
			}
		}
	}
}
