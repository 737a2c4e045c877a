package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/meshc/meshc/internal/limit"
)

// revision is the part of a source behind '#': which commit, and which directory of it.
type revision struct {
	ref, subdir string
	unknown     string // a setting that does not exist
}

// settingsStart is where the part behind the path begins; a path may hold the same character.
var settingsStart = regexp.MustCompile(`#(ref|subdir)=`)

// cutRevision splits PATH#ref=REV,subdir=DIR. A source without such a suffix is not a Git source.
func cutRevision(s string) (repo string, rev revision, ok bool) {
	at := settingsStart.FindStringIndex(s)
	if at == nil {
		return "", revision{}, false
	}
	rev.ref, rev.subdir = "HEAD", "."
	last := &rev.ref
	for _, kv := range strings.Split(s[at[0]+1:], ",") {
		k, v, set := strings.Cut(kv, "=")
		switch {
		case k == "ref":
			last = &rev.ref
			*last = v
		case k == "subdir":
			last = &rev.subdir
			*last = v
		case set:
			rev.unknown = k
		default:
			*last += "," + kv // of the name before it
		}
	}
	return s[:at[0]], rev, true
}

// GitSource is a source of the form REPO#ref=REV,subdir=DIR in its parts.
type GitSource struct {
	Repository string // as it was written, a path or an address
	Ref        string // branch, tag or commit; "": what the repository has checked out
	Subdir     string // slash-separated, "": the root
}

// ParseGit splits a source; one without #ref= or #subdir= is a repository alone.
func ParseGit(source string) (GitSource, error) {
	repo, rev, ok := cutRevision(source)
	if !ok {
		return GitSource{Repository: source}, nil
	}
	if msg, help := rev.refused("", source); msg != "" {
		return GitSource{}, errors.New(msg + ": " + help)
	}
	g := GitSource{repo, rev.ref, rev.subdir}
	if g.Ref == "HEAD" {
		g.Ref = ""
	}
	if g.Subdir == "." {
		g.Subdir = ""
	}
	return g, nil
}

// String is the source as ParseGit reads it.
func (g GitSource) String() string {
	ref, subdir := g.Ref, g.Subdir
	if ref == "" {
		ref = "HEAD"
	}
	if subdir == "" {
		return g.Repository + "#ref=" + ref
	}
	return g.Repository + "#ref=" + ref + ",subdir=" + subdir
}

// refused says what cannot be meant by a source of this form, and what to write.
func (rev revision) refused(repo, source string) (msg, help string) {
	switch {
	case rev.unknown != "":
		return fmt.Sprintf("%q in %s is neither ref nor subdir", rev.unknown, source), "Write PATH#ref=REV,subdir=DIR."
	case strings.Contains(repo, "://") || strings.HasPrefix(repo, "git@"):
		return "remote repositories are not read", "Clone " + repo + " first, then name the clone as PATH#ref=REV. A server fetches by itself: meshc serve --compile " + repo + "#ref=REV"
	case !fs.ValidPath(path.Clean(filepath.ToSlash(rev.subdir))):
		return fmt.Sprintf("the subdir %q leads out of the repository", rev.subdir), "Name a directory inside the repository, without a leading slash or .."
	}
	return "", ""
}

// readGit reads the tree of a revision as objects, without a checkout.
func readGit(ctx context.Context, b *batch, repo string, rev revision) {
	if msg, help := rev.refused(repo, b.at.source); msg != "" {
		b.fail(b.at.inside, 1, "MESHC1013", msg, help)
		return
	}
	out := &batch{at: b.at, lenient: b.lenient, exclude: b.exclude, keep: b.keep} // reading may go on when it is given up
	if b.overGit(watched(ctx, limit.GitMemory, func() error {
		readRevision(ctx, out, repo, rev)
		return nil
	})) {
		return
	}
	*b = *out
}

// overGit reports why a repository was not read to its end, and tells whether it was not.
func (b *batch) overGit(err error) bool {
	switch {
	case errors.Is(err, errMemory):
		b.fail(b.at.inside, 1, "MESHC1005", fmt.Sprintf("the Git repository takes more than %d MiB of memory to read", limit.GitMemory>>20), "Check it with: git fsck")
	case err != nil:
		b.fail(b.at.inside, 1, "MESHC1013", "the Git repository cannot be read: "+err.Error(), "Check it with: git fsck")
	}
	return err != nil
}

