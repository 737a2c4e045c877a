package load

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5"

	"github.com/meshc/meshc/internal/regular"
)

// gitFiles are the files of a repository, for go-git: regular ones only, so that none is waited for, and nothing is written.
type gitFiles struct{ root string }

var errReadOnly = errors.New("a repository that is compiled is not written to")

func (g gitFiles) at(name string) string { return filepath.Join(g.root, filepath.FromSlash(name)) }

// Open implements billy.Filesystem.
func (g gitFiles) Open(name string) (billy.File, error) {
	f, err := regular.Open(g.at(name))
	if err != nil {
		return nil, err
	}
	return gitFile{f, name}, nil
}

// OpenFile implements billy.Filesystem.
func (g gitFiles) OpenFile(name string, flag int, _ os.FileMode) (billy.File, error) {
	if flag != os.O_RDONLY {
		return nil, errReadOnly
	}
	return g.Open(name)
}

// Stat implements billy.Filesystem.
func (g gitFiles) Stat(name string) (os.FileInfo, error) { return os.Stat(g.at(name)) }

// Lstat implements billy.Filesystem.
func (g gitFiles) Lstat(name string) (os.FileInfo, error) { return os.Lstat(g.at(name)) }

// Readlink implements billy.Filesystem.
func (g gitFiles) Readlink(name string) (string, error) { return os.Readlink(g.at(name)) }

// ReadDir implements billy.Filesystem.
func (g gitFiles) ReadDir(name string) ([]os.FileInfo, error) {
	entries, err := os.ReadDir(g.at(name))
	if err != nil {
		return nil, err
	}
	out := make([]os.FileInfo, 0, len(entries))
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, info)
	}
	return out, nil
}

// Join implements billy.Filesystem.
func (g gitFiles) Join(elem ...string) string { return filepath.Join(elem...) }

// Root implements billy.Filesystem.
func (g gitFiles) Root() string { return g.root }

// Chroot implements billy.Filesystem.
func (g gitFiles) Chroot(name string) (billy.Filesystem, error) { return gitFiles{g.at(name)}, nil }

// Create implements billy.Filesystem.
func (g gitFiles) Create(string) (billy.File, error) { return nil, errReadOnly }

// Rename implements billy.Filesystem.
func (g gitFiles) Rename(string, string) error { return errReadOnly }

// Remove implements billy.Filesystem.
func (g gitFiles) Remove(string) error { return errReadOnly }

// TempFile implements billy.Filesystem.
func (g gitFiles) TempFile(string, string) (billy.File, error) { return nil, errReadOnly }

// MkdirAll implements billy.Filesystem.
func (g gitFiles) MkdirAll(string, os.FileMode) error { return errReadOnly }

// Symlink implements billy.Filesystem.
func (g gitFiles) Symlink(string, string) error { return errReadOnly }

// gitFile is an open file of a repository. Its name is the one that it was opened by.
type gitFile struct {
	*os.File
	name string
}

// Name implements billy.File.
func (f gitFile) Name() string { return f.name }

// Lock implements billy.File.
func (f gitFile) Lock() error { return nil }

// Unlock implements billy.File.
func (f gitFile) Unlock() error { return nil }
