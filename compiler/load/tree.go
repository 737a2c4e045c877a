package load

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// OpenTree opens the tree that a source belongs to, for its settings and policies: all of the work tree, of the revision or of
// the archive. On the disk and outside of a repository it is the directory of the nearest settings up to the working directory, or
// the directory of the source. The tree of standard input is that of the working directory. Of a source that cannot be
// read there is none: reading it says why.
func OpenTree(ctx context.Context, source string) *config.Tree {
	if source == "-" {
		source = "."
	}
	l := Locate([]string{source}).at[source]
	repo, rev, revision := cutRevision(source)
	switch {
	case revision:
		return revisionTree(ctx, l, repo, rev)
	case strings.HasPrefix(l.volume, "archive "):
		return archiveTree(ctx, l)
	case l.disk != "":
		return diskTree(l)
	}
	return nil
}

// OpenFolder opens a folder of the disk as a tree of its own.
func OpenFolder(dir string) *config.Tree {
	l := Locate([]string{dir}).at[dir]
	if l.disk == "" {
		return nil
	}
	return openDisk(l, l.disk, l.disk)
}

func diskTree(l *location) *config.Tree {
	dir := l.disk
	if l.file {
		dir = filepath.Dir(dir)
	}
	top := workTree(dir)
	if top == "" {
		top = settingsDir(dir)
	}
	return openDisk(l, top, dir)
}

// settingsDir is the directory of the settings that govern a directory outside of a repository: the nearest that has some, up to the
// working directory, which whoever runs meshc has chosen; else it is the directory itself.
func settingsDir(dir string) string {
	here, _ := physical(".")
	for at := dir; within(here, at); at = filepath.Dir(at) {
		if info, err := os.Lstat(filepath.Join(at, config.FileName)); err == nil && !info.IsDir() {
			return at
		}
		if at == here {
			break
		}
	}
	return dir
}

// openDisk opens the tree at top, in which the directory of a source lies.
func openDisk(l *location, top, dir string) *config.Tree {
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil
	}
	t := &config.Tree{Files: regular.FS(root), ID: "disk " + top, Dir: slashRel(top, dir), Folder: !l.file, Disk: top, Close: func() { _ = root.Close() }}
	t.Show = func(name string) string {
		return l.show(slashRel(l.root, filepath.Join(top, filepath.FromSlash(name))))
	}
	t.Source = func(name string) (string, bool) { return filepath.FromSlash(t.Show(name)), true }
	return t
}

func revisionTree(ctx context.Context, l *location, repo string, rev revision) *config.Tree {
	if msg, _ := rev.refused(repo, l.source); msg != "" {
		return nil
	}
	t := &config.Tree{ID: l.volume, Dir: path.Clean(filepath.ToSlash(rev.subdir)), Folder: true}
	var opened *repository
	err := watched(ctx, limit.GitMemory, func() error {
		r, err := openRepository(repo)
		if err != nil {
			return err
		}
		commit, msg, _ := r.commit(rev.ref)
		if msg != "" {
			r.close()
			return errors.New(msg)
		}
		root, err := commit.Tree()
		if err != nil {
			r.close()
			return err
		}
		opened, t.Files = r, watchedFS{ctx, gitFS{root}}
		return nil
	})
	if err != nil {
		return nil
	}
	t.Close = opened.close
	t.Show = func(name string) string { return path.Join(l.shown, name) }
	t.Source = func(name string) (string, bool) { return repo + "#ref=" + rev.ref + ",subdir=" + name, true }
	return t
}

// archiveTree opens an archive. Where all of it lies in one directory, as in archives of a release, that is its root.
func archiveTree(ctx context.Context, l *location) *config.Tree {
	f, err := regular.Open(l.source)
	if err != nil {
		return nil
	}
	defer f.Close()
	files, err := readEntries(ctx, &batch{at: l}, f, !strings.HasSuffix(l.source, ".tar"))
	if err != nil {
		return nil
	}
	t := &config.Tree{Files: newMemFS(files), ID: l.volume, Dir: ".", Folder: true, Close: func() {}}
	for {
		entries, err := fs.ReadDir(t.Files, t.Dir)
		if err != nil || len(entries) != 1 || !entries[0].IsDir() {
			break
		}
		t.Dir = path.Join(t.Dir, entries[0].Name())
	}
	t.Show = func(name string) string { return path.Join(l.shown, name) }
	t.Source = func(string) (string, bool) { return "", false }
	return t
}

// watchedFS bounds the memory that reading the tree of a foreign repository takes.
type watchedFS struct {
	ctx context.Context
	gitFS
}

func (w watchedFS) watch(read func() error) error { return watched(w.ctx, limit.GitMemory, read) }

// Open implements fs.FS.
func (w watchedFS) Open(name string) (f fs.File, err error) {
	var opened fs.File
	if err := w.watch(func() (err error) { opened, err = w.gitFS.Open(name); return err }); err != nil {
		return nil, err
	}
	return opened, nil
}

// ReadDir implements fs.ReadDirFS.
func (w watchedFS) ReadDir(name string) ([]fs.DirEntry, error) {
	var out []fs.DirEntry
	if err := w.watch(func() (err error) { out, err = w.gitFS.ReadDir(name); return err }); err != nil {
		return nil, err
	}
	return out, nil
}
