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
