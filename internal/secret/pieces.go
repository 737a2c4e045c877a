package secret

import "strings"

// pieceSize is how many letters of a key tell that they are of the key.
const pieceSize = 12

// Pieces remembers the secrets of texts, so that parts of them are known again where nothing else tells what they are: a
// line of a key that is an item of a list, or what stands behind a slash in it. Upper and lower case count the same.
type Pieces struct{ known map[string]bool }

// Learn takes in the secrets of a text.
func (p *Pieces) Learn(s string) {
	if !suspect(s) {
		return
	}
	t := unescape(s)
	for _, group := range t.groups(0) {
		var body strings.Builder
		for _, r := range group.runs {
			if line := r.of(t.plain); !strings.Contains(line, "PRIVATE") { // a marker
				body.WriteString(strings.TrimRight(line, "="))
			}
		}
		key := strings.ToLower(body.String())
		for i := 0; i+pieceSize <= len(key); i++ {
			if p.known == nil {
				p.known = map[string]bool{}
			}
			p.known[key[i:i+pieceSize]] = true
		}
	}
}

// Redact is like the function Redact, and replaces parts of the secrets that were learned as well.
func (p *Pieces) Redact(s string) string {
	s = Redact(s)
	if len(p.known) == 0 {
		return s
	}
	t := unescape(s)
	lower := strings.ToLower(t.plain)
	if len(lower) != len(t.plain) { // letters outside of ASCII that change their length
		lower = t.plain
	}
	var out []Span
	longRuns(lower, pieceSize, func(r run) bool {
		for i := r.start; i+pieceSize <= r.end; i++ {
			if p.known[lower[i:i+pieceSize]] {
				out = append(out, t.spans([]run{{i, i + pieceSize}}, Key)...)
			}
		}
		return true
	})
	return replace(s, tidy(out))
}
