package load

import (
	"archive/tar"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// names lists the files that documents have, and how the user would type them.
func names(t *testing.T, sources ...string) (inside, shown string) {
	t.Helper()
	s := Locate(sources)
	res, diags, err := s.Load(context.Background(), sources, Options{Stdin: strings.NewReader(objectText("Sidecar", "stdin"))})
	if err != nil || diags.HasErrors() {
		t.Fatal(err, diags)
	}
	var files, display []string
	for _, d := range res.Documents {
		if !slices.Contains(files, d.File) {
			files, display = append(files, d.File), append(display, s.Display(d.File))
		}
	}
	return strings.Join(files, " "), strings.Join(display, " ")
}

func writeTar(t *testing.T, name string, files ...string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	defer w.Close()
	for i := 0; i+1 < len(files); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[i+1])); err != nil {
			t.Fatal(err)
		}
	}
}

// Paths start inside the sources, whatever these are called and wherever they lie; people see what they would type.
func TestNames(t *testing.T) {
	dir := write(t, "x/mesh/a.yaml", objectText("Sidecar", "a"), "x/mesh/sub/b.yaml", objectText("Sidecar", "b"), "x/other/c.yaml", objectText("Sidecar", "c"),
		"x/base/kustomization.yaml", "resources: [vs.yaml]\n", "x/base/vs.yaml", objectText("VirtualService", "v"),
		"x/overlay/kustomization.yaml", "resources: [../base, own.yaml]\n", "x/overlay/own.yaml", objectText("Sidecar", "own"))
	dir, _ = filepath.EvalSymlinks(dir)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(dir, "x"), link); err != nil {
		t.Skip(err)
	}
	t.Chdir(filepath.Join(dir, "x"))
	writeTar(t, "m.tar", "a.yaml", objectText("Sidecar", "a"), "sub/b.yaml", objectText("Sidecar", "b"))
	writeTar(t, "overlay/m.tar", "c.yaml", objectText("Sidecar", "c"))
	for _, c := range []struct{ sources, inside, shown string }{
		{"mesh", "a.yaml sub/b.yaml", "mesh/a.yaml mesh/sub/b.yaml"},
		{"./mesh/", "a.yaml sub/b.yaml", "mesh/a.yaml mesh/sub/b.yaml"},
		{"../x/mesh", "a.yaml sub/b.yaml", "../x/mesh/a.yaml ../x/mesh/sub/b.yaml"},
		{dir + "/x/mesh", "a.yaml sub/b.yaml", dir + "/x/mesh/a.yaml " + dir + "/x/mesh/sub/b.yaml"},
		{link + "/mesh", "a.yaml sub/b.yaml", link + "/mesh/a.yaml " + link + "/mesh/sub/b.yaml"},
		{"m.tar", "a.yaml sub/b.yaml", "m.tar/a.yaml m.tar/sub/b.yaml"},
		{"mesh/sub/b.yaml", "b.yaml", "mesh/sub/b.yaml"},
		{"mesh/a.yaml mesh/sub/b.yaml", "a.yaml sub/b.yaml", "mesh/a.yaml mesh/sub/b.yaml"},
		{"-", "stdin", "stdin"},
		{"- mesh", "stdin a.yaml sub/b.yaml", "stdin mesh/a.yaml mesh/sub/b.yaml"},
		{"mesh other", "mesh/a.yaml mesh/sub/b.yaml other/c.yaml", "mesh/a.yaml mesh/sub/b.yaml other/c.yaml"},
		{"mesh " + dir + "/x/mesh/sub", "a.yaml sub/b.yaml", "mesh/a.yaml mesh/sub/b.yaml"},
		{"overlay", "base/vs.yaml overlay/own.yaml", "base/vs.yaml overlay/own.yaml"},
		{dir + "/x/overlay", "base/vs.yaml overlay/own.yaml", dir + "/x/base/vs.yaml " + dir + "/x/overlay/own.yaml"},
		{link + "/overlay", "base/vs.yaml overlay/own.yaml", dir + "/x/base/vs.yaml " + link + "/overlay/own.yaml"},
		{"base", "vs.yaml", "base/vs.yaml"},
		{"m.tar other", "m.tar/a.yaml m.tar/sub/b.yaml c.yaml", "m.tar/a.yaml m.tar/sub/b.yaml other/c.yaml"},
		{"m.tar overlay/m.tar", "m.tar/a.yaml m.tar/sub/b.yaml m.tar~2/c.yaml", "m.tar/a.yaml m.tar/sub/b.yaml overlay/m.tar/c.yaml"},
	} {
		inside, shown := names(t, strings.Fields(c.sources)...)
		if inside != c.inside || shown != c.shown {
			t.Errorf("%s:\n got %s\nwant %s\n got %s\nwant %s", c.sources, inside, c.inside, shown, c.shown)
		}
	}
}

// In a Git work tree paths start at its root, as they do in a revision.
func TestNamesInGit(t *testing.T) {
	dir := write(t, "x/mesh/a.yaml", objectText("Sidecar", "a"), "x/other/c.yaml", objectText("Sidecar", "c"))
	commit(t, dir)
	t.Chdir(filepath.Join(dir, "x"))
	for _, c := range []struct{ sources, inside, shown string }{
		{"mesh", "x/mesh/a.yaml", "mesh/a.yaml"},
		{"mesh/a.yaml", "x/mesh/a.yaml", "mesh/a.yaml"},
		{"mesh other", "x/mesh/a.yaml x/other/c.yaml", "mesh/a.yaml other/c.yaml"},
		{"..#ref=HEAD,subdir=x/mesh", "x/mesh/a.yaml", "../x/mesh/a.yaml"},
		{"../.git#ref=HEAD,subdir=x/mesh", "x/mesh/a.yaml", "../x/mesh/a.yaml"},
		{"..#ref=HEAD,subdir=x/mesh other", "HEAD/x/mesh/a.yaml x/other/c.yaml", "../x/mesh/a.yaml other/c.yaml"},
	} {
		inside, shown := names(t, strings.Fields(c.sources)...)
		if inside != c.inside || shown != c.shown {
			t.Errorf("%s:\n got %s\nwant %s\n got %s\nwant %s", c.sources, inside, c.inside, shown, c.shown)
		}
	}
}

// A work tree beside a revision of it is another source: what differs is said, not dropped.
func TestRevisionBesideWorkTree(t *testing.T) {
	dir := write(t, "mesh/a.yaml", objectText("Sidecar", "a"))
	commit(t, dir)
	t.Chdir(dir)
	if err := os.WriteFile("mesh/a.yaml", []byte(objectText("Sidecar", "a")+"spec: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, diags := load(t, ".git#ref=HEAD,subdir=mesh", "mesh")
	if len(diags) != 1 || diags[0].Code != "MESHC1010" || diags[0].Pos.File != "mesh/a.yaml" || diags[0].Related[0].File != "HEAD/mesh/a.yaml" {
		t.Errorf("%+v", diags)
	}
}
