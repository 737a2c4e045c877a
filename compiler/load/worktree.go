package load

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
)

// worktree tells the commit that is checked out where a source lies, and whether the files read differ from it. It is an aid
// for the bundle's provenance: what cannot be told is left out, and said where the repository has a form that is not read.
func (s *Sources) worktree(ctx context.Context, b *batch) {
	top := workTree(b.at.disk)
	if top == "" {
		return
	}
	out := &batch{at: b.at, files: b.files, inputs: b.inputs}
	err := watched(ctx, limit.GitMemory, func() error {
		s.compare(top, out)
		return nil
	})
	switch {
	case errors.Is(err, errMemory):
		b.overGit(err)
	case err == nil:
		b.revision, b.dirty = out.revision, out.dirty
		b.diags.Add(out.diags...)
	}
}

// compare holds the files of a source against the commit that is checked out at top.
func (s *Sources) compare(top string, b *batch) {
	r, err := openRepository(top)
	if extension := (*extensionError)(nil); errors.As(err, &extension) {
		d := warning(diag.Pos{File: b.at.inside, Line: 1, Column: 1}, "MESHC1013", "the commit of this source is not recorded: "+err.Error(), "Nothing is wrong with the objects; name the commit where the bundle goes.")
		d.Severity = diag.Info
		b.diags.Add(d)
	}
	if err != nil {
		return
	}
	defer r.close()
	commit, root, ok := r.checkedOut()
	if !ok {
		return
	}
	b.revision = revisionOf(commit)
	c := comparison{root: root, top: top, modules: map[string]*module{}}
	read := map[string]bool{}
	for _, f := range slices.Concat(b.files, b.inputs) {
		p := slashRel(top, filepath.Join(s.root, filepath.FromSlash(f.name)))
		read[p] = true
		b.dirty = b.dirty || c.differs(p, f.data)
	}
	if b.at.file {
		return
	}
	missing := misses(root, slashRel(top, b.at.disk), read)
	b.dirty = b.dirty || missing != ""
	if missing != "" && r.sparse() {
		b.diags.Add(warning(diag.Pos{File: b.at.inside, Line: 1, Column: 1}, "MESHC1016",
			fmt.Sprintf("this is a sparse checkout: %s, and maybe more, is in the commit and not here, so it is not part of the mesh", missing),
			"Add its folder: git sparse-checkout add; or name the revision (PATH/.git#ref=HEAD), of which all is read."))
	}
}

// checkedOut is the commit of HEAD and its tree.
func (r *repository) checkedOut() (*object.Commit, *object.Tree, bool) {
	head, err := r.Head()
	if err != nil {
		return nil, nil, false
	}
	commit, err := r.CommitObject(head.Hash())
	if err != nil {
		return nil, nil, false
	}
	root, err := commit.Tree()
	return commit, root, err == nil
}

// sparse tells whether a part of the commit only is checked out.
func (r *repository) sparse() bool {
	for _, file := range []string{filepath.Join(r.common, "config"), filepath.Join(r.dir, "config.worktree")} {
		cfg, err := readConfig(file)
		if err == nil && strings.EqualFold(cfg.Section("core").Option("sparseCheckout"), "true") {
			return true
		}
	}
	return false
}

// comparison holds the files of a work tree against the commit that is checked out, those of submodules against theirs.
type comparison struct {
	root    *object.Tree
	top     string             // directory of the work tree
	modules map[string]*module // by path
}

// module is a submodule that is checked out; its comparison is nil where that is another commit than the tree says.
type module struct{ files *comparison }

// differs tells whether a file is not as the commit has it.
func (c *comparison) differs(p string, data []byte) bool {
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		e, err := c.root.FindEntry(dir)
		if err != nil || e.Mode != filemode.Submodule {
			continue
		}
		m := c.module(dir, e.Hash)
		return m.files == nil || m.files.differs(strings.TrimPrefix(p, dir+"/"), data)
	}
	e, err := c.root.FindEntry(p)
	if err != nil {
		return true
	}
	if e.Mode == filemode.Symlink { // its target is read, wherever that is
		tree := gitFS{c.root}
		_, at, err := tree.find(p, true)
		if err != nil {
			return true
		}
		return c.differs(at, data)
	}
	return e.Hash != plumbing.ComputeHash(plumbing.BlobObject, data) && !c.stored(e, data)
}

// stored tells whether an entry is the pointer of a file that Git LFS keeps, and the file is that one.
func (c *comparison) stored(e *object.TreeEntry, data []byte) bool {
	f, err := c.root.TreeEntryFile(e)
	if err != nil || f.Size > maxTarget {
		return false
	}
	text, err := f.Contents()
	if err != nil || !isPointer(text) {
		return false
	}
	sum := sha256.Sum256(data)
	return strings.Contains(text, "oid sha256:"+hex.EncodeToString(sum[:])+"\n")
}

// isPointer tells whether a text is what Git LFS puts into a commit in place of a file.
func isPointer(text string) bool {
	return strings.HasPrefix(text, "version https://git-lfs.github.com/spec/")
}

func (c *comparison) module(dir string, want plumbing.Hash) *module {
	if m := c.modules[dir]; m != nil {
		return m
	}
	m := &module{}
	c.modules[dir] = m
	top := filepath.Join(c.top, filepath.FromSlash(dir))
	if r, err := openRepository(top); err == nil {
		if commit, root, ok := r.checkedOut(); ok && commit.Hash == want {
			m.files = &comparison{root: root, top: top, modules: map[string]*module{}}
		}
	}
	return m
}

// misses returns a manifest that the tree of a repository has below a directory and that was not read, or "".
func misses(root *object.Tree, dir string, read map[string]bool) string {
	missing, visited := "", 0
	_ = fs.WalkDir(gitFS{root}, dir, func(p string, e fs.DirEntry, err error) error {
		if visited++; err != nil || missing != "" || visited > limit.SourceEntries {
			return fs.SkipAll
		}
		if p != dir && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.Type() == 0 && isManifest(e.Name()) && !isKustomization(e.Name()) && !read[p] {
			missing = p
		}
		return nil
	})
	return missing
}
