package compiler

import (
	"runtime"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
)

// settle sorts the findings of a phase, gives each the severity that the options ask for, and tells whether an error is
// left. tolerate turns the errors of linking and lowering, which istiod would have let pass, into warnings; an explicit
// severity for a code has the last word.
func settle(findings *diag.List, opts Options, tolerate bool) bool {
	kept := (*findings)[:0]
	for _, d := range *findings {
		if tolerate && d.Severity == diag.Error && !codes.FailsClosed(d.Code) {
			d.Severity = diag.Warning
		}
		switch opts.Severity[d.Code] {
		case "off":
			continue
		case "error":
			d.Severity = diag.Error
		case "warning":
			d.Severity = diag.Warning
		case "info":
			d.Severity = diag.Info
		}
		kept = append(kept, d)
	}
	*findings = kept
	findings.Sort()
	return findings.HasErrors()
}

func workers(opts Options) int {
	if opts.Workers > 0 {
		return opts.Workers
	}
	return runtime.GOMAXPROCS(0)
}
