package diag

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

const (
	ansiReset  = "\x1b[0m"
	ansiBold   = "\x1b[1m"
	ansiRed    = "\x1b[31m"
	ansiYellow = "\x1b[33m"
	ansiBlue   = "\x1b[34m"
)

type textPrinter struct {
	*bufio.Writer
	o     Options
	texts *texts
}

// printText writes findings as compilers do: a line with the place, then what there is to see and to do.
func printText(w io.Writer, l List, o Options, t *texts) error {
	p := &textPrinter{Writer: bufio.NewWriter(w), o: o, texts: t}
	if o.Quiet {
		for _, d := range l {
			p.one(d)
		}
		return p.Flush()
	}
	for _, g := range groups(l) {
		p.one(g[0])
		p.others(g[1:])
	}
	if len(l) > 0 || len(o.Silenced) > 0 {
		fmt.Fprintln(p, Summary(l)+quietly(o.Silenced))
	}
	return p.Flush()
}

// quietly counts what was silenced, and the errors in it.
func quietly(l List) string {
	switch errors := l.Count(Error); {
	case len(l) == 0:
		return ""
	case errors > 0:
		return fmt.Sprintf(", %d silenced, %d of them errors", len(l), errors)
	default:
		return fmt.Sprintf(", %d silenced", len(l))
	}
}

// Summary counts findings in words: "2 errors, 1 warning".
func Summary(l List) string {
	var parts []string
	for _, s := range []Severity{Error, Warning, Info} {
		switch n := l.Count(s); {
		case n == 1:
			parts = append(parts, "1 "+s.String())
		case n > 1 && s == Info:
			parts = append(parts, fmt.Sprintf("%d infos", n))
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	if len(parts) == 0 {
		return "no findings"
	}
	return strings.Join(parts, ", ")
}

func (p *textPrinter) one(d Diagnostic) {
	where := show.Harmless(show.OneLine(d.Pos.String()))
	if where != "" {
		where += ": "
	}
	fmt.Fprintf(p, "%s%s: %s [%s]\n", p.paint(ansiBold, where), p.paint(severityColor(d.Severity), d.Severity.String()), show.OneLine(d.Message), show.OneLine(d.Code))
	if p.o.Quiet {
		return
	}
	p.snippet(d.Pos)
	if d.Object.Name != "" || d.Field != "" {
		fmt.Fprintf(p, "  in %s\n", show.OneLine(subject(d)))
	}
	for _, r := range d.Related {
		fmt.Fprintf(p, "  also %s: %s\n", show.OneLine(r.Pos.String()), show.OneLine(strings.TrimSpace(r.Object.String()+" "+r.Message)))
	}
	if d.Help != "" {
		fmt.Fprintf(p, "  help: %s\n", show.OneLine(d.Help))
	}
}

func subject(d Diagnostic) string {
	switch {
	case d.Object.Name == "":
		return d.Field
	case d.Field == "":
		return d.Object.String()
	default:
		return d.Object.String() + ", " + d.Field
	}
}

func severityColor(s Severity) string {
	switch s {
	case Error:
		return ansiRed
	case Warning:
		return ansiYellow
	default:
		return ansiBlue
	}
}

func (p *textPrinter) paint(color, s string) string {
	if !p.o.Color || s == "" {
		return s
	}
	return color + s + ansiReset
}

// snippet shows the line of the finding with a caret under its column.
func (p *textPrinter) snippet(at Pos) {
	line, ok := p.texts.line(at)
	if !ok {
		return
	}
	if line == hidden {
		fmt.Fprintf(p, "  %5d | %s\n", at.Line, hidden)
		return
	}
	const limit = 160 // a minified document would otherwise fill the screen
	runes := []rune(line)
	if len(runes) > limit {
		runes = runes[:limit]
	}
	fmt.Fprintf(p, "  %5d | %s\n", at.Line, show.Line(string(runes)))
	if at.Column < 1 || at.Column > len(runes) {
		return
	}
	pad := strings.Map(func(r rune) rune {
		if r == '\t' {
			return r
		}
		return ' '
	}, show.Line(string(runes[:at.Column-1])))
	width := 1
	if at.EndLine == at.Line && at.EndColumn > at.Column {
		width = min(at.EndColumn, len(runes)+1) - at.Column
	}
	fmt.Fprintf(p, "        | %s%s\n", pad, p.paint(ansiRed, strings.Repeat("^", max(width, 1))))
}
