package load

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
)

func kustomizeRepo(t testing.TB) string {
	return write(t, "base/kustomization.yaml", "resources: [vs.yaml]\n", "base/vs.yaml", "# the base\n"+objectText("VirtualService", "reviews")+"spec:\n  hosts: [reviews]\n",
		"overlays/prod/kustomization.yaml", "resources: [../../base]\nnamespace: prod\nnamePrefix: p-\npatches:\n- path: patch.yaml\n",
		"overlays/prod/patch.yaml", objectText("VirtualService", "reviews")+"spec:\n  hosts: [other]\n")
}

func TestKustomization(t *testing.T) {
	dir := filepath.Join(kustomizeRepo(t), "overlays/prod")
	res, diags := load(t, dir)
	if len(diags) != 0 || len(res.Documents) != 1 {
		t.Fatal(diags, res)
	}
	d := res.Documents[0]
	if d.Ref().String() != "VirtualService prod/p-reviews" || !strings.HasSuffix(d.Pos("spec", "hosts").String(), "base/vs.yaml:7:3") || strings.Contains(d.File, "..") {
		t.Error(d.Ref(), d.Pos("spec", "hosts"))
	}
	if d.Value["metadata"].(map[string]any)["annotations"] != nil {
		t.Error("the annotation stayed:", d.Value)
	}
	if hosts := d.Value["spec"].(map[string]any)["hosts"].([]any); hosts[0] != "other" {
		t.Error("the patch is missing:", hosts)
	}
}

func TestKustomizationRefused(t *testing.T) {
	for _, c := range []struct{ name, text, code, at string }{
		{"url", "resources:\n- a.yaml\n- https://127.0.0.1:1/x.yaml\n", "MESHC1011", "kustomization.yaml:3"},
		{"github", "resources:\n- github.com/meshc/meshc/base?ref=main\n", "MESHC1011", "kustomization.yaml:2"},
		{"git", "bases: ['git::https://example.com/x.git']\n", "MESHC1011", "kustomization.yaml:1"},
		{"ssh", "components: ['git@example.com:x/y.git']\n", "MESHC1011", "kustomization.yaml:1"},
		{"patch url", "resources: [a.yaml]\npatches:\n- path: http://127.0.0.1:1/p.yaml\n", "MESHC1011", "kustomization.yaml:3"},
		{"openapi", "openapi:\n  path: https://127.0.0.1:1/schema.json\n", "MESHC1011", "kustomization.yaml:2"},
		{"generator file", "configMapGenerator:\n- name: x\n  files: ['k=https://127.0.0.1:1/x']\n", "MESHC1011", "kustomization.yaml:3"},
		{"helm", "helmCharts:\n- name: x\n", "MESHC1011", "kustomization.yaml:1"},
		{"nested", "resources: [sub]\n", "MESHC1011", "sub/kustomization.yaml:2"},
		{"missing", "resources:\n- no.yaml\n", "MESHC1012", "kustomization.yaml:2"},
		{"bad file", "resources:\n- bad.yaml\n", "MESHC1003", "bad.yaml:2"},
		{"bad field", "resourcez: [a.yaml]\n", "MESHC1012", "kustomization.yaml:1"},
		{"transformer", "resources: [a.yaml]\ntransformers: [t.yaml]\n", "MESHC1011", "t.yaml:3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, diags := load(t, write(t, "kustomization.yaml", c.text, "a.yaml", objectText("Sidecar", "a"), "bad.yaml", "a: b\n c: [", "t.yaml", "kind: PatchTransformer\nmetadata: {name: x}\npath: https://127.0.0.1:1/p.yaml\n",
				"sub/kustomization.yaml", "resources:\n- https://127.0.0.1:1/y.yaml\n"))
			if len(diags) != 1 || diags[0].Code != c.code || !strings.Contains(diags[0].Pos.String(), c.at) {
				t.Fatalf("want one %s at %s, got %+v", c.code, c.at, diags)
			}
		})
	}
}

