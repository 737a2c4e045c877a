package change

import (
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/internal/show"
)

// What a comment may have. GitHub takes 65,536 characters, and refuses a longer one as a whole: the largest changes would get
// none. Something is left for what a job puts around it.
const (
	maxComment = 60_000 // bytes
	maxLines   = 40     // of one difference
	maxLine    = 1_000  // characters
	maxEnding  = 2_000  // bytes that are kept for what was left out, and the sum
)

// Markdown writes a report for a comment on a pull request. What does not fit is counted at the end; since the gravest
// differences come first, it is the least grave ones.
func (r *Report) Markdown(w io.Writer) error {
	c := comment{}
	c.add("", "### What this changes in the mesh\n\n")
	last := ""
	for _, d := range r.Differences {
		text := difference(d)
		if d.Kind != last {
			text = fmt.Sprintf("**%s** (%s)\n\n", d.Kind, explained(d.Kind)) + text
		}
		if c.add(d.Kind, text) {
			last = d.Kind
		}
	}
	r.others(func(what, text string) { c.add(what, fmt.Sprintf("- %s: %s\n", what, inlineCode(short(text)))) })
	_, err := io.WriteString(w, c.text.String()+c.leftOut()+"\n"+r.sum()+"\n")
	return err
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

// add appends a part, or counts it as left out. Once a part did not fit none of its kind is taken any more, so that what is
// shown is always the beginning.
func (c *comment) add(what, text string) bool {
	if n := len(c.left); n > 0 && c.left[n-1].what == what {
		c.left[n-1].n++
		return false
	}
	if c.text.Len()+len(text) > maxComment-maxEnding {
		c.left = append(c.left, omission{what, 1})
		return false
	}
	c.text.WriteString(text)
	return true
}

// leftOut says what did not fit.
func (c *comment) leftOut() string {
	if len(c.left) == 0 {
		return ""
	}
	var parts []string
	for _, o := range c.left {
		parts = append(parts, fmt.Sprintf("%d %s", o.n, o.what))
	}
	return "\n**Left out**, since a comment has an end: " + strings.Join(parts, ", ") + ". `meshc diff` without `-o markdown` shows all.\n"
}

// difference is the request, and in a fence what becomes of it before and after.
func difference(d Difference) string {
	var lines []string
	sides(d, func(mark, line string) { lines = append(lines, mark+" "+short(line)) })
	if n := len(lines) - maxLines; n > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("# and %d lines more", n))
	}
	block := strings.Join(lines, "\n") + "\n"
	fence := strings.Repeat("`", max(3, longestQuotes(block)+1))
	return fmt.Sprintf("%s%s\n%sdiff\n%s%s\n", inlineCode(short(show.OneLine(d.Request.Call()))), d.also(), fence, block, fence)
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
