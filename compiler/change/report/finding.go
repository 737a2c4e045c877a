package report

import (
	"fmt"
	"strings"

	"github.com/meshc/meshc/internal/diag"
)

// Findings are the differences as findings, for what reads those: one for each cause and effect, at the place of the cause.
func (r *Report) Findings() diag.List {
	var out diag.List
	for _, g := range r.groups() {
		d := found(g.Causes)
		d.Code, d.Severity = codeOf(g.Category)
		d.Message = fmt.Sprintf("%s; was %s; is %s; %s", g.headline(), g.Base, g.Head, g.reach())
		d.Help = "try " + g.Witness.String()
		out.Add(d)
	}
	for _, u := range r.Undecided {
		d := found(u.Causes)
		d.Code, d.Severity, d.Message = "MESHC1728", diag.Warning, u.String()
		out.Add(d)
	}
	for _, w := range r.Stale {
		out.Add(diag.Diagnostic{Code: "MESHC1729", Severity: diag.Warning, Pos: diag.Pos{File: w.File, Line: w.Line}, Message: "the waiver is about no difference: " + w.String(),
			Help: "remove it"})
	}
	out.Sort()
	return out
}

func found(causes []Cause) diag.Diagnostic {
	var d diag.Diagnostic
	if len(causes) == 0 {
		return d
	}
	c := causes[0]
	d.Pos = diag.Pos{File: c.File, Line: c.Line}
	kind, name, _ := strings.Cut(c.Object, " ")
	d.Object, d.Field = diag.Ref{Kind: kind, Name: name}, c.Field
	if ns, n, ok := strings.Cut(name, "/"); ok {
		d.Object.Namespace, d.Object.Name = ns, n
	}
	return d
}
