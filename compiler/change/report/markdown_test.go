package report_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/change/report"
)

// TestMarkdownHoldsNoMarkup: whatever a mesh calls its parts, a comment shows it as text.
func TestMarkdownHoldsNoMarkup(t *testing.T) {
	for _, hostile := range []string{"```", "`", "``` \n```\n# x", "a\n```\n![x](https://example.com/x)", "````` <img src=x> @everyone", "</details>", "plain"} {
		ref := report.Ref{Namespace: "a", Name: hostile, Kind: report.KindWorkload}
		r := &report.Report{
			Base: "a", Head: "b", Added: []report.Ref{ref}, Undecided: []report.Undecided{{From: []report.Ref{ref}, Resource: hostile, Why: hostile}},
			Differences: []*report.Difference{{Kind: report.Opened, Category: report.Routing, From: []report.Ref{ref}, Host: hostile, Condition: hostile,
				Base: report.End{Verdict: "denied", Detail: hostile}, Causes: []report.Cause{{File: hostile, Line: 1, Object: hostile}}}},
		}
		var b bytes.Buffer
		if err := r.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		fence := ""
		for _, line := range strings.Split(b.String(), "\n") {
			quotes := line[:len(line)-len(strings.TrimLeft(line, "`"))]
			summary, ours := strings.CutPrefix(line, "<details><summary><code>")
			switch {
			case fence == "" && len(quotes) >= 3 && line == quotes+"diff":
				fence = quotes
			case fence != "" && line == fence:
				fence = ""
			case fence != "":
				if strings.Contains(line, fence) {
					t.Errorf("%q: the block of code holds %q:\n%s", hostile, line, b.String())
				}
			case ours:
				if strings.ContainsAny(strings.TrimSuffix(summary, "</code></summary>"), "`<@[*_") {
					t.Errorf("%q: the summary has markup: %q", hostile, line)
				}
			case line == "</details>":
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
	r := &report.Report{Base: "a", Head: "b"}
	for i := range 4000 {
		d := &report.Difference{Kind: report.Kinds()[min(i/100, 4)], Category: report.Tuning, From: []report.Ref{{Namespace: "a", Name: "b", Kind: report.KindWorkload}},
			Host: fmt.Sprintf("s%d", i), Port: 80, Condition: fmt.Sprint("path /", i), Base: report.End{Verdict: "allowed", Detail: long}, Head: report.End{Verdict: "allowed", Detail: long}}
		r.Differences = append(r.Differences, d)
	}
	for range 50 {
		r.Removed = append(r.Removed, report.Ref{Namespace: "shop", Name: long, Kind: report.KindWorkload})
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	if b.Len() > 60_000 || b.Len() < 40_000 {
		t.Errorf("%d bytes", b.Len())
	}
	for _, want := range []string{"**opened, tuning**", "**Left out**", "of tuned, tuning", "4000 differences by"} {
		if !strings.Contains(out, want) {
			t.Errorf("the comment lacks %q:\n…%s", want, out[max(0, len(out)-800):])
		}
	}
}

// TestMarkdownShowsADiff: what was and what is stand as the lines of a diff, each with the place where requests end.
func TestMarkdownShowsADiff(t *testing.T) {
	r := &report.Report{Differences: []*report.Difference{{Kind: report.Moved, Category: report.Routing, Host: "shop.example.com", Port: 80,
		From: []report.Ref{{Namespace: "edge", Name: "gate", Kind: report.KindWorkload}}, Causes: []report.Cause{{File: "m.yaml", Line: 1, Object: "Service shop/next"}},
		Base: report.End{Verdict: "allowed", Detail: "at shop/web:8080 as web.shop.svc.cluster.local:80"}, Head: report.End{Verdict: "denied", Detail: "no rule"}}}}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n```diff\n", "\n- was    allowed at shop/web:8080 as web.shop.svc.cluster.local:80\n", "\n+ is     denied: no rule\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the comment lacks %q:\n%s", want, b.String())
		}
	}
}

// TestMarkdownFoldsWhatIsAlike: what many objects do alike is one entry, with how many there are; a few stand each by itself.
func TestMarkdownFoldsWhatIsAlike(t *testing.T) {
	for _, c := range []struct{ objects, want int }{{8, 8}, {9, 1}, {1000, 1}} {
		r := &report.Report{Base: "a", Head: "b"}
		callers := []report.Ref{{Namespace: "shop", Name: "web", Kind: report.KindWorkload}}
		for i := range c.objects {
			host := fmt.Sprintf("app-%d.shop.svc.cluster.local", i)
			r.Differences = append(r.Differences, &report.Difference{Kind: report.Changed, Category: report.Tuning, From: callers, Host: host, Port: 80, Condition: fmt.Sprint("path /", i),
				Base: report.End{Verdict: "allowed", Detail: host + ":80 timeout 3s"}, Head: report.End{Verdict: "allowed", Detail: host + ":80 timeout 5s"},
				Causes: []report.Cause{{File: "m.yaml", Line: i, Object: fmt.Sprintf("VirtualService shop/app-%d", i), Field: "spec.http[0]"}}})
		}
		var b bytes.Buffer
		if err := r.Markdown(&b); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "<details>"); n != c.want {
			t.Errorf("%d objects: %d entries, want %d:\n%s", c.objects, n, c.want, b.String()[:min(b.Len(), 3000)])
		}
		if c.want == 1 && !strings.Contains(b.String(), fmt.Sprintf("%d × VirtualService spec.http&#91;0&#93;: ", c.objects)) {
			t.Errorf("the comment does not say of how many objects this is:\n%s", b.String())
		}
	}
}
