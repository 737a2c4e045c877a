package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/meshc/meshc/delivery/clone"
	"github.com/meshc/meshc/internal/limit"
)

// Part is one source: on this disk, or in a remote repository.
type Part struct {
	Source string // as it was typed; for a remote repository the part after its address, as #ref=REV,subdir=DIR
	Path   string // what to watch on this disk; "": it is remote

	Clone *clone.Clone              // of a remote repository
	At    func(clone.Commit) string // the source as the compiler reads it, when a commit is at hand
}

// look is what the parts are now.
type look struct {
	sources []string // for the compiler
	names   []string // for people
	stamp   string
	dated   bool // all parts are commits of names that move, each later than the one before
}

func (l look) name() string { return strings.Join(l.names, " ") }

// look asks each part what it is now.
func (s *Source) look(ctx context.Context) (look, error) {
	out := look{dated: true}
	h := sha256.New()
	for _, p := range s.o.Parts {
		if p.Clone == nil {
			out.dated = false
			out.sources, out.names = append(out.sources, p.Source), append(out.names, p.Source)
			if err := stampTree(h, p.Path); err != nil {
				return look{}, err
			}
			continue
		}
		c, err := p.Clone.Look(ctx)
		if err != nil {
			return look{}, err
		}
		out.dated = out.dated && !p.Clone.Fixed()
		out.sources, out.names = append(out.sources, p.At(c)), append(out.names, p.Source+" at "+c.Hash)
		_, _ = fmt.Fprintf(h, "commit %s\n", c.Hash)
	}
	for _, path := range s.o.Beside {
		if err := stampTree(h, path); err != nil {
			return look{}, err
		}
	}
	out.stamp = hex.EncodeToString(h.Sum(nil))
	return out, nil
}

// Stamp changes when a file below one of the paths may have.
func Stamp(paths ...string) (string, error) {
	h := sha256.New()
	for _, path := range paths {
		if err := stampTree(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// stampTree writes what changes when a file below a path may have: of a repository what its names stand for, too.
func stampTree(h interface{ Write([]byte) (int, error) }, root string) error {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real // a walk begins at no link
	}
	n := 0
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if n++; n > limit.SourceEntries {
			return fmt.Errorf("%s has more than %d files and folders", root, limit.SourceEntries)
		}
		if err != nil {
			_, _ = fmt.Fprintf(h, "%q %v\n", path, err)
			return nil //nolint:nilerr // what cannot be read is the compiler's to tell
		}
		if d.IsDir() {
			if d.Name() == "objects" && isGit(filepath.Dir(path)) || d.Name() == "logs" && isGit(filepath.Dir(path)) {
				return filepath.SkipDir
			}
			_, _ = fmt.Fprintf(h, "%q\n", path)
			return nil
		}
		if info, err := d.Info(); err == nil {
			_, _ = fmt.Fprintf(h, "%q %d %d %v\n", path, info.Size(), info.ModTime().UnixNano(), info.Mode())
		}
		return nil
	})
}

// isGit tells whether a folder is that of a repository's own files.
func isGit(dir string) bool {
	base := filepath.Base(dir)
	return base == ".git" || strings.HasSuffix(base, ".git")
}
