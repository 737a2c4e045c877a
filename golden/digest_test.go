package golden

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/diag"
)

// TestOneDigest: the same input gives the same bundle and the same findings, with any number of workers, with its files in any
// order, and wherever it lies and however it is named. The meshes below the folders in MESHC_DIGEST_INPUTS, separated by colons,
// are tried as well: each folder in them, or its folder input where it has one.
func TestOneDigest(t *testing.T) {
	bundles := 0
	for _, file := range cases(t) {
		g := read(t, file)
		bundles += oneDigest(t, file, g.dir, g.sources, compiler.Options{Lenient: g.settings.Lenient, Severity: g.settings.Severity})
	}
	bundles += oneDigest(t, "bookinfo", "../examples/bookinfo", []string{"../examples/bookinfo/overlays/demo"}, compiler.Options{})
	for _, dir := range filepath.SplitList(os.Getenv("MESHC_DIGEST_INPUTS")) {
		for _, mesh := range meshesIn(t, dir) {
			bundles += oneDigest(t, mesh, mesh, filesIn(t, mesh), compiler.Options{Lenient: true})
		}
	}
	if bundles < 40 {
		t.Errorf("only %d bundles were compared", bundles)
	}
}

// oneDigest compiles the same sources, all below a folder, in several ways, and returns how many bundles came of it: 0 or 1.
func oneDigest(t *testing.T, name, dir string, sources []string, opts compiler.Options) int {
	t.Helper()
	random := rand.New(rand.NewSource(1))
	var first outcome
	given := sources
	for _, workers := range []int{1, 2, 8} {
		opts.Workers = workers
		got := compiled(t, name, sources, opts)
		if workers == 1 {
			first = got
		}
		if got.digest != first.digest || got.said(whole) != first.said(whole) {
			t.Errorf("%s: with %d workers and the sources in the order %v: %s, not %s\n%s", name, workers, sources, got.digest, first.digest, difference(first.said(whole), got.said(whole)))
		}
		sources = slices.Clone(sources)
		random.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	}
	// A copy is in no Git work tree, so that its paths may start below the folder: what follows counts.
	if got := elsewhere(t, name, dir, given, opts); got.digest != first.digest || got.said(path.Base) != first.said(path.Base) {
		t.Errorf("%s: from another folder %s, not %s\n%s", name, got.digest, first.digest, difference(first.said(path.Base), got.said(path.Base)))
	}
	if first.digest == "" {
		return 0
	}
	return 1
}

// outcome is what came of compiling.
type outcome struct {
	digest string // of the bundle; "": there is none
	found  diag.List
}

func whole(file string) string { return file }

// said is what was found, with files as named by a function.
func (o outcome) said(file func(string) string) string {
	at := func(p diag.Pos) diag.Pos {
		p.File = file(p.File)
		return p
	}
	lines := make([]string, 0, len(o.found))
	for _, d := range o.found {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s %s: %s %s\n", at(d.Pos), d.Severity, d.Code, d.Field, d.Message, d.Help)
		for _, x := range d.Related {
			fmt.Fprintf(&b, "  %s: %s\n", at(x.Pos), x.Message)
		}
		lines = append(lines, b.String())
	}
	return strings.Join(lines, "")
}

func compiled(t *testing.T, name string, sources []string, opts compiler.Options) outcome {
	t.Helper()
	r, found, err := compiler.Compile(context.Background(), sources, opts)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	out := outcome{found: found}
	if r.Bundle != nil {
		out.digest = r.Bundle.Digest.String()
	}
	return out
}

// elsewhere compiles a copy of a folder from within, by relative names.
func elsewhere(t *testing.T, name, dir string, sources []string, opts compiler.Options) outcome {
	t.Helper()
	there := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(there, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	var relative []string
	for _, s := range sources {
		r, err := filepath.Rel(dir, s)
		if err != nil {
			t.Fatal(err)
		}
		relative = append(relative, r)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chdir(there); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.Chdir(here); err != nil {
			t.Fatal(err)
		}
	}()
	return compiled(t, name, relative, opts)
}

// meshesIn are the folders of meshes in a folder.
func meshesIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		mesh := filepath.Join(dir, e.Name())
		if _, err := os.Stat(filepath.Join(mesh, "input")); err == nil {
			mesh = filepath.Join(mesh, "input")
		}
		if e.IsDir() {
			out = append(out, mesh)
		}
	}
	return out
}

// filesIn are the files of a mesh.
func filesIn(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
