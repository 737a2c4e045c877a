package files

import (
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
	set, size := Set{}, 0
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := regular.ReadFile(p, limit.BundleBytes)
		if err != nil {
			return err
		}
		if size += len(data); size > limit.BundleBytes || len(set) >= limit.BundleEntries*limit.BundleEntries {
			return fmt.Errorf("%s holds more than export writes", root)
		}
		rel, err := filepath.Rel(root, p)
		set[filepath.ToSlash(rel)] = data
		return err
	})
	return set, err
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
	for i, s := range steps {
		if i > 0 {
			select {
			case <-ctx.Done():
				return i, context.Cause(ctx)
			case <-time.After(settle):
			}
		}
		if err := place(directory, s); err != nil {
			return i, err
		}
	}
	return len(steps), sweep(directory, after.ID())
}

// place writes a set and makes it the one that counts.
func place(directory string, s Set) error {
	id := s.ID()
	root := filepath.Join(directory, setsFolder, id)
	for name, data := range s {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := bundle.ReplaceFile(p, data); err != nil {
			return err
		}
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
