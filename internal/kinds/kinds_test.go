package kinds

import (
	"reflect"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// TestTable: names are unique, and what a kind is decoded into is its own.
func TestTable(t *testing.T) {
	names, types := map[string]bool{}, map[reflect.Type]bool{}
	for _, k := range All() {
		of := reflect.TypeOf(k.New())
		if names[k.Name] || types[of] {
			t.Errorf("%s or its type %s is in the table twice", k.Name, of)
		}
		names[k.Name], types[of] = true, true
		if _, message := k.New().(proto.Message); k.Istio && (!message || of.Elem().Name() != k.Name) || !k.Istio && of.Elem().Name() != k.Name {
			t.Errorf("%s is decoded into %s", k.Name, of)
		}
		if Find(k.Name) != k || OfSpec(k.New()) != k || !k.Has(k.Group, k.Versions[0]) {
			t.Errorf("%s is not found", k.Name)
		}
	}
}

// TestSelections: every kind whose spec has a selector of workloads, and no other, says how it selects.
func TestSelections(t *testing.T) {
	for _, k := range All() {
		m, ok := k.New().(proto.Message)
		if !ok {
			continue
		}
		selector := ""
		for _, name := range []string{"selector", "workload_selector"} {
			if f := m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name)); f != nil {
				selector = f.JSONName()
			}
		}
		switch {
		case selector == "" && k.Selects != nil || selector != "" && k.Selects == nil:
			t.Errorf("%s: selector %q, in the table %v", k.Name, selector, k.Selects)
		case k.Selects == nil:
		case k.Selects.Field != selector:
			t.Errorf("%s selects by %s, not %s", k.Name, selector, k.Selects.Field)
		default:
			if labels, has := k.Selects.Labels(k.New()); has || len(labels) > 0 {
				t.Errorf("%s without a selector has one: %v", k.Name, labels)
			}
		}
	}
}
