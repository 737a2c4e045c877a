package envoytest_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/envoytest"
)

// TestValues holds the rules about values to what a stock Envoy says of them, in both directions. Each archive in
// testdata/values has a template, with VALUE where the text of a case goes, and cases LABEL/NAME. The labels:
//
//	clean    it compiles, and Envoy takes what comes of it
//	refused  it does not compile; with its errors as warnings nothing comes of it, or what Envoy refuses
//	closed   it does not compile, and Envoy is not asked: Istio's own rules do not let it pass, or a patch is refused by itself
func TestValues(t *testing.T) {
	mesh, err := os.ReadFile("testdata/values/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob("testdata/values/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no values:", err)
	}
	judge := &judge{t: t, proxy: envoytest.Start(t)}
	for _, file := range archives {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range a.Files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar")+"/"+c.Name, func(t *testing.T) {
				label, _, _ := strings.Cut(c.Name, "/")
				value(t, judge, label, mesh, fill(a.Comment, c.Data))
			})
		}
	}
}

// fill puts the text of a case into a template, each line as far to the right as the first.
func fill(template, text []byte) []byte {
	before, after, _ := bytes.Cut(template, []byte("VALUE"))
	indent := strings.Repeat(" ", len(before)-bytes.LastIndexByte(before, '\n')-1)
	text = bytes.ReplaceAll(bytes.TrimSpace(text), []byte("\n"), []byte("\n"+indent))
	return bytes.Join([][]byte{before, text, after}, nil)
}

// judge is an Envoy that is started anew where it waits for something that never comes.
type judge struct {
	t     *testing.T
	proxy *envoytest.Proxy
}

// refuses returns what Envoy has against a bundle.
func (j *judge) refuses(b *bundle.Bundle) error {
	err := j.proxy.Bundle(b)
	if is := (*envoytest.Refusal)(nil); err != nil && !errors.As(err, &is) || errors.Is(err, envoytest.ErrNoAnswer) {
		j.proxy.Close()
		j.proxy = envoytest.Start(j.t)
	}
	return err
}

func value(t *testing.T, envoy *judge, label string, mesh, object []byte) {
	dir := t.TempDir()
	for name, text := range map[string][]byte{"mesh.yaml": mesh, "value.yaml": object} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, found := compileValue(t, dir, nil)
	if label == "clean" {
		if r.Bundle == nil {
			t.Error("does not compile")
		} else if err := envoy.refuses(r.Bundle); err != nil {
			t.Error(err)
		}
		return
	}
	if r.Bundle != nil {
		t.Errorf("compiles; Envoy: %v", envoy.refuses(r.Bundle))
		return
	}
	if label == "closed" {
		return
	}
	pass := map[string]string{}
	for _, d := range found {
		pass[d.Code] = "warning"
	}
	if r, _ = compileValue(t, dir, pass); r.Bundle == nil {
		return
	}
	switch err := envoy.refuses(r.Bundle); {
	case err == nil:
		t.Error("Envoy takes it")
	default:
		t.Log("Envoy:", err)
	}
}

func compileValue(t *testing.T, dir string, severity map[string]string) (*compiler.Result, diag.List) {
	r, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Severity: severity})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d.Severity == diag.Error {
			t.Logf("%s: %s [%s]", d.Pos, d.Message, d.Code)
		}
	}
	return r, found
}
