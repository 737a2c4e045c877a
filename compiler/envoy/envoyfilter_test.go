package envoy

import (
	"strings"
	"testing"

	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// What is said of a patch that looks at several keys of metadata does not depend on the order of a map.
func TestPatchMetadata(t *testing.T) {
	e := &envoyPatch{
		filter: &mesh.EnvoyFilter{Object: &schema.Object{Kind: "EnvoyFilter", Name: "x", Doc: &source.Document{}}},
		spec: &networking.EnvoyFilter_EnvoyConfigObjectPatch{Match: &networking.EnvoyFilter_EnvoyConfigObjectMatch{
			Proxy: &networking.EnvoyFilter_ProxyMatch{Metadata: map[string]string{"A": "1", "NAMESPACE": "elsewhere", "Z": "1"}},
		}},
	}
	takes := func(s *mesh.Scope) (bool, diag.List) {
		table := &patchTable{byFilter: map[*mesh.EnvoyFilter][]*envoyPatch{e.filter: {e}}}
		return table.target(networking.EnvoyFilter_SIDECAR_OUTBOUND, []*mesh.EnvoyFilter{e.filter}, s).takes(e)
	}
	for range 50 {
		if ok, found := takes(&mesh.Scope{Namespace: "app"}); ok || len(found) != 1 || !strings.Contains(found[0].Message, "metadata A ") {
			t.Fatalf("%v", found)
		}
	}
	known := &meshconfig.ProxyConfig{ProxyMetadata: map[string]string{"ISTIO_META_A": "1", "ISTIO_META_Z": "1"}}
	for namespace, want := range map[string]bool{"app": false, "elsewhere": true} {
		if got, found := takes(&mesh.Scope{Namespace: namespace, Proxy: known}); got != want || len(found) != 0 {
			t.Errorf("%s: %t %v", namespace, got, found)
		}
	}
}
