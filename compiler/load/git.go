package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// revision is the part of a source behind '#': which commit, and which directory of it.
type revision struct {
	ref, subdir string
	unknown     string // a setting that does not exist
}

// cutRevision splits PATH#ref=REV,subdir=DIR. A source without such a suffix is not a Git source.
func cutRevision(s string) (repo string, rev revision, ok bool) {
	repo, rest, ok := strings.Cut(s, "#")
	if !ok || !(strings.HasPrefix(rest, "ref=") || strings.HasPrefix(rest, "subdir=")) {
		return "", revision{}, false
	}
	rev.ref, rev.subdir = "HEAD", "."
	for _, kv := range strings.Split(rest, ",") {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "ref":
			rev.ref = v
		case "subdir":
			rev.subdir = v
		default:
			rev.unknown = k
		}
	}
	return repo, rev, true
}

var refForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/^~+-]*$`)

func validRef(s string) bool {
	return refForm.MatchString(s) && len(s) <= 255 && !strings.Contains(s, "..") && !strings.Contains(s, "//") && !strings.HasSuffix(s, ".lock") && !strings.HasSuffix(s, "/")
}

// refused says what cannot be meant by a source of this form, and what to write.
func (rev revision) refused(repo, source string) (msg, help string) {
	switch {
	case rev.unknown != "":
		return fmt.Sprintf("%q in %s is neither ref nor subdir", rev.unknown, source), "Write PATH#ref=REV,subdir=DIR."
	case strings.Contains(repo, "://") || strings.HasPrefix(repo, "git@"):
		return "remote repositories are not read", "Clone " + repo + " first, then name the clone as PATH#ref=REV."
	case !validRef(rev.ref):
		return fmt.Sprintf("%q is not a name of a Git revision", rev.ref), "Name a branch, tag or commit."
	case !fs.ValidPath(path.Clean(filepath.ToSlash(rev.subdir))):
		return fmt.Sprintf("the subdir %q leads out of the repository", rev.subdir), "Name a directory inside the repository, without a leading slash or .."
	}
	return "", ""
}

// readGit reads the tree of a revision as objects, without a checkout.
func readGit(ctx context.Context, b *batch, repo string, rev revision) {
	name := b.at.inside
	defer func() {
		if r := recover(); r != nil {
			b.fail(name, 1, "MESHC1013", fmt.Sprintf("the Git repository cannot be read: %v", r), "Check it with: git fsck")
		}
	}()
	fail := func(msg, help string) { b.fail(name, 1, "MESHC1013", msg, help) }
	sub := path.Clean(filepath.ToSlash(rev.subdir))
	if msg, help := rev.refused(repo, b.at.source); msg != "" {
		fail(msg, help)
		return
	}
	r, err := openRepository(repo)
	if err != nil {
		fail("there is no readable Git repository at "+repo+": "+err.Error(), "Name the directory that holds .git, or a bare repository.")
		return
	}
	hash, err := r.ResolveRevision(plumbing.Revision(rev.ref))
	if err != nil {
		fail("the repository has no revision "+rev.ref, "Fetch it, or check the name with: git branch -a; git tag")
		return
	}
	commit, err := r.CommitObject(*hash)
	if err != nil {
		fail("the commit "+hash.String()+" cannot be read: "+err.Error(), "A shallow or partial clone lacks objects; fetch them.")
		return
	}
	root, err := commit.Tree()
	if err != nil {
		fail("the tree of "+hash.String()+" cannot be read: "+err.Error(), "Check it with: git fsck")
		return
	}
	b.revision = revisionOf(commit)
	fsys := gitFS{root}
	if info, err := fs.Stat(fsys, sub); err != nil || !info.IsDir() {
		fail("the revision "+rev.ref+" has no directory "+rev.subdir, "Check the path with: git ls-tree "+rev.ref)
		return
	}
	readTree(ctx, b, tree{fsys: fsys, prefix: name, dir: sub})
}

// openRepository opens a working tree, a linked working tree, or a bare repository.
func openRepository(p string) (*git.Repository, error) {
	opts := &git.PlainOpenOptions{EnableDotGitCommonDir: true}
	if filepath.Base(p) == git.GitDirName {
		if r, err := git.PlainOpenWithOptions(filepath.Dir(p), opts); err == nil {
			return r, nil
		}
	}
	return git.PlainOpenWithOptions(p, opts)
}

// gitFS shows the tree of a commit as files. Symbolic links and submodules appear with their type and cannot be opened.
type gitFS struct{ root *object.Tree }

var errGitMode = errors.New("is a symbolic link or submodule of the repository")

func (g gitFS) find(name string) (*object.TreeEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	e, err := g.root.FindEntry(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return e, nil
}

func gitMode(m filemode.FileMode) fs.FileMode {
	switch m {
	case filemode.Dir:
		return fs.ModeDir
	case filemode.Symlink:
		return fs.ModeSymlink
	case filemode.Submodule:
		return fs.ModeIrregular
	}
	return 0
}

// Stat implements fs.StatFS.
func (g gitFS) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return entry{name: ".", mode: fs.ModeDir}, nil
	}
	e, err := g.find(name)
	if err != nil {
		return nil, err
	}
	mode := gitMode(e.Mode)
	if mode != 0 && mode != fs.ModeDir {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errGitMode}
	}
	var size int64
	if mode == 0 {
		if size, err = g.root.Size(name); err != nil {
			return nil, &fs.PathError{Op: "stat", Path: name, Err: err}
		}
	}
	return entry{name: path.Base(name), size: size, mode: mode}, nil
}

// Lstat implements fs.ReadLinkFS.
func (g gitFS) Lstat(name string) (fs.FileInfo, error) {
	if e, err := g.find(name); err == nil && e.Mode == filemode.Symlink {
		return entry{name: path.Base(name), mode: fs.ModeSymlink}, nil
	}
	return g.Stat(name)
}

// ReadLink implements fs.ReadLinkFS; links in Git trees are never followed.
func (g gitFS) ReadLink(name string) (string, error) {
	return "", &fs.PathError{Op: "readlink", Path: name, Err: errGitMode}
}

// Open implements fs.FS.
func (g gitFS) Open(name string) (fs.File, error) {
	info, err := g.Stat(name)
	if err != nil {
		return nil, err
	}
	f := &memFile{entry: info.(entry), Reader: strings.NewReader("")}
	if !info.IsDir() {
		b, err := g.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f.Reader = strings.NewReader(string(b))
	}
	return f, nil
}

// ReadFile implements fs.ReadFileFS.
func (g gitFS) ReadFile(name string) ([]byte, error) {
	if _, err := g.Stat(name); err != nil {
		return nil, err
	}
	f, err := g.root.File(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	r, err := f.Reader()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, MaxFileSize+1)) // the size in the object's header is only a claim
}

// ReadDir implements fs.ReadDirFS.
func (g gitFS) ReadDir(name string) ([]fs.DirEntry, error) {
	t := g.root
	if name != "." {
		var err error
		if t, err = g.root.Tree(name); err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
		}
	}
	out := make([]fs.DirEntry, 0, len(t.Entries))
	for _, e := range t.Entries {
		out = append(out, entry{name: e.Name, mode: gitMode(e.Mode)})
	}
	return out, nil
}

func revisionOf(c *object.Commit) Revision {
	return Revision{Commit: c.Hash.String(), Time: c.Committer.When.UTC().Format(time.RFC3339)}
}

// worktree finds the commit that is checked out where a source lies, and whether the files read differ from it. It is
// an aid for the bundle's provenance: what cannot be told is left out.
func (s *Sources) worktree(b *batch) {
	defer func() {
		if recover() != nil {
			b.revision, b.dirty = Revision{}, false
		}
	}()
	top := workTree(b.at.disk)
	if top == "" {
		return
	}
	r, err := openRepository(top)
	if err != nil {
		return
	}
	head, err := r.Head()
	if err != nil {
		return
	}
	commit, err := r.CommitObject(head.Hash())
	if err != nil {
		return
	}
	root, err := commit.Tree()
	if err != nil {
		return
	}
	b.revision = revisionOf(commit)
	b.dirty = s.differs(root, top, b)
}

// differs compares the files read with the blobs of the tree of the repository at top, and looks for manifests that the
// tree has below a directory that was read and the directory has not. Files may lie elsewhere in the repository: bases of a
// kustomization.
func (s *Sources) differs(root *object.Tree, top string, b *batch) bool {
	read := make(map[string]bool, len(b.files)+len(b.inputs))
	for _, f := range slices.Concat(b.files, b.inputs) {
		p := slashRel(top, filepath.Join(s.root, filepath.FromSlash(f.name)))
		read[p] = true
		e, err := root.FindEntry(p)
		if err != nil || e.Hash != plumbing.ComputeHash(plumbing.BlobObject, f.data) {
			return true
		}
	}
	return !b.at.file && misses(root, slashRel(top, b.at.disk), read)
}

// misses tells whether the tree of a repository has a manifest below a directory that was not read.
func misses(root *object.Tree, dir string, read map[string]bool) bool {
	missing, visited := false, 0
	_ = fs.WalkDir(gitFS{root}, dir, func(p string, e fs.DirEntry, err error) error {
		if visited++; err != nil || missing || visited > MaxEntries {
			return fs.SkipAll
		}
		if p != dir && strings.HasPrefix(e.Name(), ".") {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.Type() == 0 && isManifest(e.Name()) && !isKustomization(e.Name()) && !read[p] {
			missing = true
		}
		return nil
	})
	return missing
}
