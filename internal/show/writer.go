package show

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/meshc/meshc/internal/secret"
)

// Writer passes on an output line by line, without secrets, with control characters made visible, and without lines that
// GitHub's runner would take for commands (::). It is safe for concurrent use.
type Writer struct {
	mu     sync.Mutex
	out    io.Writer
	held   []byte // an unfinished line, or lines that may go on with a key
	inLine bool   // the last byte that was passed on is not the end of a line
}

// NewWriter returns a Writer in front of another. Flush it at the end.
func NewWriter(w io.Writer) *Writer { return &Writer{out: w} }

// mostHeld bounds how much is kept back to see the end of a key.
const mostHeld = 256 << 10

// Write takes in all of p, and passes on the lines that are complete.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	switch end := bytes.LastIndexByte(p, '\n') + 1; {
	case end > 0:
		return len(p), w.pass(unfinished(w.held[:len(w.held)-len(p)+end]))
	case len(w.held) < mostHeld:
		return len(p), nil
	}
	return len(p), w.pass(len(w.held) - cutRune(w.held))
}

// unfinished returns where the lines begin that may go on with a key, the end if none do.
func unfinished(b []byte) int {
	from := max(0, len(b)-mostHeld)
	tail := string(b[from:])
	at := secret.Unfinished(tail)
	if at == len(tail) {
		return len(b)
	}
	return from + strings.LastIndexByte(tail[:at], '\n') + 1
}

// cutRune returns how many bytes at the end are the beginning of a character.
func cutRune(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if c := b[len(b)-n]; utf8.RuneStart(c) {
			if utf8.FullRune(b[len(b)-n:]) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Flush passes on what is left.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pass(len(w.held))
}

// Direct passes on what is left and returns the writer behind, for output that is fit to be shown already.
func (w *Writer) Direct() (io.Writer, error) { return w.out, w.Flush() }

// pass passes on the first bytes of what is held.
func (w *Writer) pass(n int) error {
	if n == 0 {
		return nil
	}
	text := Text(string(w.held[:n]))
	w.held = append(w.held[:0], w.held[n:]...)
	text = harmless(text, w.inLine)
	if text == "" {
		return nil
	}
	w.inLine = text[len(text)-1] != '\n'
	_, err := io.WriteString(w.out, text)
	return err
}

// harmless escapes the first colon of lines that begin with two.
func harmless(s string, inLine bool) string {
	if !strings.Contains(s, "::") {
		return s
	}
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !inLine {
			line = Harmless(line)
		}
		inLine = false
		b.WriteString(line)
	}
	return b.String()
}

// Harmless escapes a line that GitHub's runner would take for a command.
func Harmless(line string) string {
	rest := strings.TrimLeftFunc(line, unicode.IsSpace)
	if !strings.HasPrefix(rest, "::") {
		return line
	}
	return line[:len(line)-len(rest)] + escape(':') + rest[1:]
}
