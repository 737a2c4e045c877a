package regular

import (
	"io/fs"
	"os"
)

// FS shows what is below a root. Links do not leave it, and only regular files and directories are opened.
func FS(root *os.Root) fs.FS { return rootFS{root, root.FS()} }

type rootFS struct {
	root *os.Root
	all  fs.FS
}

// Open implements fs.FS.
func (r rootFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if info, err := r.root.Stat(name); err != nil || info.IsDir() {
		return r.all.Open(name)
	}
	return OpenIn(r.root, name)
}

// Stat implements fs.StatFS.
func (r rootFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(r.all, name) }

// Lstat implements fs.ReadLinkFS.
func (r rootFS) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(r.all, name) }

// ReadLink implements fs.ReadLinkFS.
func (r rootFS) ReadLink(name string) (string, error) { return fs.ReadLink(r.all, name) }

// ReadDir implements fs.ReadDirFS.
func (r rootFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.all, name) }

// ReadFS reads the regular file of a name in a file system, if it has no more than most bytes.
func ReadFS(fsys fs.FS, name string, most int64) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil {
		err = Check(name, info.Mode())
	}
	if err != nil {
		return nil, err
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	return readAll(f, name, most)
}
