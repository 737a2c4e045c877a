package main

import (
	"os"
	"testing"

	"github.com/meshc/meshc/schema"
)

// TestPage fails when docs/fields.md is older than the schema files.
func TestPage(t *testing.T) {
	refs, err := schema.References()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../docs/fields.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page(refs) {
		t.Error("docs/fields.md is not what schema/*.cue says: run make docs")
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
