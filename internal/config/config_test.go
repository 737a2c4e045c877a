package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	c, l := Parse("meshc.yaml", []byte("severity:\n  IST0101: warning\n  MESHC-P001: off\nlenient: true\npolicies: [rules]\n"))
	if len(l) != 0 || c.Severity["IST0101"] != "warning" || c.Severity["MESHC-P001"] != "off" || !c.Lenient || len(c.Policies) != 1 {
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
		if _, l := Parse("meshc.yaml", []byte(text)); len(l) != 1 || l[0].Pos.Line != line || l[0].Help == "" {
			t.Errorf("%q: %+v", text, l)
		}
	}
	if _, l := Parse("meshc.yaml", nil); len(l) != 0 {
		t.Errorf("an empty file has findings: %v", l)
	}
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	sub := filepath.Join(root, "mesh", "prod")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, FileName)
	if err := os.WriteFile(file, []byte("lenient: true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := Find(sub); got != "" {
		t.Errorf("outside a Git repository a folder above must not count: %s", got)
	}
	if err := os.Mkdir(filepath.Join(root, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := Find(sub); got != file {
		t.Errorf("Find(%s) = %q", sub, got)
	}
}

// A folder outside of the repository is one finding, which does not tell whether anything is there.
func TestPoliciesOutside(t *testing.T) {
	root := t.TempDir()
	there := filepath.Join(root, "there")
	repository := filepath.Join(root, "repository")
	for _, d := range []string{there, filepath.Join(repository, ".git")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(repository, FileName)
	var said []string
	for _, p := range []string{"../there", "../gone"} {
		if err := os.WriteFile(file, []byte("policies: ["+p+"]\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, l, err := Load(file)
		if err != nil || len(l) != 1 {
			t.Fatalf("%s: %v, %v", p, l, err)
		}
		said = append(said, strings.ReplaceAll(l[0].Message, p, ""))
	}
	if said[0] != said[1] {
		t.Errorf("%q and %q", said[0], said[1])
	}
}
