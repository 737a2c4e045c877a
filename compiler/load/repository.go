package load

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/meshc/meshc/internal/regular"
)

// repository is a Git repository that is read.
type repository struct {
	*git.Repository
	dir    string // the directory of Git itself: .git, that of a linked work tree, or the bare repository
	common string // what all work trees share: the same, or the directory that dir names

	objects *gitObjects
}

func (r *repository) close() { r.objects.close() }

// extensionError is about a form of repository that is not read.
type extensionError struct{ name, value string }

func (e *extensionError) Error() string {
	return fmt.Sprintf("it uses the extension %s (%s) of Git, which is not read", e.name, e.value)
}

// helpOf is what to do about an error of openRepository, where that is known.
func helpOf(err error) string {
	if e := (*extensionError)(nil); errors.As(err, &e) {
		return "Write the revision into an archive, and name that: git archive -o mesh.tar REV."
	}
	return ""
}

// harmless are extensions that change nothing about objects and references: settings of one work tree (a sparse checkout has
// them), objects that lie elsewhere and are missing here, and how the paths to work trees are written.
var harmless = []string{"noop", "noop-v1", "worktreeconfig", "partialclone", "preciousobjects", "relativeworktrees"}

// openRepository opens a working tree, a linked working tree, or a bare repository.
func openRepository(p string) (*repository, error) {
	dir, err := gitDir(p)
	if err != nil {
		return nil, err
	}
	r := &repository{dir: dir, common: dir}
	switch b, err := regular.ReadFile(filepath.Join(dir, "commondir"), maxTarget); {
	case err == nil:
		r.common = relativeTo(dir, strings.TrimSpace(string(b)))
	case !errors.Is(err, os.ErrNotExist):
		return nil, err
	}
	at := billy.Filesystem(gitFiles{dir})
	if r.common != dir {
		at = dotgit.NewRepositoryFilesystem(at, gitFiles{r.common})
	}
	st := storer{&gitObjects{}}
	r.objects = st.gitObjects
	if err := st.open(at, filepath.Join(r.common, "objects")); err != nil {
		r.close()
		return nil, err
	}
	cfg, err := st.Storage.Config()
	if err != nil {
		r.close()
		return nil, err
	}
	if cfg.Raw.HasSection("extensions") {
		for _, o := range cfg.Raw.Section("extensions").Options {
			sha1 := strings.EqualFold(o.Key, "objectformat") && strings.EqualFold(o.Value, "sha1")
			files := strings.EqualFold(o.Key, "refstorage") && strings.EqualFold(o.Value, "files")
			if !sha1 && !files && !slices.Contains(harmless, strings.ToLower(o.Key)) {
				r.close()
				return nil, &extensionError{o.Key, o.Value}
			}
		}
	}
	if r.Repository, err = git.Open(st, nil); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// storer hides the extensions that have been looked at from a reader that refuses all.
type storer struct{ *gitObjects }

// Config implements config.ConfigStorer.
func (s storer) Config() (*config.Config, error) {
	cfg, err := s.Storage.Config()
	if err == nil {
		cfg.Raw.RemoveSection("extensions")
	}
	return cfg, err
}

// gitDir finds the directory of Git itself.
func gitDir(p string) (string, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return "", err
	}
	if filepath.Base(p) == git.GitDirName {
		p = filepath.Dir(p)
	}
	dot := filepath.Join(p, git.GitDirName)
	info, err := os.Stat(dot)
	switch {
	case err != nil:
		if _, err := os.Stat(filepath.Join(p, "HEAD")); err != nil {
			return "", git.ErrRepositoryNotExists
		}
		return p, nil
	case info.IsDir():
		return dot, nil
	}
	b, err := regular.ReadFile(dot, maxTarget)
	if err != nil {
		return "", err
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "gitdir:")
	if !ok {
		return "", errors.New(".git is a file that names no directory")
	}
	return relativeTo(p, strings.TrimSpace(to)), nil
}

// isBare tells whether a directory is a repository without a work tree.
func isBare(dir string) bool {
	at, err := gitDir(dir)
	if err != nil || at != dir {
		return false
	}
	info, err := os.Stat(filepath.Join(at, "objects"))
	return err == nil && info.IsDir()
}

