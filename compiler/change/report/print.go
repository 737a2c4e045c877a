package report

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

// sign tells which side a line is about, as the formats of diff have it.
type sign string

// The sides of a line.
const (
	before sign = "-"
	after  sign = "+"
	both   sign = " "
)

// line is one thing that a report says of a group.
type line struct {
	side sign
	text string
}

// lines are what a report says of a group.
func (g *group) lines() []line {
	var out []line
	add := func(side sign, what, text string) {
		if text != "" {
			out = append(out, line{side, fmt.Sprintf("%-6s %s", what, show.OneLine(text))})
		}
	}
	when := g.Condition
	if n := len(g.conditions); n > 1 {
		when = fmt.Sprintf("%s (here; %d conditions in all)", cmp.Or(when, "always"), n)
	}
	add(both, "when", when)
	add(before, "was", g.Base.String())
	add(after, "is", g.Head.String())
	add(both, "try", g.Witness.String())
	add(both, "reach", g.reach())
	for _, c := range g.Causes {
		add(both, "cause", c.String())
	}
	n := len(g.all) - 1
	switch {
	case len(g.objects) > 1:
		add(both, "and", fmt.Sprintf("%s of this effect, each with its own cause: %s", show.Count(n, "more difference"), some(g.objects[1:], 5)))
	case n > 0:
		add(both, "and", fmt.Sprintf("%s of this cause and effect", show.Count(n, "more difference")))
	}
	return out
}

// Print writes a report for people: the gravest first, grouped by cause and effect.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	for _, g := range r.groups() {
		b.WriteString(show.OneLine(g.headline()) + "\n")
		for _, l := range g.lines() {
			b.WriteString("  " + l.text + "\n")
		}
	}
	for _, u := range r.Undecided {
		b.WriteString(show.OneLine(u.place()) + "\n")
	}
	r.others(func(text string) { b.WriteString(show.OneLine(text) + "\n") })
	b.WriteString(r.sum() + "\n")
	if r.Reach.Workloads > 0 {
		b.WriteString(r.Reach.String() + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// others are what is neither a difference nor undecided.
func (r *Report) others(line func(string)) {
	for _, w := range r.Added {
		line("new workload: " + w.String())
	}
	for _, w := range r.Removed {
		line("workload is gone: " + w.String())
	}
	for _, w := range r.Waived {
		line(fmt.Sprintf("waived: %s, %s: %s, because %s", w.Difference.Kind, w.Difference.Category, w.Difference.target(), w.Reason))
	}
	for _, w := range r.Stale {
		line("a waiver is about no difference: " + w.String())
	}
}
