package config

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
)

// Folder is a folder of policies in a tree.
type Folder struct {
	Tree *Tree
	Path string
}

// key tells folders apart: one may be reached by several sources.
func (f Folder) key() string { return f.Tree.ID + "\x00" + f.Path }

// OwnPolicies returns the folders named policies in directories that hold Rego and are not known yet. One that a symbolic link
// moves out of the tree, or that is a submodule which is not there, is a finding, and so is one by the name that conftest looks
// for: its policies would not be run.
func OwnPolicies(dirs, known []Folder) ([]Folder, diag.List) {
	var out []Folder
	var l diag.List
	taken := map[string]bool{}
	for _, f := range known {
		taken[f.key()] = true
	}
	for _, d := range dirs {
		f := Folder{d.Tree, path.Join(d.Path, "policies")}
		if taken[f.key()] {
			continue
		}
		taken[f.key()] = true
		info, err := fs.Lstat(f.Tree.Files, f.Path)
		switch {
		case err != nil:
		case f.Tree.leads(f.Path):
			l.Add(finding(f.Tree.Show(f.Path), nil, "MESHC1801", "the folder policies is a symbolic link that leads out of the repository, or to nothing", "Replace the link by the folder; or name the folder on the command line, with --policy DIR."))
		case info.Mode()&fs.ModeIrregular != 0:
			l.Add(finding(f.Tree.Show(f.Path), nil, "MESHC1801", "the folder policies is a submodule, whose content is not in this repository, so that its policies would not be run", "Check it out (git submodule update --init) and name the directory as the source instead of a revision."))
		case holdsRego(f):
			out = append(out, f)
		}
		if f := (Folder{d.Tree, path.Join(d.Path, "policy")}); !taken[f.key()] && holdsRego(f) {
			taken[f.key()] = true
			w := finding(f.Tree.Show(f.Path), nil, "MESHC1801", "the folder policy holds Rego and is not looked into, so that its rules find nothing",
				"Call it policies; or name it in "+FileName+" (policies: [policy]) or on the command line, with --policy DIR.")
			w.Severity = diag.Warning
			l.Add(w)
		}
	}
	return out, l
}

var errFound = errors.New("found")

// holdsRego tells whether there is Rego anywhere in a folder: one named policies may as well hold objects only.
func holdsRego(f Folder) bool {
	sub, err := fs.Sub(f.Tree.Files, f.Path)
	if err != nil {
		return false
	}
	n := 0
	err = fs.WalkDir(sub, ".", func(p string, e fs.DirEntry, err error) error {
		if n++; n > limit.PolicyEntries {
			return errFound // too large to tell: who reads the policies will say so
		}
		if err == nil && !e.IsDir() && strings.HasSuffix(p, ".rego") {
			return errFound
		}
		return nil
	})
	return errors.Is(err, errFound)
}
