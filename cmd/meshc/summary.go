package main

import (
	"fmt"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/internal/show"
)

// summary says what a run read and judged. Without findings it is all that a run says.
func (a *app) summary(res *compiler.Result) {
	c := res.Counts
	if c.Objects == 0 {
		return // a finding says so
	}
	text := "read " + show.Count(c.Objects, "object")
	if c.Workloads > 0 {
		text += fmt.Sprintf(": %s, %d with a proxy", show.Count(c.Workloads, "workload"), c.Proxied)
	}
	if p := res.Policies; p.Rules > 0 {
		text += fmt.Sprintf("; ran %s in %s", show.Count(p.Rules, "policy rule"), show.Count(p.Packages, "package"))
	}
	if c.Excluded > 0 {
		text += fmt.Sprintf("; left out %s by exclude", show.Count(c.Excluded, "path"))
	}
	a.note("%s", text)
	a.sayBy()
}

// sayBy says which settings and policies counted.
func (a *app) sayBy() {
	if a.by != "" {
		a.note("%s", a.by)
	}
}
