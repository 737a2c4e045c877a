package envoytest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/meshc/meshc/internal/diag"
)

// reason says why a value is refused by a code though Envoy, which does not see it then, might take it. A code that is not here
// refuses what Envoy takes without a reason.
func reason(code string) string {
	return map[string]string{
		"IST0101":   "the requests would get 503",
		"IST0106":   "Istio's webhook or its CRDs refuse the object",
		"IST0145":   "of two servers that conflict one is not served",
		"MESHC1110": "only Istio's own build of Envoy has the filter",
		"MESHC1421": "Envoy has no such redirect",
		"MESHC1442": "connections would be sent without the credential",
		"MESHC1480": "the patch is no message of its type, so Istio drops it",
		"MESHC1490": "Envoy refuses the patch where it is applied as it stands",
		"MESHC1491": "Envoy refuses the resource",
		"MESHC1492": "a reference of the resource leads nowhere",
		"MESHC1502": "Envoy refuses the cipher suite",
		"MESHC1540": "the policy fails closed, since it cannot be enforced as written",
		"MESHC1542": "the policy fails closed, since its provider cannot be used",
		"MESHC1550": "every token would be refused",
		"MESHC1551": "every token would be refused",
		"MESHC1562": "Envoy cannot build the expression, and refuses the listener",
		"MESHC1563": "the format of the log is none of its encoding",
		"MESHC1565": "a secret would go into the bundle",
	}[code]
}

// ownReason is for values that no webhook of Istio sees, those of MeshConfig, and for what is refused to protect somebody.
func ownReason(value string) string {
	return map[string]string{
		"destinationrule/cookie-path-newline":     "a line break in an attribute of a cookie begins another header of the response",
		"destinationrule/tls-crl-folder":          "Envoy cannot read a folder, and the cluster would never be there",
		"extauthz/http-timeout":                   "a negative time never passes",
		"extauthz/grpc-timeout":                   "a negative time never passes",
		"meshconfig/dns-refresh":                  "Envoy refuses every cluster that asks DNS",
		"meshconfig/inbound-listen-port-negative": "there is no such port",
		"meshconfig/http-port-negative":           "there is no such port",
		"meshconfig/http-port-same":               "two listeners cannot have one port",
		"meshconfig/keepalive-negative":           "there is no such time",
		"meshconfig/locality-sum":                 "Istio takes no settings whose weights are not 100",
		"meshconfig/locality-both":                "Istio takes no settings with both",
		"meshconfig/locality-self":                "Istio takes no settings with such a failover",
		"meshconfig/retry-policy-negative":        "there is no such number",
		"meshconfig/retry-policy-unknown":         "no call would be tried again for it, in the whole mesh, and nobody be told",
		"meshconfig/pool-negative":                "there is no such number",
		"meshconfig/pool-requests":                "there is no such number",
		"meshconfig/tracing-sampling":             "there is no such share",
		"meshconfig/tracing-sampling-negative":    "there is no such share",
		"meshconfig/provider-als-header":          "Envoy refuses every listener with the log",
		"meshconfig/provider-als-header-empty":    "Envoy refuses every listener with the log",
		"meshconfig/provider-port":                "there is no such port",
		"meshconfig/tracer-otel-http-timeout":     "a negative time never passes",
	}[value]
}

// TestRefusalsHaveReasons: what does not compile, and Envoy is not asked about, is refused for a reason that is written here.
func TestRefusalsHaveReasons(t *testing.T) {
	mesh, err := os.ReadFile("testdata/values/mesh.yaml")
	if err != nil {
		t.Fatal(err)
	}
	archives, err := filepath.Glob("testdata/values/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no values:", err)
	}
	own := 0
	for _, file := range archives {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kind := strings.TrimSuffix(filepath.Base(file), ".txtar")
		for _, c := range a.Files {
			name, closed := strings.CutPrefix(c.Name, "closed/")
			if !closed {
				continue
			}
			dir := t.TempDir()
			for name, text := range map[string][]byte{"mesh.yaml": mesh, "value.yaml": fill(a.Comment, c.Data)} {
				if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if ownReason(kind+"/"+name) != "" {
				own++
			}
			_, found := compileValue(t, dir, nil)
			for _, d := range found {
				switch {
				case d.Severity != diag.Error:
				case reason(d.Code) == "":
					t.Errorf("%s/%s: %s refuses it, for no reason that is written here: %s", kind, name, d.Code, d.Message)
				case d.Code == "IST0106" && kind == "meshconfig" && ownReason(kind+"/"+name) == "" && !strings.HasPrefix(d.Field, "mesh: meshMTLS"):
					t.Errorf("%s/%s: no webhook of Istio sees the settings of the mesh, and no other reason is written here: %s", kind, name, d.Message)
				}
			}
		}
	}
	if own < 22 {
		t.Errorf("%d values have reasons of their own; are the others still there?", own)
	}
}
