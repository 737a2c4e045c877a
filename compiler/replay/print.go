package replay

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/meshc/meshc/internal/show"
)

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(show.OneLine(fmt.Sprintf(format, args...)) + "\n") }
	for _, d := range r.Differences {
		line("%s", d.head(r))
		d.body(line)
	}
	for _, u := range r.Unused {
		line("not used: %s of %d: %s", count(u.Lines, "line"), r.Lines, u.Reason)
		line("  first in line %d: %s", u.First, u.Line)
	}
	line("%s", r.sum())
	_, err := io.WriteString(w, b.String())
	return err
}

// head says what a group is about.
func (d *Difference) head(r *Report) string {
	return fmt.Sprintf("%s: %s (%s) to %s from %s", d.Kind, count(d.Requests, "request"), share(d.Requests, r.Requests), d.To, d.callers())
}

func (d *Difference) callers() string {
	out := strings.Join(d.Callers, ", ")
	if d.More {
		out += " and others"
	}
	return out
}

func (d *Difference) body(line func(string, ...any)) {
	if d.Route != "" {
		line("  route %s", d.Route)
	}
	for _, l := range d.Base {
		line("  - %s", l)
	}
	for _, l := range d.Head {
		line("  + %s", l)
	}
	for _, x := range d.Examples {
		line("  as %s", x)
	}
}

// sum is the last line.
func (r *Report) sum() string {
	differ, unused := r.Forgotten, 0
	for _, d := range r.Differences {
		differ += d.Requests
	}
	for _, u := range r.Unused {
		unused += u.Lines
	}
	out := fmt.Sprintf("%s of %s differ (%s), in %s; %s of %d not used", count(differ, "request"), thousands(r.Requests), share(differ, r.Requests), count(len(r.Differences), "group"), count(unused, "line"), r.Lines)
	if r.Forgotten > 0 {
		out += fmt.Sprintf("; %s in groups beyond those shown", count(r.Forgotten, "request"))
	}
	return out
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return thousands(n) + " " + what + "s"
}

func thousands(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func share(n, of int) string {
	if of == 0 {
		return "0 %"
	}
	switch p := 100 * float64(n) / float64(of); {
	case n > 0 && p < 0.01:
		return "below 0.01 %"
	case p >= 10:
		return fmt.Sprintf("%.0f %%", p)
	default:
		return fmt.Sprintf("%.2g %%", p)
	}
}

// maxMarkdown is below what GitHub takes as a comment.
const maxMarkdown = 60_000

// Markdown writes the report as a comment, the gravest first. What does not fit is counted.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n", escape(r.sum()))
	for i, d := range r.Differences {
		var g strings.Builder
		fmt.Fprintf(&g, "<details><summary>%s</summary>\n\n```diff\n", escape(d.head(r)))
		d.body(func(format string, args ...any) {
			text := show.OneLine(strings.TrimPrefix(fmt.Sprintf(format, args...), "  "))
			g.WriteString(strings.ReplaceAll(text, "```", "'''") + "\n")
		})
		g.WriteString("```\n</details>\n\n")
		if utf8.RuneCountInString(b.String())+utf8.RuneCountInString(g.String()) > maxMarkdown-2000 {
			fmt.Fprintf(&b, "%s left out: `meshc replay` without `-o markdown` shows them.\n\n", count(len(r.Differences)-i, "group"))
			break
		}
		b.WriteString(g.String())
	}
	for i, u := range r.Unused {
		if i == 10 {
			fmt.Fprintf(&b, "- and %s\n", count(len(r.Unused)-i, "other reason"))
			break
		}
		fmt.Fprintf(&b, "- not used: %s: %s\n", count(u.Lines, "line"), escape(cut(u.Reason, 120)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cut(s string, most int) string {
	if utf8.RuneCountInString(s) > most {
		return string([]rune(s)[:most]) + "…"
	}
	return s
}

// escape keeps text from being read as markup.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'", "*", "\\*", "_", "\\_", "|", "\\|", "@", "@\u200b").Replace(show.OneLine(s))
}
