package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// pipeline is a repository with a mesh, made by init, whose newest commit changes it, and what a runner has.
type pipeline struct {
	t             *testing.T
	dir, tmp, bin string
	base          string // the commit before
	env           []string
}

// startPipeline builds meshc for the runner to find.
func startPipeline(t *testing.T) *pipeline {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("runners with bash")
	}
	p := &pipeline{t: t, dir: t.TempDir(), tmp: t.TempDir(), bin: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(p.bin, "meshc"), ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p.env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"), "RUNNER_TEMP="+p.tmp, "GITHUB_STEP_SUMMARY="+filepath.Join(p.tmp, "summary"),
		"GITHUB_OUTPUT="+filepath.Join(p.tmp, "output"), "GITHUB_PATH="+filepath.Join(p.tmp, "path"), "GITHUB_REPOSITORY=example/mesh",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
	p.hold(0, "meshc init . && git init -q -b main && git add -A && git commit -qm mesh")
	p.base = strings.TrimSpace(p.hold(0, "git rev-parse HEAD"))
	p.change("port: 8080", "port: 8080")
	return p
}

// change commits a mesh with a text in the place of another.
func (p *pipeline) change(from, to string) {
	p.t.Helper()
	name := filepath.Join(p.dir, "mesh/shop/routing.yaml")
	text := contents(p.t, name)
	if from != to && !strings.Contains(text, from) {
		p.t.Fatalf("%s has no %q:\n%s", name, from, text)
	}
	if err := os.WriteFile(name, []byte(strings.Replace(text, from, to, 1)), 0o600); err != nil {
		p.t.Fatal(err)
	}
	p.hold(0, "git commit -q --allow-empty -am change")
}

// run runs a script as a runner does, and returns its exit code and what it says.
func (p *pipeline) run(script string, env ...string) (code int, out string) {
	p.t.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = p.dir, append(p.env[:len(p.env):len(p.env)], env...)
	text, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if errors.As(err, &status) {
		return status.ExitCode(), string(text)
	} else if err != nil {
		p.t.Fatal(err)
	}
	return 0, string(text)
}

// hold wants an exit code of a script.
func (p *pipeline) hold(want int, script string, env ...string) string {
	p.t.Helper()
	code, out := p.run(script, env...)
	if code != want {
		p.t.Fatalf("exit code %d of\n%s\n%s", code, script, out)
	}
	return out
}

// action is what action.yml has.
type action struct {
	Inputs map[string]struct{ Default string }
	Runs   struct {
		Steps []struct {
			Name, Run string
			Env       map[string]string
		}
	}
}

var expression = regexp.MustCompile(`\$\{\{ *([^}]*?) *\}\}`)

// steps runs the steps of the action with some inputs, but for the one that builds meshc, and returns the exit code of each.
func (p *pipeline) steps(inputs map[string]string) (codes map[string]int, said string) {
	p.t.Helper()
	var a action
	if err := yaml.Unmarshal([]byte(contents(p.t, actionFile)), &a); err != nil {
		p.t.Fatal(err)
	}
	values := map[string]string{"github.base_ref": "", "github.action_path": "", "github.token": "token", "github.event.pull_request.number": "7", "steps.diff.outputs.report": filepath.Join(p.tmp, "meshc/report.md")}
	for name, in := range a.Inputs {
		values["inputs."+name] = in.Default
	}
	for name, v := range inputs {
		if _, known := a.Inputs[name]; !known {
			p.t.Fatalf("the action has no input %s", name)
		}
		values["inputs."+name] = v
	}
	codes = map[string]int{}
	if err := os.MkdirAll(filepath.Join(p.tmp, "meshc"), 0o755); err != nil {
		p.t.Fatal(err)
	}
	for _, s := range a.Runs.Steps {
		if s.Run == "" || s.Name == "Build meshc" {
			continue
		}
		var env []string
		for name, v := range s.Env {
			env = append(env, name+"="+expression.ReplaceAllStringFunc(v, func(e string) string {
				value, known := values[expression.FindStringSubmatch(e)[1]]
				if !known {
					p.t.Fatalf("%s: %s is nothing that a runner has", s.Name, e)
				}
				return value
			}))
		}
		code, out := p.run(s.Run, env...)
		codes[s.Name], said = code, said+out
	}
	return codes, said
}

const actionFile = "../../action.yml"

