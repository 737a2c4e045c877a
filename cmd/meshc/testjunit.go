package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// junit writes a suite for each file and a case for each call, statement and test of a policy.
func (t *tester) junit(w io.Writer) error {
	out := &diag.JUnitReport{Name: "meshc test"}
	for _, r := range t.Results {
		c := diag.JUnitCase{Name: r.Call, ClassName: r.File, File: r.File, Line: r.Line}
		if r.Name != "" {
			c.Name = r.Name + ": " + r.Call
		}
		if !r.OK {
			first, _, _ := strings.Cut(r.Why, "\n")
			c.Failure = &diag.JUnitFailure{Message: first, Text: fmt.Sprintf("%s:%d: %s\n%s", r.File, r.Line, r.Call, r.Why)}
		}
		out.Add(r.File, c)
	}
	return out.Write(w)
}
