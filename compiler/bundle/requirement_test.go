package bundle

import (
	"path/filepath"
	"slices"
	"testing"
)

// What sets need comes back, of a class each once and of each the most.
func TestRequirements(t *testing.T) {
	in := sample(t, 1)
	shared, own := in.Classes[0].Sets[0], in.Classes[1].Sets[0]
	lua := NewRequirement(Extension, 0, "envoy.extensions.filters.http.lua.v3.Lua")
	shared.Requires = []Requirement{NewRequirement(ProgramSize, 101, ""), lua}
	own.Requires = []Requirement{lua, NewRequirement(ProgramSize, 300, ""), lua}
	b := seal(t, in)
	path := filepath.Join(t.TempDir(), "b")
	if err := b.WriteDir(path); err != nil {
		t.Fatal(err)
	}
	r, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []*Bundle{b, r} {
		most := []Requirement{lua, NewRequirement(ProgramSize, 300, "")}
		if got := x.Class("a").Requirements(); !slices.Equal(got, most) {
			t.Errorf("class a: %v", got)
		}
		if got := x.Class("b").Requirements(); !slices.Equal(got, []Requirement{lua, NewRequirement(ProgramSize, 101, "")}) {
			t.Errorf("class b: %v", got)
		}
		if got := x.Requirements(); !slices.Equal(got, most) {
			t.Errorf("bundle: %v", got)
		}
	}
}

// A requirement without a name, or of sets that are not there, is no requirement.
func TestReadRequirements(t *testing.T) {
	b := seal(t, sample(t, 1))
	for _, e := range []requirementEntry{
		{Requirement{Name: "", Version: 1}, "0"}, {Requirement{Name: "x"}, "0"},
		{NewRequirement("x", 0, ""), "0-2"}, {NewRequirement("x", 0, ""), "1-0"}, {NewRequirement("x", 0, ""), ""}, {NewRequirement("x", 0, ""), "-1"},
	} {
		if err := b.readRequirements([]requirementEntry{e}); err == nil {
			t.Errorf("%+v is read", e)
		}
	}
}
