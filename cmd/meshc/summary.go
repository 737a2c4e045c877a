package main

import (
	"fmt"

	"github.com/meshc/meshc/compiler"
)

// summary says what a run read and judged. Without findings it is all that a run says.
func (a *app) summary(res *compiler.Result) {
	c := res.Counts
	if c.Objects == 0 {
		return // a finding says so
	}
	text := "read " + count(c.Objects, "object")
	if c.Workloads > 0 {
		text += fmt.Sprintf(": %s, %d with a proxy", count(c.Workloads, "workload"), c.Proxied)
	}
	if p := res.Policies; p.Rules > 0 {
		text += fmt.Sprintf("; ran %s in %s", count(p.Rules, "policy rule"), count(p.Packages, "package"))
	}
	if c.Excluded > 0 {
		text += fmt.Sprintf("; left out %s by exclude", count(c.Excluded, "path"))
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

// count puts a noun behind a number.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
