package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	git "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/meshc/meshc/internal/registrytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"meshc": main})
}

// TestScripts runs testdata/*.txtar: whole command lines and what they print, leave behind and answer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"code":     code,
			"truncate": truncate,
			"alter":    alter,
			"commit":   commit,
			"located":  located,
			"nothing":  nothing,
			"registry": startRegistry,
		},
	})
}

// startRegistry runs a registry until the script ends and names it in REGISTRY.
func startRegistry(ts *testscript.TestScript, _ bool, _ []string) {
	host, stop := registrytest.New(true)
	ts.Defer(stop)
	ts.Setenv("REGISTRY", host)
	ts.Setenv("DOCKER_CONFIG", ts.MkAbs("docker"))
}

// code N ARGS… runs meshc and wants exit code N; output goes to the files out and err.
func code(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	if err := ts.Exec("meshc", args[1:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(ts.ReadFile("stdout")), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(ts.ReadFile("stderr")), 0o644))
	if args[0] != strconv.Itoa(got) {
		ts.Fatalf("meshc %s: exit code %d, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// located CODE FILE LINE wants such an error, with help, in the JSON that the last command printed.
func located(ts *testscript.TestScript, neg bool, args []string) {
	var l struct {
		Diagnostics []struct {
			Code, Severity, File, Help, Message string
			Line                                int
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("out")), &l))
	var have []string
	for _, d := range l.Diagnostics {
		if d.Severity == "error" && (d.File == "" || d.Line == 0 || d.Help == "" || d.Message == "") {
			ts.Fatalf("an error without place, message or help: %+v", d)
		}
		at := []string{d.Code, d.File, strconv.Itoa(d.Line)}
		have = append(have, strings.Join(at, " ")+": "+d.Message)
		if strings.Join(at, " ") == strings.Join(args, " ") {
			return
		}
	}
	ts.Fatalf("no %s, only:\n%s", strings.Join(args, " "), strings.Join(have, "\n"))
}

// truncate FILE cuts a file in half.
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(b[:len(b)/2]), 0o644))
}

// alter FILE OLD NEW replaces the first OLD in a file, which has to be there.
func alter(ts *testscript.TestScript, _ bool, args []string) {
	b := ts.ReadFile(args[0])
	if !strings.Contains(b, args[1]) {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(b, args[1], args[2], 1)), 0o644))
}

// commit DIR makes a Git repository of a folder, with all that is in it as one commit.
func commit(ts *testscript.TestScript, _ bool, args []string) {
	repo, err := git.PlainInit(ts.MkAbs(args[0]), false)
	ts.Check(err)
	tree, err := repo.Worktree()
	ts.Check(err)
	ts.Check(tree.AddGlob("."))
	_, err = tree.Commit("all", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@example.com"}})
	ts.Check(err)
}

// nothing PATH… wants that nothing is there, and no left-over of an unfinished write beside it.
func nothing(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		found, err := filepath.Glob(filepath.Join(ts.MkAbs(filepath.Dir(a)), "*"+filepath.Base(a)+"*"))
		ts.Check(err)
		if len(found) > 0 {
			ts.Fatalf("left behind: %v", found)
		}
	}
}

// TestLocalPath: settings and policies of a Git revision are looked for where its subdir lies, not in the root alone.
func TestLocalPath(t *testing.T) {
	for source, want := range map[string]string{
		"-": ".", "mesh/": "mesh", ".git": ".", ".git#ref=main": ".", "repo/.git#ref=v1,subdir=a/b": "repo/a/b", "bare.git#subdir=a,ref=v1": "bare/a",
	} {
		if got := filepath.ToSlash(localPath(source)); got != want {
			t.Errorf("%s: got %s, want %s", source, got, want)
		}
	}
}
