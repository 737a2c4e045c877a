package mesh

import (
	extensions "istio.io/api/extensions/v1alpha1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// notCompiled reports the objects that are read, checked, and then lead to nothing in a bundle. An extension is often
// there to protect something, so leaving one out is an error; with leniency it is a warning.
func notCompiled(objects []*schema.Object) diag.List {
	var findings diag.List
	for _, o := range objects {
		switch o.Spec.(type) {
		case *extensions.WasmPlugin, *extensions.TrafficExtension:
			findings.Add(o.Finding(diag.Error, "MESHC1222", o.Kind+" is not compiled yet: its filter is not in the bundle", "Remove it, add the filter by an EnvoyFilter, or set severity MESHC1222 to warning if the mesh is right without it.", "kind"))
		}
	}
	return findings
}
