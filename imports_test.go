// Package meshc_test holds the packages of this module to the picture in docs/architecture.md.
package meshc_test

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

// mayImport lists, for each package, which packages of this module it may import, by path below the module; a trailing
// slash takes all below. What is not listed here may import none, and a new package has to be added.
var mayImport = map[string][]string{
	"internal/secret":           {},
	"internal/show":             {"internal/secret"},
	"internal/diag":             {"internal/secret", "internal/show"},
	"internal/kinds":            {"compiler/rollout"},
	"internal/source":           {"internal/diag", "internal/kinds", "internal/limit", "internal/suggest"},
	"internal/config":           {"internal/limit", "internal/diag", "internal/suggest", "internal/regular", "internal/source"},
	"internal/fault":            {},
	"internal/intercept":        {},
	"internal/limit":            {},
	"internal/regular":          {},
	"internal/archive":          {"internal/limit"},
	"internal/memo":             {"internal/diag"},
	"internal/suggest":          {},
	"schema":                    {"compiler/rollout", "internal/diag", "internal/kinds", "internal/source", "internal/fault", "internal/suggest", "compiler/cel", "compiler/re2", "compiler/substitution"},
	"policies":                  {"internal/limit", "internal/diag", "internal/source", "internal/fault", "internal/suggest", "internal/regular", "schema"},
	"compiler/load":             {"internal/archive", "internal/config", "internal/diag", "internal/limit", "internal/suggest", "internal/source", "internal/fault", "internal/regular"},
	"compiler/endpoint":         {},
	"internal/credential":       {"compiler/bundle", "compiler/names"},
	"compiler/names":            {},
	"compiler/hosts":            {},
	"compiler/attach":           {"internal/kinds", "schema", "compiler/endpoint"},
	"compiler/httpmatch":        {"compiler/endpoint"},
	"compiler/settings":         {"internal/diag", "schema"},
	"compiler/ingress":          {"internal/diag", "internal/suggest", "schema"},
	"compiler/mesh":             {"internal/diag", "internal/kinds", "internal/suggest", "internal/source", "internal/memo", "schema", "compiler/attach", "compiler/endpoint", "compiler/hosts", "compiler/httpmatch", "compiler/ingress", "compiler/names", "compiler/settings"},
	"compiler/lint":             {"compiler/rollout", "internal/diag", "internal/kinds", "internal/suggest", "internal/source", "schema", "compiler/attach", "compiler/endpoint", "compiler/hosts", "compiler/httpmatch", "compiler/mesh"},
	"compiler/re2":              {},
	"compiler/sets":             {"compiler/re2"},
	"compiler/lua":              {"internal/limit"},
	"compiler/substitution":     {"compiler/cel"},
	"compiler/cel":              {"internal/limit", "compiler/re2"},
	"compiler/validate":         {"internal/secret", "compiler/lua", "compiler/re2", "compiler/cel", "compiler/substitution"},
	"compiler/envoy/xds":        {"internal/diag", "internal/suggest", "schema", "compiler/endpoint", "compiler/names", "compiler/mesh"},
	"compiler/envoy/security":   {"internal/diag", "schema", "compiler/names", "compiler/mesh", "compiler/validate", "compiler/envoy/xds"},
	"compiler/envoy/telemetry":  {"internal/diag", "schema", "compiler/names", "compiler/mesh", "compiler/cel", "compiler/envoy/xds"},
	"compiler/envoy/patch":      {"internal/diag", "internal/memo", "compiler/names", "compiler/mesh", "compiler/validate", "compiler/envoy/xds"},
	"compiler/envoy/route":      {"internal/diag", "internal/memo", "schema", "compiler/endpoint", "compiler/hosts", "compiler/names", "compiler/mesh", "compiler/envoy/xds"},
	"compiler/envoy/cluster":    {"internal/diag", "schema", "compiler/endpoint", "compiler/hosts", "compiler/names", "compiler/mesh", "compiler/envoy/xds", "compiler/envoy/security", "compiler/envoy/telemetry"},
	"compiler/envoy/listener":   {"internal/diag", "internal/memo", "schema", "compiler/hosts", "compiler/names", "compiler/mesh", "compiler/envoy/xds", "compiler/envoy/security", "compiler/envoy/telemetry", "compiler/envoy/route", "compiler/envoy/cluster"},
	"compiler/envoy":            {"internal/diag", "internal/memo", "compiler/endpoint", "compiler/names", "compiler/mesh", "compiler/envoy/"},
	"compiler/rollout":          {},
	"compiler/bundle":           {"compiler/rollout", "internal/archive", "internal/diag", "internal/limit", "internal/secret", "internal/regular", "compiler/endpoint", "compiler/names"},
	"compiler/coverage":         {"internal/diag", "schema", "compiler/endpoint", "compiler/hosts", "compiler/httpmatch", "compiler/names", "compiler/mesh", "compiler/envoy/xds"},
	"compiler/trace":            {"compiler/trace/urlpath", "internal/diag", "internal/show", "compiler/endpoint", "compiler/names", "compiler/bundle", "compiler/sets"},
	"compiler/trace/urlpath":    {},
	"compiler/change":           {"compiler/change/behaviour", "compiler/change/neutral", "compiler/change/report", "compiler/endpoint", "compiler/names", "internal/diag", "internal/show", "compiler/bundle", "compiler/sets", "compiler/trace"},
	"compiler/assert":           {"compiler/names", "compiler/bundle", "compiler/sets", "compiler/trace"},
	"compiler/observe":          {"internal/diag", "schema", "compiler/endpoint", "compiler/mesh"},
	"compiler/inject":           {"internal/diag", "internal/intercept", "internal/source", "schema", "compiler/endpoint", "compiler/mesh"},
	"compiler/change/behaviour": {"compiler/change/report", "compiler/bundle", "compiler/trace"},
	"compiler/change/neutral":   {},
	"compiler/change/report":    {"internal/diag", "internal/suggest", "internal/show"},
	"compiler/replay":           {"internal/limit", "internal/show", "compiler/names", "compiler/bundle", "compiler/change", "compiler/change/behaviour", "compiler/sets", "compiler/trace"},
	"compiler/codes":            {"internal/config", "internal/diag", "policies", "schema", "compiler/"},
	"compiler":                  {"internal/config", "internal/diag", "internal/secret", "internal/source", "internal/fault", "schema", "policies", "compiler/"},
	"delivery/airgap":           {"internal/archive", "internal/limit", "compiler/bundle"},
	"delivery/files":            {"internal/limit", "internal/regular", "internal/bootstrap", "internal/credential", "compiler/bundle"},
	"delivery/manifest":         {"internal/limit", "compiler/bundle"},
	"delivery/pieces":           {"internal/limit", "compiler/bundle"},
	"delivery/registry":         {"internal/limit", "compiler/bundle", "delivery/pieces"},
	"delivery/signature":        {"internal/limit", "internal/regular", "compiler/bundle"},
	"delivery/store":            {"internal/limit", "internal/regular", "compiler/bundle", "delivery/registry"},
	"delivery/source":           {"internal/limit", "internal/regular", "compiler/bundle", "delivery/registry", "delivery/store", "delivery/signature"},
	"delivery/build":            {"internal/limit", "internal/regular", "compiler/bundle", "delivery/clone", "delivery/registry", "delivery/store", "delivery/source"},
	"delivery/clone":            {"internal/limit", "internal/regular"},
	"delivery/hook":             {"internal/limit", "internal/regular"},
	"server":                    {"internal/credential", "internal/limit", "internal/regular", "internal/show", "compiler/bundle", "compiler/endpoint", "compiler/names", "compiler/rollout", "server/"},
	"server/live":               {"compiler/bundle", "compiler/names"},
	"server/observe":            {"internal/limit", "compiler/rollout"},
	"server/waves":              {"compiler/rollout"},
	"server/cluster":            {"server/kube"},
	"server/kube":               {"internal/regular"},
	"server/watch":              {"internal/limit"},
	"server/ads":                {"internal/limit", "compiler/bundle", "compiler/names"},
	"cmd/meshc":                 {"internal/bootstrap", "internal/config", "internal/diag", "internal/fault", "internal/intercept", "internal/limit", "internal/suggest", "internal/regular", "internal/show", "internal/source", "schema", "policies", "compiler", "compiler/", "delivery/", "server", "server/cluster", "server/kube", "server/waves"},
}

