package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// Names in the directory.
const (
	currentLink   = "current"
	setsFolder    = "sets"
	BootstrapFile = "envoy.json"
)

// Current reads the set in force; nil: there is none.
func Current(directory string) (Set, error) {
	link := filepath.Join(directory, currentLink)
	root, err := filepath.EvalSymlinks(link)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if info, err := os.Lstat(link); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return nil, fmt.Errorf("%s is not the link that export writes: name another directory", link)
	}
	set := Set{}
	var bounds bounds
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := regular.ReadFile(p, limit.ProxyFileBytes)
		if err != nil {
			return err
		}
		if err := bounds.add(data); err != nil {
			return fmt.Errorf("%s: %w", root, err)
		}
		rel, err := filepath.Rel(root, p)
		set[filepath.ToSlash(rel)] = data
		return err
	})
	return set, err
}

// bounds are the files of a set, and their bytes, as far as they were counted.
type bounds struct{ files, bytes int }

// add counts a file. What is written is held to the same as what is read, so that the next export can go on from it.
func (b *bounds) add(data []byte) error {
	b.files, b.bytes = b.files+1, b.bytes+len(data)
	if b.files > limit.ProxyFiles || b.bytes > limit.ProxyFileBytes {
		return fmt.Errorf("the proxy has more than %d files or %d MiB of configuration: narrow what it sees with Sidecar egress hosts", limit.ProxyFiles, limit.ProxyFileBytes>>20)
	}
	return nil
}

// Put brings a set into force by its steps, each of which gets a time to take effect. It tells how many steps there were; 0:
// the set was in force. The end of ctx leaves the step in force that was last put there.
func Put(ctx context.Context, directory string, after Set, settle time.Duration) (int, error) {
	before, err := Current(directory)
	if err != nil {
		return 0, err
	}
	if before != nil && before.ID() == after.ID() {
		return 0, nil
	}
	steps, err := Steps(before, after)
	if err != nil {
		return 0, err
	}
	for _, s := range steps {
		var bounds bounds
		for _, data := range s {
			if err := bounds.add(data); err != nil {
				return 0, err
			}
		}
	}
	for i, s := range steps {
		if i > 0 {
			select {
			case <-ctx.Done():
				return i, context.Cause(ctx)
			case <-time.After(settle):
			}
		}
		if err := place(directory, s, before); err != nil {
			return i, err
		}
		before = s
	}
	return len(steps), sweep(directory, after.ID())
}

// place writes a set and makes it the one that counts, in the place of the one in force; nil: there is none. A set has its
// name when all of it is there.
func place(directory string, s, inForce Set) error {
	id := s.ID()
	root := filepath.Join(directory, setsFolder, id)
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		if err := write(root, s, filepath.Join(directory, currentLink), inForce); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	link := filepath.Join(directory, "."+currentLink+".tmp")
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Join(setsFolder, id), link); err != nil {
		return err
	}
	return os.Rename(link, filepath.Join(directory, currentLink))
}

// write puts the files of a set into a folder that is not there yet. A file that is in force with the same bytes gets one more
// name, so that a small change of a large set costs what it changes.
func write(root string, s Set, current string, inForce Set) error {
	tmp := root + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	for name, data := range s {
		p := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if old, ok := inForce[name]; ok && bytes.Equal(old, data) && os.Link(filepath.Join(current, filepath.FromSlash(name)), p) == nil {
			continue
		}
		if err := bundle.WriteFile(p, data); err != nil {
			return err
		}
	}
	return os.Rename(tmp, root)
}

// sweep removes the sets that count no more, those of a process that was killed among them.
func sweep(directory, keep string) error {
	list, err := os.ReadDir(filepath.Join(directory, setsFolder))
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() != keep {
			err = errors.Join(err, os.RemoveAll(filepath.Join(directory, setsFolder, e.Name())))
		}
	}
	return err
}
