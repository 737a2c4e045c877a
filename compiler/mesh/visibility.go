package mesh

import (
	"fmt"
	"slices"
	"strings"

	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// visibility resolves an exportTo list: "*" everybody, "." the object's own namespace, "~" nobody, else a namespace.
// "*" and then "~" outweigh the rest. An empty list takes the mesh-wide default, where only "." and "*" mean anything:
// with neither nobody sees the object. The default is "*" when that is empty too.
func visibility(exportTo, def []string, namespace string) Visibility {
	if len(exportTo) == 0 {
		exportTo = mainDefault(def)
	}
	v := Visibility{Namespaces: map[string]bool{}}
	for _, e := range exportTo {
		switch e = strings.TrimSpace(e); e {
		case "*":
			v.Public = true
		case ".":
			v.Namespaces[namespace] = true
		case "~", "":
		default:
			v.Namespaces[e] = true
		}
	}
	if v.Public || slices.Contains(exportTo, "~") {
		v.Namespaces = map[string]bool{}
	}
	return v
}

// mainDefault is the one entry of a mesh-wide default that counts.
func mainDefault(def []string) []string {
	switch {
	case slices.Contains(def, "."):
		return []string{"."}
	case len(def) == 0 || slices.Contains(def, "*"):
		return []string{"*"}
	}
	return []string{"~"}
}

// checkDefaultExports reports namespaces in the mesh-wide defaults of exportTo, which do not mean what they say.
func checkDefaultExports(o *schema.Object, c *meshconfig.MeshConfig) diag.List {
	var out diag.List
	for _, d := range []struct {
		field, outcome string
		list           []string
	}{
		{"defaultServiceExportTo", "services without exportTo are hidden from everybody unless it also lists \".\" or \"*\"", c.DefaultServiceExportTo},
		{"defaultVirtualServiceExportTo", "VirtualServices without exportTo are hidden from everybody unless it also lists \".\" or \"*\"", c.DefaultVirtualServiceExportTo},
		{"defaultDestinationRuleExportTo", "DestinationRules without exportTo are for everybody unless it also lists \".\"", c.DefaultDestinationRuleExportTo},
	} {
		if i := slices.IndexFunc(d.list, func(e string) bool { return e != "." && e != "*" && e != "~" }); i >= 0 {
			out.Add(o.Finding(diag.Warning, "MESHC1206", fmt.Sprintf("%s names %q, but a mesh-wide default knows only \".\" and \"*\": %s", d.field, d.list[i], d.outcome),
				"write \".\" or \"*\", and exportTo where single namespaces are meant", "data", "mesh"))
		}
	}
	return out
}

// rank orders what a namespace sees: its own private objects, those exported to it by name, public ones; -1 hides.
func (v Visibility) rank(owner, viewer string) int {
	switch {
	case v.Public:
		return 2
	case !v.Namespaces[viewer]:
		return -1
	case owner == viewer:
		return 0
	}
	return 1
}
