package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/regular"
)

const stdinName = "stdin"

// display is a path as findings show it: forward slashes, without "./" and doubled slashes.
func display(p string) string { return path.Clean(filepath.ToSlash(p)) }

func readStdin(b *batch, r io.Reader) {
	if r == nil {
		b.fail(stdinName, 1, "MESHC1002", "standard input cannot be read here", "Name a file or directory.")
		return
	}
	data, err := io.ReadAll(io.LimitReader(r, limit.SourceBytes+1))
	if err != nil {
		b.fail(stdinName, 1, "MESHC1002", "standard input cannot be read: "+err.Error(), "Check the command that writes it.")
		return
	}
	if len(data) > limit.SourceBytes {
		b.fail(stdinName, 1, "MESHC1005", fmt.Sprintf("standard input is larger than %d bytes", limit.SourceBytes), "Compile fewer objects at once.")
		return
	}
	b.files = []file{{name: stdinName, data: data, stream: true}}
}

func (s *Sources) readPath(ctx context.Context, b *batch) {
	source, name := b.at.source, b.at.inside
	info, err := os.Stat(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		help := "Check the path; a Git revision is written PATH#ref=REV."
		if strings.Contains(source, "://") || scpLike.MatchString(source) {
			help = "Nothing is fetched during a compile: clone the repository first, and name the clone."
		}
		b.fail(name, 1, "MESHC1002", "there is no file or directory "+source, help)
	case err != nil:
		b.fail(name, 1, "MESHC1002", reason(err), "Check the path and its permissions.")
	case info.IsDir():
		s.submodulesOnDisk(b)
		s.readDir(ctx, b)
	case isArchive(source):
		readTar(ctx, b)
		return
	case !info.Mode().IsRegular():
		b.fail(name, 1, "MESHC1002", notAFile(info), "Use - to read standard input.")
	default:
		readOne(b)
	}
	if !b.diags.HasErrors() {
		s.worktree(ctx, b)
	}
}

// scpLike is how Git writes the address of a repository behind SSH.
var scpLike = regexp.MustCompile(`^[\w.-]+@[\w.-]+:`)

func readOne(b *batch) {
	data, err := regular.ReadFile(b.at.source, limit.FileBytes)
	if err != nil {
		b.unread(b.at.inside, err)
		return
	}
	link, err := os.Lstat(b.at.source)
	b.files = []file{{name: b.at.inside, data: data, private: err != nil || link.Mode()&fs.ModeSymlink != 0}}
}

// unread reports why a file cannot be read.
func (b *batch) unread(name string, err error) {
	switch {
	case errors.Is(err, regular.ErrTooLarge):
		b.fail(name, 1, "MESHC1005", fmt.Sprintf("the file has more than %d bytes", limit.FileBytes), "Split the file.")
	case errors.Is(err, regular.ErrNotRegular):
		b.fail(name, 1, "MESHC1002", reason(err), "Remove it, or put a regular file there.")
	default:
		b.fail(name, 1, "MESHC1002", reason(err), "Check the permissions.")
	}
}

// reason is an error of the file system without the path, which the finding names already.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return "cannot be read: " + pe.Err.Error()
	}
	return "cannot be read: " + err.Error()
}

func (s *Sources) readDir(ctx context.Context, b *batch) {
	root, err := os.OpenRoot(b.at.top)
	if err != nil {
		b.fail(b.at.inside, 1, "MESHC1002", reason(err), "Check the permissions.")
		return
	}
	defer root.Close()
	readTree(ctx, b, tree{fsys: root.FS(), prefix: slashRel(s.root, b.at.top), dir: slashRel(b.at.top, b.at.disk)})
}

var tooMany = fmt.Sprintf("the source holds more than %d files and directories, or directories more than %d deep", limit.SourceEntries, limit.PathDepth)

// isManifest tells by the name whether a file in a directory is read.
func isManifest(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

var kustomizationNames = [...]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}

func isKustomization(name string) bool { return slices.Contains(kustomizationNames[:], name) }

func kustomizationIn(fsys fs.FS, dir string) string {
	for _, n := range kustomizationNames {
		if info, err := fs.Stat(fsys, path.Join(dir, n)); err == nil && !info.IsDir() {
			return path.Join(dir, n)
		}
	}
	return ""
}

// walk collects the manifests below dir, in order of path. Names that start with a dot are skipped, as are
// settings and kustomization files, which are no objects.
func walk(ctx context.Context, b *batch, fsys fs.FS, dir, prefix string) {
	w := &walker{batch: b, fsys: fsys, dir: dir, name: prefix}
	visited := 0
	err := fs.WalkDir(fsys, dir, func(p string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return fs.SkipAll
		}
		if visited++; visited > limit.SourceEntries || strings.Count(p, "/") > limit.PathDepth {
			b.fail(prefix, 1, "MESHC1005", tooMany, "Name the directories that hold the mesh.")
			return fs.SkipAll
		}
		name := join(prefix, strings.TrimPrefix(strings.TrimPrefix(p, dir), "/"))
		if err != nil {
			b.fail(name, 1, "MESHC1002", reason(err), "Check the permissions.")
			return nil
		}
		if p != dir && w.passesOver(p, name, e) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		return w.entry(p, name, e)
	})
	if err != nil {
		b.fail(prefix, 1, "MESHC1002", reason(err), "Check the permissions.")
	}
}

