package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/show"
)

// Print writes a result for people: each step with the places behind it, branches indented.
func (r *Result) Print(w io.Writer) error {
	p := &printer{}
	p.line(0, "%s from %s", r.Request, r.From)
	p.path(r.Path, 0, "")
	leaves := r.Path.Leaves()
	if len(leaves) > 1 {
		p.line(0, "")
		p.line(0, "%s:", r.Verdict)
		for _, l := range leaves {
			chance := ""
			if l.Chance > 0 {
				chance = percentText(l.Chance) + " "
			}
			p.line(1, "%s%s: %s%s", chance, strings.Join(l.When, ", "), l.Outcome.head(), place(l.Outcome.Origins))
		}
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// JSON writes a result for programs.
func (r *Result) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// head is an outcome in a few words.
func (o *Outcome) head() string {
	out := o.Verdict
	if o.Status != 0 {
		out += fmt.Sprintf(" %d", o.Status)
	}
	out += " at " + o.At
	if o.Port != 0 && o.Verdict == Reached {
		out += fmt.Sprintf(":%d", o.Port)
	}
	return out
}

type printer struct{ b strings.Builder }

func (p *printer) line(indent int, format string, args ...any) {
	p.b.WriteString(strings.TrimRight(strings.Repeat("  ", indent)+show.OneLine(fmt.Sprintf(format, args...)), " ") + "\n")
}

func (p *printer) path(x *Path, indent int, proxy string) {
	for _, s := range x.Steps {
		if s.Proxy != proxy {
			proxy = s.Proxy
			p.line(indent, "at %s", proxy)
		}
		text := s.Text
		if text != "" {
			text = "  " + text
		}
		p.line(indent+1, "%-9s %s%s%s", s.Kind, s.Name, text, place(s.Origins))
		for _, n := range s.remarks() {
			p.line(indent+1, "%-9s   %s", "", n)
		}
	}
	if o := x.Outcome; o != nil {
		p.line(indent, "=> %s: %s%s", o.head(), o.Text, place(o.Origins))
		return
	}
	p.line(indent, "? %s", x.Choice.On)
	for _, b := range x.Choice.Branches {
		chance := ""
		if b.Chance > 0 {
			chance = percentText(b.Chance) + " "
		}
		p.line(indent+1, "- %s%s%s", chance, b.When, place(b.Origins))
		p.path(b.Path, indent+2, proxy)
	}
}

// place writes file:line of the first places.
func place(origins []bundle.Origin) string {
	var out []string
	for _, o := range origins {
		if p := fmt.Sprintf("%s:%d", o.File, o.Line); len(out) < 3 && !strings.Contains(strings.Join(out, " ")+" ", p+" ") {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "  [" + strings.Join(out, " ") + "]"
}