func readRevision(ctx context.Context, b *batch, repo string, rev revision) {
	name := b.at.inside
	fail := func(msg, help string) { b.fail(name, 1, "MESHC1013", msg, help) }
	sub := path.Clean(filepath.ToSlash(rev.subdir))
	r, err := openRepository(repo)
	if err != nil {
		fail("there is no readable Git repository at "+repo+": "+err.Error(), cmp.Or(helpOf(err), "Name the directory that holds .git, or a bare repository."))
		return
	}
	defer r.close()
	commit, msg, help := r.commit(rev.ref)
	if msg != "" {
		fail(msg, help)
		return
	}
	root, err := commit.Tree()
	if err != nil {
		fail("the tree of "+commit.Hash.String()+" cannot be read: "+err.Error(), "A shallow or partial clone lacks objects; fetch them, or check it with: git fsck")
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

// gitFS shows the tree of a commit as files. Symbolic links are followed inside the tree; submodules appear with their type
// and cannot be opened.
type gitFS struct{ root *object.Tree }

var (
	errSubmodule = errors.New("is a submodule, whose content is not in this repository")
	errLeads     = errors.New("is a symbolic link that leads out of the repository, or to itself")
)

// maxLinks is how many symbolic links one path may lead through.
const maxLinks = 40

// find returns the entry at a path, whose directories may be links, and the path without them. A link at the end is followed
// if the caller wants so.
func (g gitFS) find(name string, follow bool) (*object.TreeEntry, string, error) {
	fail := func(err error) (*object.TreeEntry, string, error) {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}
	done, rest := ".", strings.Split(name, "/")
	for links := 0; ; {
		at := path.Join(done, rest[0])
		e, err := g.root.FindEntry(at)
		if err != nil {
			return fail(fs.ErrNotExist)
		}
		rest = rest[1:]
		if e.Mode == filemode.Symlink && (follow || len(rest) > 0) {
			if links++; links > maxLinks {
				return fail(errLeads)
			}
			target, err := g.target(at)
			to := path.Join(done, target)
			if err != nil || path.IsAbs(target) || !fs.ValidPath(to) {
				return fail(errLeads)
			}
			rest = append(strings.Split(to, "/"), rest...)
			if done = "."; to == "." {
				if rest = rest[1:]; len(rest) == 0 {
					return &object.TreeEntry{Name: ".", Mode: filemode.Dir}, ".", nil
				}
			}
			continue
		}
		if len(rest) == 0 {
			return e, at, nil
		}
		if e.Mode == filemode.Submodule {
			return fail(errSubmodule)
		}
		done = at
	}
}

// target is what a link says.
func (g gitFS) target(name string) (string, error) {
	b, err := g.blob(name, maxTarget)
	if err == nil && len(b) > maxTarget {
		err = errLeads
	}
	return string(b), err
}

const maxTarget = 4096 // bytes of a link

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

func (g gitFS) stat(name string, follow bool) (entry, string, error) {
	if name == "." {
		return entry{name: ".", mode: fs.ModeDir}, ".", nil
	}
	e, at, err := g.find(name, follow)
	if err != nil {
		return entry{}, "", err
	}
	out := entry{name: path.Base(name), mode: gitMode(e.Mode)}
	if out.mode != 0 {
		return out, at, nil
	}
	if out.size, err = g.root.Size(at); err != nil {
		f, failed := g.root.TreeEntryFile(e) // sizes alone are not looked up where a repository borrows objects
		if failed != nil {
			return entry{}, "", &fs.PathError{Op: "stat", Path: name, Err: err}
		}
		out.size = f.Size
	}
	return out, at, nil
}

// Stat implements fs.StatFS.
func (g gitFS) Stat(name string) (fs.FileInfo, error) {
	e, _, err := g.stat(name, true)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Lstat implements fs.ReadLinkFS.
func (g gitFS) Lstat(name string) (fs.FileInfo, error) {
	e, _, err := g.stat(name, false)
	if err != nil {
		return nil, err
	}
	return e, nil
}

// ReadLink implements fs.ReadLinkFS.
func (g gitFS) ReadLink(name string) (string, error) {
	e, at, err := g.stat(name, false)
	if err == nil && e.mode != fs.ModeSymlink {
		err = &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return "", err
	}
	return g.target(at)
}

// Resolve returns the path that another leads to, without symbolic links.
func (g gitFS) Resolve(name string) (string, error) {
	_, at, err := g.stat(name, true)
	return at, err
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
	e, at, err := g.stat(name, true)
	if err == nil && e.mode != 0 {
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if err != nil {
		return nil, err
	}
	return g.blob(at, limit.FileBytes)
}

// blob reads at most a byte more than so many: the size in the object's header is only a claim.
func (g gitFS) blob(name string, most int64) ([]byte, error) {
	e, err := g.root.FindEntry(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := g.root.TreeEntryFile(e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	r, err := f.Reader()
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, most+1))
}

// ReadDir implements fs.ReadDirFS.
func (g gitFS) ReadDir(name string) ([]fs.DirEntry, error) {
	t := g.root
	if name != "." {
		_, at, err := g.find(name, true)
		if err == nil && at != "." {
			t, err = g.root.Tree(at)
		}
		if err != nil {
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
