// Package change says which requests two bundles treat differently, each with a witness: a request that anybody can
// follow in both.
//
// The resources that only one of the bundles has say where to look. From their matches and rules come the witnesses: for
// a virtual host one request per route that meets its conditions, for a cluster a request to its service, for the inbound
// side of a server requests with the paths, methods, headers and callers that its access rules name. A witness is a
// trace.Request, from the condition it was made for to the walk; a condition that no request was made for is listed. Each
// is followed through both bundles by trace; where effects and ends of the walks differ as values, that is a difference,
// and only print.go makes text of it. Requests that no condition of either bundle tells from others need no witness of
// their own.
package change

import (
	"cmp"
	"slices"

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
	Base, Head  string // digests
	Witnesses   int    // requests that were followed
	Differences []Difference
	Settings    []Setting // what differs and no single request shows
	Untried     []Untried // what no request was made for, or what could be followed in one bundle only
	Added       []string  // workloads that only head has
	Removed     []string  // workloads that only base has
	Skipped     int       // witnesses left out, over the limit
}

// Difference is one request that the bundles treat differently.
type Difference struct {
	Kind       string
	Request    trace.Request
	Base, Head Behaviour
	Also       int // more witnesses with the same difference
}

// limit bounds the work on bundles that differ everywhere.
const limit = 20000

// Compare follows the witnesses of what differs.
func Compare(base, head *bundle.Bundle) (*Report, error) {
	r := &Report{Base: base.Digest.String(), Head: head.Digest.String(), Added: missing(head, base), Removed: missing(base, head)}
	if base.Digest == head.Digest {
		return r, nil
	}
	f, err := witnesses(base, head)
	if err != nil {
		return nil, err
	}
	r.Untried = f.untried
	ws := f.requests
	if len(ws) > limit {
		r.Skipped = len(ws) - limit
		ws = ws[:limit]
	}
	differs, lost := r.follow(ws, trace.New(base), trace.New(head))
	r.blind(f.looked, lost)
	if r.Settings, err = settings(f.looked, differs); err != nil {
		return nil, err
	}
	rank := func(k string) int { return slices.Index([]string{Opened, Closed, Moved, Changed}, k) }
	slices.SortStableFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(rank(a.Kind)-rank(b.Kind), cmp.Compare(a.Request.Call(), b.Request.Call()))
	})
	return r, nil
}

// follow follows requests through both bundles, and returns which of them they treat differently, and which could not be
// followed, with the reason.
func (r *Report) follow(requests []trace.Request, was, is *trace.World) (differs map[int]bool, lost map[int]error) {
	same := map[[3]string]int{}
	differs, lost = map[int]bool{}, map[int]error{}
	for i, req := range requests {
		r.Witnesses++
		before, errBefore := was.Walk(req)
		after, errAfter := is.Walk(req)
		if errBefore != nil || errAfter != nil {
			if lost[i] = errBefore; errBefore == nil {
				lost[i] = errAfter
			}
			if errBefore == nil || errAfter == nil { // what neither bundle has is no difference
				r.Untried = append(r.Untried, Untried{What: "request", Value: req.Call(), Why: oneSided(errBefore, errAfter)})
			}
			continue
		}
		d := Difference{Request: req, Base: behaviourOf(before), Head: behaviourOf(after)}
		if d.Base.key() == d.Head.key() {
			continue
		}
		d.Kind = kindOf(d.Base, d.Head)
		differs[i] = true
		key := [3]string{d.Kind, d.Base.alike().key(), d.Head.alike().key()}
		if j, ok := same[key]; ok {
			r.Differences[j].Also++
			continue
		}
		same[key] = len(r.Differences)
		r.Differences = append(r.Differences, d)
	}
	return differs, lost
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
