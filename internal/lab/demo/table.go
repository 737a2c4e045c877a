//go:build linux

package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/meshc/meshc/internal/lab"
)

// result counts the answers of one step.
type result struct {
	what             string
	requests, failed int
	versions         map[string]int // of reviews
	path             string         // the services that the first answer came through
	last             string         // last failure
}

func (r *result) add(resp *lab.Response, err error) {
	r.requests++
	if r.versions == nil {
		r.versions = map[string]int{}
	}
	switch {
	case err != nil:
		r.failed, r.last = r.failed+1, err.Error()
	case resp.Status != 200 || !complete(&resp.Echo):
		r.failed, r.last = r.failed+1, fmt.Sprint(resp.Status, " ", resp.Body)
	default:
		r.versions[reviews(&resp.Echo)]++
		if r.path == "" {
			r.path = way(&resp.Echo)
		}
	}
}

// complete tells whether all calls below an answer were answered.
func complete(e *lab.Echo) bool {
	for _, c := range e.Calls {
		if c.Status != 200 || c.Answer == nil || !complete(c.Answer) {
			return false
		}
	}
	return e.Name != ""
}

// reviews is the version of reviews that took part.
func reviews(e *lab.Echo) string {
	if e.Name == "reviews" {
		return e.Version
	}
	for _, c := range e.Calls {
		if c.Answer != nil {
			if v := reviews(c.Answer); v != "" {
				return v
			}
		}
	}
	return ""
}

// way writes who called whom.
func way(e *lab.Echo) string {
	var below []string
	for _, c := range e.Calls {
		if c.Answer != nil {
			below = append(below, way(c.Answer))
		}
	}
	switch len(below) {
	case 0:
		return e.Name
	case 1:
		return e.Name + " -> " + below[0]
	default:
		return e.Name + " -> (" + strings.Join(below, ", ") + ")"
	}
}

type table struct{ *tabwriter.Writer }

func (t *table) row(cells ...any) {
	for i, c := range cells {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, c)
	}
	fmt.Fprintln(t)
}

func (t *table) result(r result, remark string) {
	t.row(r.what, r.requests, r.requests-r.failed, r.versions["v1"], r.versions["v2"], r.versions["v3"], remark)
}
