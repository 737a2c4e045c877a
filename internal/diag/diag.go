// Package diag holds the one kind of finding that every phase of the compiler reports.
//
// A Diagnostic says what is wrong, where (file:line:column, object, field), why, and what to do about it. Phases return
// a List; they never log and never stop at the first finding. What is a fault of meshc itself or of the disk is a Go
// error, never a Diagnostic. Lists sort by file, line, column, code and message, so that the same findings print as the
// same bytes. One printer per output format lives in a file of its own (text.go, json.go, sarif.go, …).
package diag

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity orders findings; only Error stops a compile.
type Severity int

// The severities, from harmless to fatal.
const (
	Info Severity = iota
	Warning
	Error
)

// String returns the name that all output formats use: "info", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	default:
		return "error"
	}
}

// Pos is a place in an input file. The compiler names files by their path inside the sources; what prints knows the path
// that the user would type. Line and Column count from 1; EndLine and EndColumn are 0 when unknown.
type Pos struct {
	File      string `json:"file"`
	Line      int    `json:"line"`
	Column    int    `json:"column"`
	EndLine   int    `json:"endLine,omitempty"`
	EndColumn int    `json:"endColumn,omitempty"`
}

// String renders file:line:col, leaving out what is unknown.
func (p Pos) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	default:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
}

// Ref names a Kubernetes object.
type Ref struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// String renders Kind namespace/name.
func (r Ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// Related is another place that takes part in a finding.
type Related struct {
	Pos
	Object  Ref    `json:"object"`
	Message string `json:"message"`
}

// Diagnostic is one finding. Code is stable: Istio's (IST0101 …) where the meaning is Istio's, MESHC1xxx for ours,
// or the id of a policy rule.
type Diagnostic struct {
	Code     string
	Severity Severity
	Pos      Pos
	Object   Ref
	Field    string // path of the field, as spec.http[0].timeout
	Message  string // what and why, one sentence
	Help     string // what to do
	Related  []Related
	Silenced *Silenced // why nobody is told; nil: it is told
}

// Silenced says who did not want to be told of a finding, and why.
type Silenced struct {
	Reason   string
	InSource bool // at the object itself; else in the settings
	Pos      Pos  // where that stands
}

// List collects findings in any order; Sort before printing.
type List []Diagnostic

// Add appends findings.
func (l *List) Add(d ...Diagnostic) { *l = append(*l, d...) }

// HasErrors tells whether a finding of severity Error is in the list.
func (l List) HasErrors() bool {
	return slices.ContainsFunc(l, func(d Diagnostic) bool { return d.Severity == Error })
}

// Count returns how many findings have the severity.
func (l List) Count(s Severity) int {
	n := 0
	for _, d := range l {
		if d.Severity == s {
			n++
		}
	}
	return n
}

// Renamed returns the findings with other names of the files they are about.
func (l List) Renamed(name func(file string) string) List {
	out := slices.Clone(l)
	for i := range out {
		out[i].Pos.File = name(out[i].Pos.File)
		out[i].Related = slices.Clone(out[i].Related)
		for j := range out[i].Related {
			out[i].Related[j].Pos.File = name(out[i].Related[j].Pos.File)
		}
		if s := out[i].Silenced; s != nil {
			renamed := *s
			renamed.Pos.File = name(s.Pos.File)
			out[i].Silenced = &renamed
		}
	}
	return out
}

// Sort orders by file, line, column, code, field and message, and removes repeats: findings that differ in nothing but
// their help and related places are one. The outcome does not depend on the order before.
func (l *List) Sort() {
	slices.SortFunc(*l, func(a, b Diagnostic) int {
		if c := compare(a, b); c != 0 {
			return c
		}
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Help, b.Help), slices.CompareFunc(a.Related, b.Related, compareRelated))
	})
	*l = slices.CompactFunc(*l, func(a, b Diagnostic) bool { return compare(a, b) == 0 && a.Severity == b.Severity })
}

func compare(a, b Diagnostic) int {
	return cmp.Or(comparePos(a.Pos, b.Pos), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.Object.String(), b.Object.String()))
}

func comparePos(a, b Pos) int {
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

func compareRelated(a, b Related) int {
	return cmp.Or(comparePos(a.Pos, b.Pos), cmp.Compare(a.Object.String(), b.Object.String()), cmp.Compare(a.Message, b.Message))
}