// TestAction: the steps of the GitHub Action do with a change what they say, and fail where they should.
func TestAction(t *testing.T) {
	p := startPipeline(t)
	// A gh that keeps what it is asked.
	if err := os.WriteFile(filepath.Join(p.bin, "gh"), []byte("#!/bin/sh\necho \"$@\" > \"$RUNNER_TEMP/gh\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const check, calls, diff, comment = "Findings, on the changed lines", "Calls that have tests", "Which requests are treated differently", "As a comment"
	codes, said := p.steps(map[string]string{"base": p.base})
	if codes[check] != 0 || codes[calls] != 0 || codes[diff] != 0 || codes[comment] != 0 {
		t.Errorf("without a change: %v\n%s", codes, said)
	}
	if gh := contents(t, filepath.Join(p.tmp, "gh")); !strings.HasPrefix(gh, "pr comment 7 --repo example/mesh --edit-last --create-if-none --body-file ") {
		t.Errorf("gh was asked %s", gh)
	}
	p.change("timeout: ", "timeout: 1")
	codes, said = p.steps(map[string]string{"base": p.base, "fail-on": "tuning,access-widened"})
	if summary := contents(t, filepath.Join(p.tmp, "summary")); codes[check] != 0 || codes[calls] != 1 || codes[diff] != 1 || !strings.Contains(summary, "tuning") {
		t.Errorf("a timeout that is tuned: %v\n%s\n%s", codes, said, summary)
	}
	if codes, said = p.steps(map[string]string{"base": p.base, "fail-on": "access-widened"}); codes[diff] != 0 {
		t.Errorf("a timeout, where only access counts: %v\n%s", codes, said)
	}
	p.change("host: ", "host: no")
	codes, said = p.steps(map[string]string{"base": p.base})
	if codes[check] != 1 || codes[diff] != 2 || !strings.Contains(said, "::error file=mesh/shop/routing.yaml,line=") {
		t.Errorf("a host that is none: %v\n%s", codes, said)
	}
}

// TestGitLabTemplate: the script of the template for GitLab, and that of init, run in a merge request: what one step finds keeps the next
// from nothing.
func TestGitLabTemplate(t *testing.T) {
	p := startPipeline(t)
	p.change("timeout: ", "timeout: 1")
	for _, file := range []string{"../../contrib/gitlab/meshc.yml", "starter/gitlab/gitlab-ci.yml"} {
		var job struct {
			Variables map[string]string
			Script    []string
		}
		for dec := yaml.NewDecoder(strings.NewReader(contents(t, file))); ; {
			var doc map[string]yaml.Node
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			for name, node := range doc {
				if name != "spec" {
					if err := node.Decode(&job); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		env := []string{"CI_MERGE_REQUEST_DIFF_BASE_SHA=" + p.base}
		for name, v := range job.Variables {
			env = append(env, name+"="+strings.NewReplacer("$[[ inputs.path ]]", "mesh", "$[[ inputs.fail-on ]]", "encryption", "$[[ inputs.arguments ]]", "").Replace(v))
		}
		p.hold(1, strings.Join(job.Script, "\n"), env...) // a call of the mesh says what the timeout is
		for name, want := range map[string]string{"gl-code-quality-report.json": "[", "meshc.xml": "<testsuites", "mesh-diff.md": "tuning"} {
			if text := contents(t, filepath.Join(p.dir, name)); !strings.Contains(text, want) {
				t.Errorf("%s: %s is %q", file, name, text)
			}
			_ = os.Remove(filepath.Join(p.dir, name))
		}
	}
}

// TestPreCommitHooks: the hooks that init writes and those of the project let a good mesh pass, and stop one that is not.
func TestPreCommitHooks(t *testing.T) {
	type hook struct {
		ID, Entry string
		Args      []string
	}
	var own struct{ Repos []struct{ Hooks []hook } }
	var ours []hook
	for file, into := range map[string]any{"starter/pre-commit.yaml": &own, "../../.pre-commit-hooks.yaml": &ours} {
		if err := yaml.NewDecoder(bytes.NewReader([]byte(contents(t, file)))).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	p := startPipeline(t)
	all := append(ours, own.Repos[0].Hooks...)
	if len(all) != 4 {
		t.Fatalf("%d hooks", len(all))
	}
	for _, h := range all {
		p.hold(0, h.Entry+" "+strings.Join(h.Args, " "))
	}
	p.change("host: ", "host: no")
	for _, h := range all {
		if code, out := p.run(h.Entry + " " + strings.Join(h.Args, " ")); code == 0 {
			t.Errorf("%s: %s", h.ID, out)
		}
	}
}
