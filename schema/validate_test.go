package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestRules holds single objects to what an API server with Istio's CRDs and webhook does with them.
func TestRules(t *testing.T) {
	versions := map[string]string{"PeerAuthentication": "security.istio.io/v1", "AuthorizationPolicy": "security.istio.io/v1", "RequestAuthentication": "security.istio.io/v1",
		"Telemetry": "telemetry.istio.io/v1", "WasmPlugin": "extensions.istio.io/v1alpha1", "TrafficExtension": "extensions.istio.io/v1alpha1",
		"ProxyConfig": "networking.istio.io/v1beta1", "EnvoyFilter": "networking.istio.io/v1alpha3"}
	archive, err := txtar.ParseFile("testdata/rules.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	lines := map[string]string{}
	for _, f := range archive.Files {
		for i, line := range strings.Split(strings.TrimSpace(string(f.Data)), "\n") {
			kind, spec, _ := strings.Cut(line, " ")
			version := versions[kind]
			if version == "" {
				version = "networking.istio.io/v1"
			}
			name := fmt.Sprintf("%s-%d", f.Name, i+1)
			lines[name] = line
			fmt.Fprintf(&text, "apiVersion: %s\nkind: %s\nmetadata: {name: %s, namespace: default}\nspec: %s\n---\n", version, kind, name, spec)
		}
	}
	_, diags := Check(documents(t, text.String()), Options{})
	refused := map[string]string{}
	for _, d := range diags {
		if d.Code == shapeCode {
			refused[d.Object.Name] = d.Message
		}
	}
	for name, line := range lines {
		if (refused[name] != "") != strings.HasPrefix(name, "refused") {
			t.Errorf("%s: %s: %q", name, line, refused[name])
		}
	}
}
