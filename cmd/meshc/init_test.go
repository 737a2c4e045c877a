package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestInit: what init writes has no finding, holds its own tests, and is not written over anything.
func TestInit(t *testing.T) {
	for _, ci := range []string{ciGitHub, ciGitLab, ciNone} {
		dir := t.TempDir()
		t.Chdir(dir)
		meshc := func(args ...string) (code int, out, errs string) {
			t.Helper()
			var o, e bytes.Buffer
			code = run(context.Background(), args, strings.NewReader(""), &o, &e)
			return code, o.String(), e.String()
		}
		code, out, errs := meshc("init", "--ci", ci)
		if code != 0 {
			t.Fatal(errs)
		}
		if code, out, errs := meshc("check", "mesh", "--fail-on-warn"); code != 0 || strings.TrimSpace(out) != "" {
			t.Errorf("check: %d %s%s", code, out, errs)
		}
		if code, out, errs := meshc("test", "mesh"); code != 0 || !strings.Contains(out, "8 calls and tests of policies as expected, 0 not") {
			t.Errorf("test: %d %s%s", code, out, errs)
		}
		if code, _, errs := meshc("compile", "mesh", "-o", "mesh.bundle"); code != 0 {
			t.Errorf("compile: %s", errs)
		}
		if code, _, errs := meshc("init", "--ci", ci); code != 2 || !strings.Contains(errs, "nothing was written: . has ") || !strings.Contains(errs, "meshc.yaml") {
			t.Errorf("again: %d %s", code, errs)
		}
		for _, name := range strings.Fields(out) {
			if strings.HasSuffix(name, "yaml") || strings.HasSuffix(name, "yml") {
				held(t, filepath.Join(dir, name))
			}
		}
		_, github := os.Stat(".github/workflows/mesh.yaml")
		_, gitlab := os.Stat(".gitlab-ci.yml")
		if (github == nil) != (ci == ciGitHub) || (gitlab == nil) != (ci == ciGitLab) {
			t.Errorf("%s: %v, %v", ci, github, gitlab)
		}
	}
}

// TestInitBesideAReadme: a repository that a forge has begun is one to begin a mesh in, and its files stay.
func TestInitBesideAReadme(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a mesh")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	readme := filepath.Join(dir, "README.md")
	if err := os.WriteFile(readme, []byte("# mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := run(context.Background(), []string{"init", dir}, strings.NewReader(""), &out, &errs); code != 0 {
		t.Fatal(errs.String())
	}
	if contents(t, readme) != "# mine\n" || strings.Contains(out.String(), "README.md") || !strings.Contains(errs.String(), "left as it was: README.md\n") {
		t.Errorf("%s%s", out.String(), errs.String())
	}
	if want := "cd '" + strings.ReplaceAll(dir, "'", `'\''`) + "' && meshc check"; !strings.Contains(errs.String(), want) {
		t.Errorf("%s has not %s", errs.String(), want)
	}
}

// A word that a flag does not take is told as what it was to be.
func TestUnknownWords(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"init", "--ci", "gitlabb"}, `unknown pipeline "gitlabb": did you mean gitlab?`},
		{[]string{"intercept", "--with", "ebpf"}, `unknown tool "ebpf"`},
		{[]string{"check", ".", "-o", "xml"}, `unknown output format "xml"`},
	} {
		var errs bytes.Buffer
		if code := run(context.Background(), c.args, strings.NewReader(""), &errs, &errs); code != 2 || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%v: %d %s", c.args, code, errs.String())
		}
	}
}

// held holds a file to YAML, and each command of meshc in it to verbs and flags that there are.
func held(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for dec := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var doc any
		if err := dec.Decode(&doc); err != nil {
			if err.Error() != "EOF" {
				t.Errorf("%s: %v", file, err)
			}
			break
		}
	}
	for _, line := range strings.Split(string(text), "\n") {
		var command string
		for _, before := range []string{"run: meshc ", "  - meshc ", "entry: meshc "} {
			if _, rest, ok := strings.Cut(line, before); ok {
				command = rest
			}
		}
		if command == "" {
			continue
		}
		command, _, _ = strings.Cut(strings.NewReplacer(`"`, "", "}", "").Replace(command), ", pass")
		command, _, _ = strings.Cut(command, " >")
		var out bytes.Buffer
		a := newApp(strings.NewReader(""), &out, &out)
		root := a.root()
		verb, rest, err := root.Find(strings.Fields(command))
		if err == nil {
			err = verb.ParseFlags(rest)
		}
		if err == nil {
			err = verb.ValidateArgs(verb.Flags().Args())
		}
		if err != nil || verb == root {
			t.Errorf("%s: %s: %v", file, line, err)
		}
	}
}
