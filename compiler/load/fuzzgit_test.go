package load

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/meshc/meshc/internal/watchdog"
)

// repositoryFiles returns the files of a small repository's .git, packed or as loose objects.
func repositoryFiles(t testing.TB, packed bool) map[string][]byte {
	t.Helper()
	dir := write(t, "a.yaml", objectText("Sidecar", "a"), "b/a.yaml", objectText("Sidecar", "b"), "b/c/kustomization.yaml", "resources: [../a.yaml]\n")
	commit(t, dir)
	if packed {
		r, err := git.PlainOpen(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.RepackObjects(&git.RepackConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string][]byte{}
	root := filepath.Join(dir, ".git")
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		out[filepath.ToSlash(rel)], err = os.ReadFile(p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func inflate(b []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	out, _ := io.ReadAll(r)
	return out
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

// A repository is foreign as a whole: its configuration, refs, loose objects (commits, trees, blobs), packs and their
// indexes. One file of a sound repository is replaced by what the fuzzer makes of it, loose objects before compression.
func FuzzGit(f *testing.F) {
	loose, packed := repositoryFiles(f, false), repositoryFiles(f, true)
	for _, repo := range []map[string][]byte{loose, packed} {
		for _, name := range slices.Sorted(maps.Keys(repo)) {
			data := repo[name]
			if strings.HasPrefix(name, "objects/") && len(name) == len("objects/")+41 {
				data = inflate(data)
			}
			f.Add(name, data)
		}
	}
	f.Add("commondir", []byte("../.git\n"))
	f.Add("packed-refs", []byte("# pack-refs with: peeled\n0000000000000000000000000000000000000000 refs/heads/master\n"))
	f.Add("objects/info/alternates", []byte("/nowhere/objects\n"))
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		defer watchdog.Watch(t)()
		repo := loose
		if strings.HasPrefix(name, "objects/pack/") {
			repo = packed
		}
		if _, ok := repo[name]; !ok && name != "commondir" && name != "packed-refs" && name != "objects/info/alternates" {
			return
		}
		dir := t.TempDir()
		for n, content := range repo {
			if n == name {
				continue
			}
			writeGitFile(t, dir, n, content)
		}
		if strings.HasPrefix(name, "objects/") && len(name) == len("objects/")+41 {
			data = deflate(data)
		}
		writeGitFile(t, dir, name, data)
		s := Locate([]string{dir})
		b := &batch{at: s.at[dir]}
		readGit(context.Background(), b, dir, revision{ref: "HEAD", subdir: "."})
		if len(b.diags) == 0 && b.revision.Commit == "" {
			t.Error("neither a revision nor a finding")
		}
		s.worktree(context.Background(), b)
	})
}

func writeGitFile(t testing.TB, dir, name string, data []byte) {
	p := filepath.Join(dir, ".git", filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// A tree of ten names that all mean the next tree, ten times over, is a few hundred bytes and ten thousand million files.
func TestGitBomb(t *testing.T) {
	dir := t.TempDir()
	r, err := git.PlainInit(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	put := func(kind plumbing.ObjectType, data string) plumbing.Hash {
		o := r.Storer.NewEncodedObject()
		o.SetType(kind)
		w, _ := o.Writer()
		_, _ = io.WriteString(w, data)
		_ = w.Close()
		h, err := r.Storer.SetEncodedObject(o)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	h, mode := put(plumbing.BlobObject, "a: 1\n"), "100644"
	for range 10 {
		var tree strings.Builder
		for i := range 10 {
			fmt.Fprintf(&tree, "%s %d\x00%s", mode, i, h[:])
		}
		h, mode = put(plumbing.TreeObject, tree.String()), "40000"
	}
	h = put(plumbing.CommitObject, fmt.Sprintf("tree %s\nauthor a <a@b> 0 +0000\ncommitter a <a@b> 0 +0000\n\nbomb\n", h))
	if err := r.Storer.SetReference(plumbing.NewHashReference("refs/heads/main", h)); err != nil {
		t.Fatal(err)
	}
	_, diags := load(t, dir+"#ref=main")
	if len(diags) == 0 || diags[0].Code != "MESHC1005" || !strings.Contains(diags[0].Message, "files and directories") {
		t.Errorf("got %+v", diags)
	}
}
