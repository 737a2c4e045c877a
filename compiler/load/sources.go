package load

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5"
)

// Sources are the sources of one run and the root that the paths in them start from, so that a tree gives the same paths
// wherever it lies and however it is named. The root is the Git work tree that holds all that is read from the disk, or,
// where none does, the deepest directory that holds it. Paths of a Git revision start at its tree, those of an archive
// inside of it; beside other sources they have the name of the revision or the archive before them.
type Sources struct {
	root  string               // physical directory, "" when nothing is read from the disk
	at    map[string]*location // by source as typed
	shown map[string]string    // by path inside the sources, as the user would type it
	noted map[string]noted     // by path as the user would type it
	files map[string]bool      // by path inside the sources: what was read
	texts texts
}

// noted is a file that was read: its source, and its path inside the sources.
type noted struct {
	*location
	name string
}

// location is one source and how the paths in it are named.
type location struct {
	source string // as typed
	volume string // the disk, a repository at a revision or an archive; "" for standard input, and where there is nothing
	inside string // the source itself as a path in the volume, "." for all of it
	shown  string // the same as the user would type it
	disk   string // on the disk: the physical path of the file or directory
	top    string // on the disk: the directory that holds all that is read
	file   bool   // on the disk: one file
	linked bool   // on the disk: a symbolic link is part of the path as typed
	root   string // on the disk: where paths start
}

// Locate looks up where sources lie, those of one run all together.
func Locate(sources []string) *Sources {
	s := &Sources{at: map[string]*location{}, shown: map[string]string{}, noted: map[string]noted{}, files: map[string]bool{}, texts: texts{of: map[string]text{}}}
	var order []*location
	for _, name := range sources {
		if s.at[name] == nil {
			s.at[name] = locate(name)
			order = append(order, s.at[name])
		}
	}
	for _, l := range order {
		if l.top != "" {
			s.root = common(s.root, l.top)
		}
	}
	if top := workTree(s.root); top != "" {
		s.root = top
	}
	s.name(order)
	return s
}

// onDisk is the volume of all that is read from the disk.
const onDisk = "disk"

// name resolves what paths start with. A volume that is alone needs no name.
func (s *Sources) name(order []*location) {
	volumes, taken := map[string]string{}, map[string]bool{}
	for _, l := range order {
		if l.volume != "" && volumes[l.volume] == "" {
			volumes[l.volume] = unused(taken, l.inside)
		}
	}
	for _, l := range order {
		switch {
		case l.volume == onDisk:
			l.root, l.inside = s.root, slashRel(s.root, l.disk)
		case l.volume != "" && len(volumes) == 1:
			l.inside = "."
		case l.volume != "":
			l.inside = volumes[l.volume]
		}
	}
}

// unused makes a name one that no other volume has.
func unused(taken map[string]bool, name string) string {
	out := name
	for n := 2; taken[out]; n++ {
		out = name + "~" + strconv.Itoa(n)
	}
	taken[out] = true
	return out
}

// locate looks up one source. Until all are known, inside is the name that its volume has beside others.
func locate(source string) *location {
	if source == "-" {
		return &location{source: source, inside: stdinName, shown: stdinName}
	}
	if repo, rev, ok := cutRevision(source); ok {
		name := display(repo)
		if path.Base(name) == git.GitDirName {
			name = path.Dir(name)
		}
		dir, _ := physical(filepath.FromSlash(name))
		return &location{source: source, volume: "git " + dir + " " + rev.ref, inside: path.Clean(rev.ref), shown: name}
	}
	l := &location{source: source, shown: display(source)}
	info, err := os.Stat(source)
	switch {
	case err != nil:
		l.inside = l.shown
	case !info.IsDir() && isArchive(source):
		file, _ := physical(source)
		l.volume, l.inside = "archive "+file, path.Base(l.shown)
	case info.IsDir():
		l.volume = onDisk
		l.disk, l.linked = physical(source)
		l.top = kustomizationTop(l.disk)
	default:
		l.volume = onDisk
		dir, linked := physical(filepath.Dir(source))
		l.disk, l.top, l.file, l.linked = filepath.Join(dir, filepath.Base(source)), dir, true, linked
	}
	return l
}

// physical is an absolute path without symbolic links, and tells whether there were any.
func physical(p string) (string, bool) {
	abs, err := filepath.Abs(p)
	if err != nil {
		return filepath.Clean(p), false
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return abs, false
	}
	return real, real != abs
}

// common is the deepest directory that holds two directories; that of "" and another is the other.
func common(a, b string) string {
	if a == "" {
		return b
	}
	for !within(a, b) && filepath.Dir(a) != a {
		a = filepath.Dir(a)
	}
	return a
}

// within tells whether a path is a directory or lies in it.
func within(dir, p string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Watched is the file or folder on this disk below which a source changes: that of a Git revision is the repository, and that of
// a folder in a work tree all of the tree, since kustomizations lead out of a folder, and settings lie above it.
func Watched(source string) (string, error) {
	if repo, _, ok := cutRevision(source); ok {
		if own := filepath.Join(repo, git.GitDirName); exists(own) {
			return own, nil
		}
		_, err := os.Stat(repo)
		return repo, err
	}
	info, err := os.Stat(source)
	if err != nil {
		return "", err
	}
	dir, _ := physical(source)
	if !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	if top := workTree(dir); top != "" {
		return top, nil
	}
	return filepath.Abs(source) // by its name: a link on the way may lead elsewhere later
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// workTree is the root of the Git work tree that a directory lies in, or "".
func workTree(dir string) string {
	for dir != "" {
		if _, err := os.Lstat(filepath.Join(dir, git.GitDirName)); err == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	return ""
}

func slashRel(from, to string) string {
	rel, err := filepath.Rel(filepath.FromSlash(from), filepath.FromSlash(to))
	if err != nil {
		return filepath.ToSlash(to)
	}
	return filepath.ToSlash(rel)
}

// show renders a path inside the source as the user would type it.
func (l *location) show(name string) string {
	if l.inside == name {
		return l.shown
	}
	rel := slashRel(l.inside, name)
	if l.linked && strings.HasPrefix(rel, "../") { // .. behind a link is another directory than the path says
		return filepath.ToSlash(filepath.Join(l.root, filepath.FromSlash(name)))
	}
	return path.Join(l.shown, rel)
}

// note keeps how the user would type the path of a file; the source that was read first counts.
func (s *Sources) note(l *location, name string) {
	if _, ok := s.shown[name]; !ok {
		s.shown[name] = l.show(name)
		s.noted[s.shown[name]] = noted{l, name}
	}
}

// Display turns the path of a file inside the sources, as documents, findings and origins have it, into the path that the
// user would type, relative to the working directory where the source was named so. Other names stay as they are.
func (s *Sources) Display(file string) string {
	if shown, ok := s.shown[file]; ok {
		return shown
	}
	return file
}
