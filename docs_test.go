package meshc_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
)

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
	for _, p := range slices.Concat([]string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}, pages, guides, examples) {
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

// TestPathsOfTheDocs: a file or folder of the project that a page names is there. Names in capitals stand for others.
func TestPathsOfTheDocs(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`((?:cmd|compiler|delivery|docs|examples|golden|internal|policies|schema|server|deploy|\\.ci)/[\\w./-]+)`")
	placeholder, seen := regexp.MustCompile(`[A-Z]{3}`), 0
	for _, p := range append([]string{"README.md", "CONTRIBUTING.md"}, pages...) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			if placeholder.MatchString(m[1]) {
				continue
			}
			seen++
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s names %s, which is not there", p, m[1])
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d paths found", seen)
	}
}
