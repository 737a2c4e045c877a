package diag

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Code declares one kind of finding, in the package whose checks report it: all that can be said about it before there is a
// finding. The page docs/diagnostics.md, the rules of SARIF and what `meshc explain` prints come from it. Texts are
// Markdown.
type Code struct {
	ID       string
	Severity Severity   // of most findings with the code
	Also     []Severity // what else a check may give it

	// FailsClosed keeps an error an error under --lenient: what it is about has no outcome in Istio that could be compiled to,
	// or would leave something open that was meant to be shut.
	FailsClosed bool

	// Failure means that what was asked for could not be read: an error with the code ends a verb as a failure does.
	Failure bool

	Means   string // what is wrong, a phrase
	Detail  string // why that matters, in sentences; may be empty where Means says it
	Example string // what it looks like in a file
	Remedy  string // what to do
}

// Severities lists what the code may have, the usual one first.
func (c Code) Severities() []Severity { return append([]Severity{c.Severity}, c.Also...) }

// Has tells whether a check may give the code this severity.
func (c Code) Has(s Severity) bool { return slices.Contains(c.Severities(), s) }

// Sentence is Means with a capital letter and a full stop.
func (c Code) Sentence() string {
	first, n := utf8.DecodeRuneInString(c.Means)
	if n == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(c.Means[n:], ".") + "."
}
