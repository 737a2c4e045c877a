package schema

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/internal/kinds"
)

// Reference describes the fields of one kind, as the schema files have them.
type Reference struct {
	Kind   kinds.Kind
	Open   bool // the kind has more fields, which are not read
	Fields []FieldReference
}

// FieldReference is one field that holds no further fields, or a mapping whose fields are free.
type FieldReference struct {
	Path        string // below spec for a kind of Istio; [] follows a list, {} a mapping with free keys
	Type        string
	Enum        []string
	Doc         string
	Unsupported string   // reason why the field is refused; empty if it is not
	Always      bool     // Istio refuses it too: an error even when lenient
	Ignored     string   // reason why the field has no effect on the bundle; a finding says so
	On          []string // of an annotation or label: kinds that it means something on; empty: any
}

// References describes all kinds, in the order of kinds.All, and after them the mesh configuration, MeshConfig and
// MeshNetworks, which stand in the ConfigMap istio, and the annotations and labels that parts of a mesh read.
func References() ([]Reference, error) {
	shapes, err := readShapes()
	if err != nil {
		return nil, err
	}
	all := slices.Concat(kinds.All(), []*kinds.Kind{{Name: "MeshConfig"}, {Name: "MeshNetworks"}, {Name: "Annotation"}, {Name: "Label"}})
	out := make([]Reference, 0, len(all))
	for _, k := range all {
		sh := shapes[k.Definition()]
		r := Reference{Kind: *k, Open: sh.open}
		shapes.list(&r, sh, "", &field{}, nil)
		out = append(out, r)
	}
	return out, nil
}

// list appends the leaves below a struct. What a field says of itself holds for all below it.
func (s shapes) list(r *Reference, sh *shape, prefix string, above *field, seen []*shape) {
	for _, u := range seen {
		if u == sh {
			return
		}
	}
	seen = append(seen, sh)
	fields := sh.fields
	if sh.rest != nil {
		fields = append(fields[:len(fields):len(fields)], sh.rest)
	}
	for _, f := range fields {
		path := prefix + "." + f.name
		if f == sh.rest {
			path = prefix + "{}"
		}
		if f.list {
			path += "[]"
		}
		merged := *f
		if merged.unsupported == "" && merged.ignored == "" {
			merged.unsupported, merged.always, merged.ignored = above.unsupported, above.always, above.ignored
		}
		if merged.doc == "" {
			merged.doc = above.doc
		}
		below := s.of(f)
		if below != nil && (len(below.fields) > 0 || below.rest != nil) {
			s.list(r, below, path, &merged, seen)
			continue
		}
		r.Fields = append(r.Fields, FieldReference{
			Path: strings.TrimPrefix(path, "."), Type: wantType(f), Enum: f.enum, Doc: merged.doc,
			Unsupported: merged.unsupported, Always: merged.always, Ignored: merged.ignored, On: f.on,
		})
	}
}

// wantType is wantText without the list around it.
func wantType(f *field) string {
	one := *f
	one.list = false
	return wantText(&one)
}
