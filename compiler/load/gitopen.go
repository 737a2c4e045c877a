package load

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// open opens the store of a repository and those of its alternates, which are read here alone: go-git would follow them in a
// circle.
func (g *gitObjects) open(own billy.Filesystem, dir string) error {
	objects := cache.NewObjectLRUDefault()
	if err := g.add(own, objects); err != nil {
		return err
	}
	g.Storage = g.stores[0].Storage
	for dirs := []string{dir}; len(dirs) > 0 && len(g.stores) <= len(dirs); {
		more, err := alternates(dirs[len(g.stores)-1])
		if err != nil {
			return err
		}
		for _, d := range more {
			if !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
		switch {
		case len(dirs) == len(g.stores):
			return nil
		case len(dirs) > limit.GitStores:
			return fmt.Errorf("the repository borrows objects from more than %d others", limit.GitStores-1)
		}
		if err := g.add(gitFiles{filepath.Dir(dirs[len(g.stores)])}, objects); err != nil {
			return err
		}
	}
	return nil
}

func (g *gitObjects) add(files billy.Filesystem, objects cache.Object) error {
	s := &gitStore{Storage: filesystem.NewStorageWithOptions(withoutAlternates{files}, objects, filesystem.Options{LargeObjectThreshold: limit.FileBytes})}
	g.stores = append(g.stores, s)
	var err error
	s.packs, err = openPacks(files)
	return err
}

// alternates are the other directories of objects that one names.
func alternates(dir string) ([]string, error) {
	b, err := regular.ReadFile(filepath.Join(dir, "info", "alternates"), limit.GitStores*limit.PathBytes)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := relativeTo(dir, line)
		if info, err := os.Stat(at); err != nil || !info.IsDir() || filepath.Base(at) != "objects" {
			return nil, fmt.Errorf("the repository borrows objects from %s, where there are none", line)
		}
		out = append(out, at)
	}
	return out, nil
}

// withoutAlternates keeps the alternates from go-git.
type withoutAlternates struct{ billy.Filesystem }

// Open implements billy.Filesystem.
func (f withoutAlternates) Open(name string) (billy.File, error) {
	if filepath.ToSlash(filepath.Clean(name)) == "objects/info/alternates" {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
	}
	return f.Filesystem.Open(name)
}

func (g *gitObjects) close() {
	for _, s := range g.stores {
		_ = s.Storage.Close()
		for _, p := range s.packs {
			p.close()
		}
	}
}
