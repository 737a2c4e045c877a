package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/schema"
)

// TestPages fails when a page is older than what it is made of.
func TestPages(t *testing.T) {
	made, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range made {
		have, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if string(have) != text {
			t.Errorf("docs/%s is out of date: run make docs", name)
		}
	}
}

// TestEveryCodeHasASection: a code of a new family would be left out of the page.
func TestEveryCodeHasASection(t *testing.T) {
	all, err := codes.All()
	if err != nil {
		t.Fatal(err)
	}
	page := codesPage(all)
	for _, c := range all {
		if n := strings.Count(page, "| "+c.ID+" |"); n != 1 {
			t.Errorf("the page has %d rows for %s", n, c.ID)
		}
	}
}

// TestLimitsNameCodes: what is said to be beyond a limit is a code that there is.
func TestLimitsNameCodes(t *testing.T) {
	all, err := codes.All()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, c := range all {
		known[c.ID] = true
	}
	for _, table := range limit.Tables() {
		for _, b := range table.Bounds {
			for _, code := range regexp.MustCompile(`MESHC\d+`).FindAllString(b.Beyond, -1) {
				if !known[code] {
					t.Errorf("%s: there is no code %s", b.Name, code)
				}
			}
		}
	}
}

// TestReasons wants a reason behind each field that is refused or has no effect, and says what it becomes of the others.
func TestReasons(t *testing.T) {
	refs, err := schema.References()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range refs {
		for _, f := range r.Fields {
			if _, text := describe(f); text == "" {
				t.Errorf("%s %s: the schema has no sentence about it", r.Kind.Name, f.Path)
			}
		}
	}
}
