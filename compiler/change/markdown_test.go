package change_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/trace"
)

// TestMarkdownHoldsNoMarkup: names and values end no block of code, and make no link, image, mention or HTML.
func TestMarkdownHoldsNoMarkup(t *testing.T) {
	for _, hostile := range []string{"```", "`", "``` \n```\n# x", "a\n```\n![x](https://example.com/x)", "````` <img src=x> @everyone", "plain"} {
		r := &change.Report{
			Base: "a", Head: "b", Added: []string{hostile}, Removed: []string{hostile},
			Settings: []change.Setting{{Type: "Cluster", Name: hostile, Fields: []string{hostile}}},
			Untried:  []change.Untried{{What: hostile, Why: hostile}},
			Differences: []change.Difference{{Kind: change.Opened, Request: trace.Request{URL: "http://a/" + hostile, From: "a"},
				Base: change.Behaviour{Lines: []trace.Line{{Text: hostile}}}, Head: change.Behaviour{Lines: []trace.Line{{Text: "b" + hostile}}}}},
		}
		var b bytes.Buffer
		if err := r.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		fence := ""
		for _, line := range strings.Split(b.String(), "\n") {
			quotes := line[:len(line)-len(strings.TrimLeft(line, "`"))]
			switch {
			case fence == "" && strings.HasSuffix(line, "diff") && len(quotes) >= 3:
				fence = quotes
			case fence != "" && line == fence:
				fence = ""
			case fence != "":
				if line[0] != '-' && line[0] != '+' || strings.Contains(line, fence) {
					t.Errorf("%q: the block of code holds %q:\n%s", hostile, line, b.String())
				}
			default:
				if outside := outsideCode(line); strings.ContainsAny(outside, "`<@![") || strings.HasPrefix(outside, "# ") {
					t.Errorf("%q: %q stands outside of code:\n%s", hostile, outside, b.String())
				}
			}
		}
		if fence != "" {
			t.Errorf("%q: a block of code does not end:\n%s", hostile, b.String())
		}
	}
}

// outsideCode is a line without its spans of code, as CommonMark finds them: a row of backquotes ends at the next one of
// its length.
func outsideCode(line string) string {
	out := ""
	for line != "" {
		at := strings.IndexByte(line, '`')
		if at < 0 {
			return out + line
		}
		out += line[:at]
		rest := strings.TrimLeft(line[at:], "`")
		n, end := len(line)-at-len(rest), 0
		for end < len(rest) {
			i := strings.IndexByte(rest[end:], '`')
			if i < 0 {
				return out + line[at:]
			}
			after := strings.TrimLeft(rest[end+i:], "`")
			if run := len(rest[end+i:]) - len(after); run == n {
				rest = after
				break
			}
			end = len(rest) - len(after)
		}
		line = rest
	}
	return out
}

// TestMarkdownFitsIntoAComment: however much changes, GitHub takes the comment, and it says what it does not show.
func TestMarkdownFitsIntoAComment(t *testing.T) {
	long := strings.Repeat("é", 5000)
	lines := func(text string) (out []trace.Line) {
		for i := range 60 {
			out = append(out, trace.Line{Text: fmt.Sprint(text, i)})
		}
		return out
	}
	r := &change.Report{Base: "a", Head: "b"}
	for i := range 400 {
		kind := change.Changed
		if i < 2 {
			kind = change.Opened
		}
		d := change.Difference{Kind: kind, Request: trace.Request{URL: fmt.Sprintf("http://s%d/", i), From: "a"}, Base: change.Behaviour{Lines: lines("timeout 5s ")}, Head: change.Behaviour{Lines: lines("timeout 6s ")}}
		if i == 0 {
			d.Base.Lines[0].Text, d.Request.URL = long, "http://s/"+long
		}
		r.Differences = append(r.Differences, d)
	}
	for range 50 {
		r.Removed = append(r.Removed, "Deployment shop/"+long)
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	if b.Len() > 60_000 || b.Len() < 40_000 {
		t.Errorf("%d bytes", b.Len())
	}
	shown := strings.Count(out, "```diff")
	for _, want := range []string{"**opened**", "**changed**", "# and 80 lines more", fmt.Sprintf("%d changed", 400-shown), "50 workload is gone", "\n400 differences in 0 requests that were tried\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("the comment lacks %q:\n…%s", want, out[max(0, len(out)-800):])
		}
	}
}
