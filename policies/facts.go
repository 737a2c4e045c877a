package policies

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/schema"
)

// usesSet tells whether a policy asks for data.meshc.objects or data.meshc.hosts, which cost memory.
func usesSet(l *loader) bool {
	used := false
	for _, m := range l.modules {
		ast.WalkRefs(m, func(r ast.Ref) bool {
			s := r.ConstantPrefix().String()
			used = used || s == "data.meshc" || strings.HasPrefix(s, "data.meshc.objects") || strings.HasPrefix(s, "data.meshc.hosts")
			return false
		})
	}
	return used
}

// facts is what rules find under data.meshc: external (host to true, of ServiceEntries outside the mesh) and
// pathNormalization always; objects (kind to list) and hosts (host to the objects that name it) where a rule asks.
func facts(objs []*schema.Object, whole bool) map[string]any {
	external, normalization := map[string]any{}, "BASE"
	objects, hosts := map[string]any{}, map[string]any{}
	if maps := schema.MeshConfigMaps(objs); len(maps) > 0 {
		normalization = pathNormalization(maps[0], normalization)
	}
	for _, o := range objs {
		spec, _ := o.Doc.Value["spec"].(map[string]any)
		if o.Kind == "ServiceEntry" && spec["location"] != "MESH_INTERNAL" {
			for _, h := range texts(spec["hosts"]) {
				external[h] = true
			}
		}
		if !whole {
			continue
		}
		doc := document(o)
		list, _ := objects[o.Kind].([]any)
		objects[o.Kind] = append(list, doc)
		for _, h := range append(texts(spec["hosts"]), texts([]any{spec["host"]})...) {
			list, _ := hosts[h].([]any)
			hosts[h] = append(list, doc)
		}
	}
	m := map[string]any{"external": external, "pathNormalization": normalization}
	if whole {
		m["objects"], m["hosts"] = objects, hosts
	}
	return map[string]any{"meshc": m}
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, x := range list {
		if s, ok := x.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// pathNormalization reads the setting out of MeshConfig; what is wrong there is the schema's to say.
func pathNormalization(o *schema.Object, otherwise string) string {
	data, _ := o.Doc.Value["data"].(map[string]any)
	text, _ := data["mesh"].(string)
	var mesh struct {
		PathNormalization struct {
			Normalization string `yaml:"normalization"`
		} `yaml:"pathNormalization"`
	}
	if yaml.Unmarshal([]byte(text), &mesh) != nil || mesh.PathNormalization.Normalization == "" || mesh.PathNormalization.Normalization == "DEFAULT" {
		return otherwise
	}
	return mesh.PathNormalization.Normalization
}
