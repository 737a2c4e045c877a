package change

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/show"
)

// Print writes a report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "%s: %s%s\n", d.Kind, show.OneLine(d.Request.Call()), d.also())
		sides(d, func(mark, line string) { fmt.Fprintf(&b, "  %s %s\n", mark, line) })
	}
	r.others(func(what, text string) { b.WriteString(what + ": " + text + "\n") })
	b.WriteString(r.sum() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

type jsonReport struct {
	Base        string           `json:"base"` // digest
	Head        string           `json:"head"`
	Witnesses   int              `json:"witnesses"`
	Differences []jsonDifference `json:"differences"`
	Settings    []Setting        `json:"settings"`
	Untried     []Untried        `json:"untried"`
	Added       []string         `json:"added"`
	Removed     []string         `json:"removed"`
	Skipped     int              `json:"skipped"`
}

type jsonDifference struct {
	Kind string   `json:"kind"`
	Call string   `json:"call"` // for meshc route and *.calls files
	Base []string `json:"base"` // what happens
	Head []string `json:"head"`
	Also int      `json:"also"`
}

// JSON writes a report for programs.
func (r *Report) JSON(w io.Writer) error {
	out := jsonReport{Base: r.Base, Head: r.Head, Witnesses: r.Witnesses, Differences: []jsonDifference{}, Settings: append([]Setting{}, r.Settings...),
		Untried: append([]Untried{}, r.Untried...), Added: r.Added, Removed: r.Removed, Skipped: r.Skipped}
	text := func(ls []trace.Line) []string {
		out := []string{}
		for _, l := range ls {
			out = append(out, l.String())
		}
		return out
	}
	for _, d := range r.Differences {
		out.Differences = append(out.Differences, jsonDifference{d.Kind, d.Request.Call(), text(d.Base.Lines), text(d.Head.Lines), d.Also})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

func explained(kind string) string {
	switch kind {
	case Opened:
		return "was refused, is now let through"
	case Closed:
		return "was answered, is now refused"
	case Moved:
		return "ends elsewhere, or in other shares"
	}
	return "ends where it did, on another way"
}

func (d Difference) also() string {
	if d.Also == 0 {
		return ""
	}
	return fmt.Sprintf(" (and %d more like it)", d.Also)
}

// sides lists the lines whose text only one side has.
func sides(d Difference, line func(mark, text string)) {
	only := func(a, b []trace.Line, mark string) {
		have := map[string]bool{}
		for _, l := range b {
			have[l.Text] = true
		}
		for _, l := range a {
			if !have[l.Text] {
				line(mark, show.OneLine(l.String()))
			}
		}
	}
	only(d.Base.Lines, d.Head.Lines, "-")
	only(d.Head.Lines, d.Base.Lines, "+")
}

// others are the differences without a witness.
func (r *Report) others(line func(what, text string)) {
	say := func(what, text string) { line(what, show.OneLine(text)) }
	for _, s := range r.Settings {
		say("settings", fmt.Sprintf("%s %s: %s%s", s.Type, s.Name, strings.Join(s.Fields, ", "), first(s.Origins)))
	}
	for i, u := range r.Untried {
		if i == mostUntried {
			say("not tried", fmt.Sprintf("%d more, see -o json", len(r.Untried)-mostUntried))
			break
		}
		say("not tried", u.String())
	}
	for _, n := range r.Added {
		say("new workload", n)
	}
	for _, n := range r.Removed {
		say("workload is gone", n)
	}
}

// mostUntried is how many of them are printed.
const mostUntried = 10

// first is the first place behind something.
func first(origins []bundle.Origin) string {
	if len(origins) == 0 {
		return ""
	}
	return "  [" + origins[0].Place() + "]"
}

// String says what was not tried and why.
func (u Untried) String() string {
	s := fmt.Sprintf("%s %q", u.What, u.Value)
	if u.Name != "" {
		s += " of " + u.Type + " " + u.Name
	}
	return s + ": " + u.Why + first(u.Origins)
}

func (r *Report) sum() string {
	s := fmt.Sprintf("%d differences in %d requests that were tried", len(r.Differences), r.Witnesses)
	if len(r.Differences) == 0 && r.Blind() {
		s = fmt.Sprintf("no differences in %d requests, and not all that changed could be followed", r.Witnesses)
	}
	if r.Base == r.Head {
		s = "0 differences: the configuration is the same"
	}
	if n := len(r.Untried); n > 0 {
		s += fmt.Sprintf("; %d conditions or requests could not be tried", n)
	}
	if r.Skipped > 0 {
		s += fmt.Sprintf("; %d more requests were left out", r.Skipped)
	}
	return s
}
