package load

import (
	"slices"

	"github.com/meshc/meshc/internal/limit"
)

// texts holds the files that were read, by the path that the user would type, so that a finding can show its line without
// anything being opened again: what is printed is what was judged, and nothing else.
type texts struct {
	of    map[string]text
	bytes int
}

type text struct {
	file string // path inside the sources
	data []byte
}

// keep keeps a file, within limit.ShownBytes of all sources of a run: what is beyond is judged all the same, and its lines are
// not shown. Where two files would be typed alike, neither is shown: the line could be that of the other.
func (t *texts) keep(shown string, f file) {
	before, taken := t.of[shown]
	switch {
	case taken && before.file == f.name:
	case taken:
		t.of[shown] = text{}
	case t.bytes+len(f.data) <= limit.ShownBytes:
		t.bytes += len(f.data)
		t.of[shown] = text{f.name, f.data}
	}
}

// record keeps how the user would type the files of a source, and the text of those that its documents and findings are
// about.
func (s *Sources) record(b *batch, files []file) {
	about := map[string]bool{}
	for _, d := range b.docs {
		about[d.File] = true
		for _, o := range d.Overlays {
			about[o.File] = true
		}
	}
	for _, d := range b.diags {
		about[d.Pos.File] = true
		s.note(b.at, d.Pos.File)
	}
	for _, f := range slices.Concat(files, b.inputs) {
		s.files[f.name] = true
		s.note(b.at, f.name)
		if about[f.name] && !f.private {
			s.texts.keep(s.Display(f.name), f)
		}
	}
}

// Holds tells whether a file, by its path inside the sources, is one that was read.
func (s *Sources) Holds(file string) bool { return s.files[file] }

// Any tells whether a file that was read, by its path inside the sources, is what is looked for.
func (s *Sources) Any(is func(file string) bool) bool {
	for f := range s.files {
		if is(f) {
			return true
		}
	}
	return false
}

// Text returns the text of a file that was read, by the path that Display gives. There is none of a file without objects
// and findings, of one beyond the budget, and of one that is reached through a symbolic link that is a source itself.
func (s *Sources) Text(shown string) (string, bool) {
	t := s.texts.of[shown]
	return string(t.data), t.data != nil
}