// walker is a walk through a directory.
type walker struct {
	*batch
	fsys  fs.FS
	dir   string
	name  string // of the directory, inside the sources
	total int64  // bytes read
}

// passesOver tells whether a file or a directory with all that is below is not for this walk: hidden, left out on demand, or a
// kustomization of its own.
func (w *walker) passesOver(p, name string, e fs.DirEntry) bool {
	switch {
	case strings.HasPrefix(e.Name(), "."):
	case w.leavesOut(name) && (e.IsDir() || isManifest(p)):
		w.excluded++
	case e.Type() == fs.ModeSymlink && w.leavesOut(name):
	case e.IsDir() && builds(w.fsys, p):
		w.nested = append(w.nested, p)
	default:
		return false
	}
	return true
}

// entry reads what is a manifest, and says of submodules and links that they are not read.
func (w *walker) entry(p, name string, e fs.DirEntry) error {
	switch {
	case e.Type() == fs.ModeIrregular:
		w.lacks(p, diag.Pos{File: name, Line: 1, Column: 1})
		return nil
	case e.Type() == fs.ModeSymlink && !isManifest(e.Name()):
		w.diags.Add(w.linked(p, name)...)
		return nil
	case e.IsDir() || isKustomization(e.Name()) || e.Name() == config.FileName || !isManifest(e.Name()):
		return nil
	case e.Type() == fs.ModeSymlink && w.again(p):
		return nil
	case len(w.files) >= limit.SourceFiles || w.total > limit.SourceBytes:
		w.fail(name, 1, "MESHC1005", fmt.Sprintf("the source holds more than %d files or %d bytes", limit.SourceFiles, limit.SourceBytes), "Name the directories that hold the mesh.")
		return fs.SkipAll
	}
	if data, ok := readEntry(w.batch, w.fsys, p, name); ok {
		w.total += int64(len(data))
		w.files = append(w.files, file{name: name, data: data})
	}
	return nil
}

// again tells whether a link leads to a file that this walk comes by itself: that is one file and not two.
func (w *walker) again(p string) bool {
	for range maxLinks {
		to, err := fs.ReadLink(w.fsys, p)
		if err != nil {
			break
		}
		if p = path.Join(path.Dir(p), to); path.IsAbs(to) || !fs.ValidPath(p) {
			return false
		}
	}
	rest, ok := strings.CutPrefix(p, w.dir+"/")
	if w.dir == "." {
		rest, ok = p, true
	}
	if info, err := fs.Lstat(w.fsys, p); !ok || err != nil || !info.Mode().IsRegular() || !isManifest(p) {
		return false
	}
	at := w.dir
	for _, part := range strings.Split(rest, "/") {
		at = path.Join(at, part)
		info, err := fs.Lstat(w.fsys, at)
		if err != nil || info.Mode()&fs.ModeSymlink != 0 || strings.HasPrefix(part, ".") || info.IsDir() && builds(w.fsys, at) {
			return false
		}
	}
	return !w.leavesOut(join(w.name, rest))
}

// leavesOut tells whether a file or directory, by its path inside the sources, is left out on demand.
func (b *batch) leavesOut(name string) bool {
	return b.exclude != nil && b.exclude(b.at.fromRepository(name, name))
}

func join(prefix, rest string) string {
	if prefix == "." || prefix == "" {
		return rest
	}
	return path.Join(prefix, rest)
}

// readEntry reads one file of a tree, within the limits and never through a link that leaves the tree.
func readEntry(b *batch, fsys fs.FS, p, name string) ([]byte, bool) {
	info, err := fs.Stat(fsys, p)
	if err != nil {
		if isLink(fsys, p) {
			b.fail(name, 1, "MESHC1006", "this symbolic link leads out of the source or to nothing", "Replace the link by the file, or name the file's directory as a source of its own.")
		} else {
			b.fail(name, 1, "MESHC1002", reason(err), "Check the permissions.")
		}
		return nil, false
	}
	if info.IsDir() {
		b.fail(name, 1, "MESHC1006", "this symbolic link leads to a directory, which is not followed", "Name that directory as a source of its own.")
		return nil, false
	}
	if !info.Mode().IsRegular() {
		b.fail(name, 1, "MESHC1002", notAFile(info), "Remove it from the directory.")
		return nil, false
	}
	if info.Size() > limit.FileBytes {
		b.fail(name, 1, "MESHC1005", fmt.Sprintf("the file has %d bytes; the limit is %d", info.Size(), limit.FileBytes), "Split the file.")
		return nil, false
	}
	data, err := fs.ReadFile(fsys, p)
	if err != nil {
		b.fail(name, 1, "MESHC1002", reason(err), "Check the permissions.")
		return nil, false
	}
	return data, true
}

// notAFile says what is there instead of a file.
func notAFile(info fs.FileInfo) string {
	return "this is a " + regular.Kind(info.Mode()) + ", and only regular files are read"
}
