package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

// What a comment may have. GitHub takes 65,536 characters, and refuses a longer one as a whole: the largest changes would get
// none. Something is left for what a job puts around it.
const (
	maxComment = 58_000 // bytes
	maxLine    = 1_000  // characters
	maxEnding  = 2_000  // bytes that are kept for what was left out, and the sum
	maxOfKind  = 40     // groups of one kind and category
)

// Markdown writes a report for a comment on a pull request: the sum, then a line for each cause and effect with the rest
// folded. What does not fit is counted at the end; since the gravest comes first, it is the least grave.
func (r *Report) Markdown(w io.Writer) error {
	c := comment{}
	c.add("", "### What this changes in the mesh\n\n"+r.sum()+"\n\n")
	if r.Reach.Workloads > 0 {
		c.add("", "It "+r.Reach.String()+".\n\n")
	}
	last, n := "", 0
	for _, g := range r.folded() {
		what := g.Kind + ", " + g.Category
		if what != last {
			n = 0
		}
		n++
		if n > maxOfKind {
			c.omit(what)
			last = what
			continue
		}
		text := folded(g)
		if what != last {
			text = fmt.Sprintf("\n**%s** (%s)\n\n", what, explained(g.Kind)) + text
		}
		c.add(what, text)
		last = what
	}
	for _, text := range r.doubts() {
		c.add("undecided", "- "+inlineCode(short(show.OneLine(text)))+"\n")
	}
	r.others(func(text string) { c.add("other lines", "- "+inlineCode(short(show.OneLine(text)))+"\n") })
	_, err := io.WriteString(w, c.text.String()+c.leftOut())
	return err
}

// folded is one group: a line that can be opened, with what was and what is in the colours of a diff.
func folded(g *group) string {
	var lines []string
	for _, l := range g.lines() {
		lines = append(lines, short(string(l.side)+" "+l.text))
	}
	block := strings.Join(lines, "\n") + "\n"
	fence := strings.Repeat("`", max(3, longestQuotes(block)+1))
	head := htmlText(short(show.OneLine(g.summary())))
	return fmt.Sprintf("<details><summary>%s</summary>\n\n%sdiff\n%s%s\n</details>\n", head, fence, block, fence)
}

// summary is the line of a group that is always seen.
func (g *group) summary() string {
	text := some(g.callers, 3) + " -> " + some(words(g.targets), 3)
	if len(g.servers) > 0 {
		text = some(g.callers, 3) + " -> " + some(g.servers, 3) + " as " + some(words(g.targets), 3)
	}
	if n := len(g.objects); n > 1 {
		kind, _, _ := strings.Cut(g.objects[0].Object, " ")
		text = strings.TrimSpace(fmt.Sprintf("%d × %s %s", n, kind, g.objects[0].Field)) + ": " + text
	}
	return text
}

// htmlText is a text in which nothing is markup.
func htmlText(s string) string {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
	return "<code>" + strings.NewReplacer("`", "&#96;", "*", "&#42;", "_", "&#95;", "@", "&#64;", "[", "&#91;", "]", "&#93;", "|", "&#124;", "~", "&#126;", "#", "&#35;").Replace(s) + "</code>"
}

// comment collects parts as long as there is room for them.
type comment struct {
	text strings.Builder
	left []omission
}

// omission counts what of one kind did not fit.
type omission struct {
	what string
	n    int
}

// omit counts a part that is left out.
func (c *comment) omit(what string) {
	if n := len(c.left); n > 0 && c.left[n-1].what == what {
		c.left[n-1].n++
		return
	}
	c.left = append(c.left, omission{what, 1})
}

// add appends a part, or counts it as left out. Once a part did not fit none of its kind is taken any more, so that what is
// shown is always the beginning.
func (c *comment) add(what, text string) {
	if n := len(c.left); n > 0 && c.left[n-1].what == what || c.text.Len()+len(text) > maxComment-maxEnding {
		c.omit(what)
		return
	}
	c.text.WriteString(text)
}

// leftOut says what did not fit.
func (c *comment) leftOut() string {
	if len(c.left) == 0 {
		return ""
	}
	var parts []string
	for _, o := range c.left {
		parts = append(parts, fmt.Sprintf("%d of %s", o.n, o.what))
	}
	return "\n**Left out**, since a comment has an end: " + strings.Join(parts, "; ") + ". `meshc diff` without `-o markdown` shows all.\n"
}

// short cuts a line that nobody would read to its end.
func short(line string) string {
	if len(line) <= maxLine {
		return line
	}
	runes := []rune(line)
	if len(runes) <= maxLine {
		return line
	}
	return string(runes[:maxLine]) + "…"
}

// inlineCode fences a text of one line with more backquotes than it has in a row, so that nothing in it is Markdown or HTML.
func inlineCode(s string) string {
	n := longestQuotes(s)
	if n == 0 {
		return "`" + s + "`"
	}
	fence := strings.Repeat("`", n+1)
	return fence + " " + s + " " + fence
}

// longestQuotes is the length of the longest row of backquotes.
func longestQuotes(s string) int {
	longest, n := 0, 0
	for i := range len(s) {
		if s[i] != '`' {
			n = 0
			continue
		}
		n++
		longest = max(longest, n)
	}
	return longest
}
