package load

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	format "github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

// modulesFile is where Git says which directories are submodules: repositories of their own, which a clone leaves empty
// unless it is told not to, and an archive always does.
const modulesFile = ".gitmodules"

// submodule is a directory that holds another repository.
type submodule struct {
	path string // in the repository
	line int    // of modulesFile
}

// submodules reads modulesFile. What Git cannot read either names none.
func submodules(data []byte) []submodule {
	cfg := format.New()
	if format.NewDecoder(bytes.NewReader(data)).Decode(cfg) != nil {
		return nil
	}
	var out []submodule
	lines := strings.Split(string(data), "\n")
	for _, sub := range cfg.Section("submodule").Subsections {
		p := path.Clean(sub.Option("path"))
		at := slices.IndexFunc(lines, func(l string) bool {
			key, value, ok := strings.Cut(l, "=")
			return ok && strings.TrimSpace(key) == "path" && strings.Trim(strings.TrimSpace(value), `"`) == sub.Option("path")
		})
		if fs.ValidPath(p) && p != "." {
			out = append(out, submodule{p, at + 1})
		}
	}
	return out
}

// lacking reports the submodules in a directory of a repository that are not there: their objects would be missing without a
// word. The tree is that of the repository, or of as much of it as there is.
func lacking(b *batch, t tree) {
	data, err := fs.ReadFile(t.fsys, modulesFile)
	if err != nil || len(data) > limit.FileBytes {
		return
	}
	for _, m := range submodules(data) {
		inside := m.path
		if t.dir != "." {
			var ok bool
			if inside, ok = strings.CutPrefix(m.path, t.dir+"/"); !ok {
				continue
			}
		}
		if strings.HasPrefix(inside, ".") || strings.Contains(inside, "/.") {
			continue // such a directory is not read anyway
		}
		if entries, err := fs.ReadDir(t.fsys, m.path); err == nil && len(entries) > 0 {
			continue
		}
		b.lacks(m.path, diag.Pos{File: t.name(modulesFile), Line: max(m.line, 1), Column: 1})
	}
}

// lacks reports a submodule that is not there, once.
func (b *batch) lacks(name string, at diag.Pos) {
	if slices.Contains(b.lacking, name) {
		return
	}
	b.lacking = append(b.lacking, name)
	d := finding(at, "MESHC1017", name+" is a submodule that is not here, so that its objects would be missing from the mesh",
		"Check it out (git submodule update --init; in a job, with submodules: true) and name the directory as the source; a revision and an archive hold none. If nothing of the mesh is in it, name the directories beside it.")
	if b.lenient {
		d.Severity = diag.Warning
	}
	b.diags.Add(d)
}

// submodulesOnDisk does so for a directory on the disk, whose repository may begin above it.
func (s *Sources) submodulesOnDisk(b *batch) {
	top := workTree(b.at.disk)
	if top == "" || kustomizationIn(os.DirFS(b.at.disk), ".") != "" { // which names what it needs
		return
	}
	if _, err := regular.ReadFile(filepath.Join(top, modulesFile), limit.FileBytes); err != nil {
		return
	}
	root, err := os.OpenRoot(top)
	if err != nil {
		return
	}
	defer root.Close()
	lacking(b, tree{fsys: root.FS(), prefix: slashRel(s.root, top), dir: slashRel(top, b.at.disk)})
}

// readConfig reads a configuration of Git.
func readConfig(file string) (*format.Config, error) {
	data, err := regular.ReadFile(file, limit.GitConfigBytes)
	if err != nil {
		return nil, err
	}
	cfg := format.New()
	return cfg, format.NewDecoder(bytes.NewReader(data)).Decode(cfg)
}
