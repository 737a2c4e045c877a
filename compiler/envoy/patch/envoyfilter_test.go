package patch

import (
	"strings"
	"testing"

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
	takes := func(metadata map[string]string) (bool, diag.List) {
		table := &Table{byFilter: map[*mesh.EnvoyFilter][]*envoyPatch{e.filter: {e}}}
		return table.Target(networking.EnvoyFilter_SIDECAR_OUTBOUND, []*mesh.EnvoyFilter{e.filter}, func(key string) Metadatum {
			v, known := metadata[key]
			return Metadatum{key, v, known}
		}).takes(e)
	}
	for range 50 {
		if ok, found := takes(map[string]string{"NAMESPACE": "app"}); ok || len(found) != 1 || !strings.Contains(found[0].Message, "metadata A ") {
			t.Fatalf("%v", found)
		}
	}
	for namespace, want := range map[string]bool{"app": false, "elsewhere": true} {
		if got, found := takes(map[string]string{"A": "1", "Z": "1", "NAMESPACE": namespace}); got != want || len(found) != 0 {
			t.Errorf("%s: %t %v", namespace, got, found)
		}
	}
}
