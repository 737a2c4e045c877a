// Package change says which requests two bundles treat differently, each with a witness: a request that anybody can
// follow in both.
//
// The resources that only one of the bundles has say where to look. From their matches and rules come the witnesses: for
// a virtual host one request per route that meets its conditions, for a cluster a request to its service, for the inbound
// side of a server requests with the paths, methods, headers and callers that its access rules name. Each is followed
// through both bundles by trace; where the walks differ in more than the places of the source, that is a difference.
// Requests that no condition of either bundle tells from others need no witness of their own.
package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
)

// Kinds of differences, the gravest first.
const (
	Opened  = "opened"  // what was denied or failed, always or in part, is let through
	Closed  = "closed"  // what was let through is denied or fails, always or in part
	Moved   = "moved"   // it ends elsewhere, or with other chances
	Changed = "changed" // it ends where it did, on another way: rewritten, with another timeout, encrypted or not
)

// Report lists the differences between two bundles.
type Report struct {
	Base        string       `json:"base"` // digest
	Head        string       `json:"head"`
	Witnesses   int          `json:"witnesses"` // requests that were followed
	Differences []Difference `json:"differences"`
	Settings    []Setting    `json:"settings"` // what differs and no single request shows
	Added       []string     `json:"added"`    // workloads that only head has
	Removed     []string     `json:"removed"`  // workloads that only base has
	Skipped     int          `json:"skipped"`  // witnesses left out, over the limit
}

// Difference is one request that the bundles treat differently.
type Difference struct {
	Kind   string   `json:"kind"`
	Call   string   `json:"call"` // for meshc route and *.calls files
	Base   []string `json:"base"` // what happens, as trace.Result.Lines
	Head   []string `json:"head"`
	before string   // the same without places, to find what is alike
	after  string
	Also   int `json:"also"` // more witnesses with the same difference
}

// limit bounds the work on bundles that differ everywhere.
const limit = 20000

// Compare follows the witnesses of what differs.
func Compare(base, head *bundle.Bundle) (*Report, error) {
	r := &Report{Base: base.Digest.String(), Head: head.Digest.String(), Differences: []Difference{}, Settings: []Setting{}, Added: missing(head, base), Removed: missing(base, head)}
	if base.Digest == head.Digest {
		return r, nil
	}
	f, err := witnesses(base, head)
	if err != nil {
		return nil, err
	}
	ws := f.calls
	if len(ws) > limit {
		r.Skipped = len(ws) - limit
		ws = ws[:limit]
	}
	was, is := trace.New(base), trace.New(head)
	same, differs := map[string]int{}, map[string]bool{}
	for _, call := range ws {
		req, err := trace.ParseCall(call)
		if err != nil {
			return nil, fmt.Errorf("witness %q: %w", call, err)
		}
		r.Witnesses++
		d := Difference{Call: call}
		var before, after balance
		if d.Base, before, err = follow(was, req); err != nil {
			continue // one of the bundles has no such caller
		}
		if d.Head, after, err = follow(is, req); err != nil {
			continue
		}
		d.before, d.after = summary(d.Base), summary(d.Head)
		if d.before == d.after {
			continue
		}
		d.Kind = kindOf(before, after, d)
		differs[call] = true
		key := d.Kind + "\x00" + alike(d.before) + "\x00" + alike(d.after)
		if i, ok := same[key]; ok {
			r.Differences[i].Also++
			continue
		}
		same[key] = len(r.Differences)
		r.Differences = append(r.Differences, d)
	}
	if r.Settings, err = settings(f.looked, differs); err != nil {
		return nil, err
	}
	rank := func(k string) int { return slices.Index([]string{Opened, Closed, Moved, Changed}, k) }
	slices.SortStableFunc(r.Differences, func(a, b Difference) int { return cmp.Or(rank(a.Kind)-rank(b.Kind), cmp.Compare(a.Call, b.Call)) })
	return r, nil
}

// balance counts the ends of a request that is let through or answered, and of one that is refused.
type balance struct{ good, bad int }

// follow returns what happens to a request.
func follow(w *trace.World, req trace.Request) ([]string, balance, error) {
	r, err := w.Walk(req)
	if err != nil {
		return nil, balance{}, err
	}
	var n balance
	for _, l := range r.Path.Leaves() {
		switch l.Outcome.Verdict {
		case trace.Denied, trace.Failed:
			n.bad++
		default:
			n.good++
		}
	}
	return r.Lines(), n, nil
}

// summary is a result without the places of the source.
func summary(lines []string) string {
	var out []string
	for _, l := range lines {
		if i := strings.LastIndex(l, "  ["); i >= 0 && strings.HasSuffix(l, "]") {
			l = l[:i]
		}
		if strings.HasPrefix(l, "rbac: ") && strings.Contains(l, ": no ") {
			continue // why rules do not match is told by the outcome
		}
		out = append(out, l)
	}
	return strings.Join(out, "\n")
}

// alike drops what tells one witness of a difference from another: the request as the application gets it.
func alike(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if j := strings.Index(l, ": the application gets "); j >= 0 {
			lines[i] = l[:j]
		}
	}
	return strings.Join(lines, "\n")
}

func kindOf(before, after balance, d Difference) string {
	switch {
	case before.bad > 0 && after.bad == 0 || before.good == 0 && after.good > 0:
		return Opened
	case before.bad == 0 && after.bad > 0 || before.good > 0 && after.good == 0:
		return Closed
	case ends(d.Base) != ends(d.Head):
		return Moved
	}
	return Changed
}

// ends keeps the verdicts and where they are reached.
func ends(lines []string) string {
	var out []string
	for _, l := range strings.Split(summary(lines), "\n") {
		for _, v := range []string{trace.Reached, trace.Denied, trace.Answered, trace.Failed, trace.Depends} {
			if i := strings.Index(l, v+" "); i == 0 || i > 0 && l[i-1] == ' ' && l[i-2] == ':' {
				head, _, _ := strings.Cut(l[i:], ": ")
				out = append(out, l[:i]+head)
				break
			}
		}
	}
	return strings.Join(out, "\n")
}

// missing lists the workloads that a has and b has not.
func missing(a, b *bundle.Bundle) []string {
	have := map[string]bool{}
	for _, w := range b.Workloads {
		have[w.Kind+" "+w.Namespace+"/"+w.Name] = true
	}
	out := []string{}
	for _, w := range a.Workloads {
		if n := w.Kind + " " + w.Namespace + "/" + w.Name; !have[n] && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
