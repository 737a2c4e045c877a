// Package codes is the list of all findings that meshc knows. Each package declares those of its own checks; what is about
// all of them (the documentation, `meshc explain`, the rules of SARIF, severities in settings) asks here.
package codes

import (
	"cmp"
	"slices"
	"sync"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/compiler/coverage"
	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/listener"
	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/ingress"
	"github.com/meshc/meshc/compiler/inject"
	"github.com/meshc/meshc/compiler/lint"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/settings"
	"github.com/meshc/meshc/internal/config"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/policies"
	"github.com/meshc/meshc/schema"
)

// inGo are the codes of checks that are written in Go, by id.
var inGo = sync.OnceValue(func() map[string]diag.Code {
	out := map[string]diag.Code{}
	for _, list := range [][]diag.Code{load.Codes, schema.Codes, settings.Codes, ingress.Codes, mesh.Codes, lint.Codes, envoy.Codes, security.Codes, telemetry.Codes, patch.Codes, route.Codes, cluster.Codes, listener.Codes, coverage.Codes, inject.Codes, bundle.Codes, change.Codes, policies.Codes, config.Codes} {
		for _, c := range list {
			out[c.ID] = c
		}
	}
	return out
})

// builtin are those of the built-in policies, which declare theirs in Rego. Reading them takes a while.
var builtin = sync.OnceValues(policies.PackCodes)

// All returns every code, sorted by id.
func All() ([]diag.Code, error) {
	out, err := builtin()
	if err != nil {
		return nil, err
	}
	out = slices.Clone(out)
	for _, c := range inGo() {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b diag.Code) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Find returns the declaration of a code.
func Find(id string) (diag.Code, bool) {
	if c, ok := inGo()[id]; ok {
		return c, true
	}
	pack, err := builtin()
	if err != nil { // a fault of the build, which the compile reports, too
		return diag.Code{}, false
	}
	i := slices.IndexFunc(pack, func(c diag.Code) bool { return c.ID == id })
	if i < 0 {
		return diag.Code{}, false
	}
	return pack[i], true
}

// Failed tells whether a finding says that something could not be read at all.
func Failed(l diag.List) bool {
	return slices.ContainsFunc(l, func(d diag.Diagnostic) bool { return d.Severity == diag.Error && inGo()[d.Code].Failure })
}

// FailsClosed tells whether findings with the code stay errors under --lenient.
func FailsClosed(id string) bool { return inGo()[id].FailsClosed }
