package envoytest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/envoytest"
)

// mesh is something to compile.
type mesh struct {
	name, namespace string
	sources         []string
}

// Whatever compiles is taken by a stock Envoy: the meshes that MESHC_LOAD_INPUTS names are compiled as --lenient does, and
// what each of their proxies gets is loaded. Separated by colons, it names folders of folders, each of which is a mesh or
// has one in its folder input, and files with a mesh on each line: its sources, and after them its namespace as
// -n NAMESPACE where that is not the default.
func TestInputs(t *testing.T) {
	inputs := os.Getenv("MESHC_LOAD_INPUTS")
	if inputs == "" {
		t.Skip("MESHC_LOAD_INPUTS names no meshes")
	}
	proxy := envoytest.Start(t)
	var meshes []mesh
	for _, list := range filepath.SplitList(inputs) {
		if s, err := os.Stat(list); err != nil {
			t.Fatal(err)
		} else if s.IsDir() {
			meshes = append(meshes, folders(t, list)...)
		} else {
			meshes = append(meshes, lines(t, list)...)
		}
	}
	bundles := 0
	for _, m := range meshes {
		t.Run(m.name, func(t *testing.T) { bundles += m.load(t, proxy) })
	}
	t.Logf("%d of %d meshes compile", bundles, len(meshes))
}

// folders are the meshes in the folders of a folder.
func folders(t *testing.T, dir string) (out []mesh) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		source := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(source, "input")); err == nil {
			source = filepath.Join(source, "input")
		}
		if e.IsDir() {
			out = append(out, mesh{name: e.Name(), sources: []string{source}})
		}
	}
	return out
}

// lines are the meshes that a file lists.
func lines(t *testing.T, file string) (out []mesh) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		sources, namespace, _ := strings.Cut(strings.TrimSpace(line), " -n ")
		if sources != "" {
			out = append(out, mesh{strings.ReplaceAll(sources, "/", "_"), namespace, strings.Fields(sources)})
		}
	}
	return out
}

// load compiles a mesh and loads it, and returns how many bundles came of it: 0 or 1.
func (m mesh) load(t *testing.T, proxy *envoytest.Proxy) int {
	r, found, err := compiler.Compile(context.Background(), m.sources, compiler.Options{Lenient: true, Namespace: m.namespace})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range found {
		if d.Severity != diag.Info && !strings.HasPrefix(d.Code, "MESHC-P") {
			t.Logf("%s: %s: %s [%s]", d.Pos, d.Severity, d.Message, d.Code)
		}
	}
	if r.Bundle == nil {
		t.Log("refused")
		return 0
	}
	if err := proxy.Bundle(r.Bundle); errors.Is(err, envoytest.ErrEnded) {
		t.Fatal(err)
	} else if err != nil {
		t.Error(err)
	}
	return 1
}