// relativeTo is a path that is relative to a directory.
func relativeTo(dir, p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(dir, p)
}

// commit resolves the name of a revision. What it cannot mean, and what to do about it, are said instead.
func (r *repository) commit(ref string) (c *object.Commit, msg, help string) {
	base, suffix := ref, ""
	if i := strings.IndexAny(ref, "~^"); i >= 0 {
		base, suffix = ref[:i], ref[i:]
	}
	switch {
	case strings.Contains(ref, ".."), strings.HasPrefix(ref, "-"), strings.ContainsFunc(ref, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`\?*[`, r) }):
		return nil, fmt.Sprintf("%q is not a name of a Git revision", ref), "Name a branch, tag or commit; a range names several."
	case strings.Contains(ref, ":"), strings.Contains(suffix, "{/"):
		return nil, ref + " is found by a search or leads to a file, and is not read", "Name the commit, as git rev-parse prints it, and its directory by subdir=."
	case strings.Contains(base, "@{"):
		branch, inside, _ := strings.Cut(base, "@{")
		to, ok := r.upstream(branch)
		if !upstreamForm.MatchString(inside) {
			return nil, ref + " depends on what this clone did before, and is not read", "Name the commit, as git rev-parse prints it."
		}
		if !ok {
			return nil, "no upstream is set for " + cmp.Or(branch, "the branch that is checked out"), "Set one (git branch --set-upstream-to), or name the branch, as origin/main."
		}
		base = to
	}
	if base == "@" || base == "" {
		base = "HEAD"
	}
	hash, ok := r.named(base)
	if ok && suffix != "" {
		h, err := r.ResolveRevision(plumbing.Revision(hash.String() + suffix))
		if ok = err == nil; ok {
			hash = *h
		}
	}
	if !ok {
		return nil, "the repository has no revision " + ref, "Fetch it, or check the name with: git branch -a; git tag"
	}
	return r.peel(hash)
}

var upstreamForm = regexp.MustCompile(`^(?i:u|upstream)\}$`)

// named finds a reference by the rules of Git, else an object by the beginning of its name.
func (r *repository) named(name string) (plumbing.Hash, bool) {
	for _, form := range []string{"%s", "refs/%s", "refs/tags/%s", "refs/heads/%s", "refs/remotes/%s", "refs/remotes/%s/HEAD"} {
		full := plumbing.ReferenceName(fmt.Sprintf(form, name))
		if full != plumbing.HEAD && full.Validate() != nil {
			continue
		}
		if ref, err := r.Reference(full, true); err == nil {
			return ref.Hash(), true
		}
	}
	if !hashForm.MatchString(name) {
		return plumbing.ZeroHash, false
	}
	h, err := r.ResolveRevision(plumbing.Revision(name))
	if err != nil {
		return plumbing.ZeroHash, false
	}
	return *h, true
}

var hashForm = regexp.MustCompile(`^[0-9a-fA-F]{4,40}$`)

// upstream is the branch that a branch, or the one that is checked out, follows.
func (r *repository) upstream(branch string) (string, bool) {
	if branch == "" || branch == "@" || branch == "HEAD" {
		head, err := r.Reference(plumbing.HEAD, false)
		if err != nil || !head.Target().IsBranch() {
			return "", false
		}
		branch = head.Target().Short()
	}
	cfg, err := r.Config()
	if err != nil || cfg.Branches[branch] == nil {
		return "", false
	}
	b := cfg.Branches[branch]
	if b.Remote == "." {
		return b.Merge.String(), true
	}
	return "refs/remotes/" + b.Remote + "/" + b.Merge.Short(), b.Remote != "" && b.Merge != ""
}

// peel follows tags to the commit.
func (r *repository) peel(hash plumbing.Hash) (c *object.Commit, msg, help string) {
	for range maxLinks {
		tag, err := r.TagObject(hash)
		if err != nil {
			break
		}
		hash = tag.Target
	}
	c, err := r.CommitObject(hash)
	if err != nil {
		return nil, "the commit " + hash.String() + " cannot be read: " + err.Error(), "A shallow or partial clone lacks objects; fetch them."
	}
	return c, "", ""
}