// tests and tools of the project itself may use everything.
var free = []string{"golden", "internal/lab", "internal/bench", "internal/soak", "internal/lowertest", "internal/registrytest", "internal/meshgen", "internal/envoytest", "internal/spiffetest", "internal/bootstrap", "internal/reference", "internal/anytypes", "internal/gittest", "internal/kubetest", "internal/secrettest", "internal/luatest", "internal/watchdog", "examples"}

// onlyHere lists, by the beginning of their paths, packages that the compiler does not link, or in one place alone, and who
// may import them.
var onlyHere = map[string][]string{
	"k8s.io/client-go/":             {"server/kube"},
	"github.com/prometheus/":        {"server"},
	"github.com/spiffe/":            {"server"},
	"github.com/go-git/":            {"compiler/load", "delivery/clone"},
	"oras.land/":                    {"delivery/registry"},
	"github.com/open-policy-agent/": {"policies"},
}

// TestArchitectureNamesPackages: every package has its place in the picture of docs/architecture.md, by its path or, where the
// line is about several, its name.
func TestArchitectureNamesPackages(t *testing.T) {
	page, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range slices.Concat(slices.Sorted(maps.Keys(mayImport)), free) {
		if !strings.Contains(string(page), "`"+p+"`") && !strings.Contains(string(page), "`"+path.Base(p)+"`") && p != "examples" {
			t.Errorf("docs/architecture.md does not say what %s is for", p)
		}
	}
}

func TestImports(t *testing.T) {
	const module = "github.com/meshc/meshc"
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		dir := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		below := func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") }
		if dir == "" || slices.ContainsFunc(free, below) {
			continue
		}
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("package %s is not in the table of imports", dir)
		}
		for _, i := range p.Imports {
			own, ok := strings.CutPrefix(i, module+"/")
			fits := func(a string) bool { return own == a || strings.HasSuffix(a, "/") && strings.HasPrefix(own, a) }
			if ok && !slices.ContainsFunc(allowed, fits) {
				t.Errorf("package %s imports %s, which its place in the design does not allow", dir, own)
			}
			for module, by := range onlyHere {
				if strings.HasPrefix(i, module) && !slices.Contains(by, dir) {
					t.Errorf("package %s imports %s, which only %v may", dir, i, by)
				}
			}
		}
	}
}
