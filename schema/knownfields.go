package schema

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/suggest"
)

// unknownFieldCode is for a field that a kind of Kubernetes does not have. kubectl refuses the object by default; what gets
// to an API server past it is dropped there.
const unknownFieldCode = "MESHC1112"

// knownFields reports the fields of a value that the Go type of its kind does not have, as kubectl would, and takes them out:
// they are nothing to who reads the object, while Go's reader would take one that differs in case alone.
func (c *checker) knownFields(o *Object, value any, typ reflect.Type, path []any) diag.List {
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	var out diag.List
	switch v := value.(type) {
	case []any:
		if typ.Kind() == reflect.Slice {
			for i, e := range v {
				out.Add(c.knownFields(o, e, typ.Elem(), append(slices.Clip(path), i))...)
			}
		}
	case map[string]any:
		if reflect.PointerTo(typ).Implements(unmarshaler) {
			return nil // a form of its own
		}
		switch typ.Kind() {
		case reflect.Map:
			for _, k := range sortedKeys(v) {
				out.Add(c.knownFields(o, v[k], typ.Elem(), append(slices.Clip(path), k))...)
			}
		case reflect.Struct:
			fields := c.fieldsOf(typ)
			for _, k := range sortedKeys(v) {
				at := append(slices.Clip(path), k)
				if t, ok := fields[k]; ok {
					out.Add(c.knownFields(o, v[k], t, at)...)
					continue
				}
				if !whole(typ) {
					continue
				}
				out.Add(unknownField(o, fields, k, at))
				delete(v, k)
			}
		}
	}
	return out
}

var (
	unmarshaler = reflect.TypeFor[json.Unmarshaler]()
	metadata    = reflect.TypeFor[metav1.ObjectMeta]()
)

// whole tells whether a type has all the fields of what it stands for. Those of kinds that are neither Kubernetes' nor meshc's
// own, such as Rollout, have what is read of them.
func whole(typ reflect.Type) bool {
	return strings.HasPrefix(typ.PkgPath(), "k8s.io/") || typ.PkgPath() == reflect.TypeFor[rollout.Plan]().PkgPath()
}

func unknownField(o *Object, fields map[string]reflect.Type, key string, path []any) diag.Diagnostic {
	names := make([]string, 0, len(fields))
	for n := range fields {
		names = append(names, n)
	}
	slices.Sort(names)
	help := "Remove it, or check the indentation: it may belong to another level."
	if n := suggest.Word(key, names); n != "" {
		help = "Did you mean " + n + "?"
	}
	place := "the " + o.Kind
	if len(path) > 1 {
		place = FieldPath(path[:len(path)-1]...)
	}
	return o.Finding(diag.Warning, unknownFieldCode, fmt.Sprintf("%s has no field %q: kubectl refuses it, and an API server drops it", place, key), help, path...)
}

// fieldsOf lists the fields of a struct by their names in JSON, those of embedded structs among them.
func (c *checker) fieldsOf(typ reflect.Type) map[string]reflect.Type {
	if known := c.fields[typ]; known != nil {
		return known
	}
	out := map[string]reflect.Type{}
	for i := range typ.NumField() {
		f := typ.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			for n, t := range c.fieldsOf(f.Type) {
				out[n] = t
			}
		case name != "":
			out[name] = f.Type
		}
	}
	c.fields[typ] = out
	return out
}
