package inject

import (
	"encoding/json"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// clone copies plain data.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// child is the mapping under a key, made if there is none.
func child(m map[string]any, key string) map[string]any {
	c, ok := m[key].(map[string]any)
	if !ok {
		c = map[string]any{}
		m[key] = c
	}
	return c
}

// list is the sequence under a key.
func list(m map[string]any, key string) []any {
	l, _ := m[key].([]any)
	return slices.Clone(l)
}

// plain turns a message of Kubernetes into plain data, without what is empty.
func plain(message any) map[string]any {
	v, err := runtime.DefaultUnstructuredConverter.ToUnstructured(message)
	if err != nil {
		panic("inject: " + err.Error()) // a message this package built
	}
	return pruned(v).(map[string]any)
}

// pruned is plain data without empty mappings, but for those that stand for a choice, as emptyDir does.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if m, ok := e.(map[string]any); ok && len(pruned(m).(map[string]any)) == 0 && k != "emptyDir" || e == nil {
				delete(v, k)
			}
		}
	case []any:
		for _, e := range v {
			pruned(e)
		}
	}
	return v
}

// message reads plain data as a message of Kubernetes.
func message(v any, into any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// named finds a mapping by its name.
func named(l []any, name string) int {
	return slices.IndexFunc(l, func(e any) bool {
		m, _ := e.(map[string]any)
		return m["name"] == name
	})
}
