package load

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"
)

// memFS is a read-only tree of files in memory: the content of an archive.
type memFS struct {
	files map[string][]byte
	dirs  map[string][]string // names in a directory, sorted
}

// newMemFS builds a tree; names are clean and relative.
func newMemFS(files map[string][]byte) memFS {
	m := memFS{files: files, dirs: map[string][]string{".": nil}}
	for name := range files {
		for p := name; p != "."; {
			d := path.Dir(p)
			_, seen := m.dirs[d]
			m.dirs[d] = append(m.dirs[d], path.Base(p))
			if seen {
				break
			}
			p = d
		}
	}
	for d, names := range m.dirs {
		slices.Sort(names)
		m.dirs[d] = slices.Compact(names)
	}
	return m
}

func (m memFS) stat(name string) (entry, bool) {
	if data, ok := m.files[name]; ok {
		return entry{name: path.Base(name), size: int64(len(data))}, true
	}
	if _, ok := m.dirs[name]; ok {
		return entry{name: path.Base(name), mode: fs.ModeDir}, true
	}
	return entry{}, false
}

// Open implements fs.FS.
func (m memFS) Open(name string) (fs.File, error) {
	e, ok := m.stat(name)
	if !ok || !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{entry: e, Reader: bytes.NewReader(m.files[name])}, nil
}

// ReadDir implements fs.ReadDirFS.
func (m memFS) ReadDir(name string) ([]fs.DirEntry, error) {
	names, ok := m.dirs[name]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	out := make([]fs.DirEntry, 0, len(names))
	for _, n := range names {
		e, _ := m.stat(path.Join(name, n))
		out = append(out, e)
	}
	return out, nil
}

type memFile struct {
	entry
	io.Reader
}

func (f *memFile) Stat() (fs.FileInfo, error) { return f.entry, nil }
func (f *memFile) Close() error               { return nil }

// entry describes a file that is not on a disk; it is both fs.DirEntry and fs.FileInfo.
type entry struct {
	name string
	size int64
	mode fs.FileMode
}

func (e entry) Name() string               { return e.name }
func (e entry) Size() int64                { return e.size }
func (e entry) Mode() fs.FileMode          { return e.mode }
func (e entry) Type() fs.FileMode          { return e.mode.Type() }
func (e entry) ModTime() time.Time         { return time.Time{} }
func (e entry) IsDir() bool                { return e.mode.IsDir() }
func (e entry) Sys() any                   { return nil }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }
