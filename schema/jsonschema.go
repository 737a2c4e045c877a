package schema

import (
	"encoding/json"
	"fmt"
	"maps"

	"cuelang.org/go/encoding/jsonschema"

	"github.com/meshc/meshc/internal/kinds"
)

// draft is the edition of JSON Schema that is written.
const draft = "https://json-schema.org/draft/2020-12/schema"

// HasJSONSchema tells whether JSONSchema knows a kind: those of Istio and of meshc. Kubernetes has schemas of its own kinds, and
// the definitions here say of these only what the compiler reads.
func HasJSONSchema(k *kinds.Kind) bool { return k.Istio || k.Group == kinds.OwnGroup }

// JSONSchema is a JSON Schema, draft 2020-12, of the documents of some kinds: a document of another kind is let pass. It is made of the
// CUE definitions, and holds what these say of one document: fields, types, values, what goes together. What Check finds beyond
// that is not in it.
func JSONSchema(list []*kinds.Kind) ([]byte, error) {
	shapes, err := readShapes()
	if err != nil {
		return nil, err
	}
	c := newChecker(shapes, newEngine(), Options{})
	defs := map[string]any{}
	var cases []any
	for _, k := range list {
		spec, more, err := c.jsonSchema(k.Definition())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.Name, err)
		}
		maps.Copy(defs, more) // names are those of the definitions, which all kinds share
		then := spec
		if k.Istio {
			then = document(spec)
		}
		versions := make([]any, len(k.Versions))
		for i, v := range k.Versions {
			versions[i] = k.Group + "/" + v
		}
		cases = append(cases, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"kind": map[string]any{"const": k.Name}, "apiVersion": map[string]any{"enum": versions}}, "required": []any{"kind", "apiVersion"}},
			"then": then,
		})
	}
	return json.MarshalIndent(map[string]any{"$schema": draft, "$defs": defs, "type": "object", "required": []any{"apiVersion", "kind"}, "allOf": cases}, "", "  ")
}

// document is the schema of a document whose spec has one.
func document(spec map[string]any) map[string]any {
	return map[string]any{
		"properties": map[string]any{
			"apiVersion": map[string]any{"type": "string"}, "kind": map[string]any{"type": "string"},
			"metadata": map[string]any{"type": "object", "required": []any{"name"}, "properties": map[string]any{"name": map[string]any{"type": "string"}, "namespace": map[string]any{"type": "string"}}},
			"spec":     spec, "status": true,
		},
		"required": []any{"metadata"}, "additionalProperties": false,
	}
}

// jsonSchema is the JSON Schema of a definition, and the definitions that it refers to.
func (c *checker) jsonSchema(name string) (of, defs map[string]any, err error) {
	expr, err := jsonschema.Generate(c.definition(name), nil)
	if err != nil {
		return nil, nil, err
	}
	text, err := c.ctx.BuildExpr(expr).MarshalJSON()
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(text, &of); err != nil {
		return nil, nil, err
	}
	defs, _ = of["$defs"].(map[string]any)
	delete(of, "$defs")
	delete(of, "$schema")
	return of, defs, nil
}