func TestKustomizationThroughALink(t *testing.T) {
	outside := write(t, "kustomization.yaml", "resources: [s.yaml]\n", "s.yaml", objectText("Sidecar", "leak"))
	dir := write(t, "kustomization.yaml", "resources: [base]\n")
	if err := os.Symlink(outside, filepath.Join(dir, "base")); err != nil {
		t.Skip(err)
	}
	if _, diags := load(t, dir); len(diags) != 1 || diags[0].Code != "MESHC1006" || diags[0].Pos.Line != 1 {
		t.Fatal(diags)
	}
}

func commit(t testing.TB, dir string) string {
	t.Helper()
	r, err := git.PlainInit(dir, false)
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
	h, err := w.Commit("first", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@b", When: time.Unix(0, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	return h.String()
}

func TestGit(t *testing.T) {
	dir := kustomizeRepo(t)
	if err := os.MkdirAll(filepath.Join(dir, "plain"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plain", "a.yaml"), []byte(objectText("Sidecar", "a")), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.yaml", filepath.Join(dir, "plain", "link.yaml")); err != nil {
		t.Skip(err)
	}
	hash := commit(t, dir)
	if err := os.RemoveAll(filepath.Join(dir, "base")); err != nil {
		t.Fatal(err)
	}
	res, diags := load(t, dir+"/.git#ref=master,subdir=overlays/prod")
	if len(diags) != 0 || len(res.Documents) != 1 || res.Revision.Commit != hash || res.Dirty || res.Documents[0].Name != "p-reviews" {
		t.Fatal(diags, res)
	}
	res, diags = load(t, dir+"#ref="+hash[:8]+",subdir=plain")
	if len(diags) != 0 || len(res.Documents) != 1 || res.Documents[0].File != "plain/a.yaml" {
		t.Fatal(diags, len(res.Documents)) // a link in the tree is the file it leads to, which is read once
	}
	for _, c := range []struct{ source, want string }{
		{dir + "#ref=nope", "no revision nope"}, {dir + "#ref=../x", "not a name"}, {dir + "#ref=-x", "not a name"}, {dir + "#ref=master,subdir=../x", "leads out"},
		{dir + "#ref=master,subdir=no", "no directory"}, {t.TempDir() + "#ref=main", "no readable Git repository"}, {dir + "#ref=master,sub=x", "neither ref nor subdir"}, {"https://example.com/x.git#ref=main", "remote"},
	} {
		if _, diags := load(t, c.source); len(diags) != 1 || diags[0].Code != "MESHC1013" || !strings.Contains(diags[0].Message, c.want) {
			t.Errorf("%s: want %q, got %+v", c.source, c.want, diags)
		}
	}
}

func TestRevisionOfAWorkingTree(t *testing.T) {
	dir := write(t, "mesh/a.yaml", objectText("Sidecar", "a"), "mesh/b.yaml", objectText("Sidecar", "b"))
	hash := commit(t, dir)
	clean, _ := load(t, filepath.Join(dir, "mesh"))
	if clean.Revision.Commit != hash || clean.Dirty {
		t.Error("clean tree:", clean.Revision, clean.Dirty)
	}
	if err := os.Remove(filepath.Join(dir, "mesh/b.yaml")); err != nil {
		t.Fatal(err)
	}
	if gone, _ := load(t, filepath.Join(dir, "mesh")); !gone.Dirty {
		t.Error("a removed file goes unnoticed")
	}
	if err := os.WriteFile(filepath.Join(dir, "mesh/b.yaml"), []byte(objectText("Sidecar", "c")), 0o644); err != nil {
		t.Fatal(err)
	}
	if changed, _ := load(t, filepath.Join(dir, "mesh")); !changed.Dirty {
		t.Error("a changed file goes unnoticed")
	}
}

func TestRevisionOfAnOverlay(t *testing.T) {
	dir := kustomizeRepo(t)
	hash := commit(t, dir)
	t.Chdir(dir)
	for _, source := range []string{"overlays/prod", "./overlays/prod/", filepath.Join(dir, "overlays/prod")} {
		if res, diags := load(t, source); len(diags) != 0 || res.Revision.Commit != hash || res.Dirty {
			t.Error("clean overlay:", source, res.Revision, res.Dirty, diags)
		}
	}
	if err := os.WriteFile("base/vs.yaml", []byte(objectText("VirtualService", "reviews")+"spec:\n  hosts: [changed]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if res, _ := load(t, "overlays/prod"); !res.Dirty {
		t.Error("a changed base goes unnoticed")
	}
}

func TestTar(t *testing.T) {
	pack := func(name string, entries ...string) string {
		p := filepath.Join(t.TempDir(), name)
		f, err := os.Create(p)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := gzip.NewWriter(f)
		w := tar.NewWriter(z)
		for i := 0; i+1 < len(entries); i += 2 {
			h := &tar.Header{Name: entries[i], Mode: 0o644, Size: int64(len(entries[i+1]))}
			switch to, link := strings.CutPrefix(entries[i+1], "-> "); {
			case link:
				h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
			case entries[i+1] == "|":
				h.Typeflag, h.Size = tar.TypeFifo, 0
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(entries[i+1])[:h.Size]); err != nil {
				t.Fatal(err)
			}
		}
		_ = w.Close()
		_ = z.Close()
		return p
	}
	object := objectText("Sidecar", "a")
	res, diags := load(t, pack("x.tar.gz", "./m/a.yaml", object, "m/readme", "]", "license", "]", "m/license", "-> ../license", "m/site.css", "-> ../../site.css"))
	if len(diags) != 0 || len(res.Documents) != 1 || res.Documents[0].File != "m/a.yaml" {
		t.Fatal(diags, res)
	}
	res, diags = load(t, pack("x.tar.gz", "m/a.yaml", object, "m/b.yaml", "-> a.yaml"))
	if len(diags) != 1 || diags[0].Code != "MESHC1006" || diags[0].Pos.File != "m/b.yaml" || len(res.Documents) != 1 {
		t.Error(diags)
	}
	cut := pack("cut.tar.gz", "a.yaml", object)
	data, _ := os.ReadFile(cut)
	_ = os.WriteFile(cut, data[:len(data)/2], 0o644)
	text := filepath.Join(t.TempDir(), "x.tgz")
	_ = os.WriteFile(text, []byte(object), 0o644)
	for _, c := range []struct{ source, code, at, says string }{
		{pack("x.tgz", "../a.yaml", object), "MESHC1014", ".:1", "../a.yaml"},
		{pack("x.tgz", "/etc/a.yaml", object), "MESHC1014", ".:1", "/etc/a.yaml"},
		{pack("deep.tgz", strings.Repeat("a/", 1000)+"a.yaml", object), "MESHC1014", ".:1", "1000 directories"},
		{pack("x.tgz", "a.yaml", object, "pipe", "|"), "MESHC1014", "pipe:1", "named pipe"},
		{pack("x.tgz", "a.yaml", object, "b.yaml", object, "./a.yaml", object), "MESHC1014", "a.yaml:1", "twice"},
		{pack("x.tgz", "a.yaml", object, "a.yaml/b.yaml", object), "MESHC1014", "a.yaml:1", "as a file and as a directory"},
		{cut, "MESHC1014", ".:1", "cut short"},
		{text, "MESHC1014", ".:1", "gzip"},
	} {
		res, diags := load(t, c.source)
		if len(diags) != 1 || diags[0].Code != c.code || !strings.HasPrefix(diags[0].Pos.String(), c.at) || !strings.Contains(diags[0].Message, c.says) || len(res.Documents) > 0 {
			t.Errorf("%s: want %s at %s with %q, got %+v", filepath.Base(c.source), c.code, c.at, c.says, diags)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := Load(ctx, []string{kustomizeRepo(t)}, Options{}); err == nil {
		t.Error("no error")
	}
}
