package compiler

import (
	"runtime"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
)

// applySeverities sorts the findings of a phase, gives each the severity that the options ask for, and tells whether an error is
// left. In a lenient run the errors of a tolerant phase, of linking or lowering, which istiod would have let pass, become
// warnings; an explicit severity for a code has the last word, and what somebody has silenced is taken out.
func applySeverities(findings *diag.List, opts Options, quiet *silences, tolerant bool) bool {
	kept := (*findings)[:0]
	for _, d := range *findings {
		if tolerant && opts.Lenient && d.Severity == diag.Error && !codes.FailsClosed(d.Code) {
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
	*findings = quiet.take(kept, tolerant)
	findings.Sort()
	return findings.HasErrors()
}

func workers(opts Options) int {
	if opts.Workers > 0 {
		return opts.Workers
	}
	return runtime.GOMAXPROCS(0)
}
