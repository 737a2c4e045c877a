package diag

import (
	"strings"
	"unicode"

	"github.com/meshc/meshc/internal/secret"
)

// hidden stands for a line of the input that is not shown.
const hidden = "(not shown: it may hold a key)"

// texts gives the lines of the files that findings are about, each file read once.
type texts struct {
	source func(file string) (string, bool)
	files  map[string]*inputText
}

// inputText is a file, by line; the lines that may hold a secret are hidden.
type inputText struct {
	whole string
	lines []string // made when the first one is asked for
}

func newTexts(source func(file string) (string, bool)) *texts {
	return &texts{source: source, files: map[string]*inputText{}}
}

func (t *texts) file(name string) *inputText {
	f, known := t.files[name]
	if !known && t.source != nil && name != "" {
		if text, ok := t.source(name); ok {
			f = &inputText{whole: text}
		}
		t.files[name] = f
	}
	return f
}

// learn takes in the secrets of a file, once.
func (t *texts) learn(p *secret.Pieces, name string) {
	if _, known := t.files[name]; known {
		return
	}
	if f := t.file(name); f != nil {
		p.Learn(f.whole)
	}
}

// line returns a line of a file, counted from 1, or hidden in its place.
func (t *texts) line(at Pos) (string, bool) {
	f := t.file(at.File)
	if f == nil || at.Line < 1 {
		return "", false
	}
	if f.lines == nil {
		f.lines = shownLines(f.whole)
	}
	if at.Line > len(f.lines) {
		return "", false
	}
	return strings.TrimRight(f.lines[at.Line-1], "\r"), true
}

// end is the column behind what stands at a place: behind the word, or one further where the text is not known.
func (t *texts) end(at Pos, column int) int {
	line, ok := t.line(at)
	runes := []rune(line)
	if !ok || line == hidden || column > len(runes) {
		return column + 1
	}
	if at.Column < 1 {
		return len(runes) + 1
	}
	for i := column; i < len(runes); i++ {
		if r := runes[i]; unicode.IsSpace(r) || strings.ContainsRune(",]}", r) || r == ':' && (i+1 == len(runes) || unicode.IsSpace(runes[i+1])) {
			return i + 1
		}
	}
	return len(runes) + 1
}

// shownLines splits a text and hides the lines that hold a secret or a part of one, a long run of base64, or a part of an
// object of kind Secret: logs of CI are read by many.
func shownLines(text string) []string {
	lines := strings.Split(text, "\n")
	hide := make([]bool, len(lines))
	spans, start := secret.Find(text), 0
	for i, line := range lines {
		end := start + len(line)
		for len(spans) > 0 && spans[0].End <= start {
			spans = spans[1:]
		}
		hide[i] = len(spans) > 0 && spans[0].Start <= end || secret.Opaque(line)
		start = end + 1
	}
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && !strings.HasPrefix(lines[to], "---") {
			to++
		}
		if holdsSecret(lines[from:to]) {
			for i := from; i < to; i++ {
				hide[i] = true
			}
		}
		from = to
	}
	for i := range lines {
		if hide[i] {
			lines[i] = hidden
		}
	}
	return lines
}

// holdsSecret tells whether the lines of a document have one that makes it a Secret: of its own, or as JSON.
func holdsSecret(lines []string) bool {
	for _, line := range lines {
		if !strings.Contains(line, "Secret") || !strings.Contains(line, "kind") {
			continue
		}
		k, v, _ := strings.Cut(strings.TrimLeft(line, " -{"), ":")
		v, _, _ = strings.Cut(strings.TrimSpace(v), " ")
		if strings.Trim(k, `"'`) == "kind" && strings.Trim(v, `"',}`) == "Secret" || strings.HasPrefix(strings.TrimSpace(line), "{") {
			return true
		}
	}
	return false
}
