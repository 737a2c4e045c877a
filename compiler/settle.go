package compiler

import (
	"runtime"

	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/internal/diag"
)

// settle sorts the findings of a phase, gives each the severity that the options ask for, and tells whether an error is
// left. tolerate turns the errors of linking and lowering, which istiod would have let pass, into warnings; an explicit
// severity for a code has the last word.
func settle(findings *diag.List, opts Options, tolerate bool) bool {
	kept := (*findings)[:0]
	for _, d := range *findings {
		if tolerate && d.Severity == diag.Error && !failsClosed(d.Code) {
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

// failsClosed lists the findings that stay errors under --lenient: what they are about has no outcome in Istio that could
// be compiled to, or would leave something open that was meant to be shut.
func failsClosed(code string) bool {
	switch code {
	case "MESHC1202", // the mesh configuration cannot be read
		"MESHC1204",                         // nor where certificates come from
		"MESHC1540",                         // an AuthorizationPolicy would be enforced in part
		envoy.CodePatchInvalid, codeRefused: // Envoy would refuse the resource
		return true
	}
	return false
}

func workers(opts Options) int {
	if opts.Workers > 0 {
		return opts.Workers
	}
	return runtime.GOMAXPROCS(0)
}

func addCounts(into, from map[string]int) {
	for k, n := range from {
		into[k] += n
	}
}
