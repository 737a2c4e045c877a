package load

import (
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5"
)

// Repository turns a path as Display gives it, or any other that the user typed, into the one that a CI system knows: from the
// root of the repository, whatever the working directory and the form of the source. Outside of a repository it is the path
// from the working directory.
func (s *Sources) Repository(shown string) string {
	at, known := s.noted[shown]
	switch {
	case shown == stdinName:
		return shown
	case known:
		return at.fromRepository(at.name, shown)
	}
	file, _ := physical(shown)
	return fromRoot(file, shown)
}

// fromRepository is a path inside the sources from the root of the repository.
func (l *location) fromRepository(name, shown string) string {
	if l.volume != onDisk {
		return strings.TrimPrefix(name, l.inside+"/")
	}
	return fromRoot(filepath.Join(l.root, filepath.FromSlash(name)), shown)
}

// fromRoot is the path of a file from the root of its repository, or else from the working directory, or else as shown.
func fromRoot(file, shown string) string {
	root := outerTree(filepath.Dir(file))
	if root == "" {
		root, _ = physical(".")
		if !within(root, file) {
			return shown
		}
	}
	return slashRel(root, file)
}

// outerTree is the root of the work tree that a directory lies in; of a submodule, that of the repository which has it.
func outerTree(dir string) string {
	tree := workTree(dir)
	for tree != "" && isSubmodule(tree) {
		outer := workTree(filepath.Dir(tree))
		if outer == "" {
			break
		}
		tree = outer
	}
	return tree
}

// isSubmodule tells whether Git keeps the repository of a work tree inside that of another.
func isSubmodule(tree string) bool {
	dir, err := gitDir(tree)
	return err == nil && strings.Contains(filepath.ToSlash(dir), "/"+git.GitDirName+"/modules/")
}
