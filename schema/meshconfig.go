package schema

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	mesh "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
)

// Keys of the ConfigMap istio that hold the settings of the mesh.
const (
	MeshKey     = "mesh"
	NetworksKey = "meshNetworks"
)

// IsMeshConfigMap tells whether a ConfigMap holds the settings of a mesh: it is named istio, or istio-<revision>, and
// has the key mesh or meshNetworks.
func IsMeshConfigMap(o *Object) bool {
	cm, ok := o.Spec.(*corev1.ConfigMap)
	if !ok || (o.Name != "istio" && !strings.HasPrefix(o.Name, "istio-")) {
		return false
	}
	return cm.Data[MeshKey] != "" || cm.Data[NetworksKey] != ""
}

// SystemNamespace is where Istio is installed, and the root namespace unless MeshConfig says otherwise.
const SystemNamespace = "istio-system"

// MeshConfigMaps returns the ConfigMaps with the settings of a mesh, the one in force first: those of SystemNamespace before
// others, and istio before that of a revision.
func MeshConfigMaps(objects []*Object) []*Object {
	var out []*Object
	for _, o := range objects {
		if IsMeshConfigMap(o) && (o.Name == "istio" || o.Namespace == SystemNamespace) {
			out = append(out, o)
		}
	}
	rank := func(o *Object) int {
		switch {
		case o.Namespace != SystemNamespace:
			return 2
		case o.Name != "istio":
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b *Object) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}

// meshConfigMap checks the YAML inside the ConfigMap istio, and tells whether it can be read.
func (c *checker) meshConfigMap(o *Object, cm *corev1.ConfigMap) (out diag.List, readable bool) {
	readable = true
	if !IsMeshConfigMap(o) {
		return nil, readable
	}
	for _, k := range [...]struct {
		key, def string
		into     proto.Message
	}{{MeshKey, "#MeshConfig", &mesh.MeshConfig{}}, {NetworksKey, "#MeshNetworks", &mesh.MeshNetworks{}}} {
		text := cm.Data[k.key]
		if strings.TrimSpace(text) == "" {
			continue
		}
		doc, diags := innerDocument(o, k.key, text)
		out.Add(diags...)
		if doc == nil || diags.HasErrors() {
			readable = readable && !diags.HasErrors()
			continue
		}
		value := c.camel(tidy(doc.Value), c.shapes[k.def])
		t := &target{doc: doc, ref: o.Ref(), label: k.key + ": ", def: k.def, value: value}
		var found diag.List
		if c.opts.Lenient {
			if found = c.ignoreUnknown(t, c.shapes[k.def], value, nil); len(found) > 0 {
				b, _ := json.Marshal(value) // plain data
				cm.Data[k.key] = string(b)
			}
		}
		found.Add(c.validate(t)...)
		if misshapen(found) {
			readable = false
		} else {
			if err := decodeMessage(value, k.into); err != nil {
				readable = false
				found.Add(o.Finding(diag.Error, shapeCode, "the key "+k.key+" cannot be read: "+err.Error(), "Correct the value that the message names.", "data", k.key))
			} else {
				found.Add(meshRules(t, k.into)...)
				c.values(t, c.shapes[t.def], t.value, nil, &found)
			}
		}
		out.Add(found...)
	}
	return out, readable
}

// ignoreUnknown takes out the fields that a mesh config does not have, many of which it once had, and says so: a control plane
// passes over them, since no API server stands in between.
func (c *checker) ignoreUnknown(t *target, sh *shape, v any, path []any) diag.List {
	var out diag.List
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			out.Add(c.ignoreUnknown(t, sh, e, append(slices.Clip(path), i))...)
		}
	case map[string]any:
		if sh == nil {
			return nil
		}
		for _, key := range sortedKeys(v) {
			at := append(slices.Clip(path), key)
			f := sh.get(key)
			if f == nil && !sh.open {
				d := c.unknown(t, sh, key, at)
				d.Severity, d.Message = diag.Warning, d.Message+", or no longer, and Istio passes over it"
				out.Add(d)
				delete(v, key)
				continue
			}
			out.Add(c.ignoreUnknown(t, c.shapes.of(f), v[key], at)...)
		}
	}
	return out
}

