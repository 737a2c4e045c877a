package compiler

import (
	"archive/tar"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/meshc/meshc/compiler/bundle"
)

// tree lays out a repository: an overlay on a base, and the same objects as plain files.
func tree(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"mesh/base/kustomization.yaml": "resources: [web.yaml]\n", "mesh/base/web.yaml": shop,
		"mesh/overlay/kustomization.yaml": "resources: [../base, vs.yaml]\n", "mesh/overlay/vs.yaml": served,
		"mesh/plain/b.yaml": shop, "mesh/plain/sub/a.yaml": served,
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// served is a route to the service of shop.
const served = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: web, subset: v1}}], timeout: 3s}]
`

func bundleOf(t *testing.T, sources ...string) *bundle.Bundle {
	t.Helper()
	res, findings, err := Compile(context.Background(), sources, Options{Version: "test"})
	if err != nil || res.Bundle == nil {
		t.Fatal(sources, err, findings)
	}
	return res.Bundle
}

func pack(t *testing.T, dir, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	defer w.Close()
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
}

func commitAll(t *testing.T, dir, message string) {
	t.Helper()
	r, err := git.PlainInit(dir, false)
	if err != nil {
		r, err = git.PlainOpen(dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.AddGlob("."); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(message, &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@b", When: time.Unix(0, 0)}}); err != nil {
		t.Fatal(err)
	}
}

// The same tree gives the same bytes, wherever it lies and however it is named: configuration, origins and all.
func TestSameBytesAnywhere(t *testing.T) {
	dir, copied := tree(t), tree(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	pack(t, filepath.Join(dir, "mesh/plain"), filepath.Join(copied, "plain.tar"))
	for _, from := range []string{dir, filepath.Join(dir, "mesh"), link} {
		t.Chdir(from)
		rel, err := filepath.Rel(from, filepath.Join(dir, "mesh"))
		if err != nil || from == link {
			rel = "mesh"
		}
		for _, kind := range []string{"plain", "overlay"} {
			want := bundleOf(t, filepath.Join(copied, "mesh", kind))
			names := []string{filepath.Join(dir, "mesh", kind), filepath.Join(link, "mesh", kind), rel + "/" + kind, "./" + rel + "/" + kind + "/", rel + "/base/../" + kind}
			if kind == "plain" {
				names = append(names, filepath.Join(copied, "plain.tar"))
			}
			for _, name := range names {
				if got := bundleOf(t, name); got.Digest != want.Digest || got.Provenance != want.Provenance {
					t.Errorf("%s in %s: %s, provenance %v; want %s, provenance %v", name, from, got.Digest, got.Provenance, want.Digest, want.Provenance)
				}
			}
		}
	}
}

// Files in another order, in other files or through standard input are the same configuration.
func TestSameConfiguration(t *testing.T) {
	dir := tree(t)
	want := bundleOf(t, dir+"/mesh/plain")
	for _, sources := range [][]string{
		{dir + "/mesh/overlay"}, {dir + "/mesh/plain/sub/a.yaml", dir + "/mesh/plain/b.yaml"}, {dir + "/mesh/plain/b.yaml", dir + "/mesh/plain/sub"},
	} {
		if got := bundleOf(t, sources...); got.Digest != want.Digest {
			t.Errorf("%v: %s, want %s", sources, got.Digest, want.Digest)
		}
	}
	res, findings := compileText(t, Options{}, "# a comment that moves every line\n"+served, shop)
	if res.Bundle == nil || res.Bundle.Digest != want.Digest {
		t.Error("standard input gives another configuration", findings)
	}
}

// A revision and its clean work tree are the same; a commit that does not touch the mesh changes the provenance alone.
func TestRevisionAndWorkTree(t *testing.T) {
	dir := tree(t)
	plain := bundleOf(t, dir+"/mesh/overlay")
	commitAll(t, dir, "first")
	t.Chdir(filepath.Join(dir, "mesh"))
	want := bundleOf(t, "overlay")
	if want.Digest != plain.Digest || want.Provenance.Source.Revision == "" || want.Provenance.Source.Time != "1970-01-01T00:00:00Z" || want.Provenance.Source.Dirty {
		t.Errorf("work tree: %s, %+v; outside of Git %s", want.Digest, want.Provenance, plain.Digest)
	}
	for _, name := range []string{"../.git#ref=HEAD,subdir=mesh/overlay", dir + "#ref=master,subdir=mesh/overlay", dir + "/mesh/overlay", "../mesh/overlay/"} {
		if got := bundleOf(t, name); got.Digest != want.Digest || got.Provenance != want.Provenance {
			t.Errorf("%s: %s, provenance %v; want %s, provenance %v", name, got.Digest, got.Provenance, want.Digest, want.Provenance)
		}
	}
	for _, o := range want.Resources[0].Origins {
		if !fs.ValidPath(o.File) || filepath.Dir(filepath.Dir(o.File)) != "mesh" {
			t.Errorf("an origin is %s, which is no path from the root of the work tree", o.File)
		}
	}
	if err := os.WriteFile("../readme.md", []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	commitAll(t, dir, "second")
	if got := bundleOf(t, "overlay"); got.Digest != want.Digest || got.Provenance.Digest == want.Provenance.Digest || got.Provenance.Source.Revision == want.Provenance.Source.Revision {
		t.Errorf("after another commit: %s, provenance %v; before %s, provenance %v", got.Digest, got.Provenance, want.Digest, want.Provenance)
	}
	text, _ := os.ReadFile("overlay/vs.yaml")
	if err := os.WriteFile("overlay/vs.yaml", append([]byte("# a comment\n"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := bundleOf(t, "overlay"); got.Digest != want.Digest || !got.Provenance.Source.Dirty {
		t.Errorf("with a comment: %s, provenance %v; before %s", got.Digest, got.Provenance, want.Digest)
	}
}

// Two clusters are two sources of one run, with one root.
func TestNamesOverClusters(t *testing.T) {
	dir := tree(t)
	res, findings, err := Compile(context.Background(), nil, Options{Clusters: []Cluster{{Name: "east", Sources: []string{dir + "/mesh/plain"}}, {Name: "west", Sources: []string{dir + "/mesh/overlay"}}}})
	if err != nil || res.Bundle == nil {
		t.Fatal(err, findings)
	}
	seen := map[string]bool{}
	for _, r := range res.Bundle.Resources {
		for _, o := range r.Origins {
			seen[o.File] = true
		}
	}
	for _, want := range []string{"plain/b.yaml", "base/web.yaml"} {
		if !seen[want] {
			t.Errorf("no origin in %s: %v", want, seen)
		}
	}
}
