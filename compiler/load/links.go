package load

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// followed is where the symbolic link at a path of a walk leads in the end.
type followed struct {
	below string // the target as a path below the directory that is walked, "" if it lies elsewhere
	isDir bool
}

// linked says of a symbolic link that is no manifest by its name when objects may lie behind it that are not read. Links to
// directories are not followed, as kubectl does not follow them: what lies in the directory that is walked is read in its own
// place, and a second time would be a repeat. So nothing is said of those, but of directories that are hidden or lie elsewhere,
// and of links that lead nowhere, unless their name has the extension of a file that would not be read either.
func (w *walker) linked(p, name string) diag.List {
	to, err := w.follow(p)
	return to.says(diag.Pos{File: name, Line: 1, Column: 1}, path.Ext(p) != "", err)
}

// says is what there is to say of a link, by where it leads and by its name.
func (f followed) says(at diag.Pos, extension bool, err error) diag.List {
	switch {
	case err != nil && !extension:
		return diag.List{warning(at, "MESHC1006", "this symbolic link leads to nothing, to itself or out of the source, and is not followed",
			"Mend it and name what it leads to as a source of its own, if that is part of the mesh; else remove it.")}
	case err != nil || !f.isDir || f.below != "" && !hidden(f.below):
		return nil
	}
	return diag.List{warning(at, "MESHC1006", "this symbolic link leads to a directory, which is not followed",
		"Name that directory as a source of its own, if its objects are part of the mesh.")}
}

// follow resolves a link. On the disk it may lead anywhere, and no more is asked of the target than what it is.
func (w *walker) follow(p string) (followed, error) {
	if w.at.volume != onDisk {
		info, err := fs.Stat(w.fsys, p)
		if err != nil {
			return followed{}, err
		}
		tree, ok := w.fsys.(interface{ Resolve(string) (string, error) })
		if !ok {
			return followed{}, fs.ErrInvalid
		}
		dir, err := tree.Resolve(w.dir)
		to, failed := tree.Resolve(p)
		return followed{below(dir, to), info.IsDir()}, errors.Join(err, failed)
	}
	to, err := filepath.EvalSymlinks(filepath.Join(w.at.top, filepath.FromSlash(p)))
	if err != nil {
		return followed{}, err
	}
	info, err := os.Stat(to)
	if err != nil {
		return followed{}, err
	}
	return followed{below(filepath.ToSlash(w.at.disk), filepath.ToSlash(to)), info.IsDir()}, nil
}

// below is a path as seen from a directory that it is or lies in, and "" of any other.
func below(dir, p string) string {
	switch {
	case p == dir:
		return "."
	case dir == ".":
		return p
	}
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, "/")+"/")
	if !ok {
		return ""
	}
	return rest
}

// hidden tells whether a directory or one above it has a name that walks pass over.
func hidden(dir string) bool {
	return strings.HasPrefix(dir, ".") && dir != "." || strings.Contains(dir, "/.")
}

func isLink(fsys fs.FS, p string) bool {
	info, err := fs.Lstat(fsys, p)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
