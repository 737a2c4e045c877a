package config

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// Tree is the tree of files that a source belongs to, however it is reached: the work tree of a repository, the tree of a
// revision, an archive, or a directory by itself. Settings and policies are looked for in it, and nothing outside of it is
// read.
type Tree struct {
	Files  fs.FS
	ID     string                           // trees of one ID are one tree
	Dir    string                           // the directory in it that the source is, or lies in
	Folder bool                             // the source is that directory
	Disk   string                           // where the tree lies on the disk, "" if it does not
	Show   func(name string) string         // a path in the tree, as the user would type it
	Source func(name string) (string, bool) // the source that a place in the tree is; false: no source can name it
	Close  func()
}

var errOutside = errors.New("lies outside of the tree")

// inTree is a path as settings name it, relative to a directory of the tree, as one in the tree.
func (t *Tree) inTree(dir, p string) (string, error) {
	if filepath.IsAbs(p) {
		rel, err := filepath.Rel(t.Disk, p)
		if t.Disk == "" || err != nil {
			return "", errOutside
		}
		dir, p = ".", filepath.ToSlash(rel)
	}
	name := path.Join(dir, filepath.ToSlash(p))
	if !fs.ValidPath(name) {
		return "", errOutside
	}
	return name, nil
}

// leads tells whether a path is a symbolic link, or lies below one, that leads out of the tree or to nothing.
func (t *Tree) leads(name string) bool {
	if _, err := fs.Stat(t.Files, name); err == nil {
		return false
	}
	for at := name; at != "."; at = path.Dir(at) {
		if info, err := fs.Lstat(t.Files, at); err == nil {
			return info.Mode()&fs.ModeSymlink != 0
		}
	}
	return false
}

// Find returns the path of the settings that govern the source of a tree: those in its directory, else in the nearest one
// above it. It returns "" when there are none.
func Find(t *Tree) string {
	for dir := t.Dir; ; dir = path.Dir(dir) {
		name := path.Join(dir, FileName)
		if info, err := fs.Lstat(t.Files, name); err == nil && !info.IsDir() {
			return name
		}
		if dir == "." {
			return ""
		}
	}
}

// Misnamed reports files that were meant to be the settings, by another name, in the directory of a source or above it.
func Misnamed(t *Tree) diag.List {
	var l diag.List
	for dir := t.Dir; ; dir = path.Dir(dir) {
		for _, other := range []string{"meshc.yml", ".meshc.yaml", ".meshc.yml", "meshc.json", "meshc.toml"} {
			name := path.Join(dir, other)
			if info, err := fs.Lstat(t.Files, name); err == nil && !info.IsDir() {
				d := finding(t.Show(name), nil, "MESHC1801", "settings are read from "+FileName+" only, and this file is called "+other+": nothing in it counts", "Rename it, or take it out.")
				d.Severity = diag.Warning
				l.Add(d)
			}
		}
		if dir == "." {
			return l
		}
	}
}

// cut takes the revision off a source, which has the form PATH#ref=REV.
func cut(source string) (file string, revision bool) {
	file, _, revision = strings.Cut(source, "#")
	return file, revision
}
