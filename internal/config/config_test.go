package config

import (
	"strings"
	"testing"
	"testing/fstest"
)

func TestParse(t *testing.T) {
	c, l := Parse("meshc.yaml", []byte("severity:\n  IST0101: warning\n  MESHC-P001: off\nlenient: true\npolicies: [rules]\n"))
	if len(l) != 0 || c.Severity["IST0101"] != "warning" || c.Severity["MESHC-P001"] != "off" || !c.Lenient || len(c.named) != 1 {
		t.Errorf("%+v %v", c, l)
	}
	for text, line := range map[string]int{
		"lenint: true\n":                1,
		"lenient: true\nseverity: [a]":  2,
		"severity:\n  A: error\n  B: x": 3,
		"policies: folder\n":            1,
		"lenient: maybe\n":              1,
		"a: 1\n":                        1,
		"clusters: [east]\n":            1,
		"- a\n":                         1,
		"a: [\n":                        1,
	} {
		code := "MESHC1801" // a setting that is unknown or wrong
		if strings.HasPrefix(text, "- ") || strings.HasSuffix(text, "[\n") {
			code = "MESHC1800" // no map, no YAML
		}
		if _, l := Parse("meshc.yaml", []byte(text)); len(l) != 1 || l[0].Code != code || l[0].Pos.Line != line || l[0].Help == "" {
			t.Errorf("%q: %+v", text, l)
		}
	}
	if _, l := Parse("meshc.yaml", []byte("lenint: true\n")); !strings.Contains(l[0].Help, "Did you mean lenient?") {
		t.Errorf("%+v", l)
	}
	if _, l := Parse("meshc.yaml", []byte("lenient: false\n---\nseverity: {IST0101: warning}\n")); len(l) != 1 || l[0].Code != "MESHC1800" || l[0].Pos.Line != 2 {
		t.Errorf("a second document is not read: %+v", l)
	}
	if _, l := Parse("meshc.yaml", []byte("---\nlenient: true\n")); len(l) != 0 {
		t.Errorf("%+v", l)
	}
	if _, l := Parse("meshc.yaml", nil); len(l) != 0 {
		t.Errorf("an empty file has findings: %v", l)
	}
}

func tree(files fstest.MapFS, dir string) *Tree {
	return &Tree{Files: files, ID: "test", Dir: dir, Folder: true, Show: func(name string) string { return "in/" + name },
		Source: func(name string) (string, bool) { return "in/" + name, true }}
}

func TestFind(t *testing.T) {
	files := fstest.MapFS{
		"meshc.yaml":           {Data: []byte("lenient: true\npolicies: [rules]\n")},
		"mesh/prod/a.yaml":     {},
		"mesh/dev/meshc.yaml":  {},
		"rules/a.rego":         {},
		"mesh/prod/policies/b": {},
	}
	for dir, want := range map[string]string{"mesh/prod": "meshc.yaml", "mesh/dev": "mesh/dev/meshc.yaml", ".": "meshc.yaml"} {
		if got := Find(tree(files, dir)); got != want {
			t.Errorf("%s: %q", dir, got)
		}
	}
	at := tree(files, "mesh/prod")
	c, l, err := Load(at, "meshc.yaml")
	if err != nil || len(l) > 0 || c.File != "in/meshc.yaml" || len(c.Policies) != 1 || c.Policies[0].Path != "rules" {
		t.Errorf("%+v %v %v", c, l, err)
	}
	if own, l := OwnPolicies([]Folder{c.Folder(), {at, "mesh/prod"}}, c.Policies); len(own) > 0 || len(l) > 0 {
		t.Errorf("%v %v", own, l)
	}
}

// A folder outside of the tree is one finding, which does not tell whether anything is there.
func TestPoliciesOutside(t *testing.T) {
	for _, p := range []string{"../there", "../gone", "/etc"} {
		_, l, err := Load(tree(fstest.MapFS{"meshc.yaml": {Data: []byte("policies: [" + p + "]\n")}}, "."), "meshc.yaml")
		if err != nil || len(l) != 1 || !strings.Contains(l[0].Message, "lies outside") {
			t.Errorf("%s: %v, %v", p, l, err)
		}
	}
}

// TestMisplaced: settings and policies by a name that nothing looks for are warnings.
func TestMisplaced(t *testing.T) {
	files := fstest.MapFS{"a/meshc.yml": {Data: []byte("lenient: true\n")}, "a/b/x.yaml": {}, "a/policy/p.rego": {}, "policy/readme.md": {}}
	if l := Misnamed(tree(files, "a/b")); len(l) != 1 || l[0].Code != "MESHC1801" || l[0].Pos.File != "in/a/meshc.yml" {
		t.Errorf("%+v", l)
	}
	at := tree(files, "a")
	own, l := OwnPolicies([]Folder{{at, "a"}, {at, "."}}, nil)
	if len(own) != 0 || len(l) != 1 || l[0].Pos.File != "in/a/policy" {
		t.Errorf("%+v %+v", own, l)
	}
	if _, l := OwnPolicies([]Folder{{at, "a"}}, []Folder{{at, "a/policy"}}); len(l) != 0 {
		t.Errorf("a folder that is named is run: %+v", l)
	}
}
