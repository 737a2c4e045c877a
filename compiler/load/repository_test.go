package load

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// put writes a file of a repository.
func put(t testing.TB, text string, elem ...string) {
	t.Helper()
	p := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestNamesOfRevisions: what Git takes for the name of a commit is taken here, or refused by name.
func TestNamesOfRevisions(t *testing.T) {
	dir := write(t, "mesh/a.yaml", objectText("Sidecar", "a"))
	hash := commit(t, dir)
	r, err := git.PlainOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"refs/heads/feature/x", "refs/heads/release/1.0@x", "refs/heads/fix/#12", "refs/heads/a,b", "refs/tags/v1.0", "refs/remotes/origin/main", "refs/pull/5/head", "refs/heads/abcd"} {
		if err := r.Storer.SetReference(plumbing.NewHashReference(plumbing.ReferenceName(name), plumbing.NewHash(hash))); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := r.Config()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Branches["master"] = &config.Branch{Name: "master", Remote: "origin", Merge: "refs/heads/main"}
	if err := r.SetConfig(cfg); err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{"feature/x", "release/1.0@x", "fix/#12", "a,b", "v1.0", "tags/v1.0", "origin/main", "refs/pull/5/head", "pull/5/head", "abcd", "@", "HEAD", "@{u}", "@{upstream}", "master@{upstream}", hash[:7], "HEAD^0", "v1.0^{commit}", "@~0"} {
		if res, diags := load(t, dir+"#ref="+ref+",subdir=mesh"); len(diags) != 0 || res.Revision.Commit != hash {
			t.Errorf("%s: %v", ref, diags)
		}
	}
	for ref, want := range map[string]string{
		"master@{1}": "depends on what this clone did", "@{-1}": "depends on", "@{yesterday}": "depends on", "v1.0@{u}": "no upstream", "HEAD~5": "no revision",
		"a..b": "not a name", "HEAD:mesh": "leads to a file", ":/first": "found by a search", "HEAD^{/first}": "found by a search", "*": "not a name", "refs/heads": "no revision",
	} {
		if _, diags := load(t, dir+"#ref="+ref); len(diags) != 1 || diags[0].Code != "MESHC1013" || !strings.Contains(diags[0].Message, want) {
			t.Errorf("%s: want %q, got %v", ref, want, diags)
		}
	}
}

// TestFormsOfRepositories: settings that change nothing about objects are no hindrance, and a form that is not read is named.
func TestFormsOfRepositories(t *testing.T) {
	dir := write(t, "mesh/a.yaml", objectText("Sidecar", "a"), "mesh/b.yaml", objectText("Sidecar", "b"))
	hash := commit(t, dir)
	file := filepath.Join(dir, ".git", "config")
	plain, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	extended := strings.Replace(string(plain), "[core]", "[core]\n\trepositoryformatversion = 1", 1) + "[extensions]\n\t"
	put(t, extended+"worktreeConfig = true\n", file)
	put(t, "[core]\n\tsparseCheckout = true\n", dir, ".git", "config.worktree")
	for _, source := range []string{dir + "/.git#ref=HEAD,subdir=mesh", filepath.Join(dir, "mesh")} {
		if res, diags := load(t, source); len(diags) != 0 || res.Revision.Commit != hash || res.Dirty {
			t.Error(source, diags, res.Revision, res.Dirty)
		}
	}
	if err := os.Remove(filepath.Join(dir, "mesh", "b.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, diags := load(t, filepath.Join(dir, "mesh")); len(diags) != 1 || diags[0].Code != "MESHC1016" || !strings.Contains(diags[0].Message, "mesh/b.yaml") {
		t.Error(diags)
	}
	for _, extension := range []string{"objectformat = sha256", "refstorage = reftable"} {
		put(t, extended+extension+"\n", file)
		if _, diags := load(t, dir+"#ref=HEAD"); len(diags) != 1 || diags[0].Code != "MESHC1013" || !strings.Contains(diags[0].Help, "git archive") {
			t.Error(extension, diags)
		}
		if res, diags := load(t, filepath.Join(dir, "mesh")); len(diags) != 1 || diags.HasErrors() || len(res.Documents) != 1 {
			t.Error(extension, diags)
		}
	}
}

// TestAlternates: objects may lie in another repository, as git clone --shared leaves them.
func TestAlternates(t *testing.T) {
	dir := write(t, "a.yaml", objectText("Sidecar", "a"))
	hash := commit(t, dir)
	shared := t.TempDir()
	put(t, "ref: refs/heads/main\n", shared, ".git", "HEAD")
	put(t, hash+"\n", shared, ".git", "refs", "heads", "main")
	put(t, filepath.Join(dir, ".git", "objects")+"\n", shared, ".git", "objects", "info", "alternates")
	if res, diags := load(t, shared+"#ref=main"); len(diags) != 0 || len(res.Documents) != 1 {
		t.Error(diags)
	}
}

// TestSubmodules: objects that lie in another repository are not missing without a word.
func TestSubmodules(t *testing.T) {
	const modules = "[submodule \"p\"]\n\tpath = mesh/policies\n\turl = ../p\n[submodule \"q\"]\n\tpath = docs/theme\n\turl = ../q\n"
	dir := write(t, "mesh/a.yaml", objectText("Sidecar", "a"), ".gitmodules", modules, "base.yaml", "", "over/kustomization.yaml", "resources: [../mesh/policies]\n")
	commit(t, dir)
	if err := os.MkdirAll(filepath.Join(dir, "mesh", "policies"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{filepath.Join(dir, "mesh"), dir + "#ref=HEAD,subdir=mesh"} {
		if _, diags := load(t, source); len(diags) != 1 || diags[0].Code != "MESHC1017" || diags[0].Pos.File != ".gitmodules" || diags[0].Pos.Line != 2 {
			t.Error(source, diags)
		}
	}
	if _, diags := load(t, filepath.Join(dir, "over")); len(diags) != 1 || diags[0].Code != "MESHC1017" {
		t.Error(diags)
	}
	r, err := git.PlainOpen(dir)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := r.Storer.Index()
	if err != nil {
		t.Fatal(err)
	}
	e := idx.Add("mesh/policies")
	e.Mode, e.Hash = filemode.Submodule, plumbing.NewHash(strings.Repeat("a", 40))
	if err := r.Storer.SetIndex(idx); err != nil {
		t.Fatal(err)
	}
	w, err := r.Worktree()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit("with a submodule", &git.CommitOptions{Author: &object.Signature{Name: "a", Email: "a@b"}}); err != nil {
		t.Fatal(err)
	}
	if _, diags := load(t, dir+"#ref=HEAD,subdir=over"); len(diags) != 1 || diags[0].Code != "MESHC1017" || diags[0].Pos.File != "over/kustomization.yaml" {
		t.Error("a base of a revision:", diags)
	}
	put(t, objectText("Sidecar", "b"), dir, "mesh", "policies", "b.yaml")
	if res, diags := load(t, filepath.Join(dir, "mesh")); len(diags) != 0 || len(res.Documents) != 2 {
		t.Error(diags)
	}
}

// TestLinksOfATree: links are followed inside a tree, and no further.
func TestLinksOfATree(t *testing.T) {
	dir := write(t, "parts/a.txt", objectText("Sidecar", "a"), "mesh/b.yaml", objectText("Sidecar", "b"))
	for name, target := range map[string]string{"mesh/a.yaml": "../parts/a.txt", "mesh/out.yaml": "../../../etc/hosts", "mesh/loop.yaml": "loop.yaml", "mesh/parts": "../parts", "all": "mesh"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	commit(t, dir)
	for _, sub := range []string{"mesh", "all"} {
		res, diags := load(t, dir+"#ref=HEAD,subdir="+sub)
		got := ""
		for _, d := range diags {
			got += d.Code + " " + d.Severity.String() + " " + d.Pos.File + "; "
		}
		if want := "MESHC1006 error mesh/loop.yaml; MESHC1006 error mesh/out.yaml; MESHC1006 warning mesh/parts; "; strings.ReplaceAll(got, "all/", "mesh/") != want || len(res.Documents) != 2 {
			t.Errorf("%s: %s, %d documents", sub, got, len(res.Documents))
		}
	}
}