// innerDocument parses the YAML that a key of a ConfigMap holds, so that its lines are those of the file around it.
func innerDocument(o *Object, key, text string) (*source.Document, diag.List) {
	var n yaml.Node
	at := o.Pos("data", key)
	bad := func(msg, help string, line int) diag.List {
		f := o.Finding(diag.Error, shapeCode, "the key "+key+" "+msg, help, "data", key)
		f.Pos.Line += line
		return diag.List{f}
	}
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return nil, bad("does not hold YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "Check the indentation below the key.", 0)
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
		return nil, nil
	}
	doc := &source.Document{File: at.File, Node: n.Content[0], Kind: o.Kind, Namespace: o.Namespace, Name: o.Name, LineOffset: blockStart(o.Doc.Node, key) - 1}
	v, problems := source.NewReader(source.DefaultLimits()).Value(n.Content[0])
	for _, p := range problems {
		f := bad("holds a value that cannot be read: "+p.Message, p.Help, 0)
		f[0].Pos.Line = p.Node.Line + doc.LineOffset
		return nil, f
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, bad("must hold a mapping", "Write the settings as YAML below the key.", 0)
	}
	doc.Value = m
	return doc, nil
}

// blockStart is the line on which the text of a key under data begins.
func blockStart(n *yaml.Node, key string) int {
	if n == nil {
		return 1
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "data" {
			continue
		}
		d := n.Content[i+1]
		for j := 0; j+1 < len(d.Content); j += 2 {
			if v := d.Content[j+1]; d.Content[j].Value == key {
				if v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
					return v.Line + 1
				}
				return v.Line
			}
		}
	}
	return n.Line
}

// camel renames fields written in proto's snake case and reads quoted numbers, both of which Istio accepts in a mesh
// config, where no API server stands in between.
func (c *checker) camel(v any, sh *shape) any {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			v[i] = c.camel(e, sh)
		}
	case map[string]any:
		if sh == nil {
			return v
		}
		for _, k := range sortedKeys(v) {
			name := k
			if sh.byName[k] == nil && strings.Contains(k, "_") {
				if n := camelCase(k); sh.byName[n] != nil && v[n] == nil {
					name = n
				}
			}
			f := sh.get(name)
			e := c.camel(unquote(v[k], f), c.shapes.of(f))
			delete(v, k)
			v[name] = e
		}
	}
	return v
}

// unquote reads a quoted number where the field takes one.
func unquote(v any, f *field) any {
	s, ok := v.(string)
	if !ok || f == nil || !(strings.HasPrefix(f.want, "int") || strings.HasPrefix(f.want, "uint") || strings.HasPrefix(f.want, "#PortNumber")) {
		return v
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	return v
}

func camelCase(s string) string {
	parts := strings.Split(s, "_")
	for i := 1; i < len(parts); i++ {
		if parts[i] != "" {
			parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
		}
	}
	return strings.Join(parts, "")
}

// DecodeMesh reads the YAML of a mesh config or of mesh networks over what the message already holds, as Istio lays a
// mesh config over its defaults: a field that is set replaces, a nested message is merged by Istio's own rules, which
// are the caller's.
func DecodeMesh(text string, into proto.Message) error {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		return err
	}
	if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
		return nil
	}
	v, problems := source.NewReader(source.DefaultLimits()).Value(n.Content[0])
	if len(problems) > 0 {
		return &problemError{problems[0].Message}
	}
	return decodeMessage(tidy(v), into)
}

type problemError struct{ message string }

func (e *problemError) Error() string { return e.message }
