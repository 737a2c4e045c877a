package change

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Print writes a report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	for _, d := range r.Differences {
		fmt.Fprintf(&b, "%s: %s%s\n", d.Kind, d.Call, d.also())
		sides(d, func(mark, line string) { fmt.Fprintf(&b, "  %s %s\n", mark, line) })
	}
	r.others(func(s string) { b.WriteString(s + "\n") })
	b.WriteString(r.sum() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown writes a report for a comment on a pull request.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("### What this changes in the mesh\n\n")
	last := ""
	for _, d := range r.Differences {
		if d.Kind != last {
			fmt.Fprintf(&b, "**%s** (%s)\n\n", d.Kind, explained(d.Kind))
			last = d.Kind
		}
		fmt.Fprintf(&b, "`%s`%s\n```diff\n", d.Call, d.also())
		sides(d, func(mark, line string) { fmt.Fprintf(&b, "%s %s\n", mark, line) })
		b.WriteString("```\n")
	}
	r.others(func(s string) { b.WriteString("- " + s + "\n") })
	b.WriteString("\n" + r.sum() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes a report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
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

// sides lists the lines that only one side has.
func sides(d Difference, line func(mark, text string)) {
	only := func(a, b []string, mark string) {
		have := map[string]bool{}
		for _, l := range b {
			have[summary([]string{l})] = true
		}
		for _, l := range a {
			if s := summary([]string{l}); s != "" && !have[s] {
				line(mark, l)
			}
		}
	}
	only(d.Base, d.Head, "-")
	only(d.Head, d.Base, "+")
}

// others are the differences without a witness.
func (r *Report) others(line func(string)) {
	for _, s := range r.Settings {
		at := ""
		if len(s.Origins) > 0 {
			at = fmt.Sprintf("  [%s:%d]", s.Origins[0].File, s.Origins[0].Line)
		}
		line(fmt.Sprintf("settings: %s %s: %s%s", s.Type, s.Name, strings.Join(s.Fields, ", "), at))
	}
	for _, n := range r.Added {
		line("new workload: " + n)
	}
	for _, n := range r.Removed {
		line("workload is gone: " + n)
	}
}

func (r *Report) sum() string {
	s := fmt.Sprintf("%d differences in %d requests that were tried", len(r.Differences), r.Witnesses)
	if r.Base == r.Head {
		s = "0 differences: the configuration is the same"
	}
	if r.Skipped > 0 {
		s += fmt.Sprintf("; %d more requests were left out", r.Skipped)
	}
	return s
}
