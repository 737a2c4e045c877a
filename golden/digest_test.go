package golden

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
)

// The same input gives the same bundle and the same findings, with any number of workers and its files in any order. The
// meshes below the folders in MESHC_DIGEST_INPUTS, separated by colons, are tried as well: each folder in them, or its
// folder input where it has one.
func TestOneDigest(t *testing.T) {
	bundles := 0
	for _, file := range cases(t) {
		g := read(t, file)
		bundles += oneDigest(t, file, g.sources, compiler.Options{Lenient: g.settings.Lenient, Severity: g.settings.Severity})
	}
	demo := "../examples/bookinfo/overlays/demo"
	bundles += oneDigest(t, demo, []string{demo}, compiler.Options{})
	for _, dir := range filepath.SplitList(os.Getenv("MESHC_DIGEST_INPUTS")) {
		for _, mesh := range meshesIn(t, dir) {
			bundles += oneDigest(t, mesh, filesIn(t, mesh), compiler.Options{Lenient: true})
		}
	}
	if bundles < 40 {
		t.Errorf("only %d bundles were compared", bundles)
	}
}

// oneDigest compiles the same sources in several ways, and returns how many bundles came of it: 0 or 1.
func oneDigest(t *testing.T, name string, sources []string, opts compiler.Options) int {
	t.Helper()
	random := rand.New(rand.NewSource(1))
	var first string
	bundles := 0
	for _, workers := range []int{1, 2, 8} {
		opts.Workers = workers
		r, found, err := compiler.Compile(context.Background(), sources, opts)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var b strings.Builder
		if r.Bundle != nil {
			bundles = 1
			fmt.Fprintln(&b, r.Bundle.Digest)
		}
		for _, d := range found {
			fmt.Fprintf(&b, "%s %s %s %s: %s %s\n", d.Pos, d.Severity, d.Code, d.Field, d.Message, d.Help)
			for _, x := range d.Related {
				fmt.Fprintf(&b, "  %s: %s\n", x.Pos, x.Message)
			}
		}
		if got := b.String(); first == "" {
			first = got
		} else if got != first {
			t.Errorf("%s: with %d workers and the sources in the order %v:\n%s", name, workers, sources, difference(first, got))
		}
		sources = slices.Clone(sources)
		random.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	}
	return bundles
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
