package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// OwnPolicies returns the folders named policies in the roots that hold Rego and are not known yet. One that a symbolic link
// moves out of its repository is a finding.
func OwnPolicies(roots, known []string) ([]string, diag.List) {
	var out []string
	var l diag.List
	has := func(dirs []string, d string) bool {
		return slices.ContainsFunc(dirs, func(k string) bool { return real(k) == real(d) })
	}
	for _, r := range roots {
		d := filepath.Join(r, "policies")
		if has(known, d) || has(out, d) || !holdsRego(d) {
			continue
		}
		if !inside(repository(r), d) {
			l.Add(finding(d, nil, "MESHC1801", "the folder policies is a symbolic link that leads out of the repository", "Replace the link by the folder; or name the folder on the command line, with --policy DIR."))
			continue
		}
		out = append(out, d)
	}
	return out, l
}

var errFound = errors.New("found")

const maxEntries = 100_000 // files and folders looked at in a folder named policies

// holdsRego tells whether there is Rego anywhere in a folder: one named policies may as well hold objects only.
func holdsRego(dir string) bool {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false
	}
	defer root.Close()
	n := 0
	err = fs.WalkDir(root.FS(), ".", func(p string, e fs.DirEntry, err error) error {
		if n++; n > maxEntries {
			return errFound // too large to tell: who reads the policies will say so
		}
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(p, ".rego") {
			return errFound
		}
		return nil
	})
	return errors.Is(err, errFound)
}
