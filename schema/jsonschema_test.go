package schema

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/meshc/meshc/internal/kinds"
)

// istioKinds are those that have a JSON Schema.
func istioKinds() []*kinds.Kind {
	return slices.DeleteFunc(slices.Clone(kinds.All()), func(k *kinds.Kind) bool { return !HasJSONSchema(k) })
}

// TestJSONSchema: what the schemas take and refuse of documents is what Check does. They are read by a validator of their own.
func TestJSONSchema(t *testing.T) {
	text, err := JSONSchema(istioKinds())
	if err != nil {
		t.Fatal(err)
	}
	read, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("meshc.schema.json", read); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("meshc.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	takes := func(doc string) error {
		t.Helper()
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
	for _, c := range []struct {
		doc  string
		good bool
	}{
		{`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":["a"],"http":[{"timeout":"5s","route":[{"destination":{"host":"a"},"weight":100}]}]}}`, true},
		{`{"apiVersion":"networking.istio.io/v1beta1","kind":"VirtualService","metadata":{"name":"a","labels":{"x":"y"}},"spec":{"hosts":["a"]},"status":{}}`, true},
		{`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":["a"],"htpp":[]}}`, false},
		{`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":"a"}}`, false},
		{`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","metadata":{"name":"a"},"spec":{"hosts":["a"]},"spek":{}}`, false},
		{`{"apiVersion":"networking.istio.io/v1","kind":"VirtualService","spec":{"hosts":["a"]}}`, false},
		{`{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"a"},"spec":{"action":"DENY"}}`, true},
		{`{"apiVersion":"security.istio.io/v1","kind":"AuthorizationPolicy","metadata":{"name":"a"},"spec":{"action":"DENI"}}`, false},
		{`{"apiVersion":"meshc.dev/v1alpha1","kind":"MeshRollout","metadata":{"name":"a"},"spec":{"waves":[{"name":"x","percent":10}]}}`, true},
		{`{"apiVersion":"meshc.dev/v1alpha1","kind":"MeshRollout","metadata":{"name":"a"},"spec":{"wawes":[]}}`, false},
		{`{"apiVersion":"apps/v1","kind":"Deployment","whatever":1}`, true},
	} {
		if err := takes(c.doc); (err == nil) != c.good {
			t.Errorf("%s: %v", c.doc, err)
		}
	}
	for _, k := range istioKinds() {
		one, err := JSONSchema([]*kinds.Kind{k})
		if err != nil || !strings.Contains(string(one), `"const": "`+k.Name+`"`) {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
}
