package compiler

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// fixtures is one file of testdata/fields: the objects that fields of a kind are tried in, and what single fields need.
//
// Patches are laid over what is there: mappings and lists element by element, null removes a key and leaves a list
// element alone, {"=": V} replaces by V.
type fixtures struct {
	Objects []map[string]any // besides those of mesh.yaml
	Of      string           // "Kind namespace/name" of the object whose fields are set
	Fields  []fixture
	Cases   []special
}

// fixture says how to try the fields whose path it names; a path that ends with * names all that begin so, ** in front
// all that end so. With of several fixtures adds up, for the rest the longest path counts.
type fixture struct {
	Path   string
	At     []string                  // paths of messages that all have the field; Path and With are below them
	Of     string                    // another object of the kind
	With   map[string]any            // patch of the object, for the output with and without the field
	And    map[string]map[string]any // patches of other objects, likewise; an object that is not there is made
	Values []any                     // to try; each must be seen
	Same   map[string]string         // values that compile to what absence does, with the reason
	Code   string                    // of the finding that reports the field
	Whole  string                    // code of the finding that reports the message which the field is part of
	Silent string                    // reason why no effect can be seen
}

// special is a case that is not about a field of a message: an annotation, a label, a field of Kubernetes.
type special struct {
	Name string
	Of   string
	With map[string]any
	And  map[string]map[string]any
	Set  map[string]any // patch of the object
	Code string
}

func readFixtures(t *testing.T, name string) fixtures {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "fields", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var f fixtures
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var all []fixture
	for _, x := range f.Fields {
		if len(x.At) == 0 {
			all = append(all, x)
		}
		for _, at := range x.At {
			y := x
			y.Path = at + "." + x.Path
			if x.With != nil {
				y.With = map[string]any{"spec": nest(strings.Split(at, "."), x.With)}
			}
			all = append(all, y)
		}
	}
	f.Fields = all
	return f
}

// nest puts a patch where a path leads.
func nest(names []string, patch any) any {
	if len(names) == 0 {
		return patch
	}
	name, list := strings.CutSuffix(names[0], "[]")
	below := nest(names[1:], patch)
	if list {
		below = []any{below}
	}
	return map[string]any{name: below}
}

func (f *fixtures) matching(path string) []fixture {
	var out []fixture
	for _, x := range f.Fields {
		p, rest := strings.CutSuffix(x.Path, "*")
		end, any := strings.CutPrefix(p, "**")
		ok := x.Path == path
		switch {
		case any && rest:
			ok = strings.Contains(path, end)
		case any:
			ok = strings.HasSuffix(path, end)
		case rest:
			ok = strings.HasPrefix(path, p)
		}
		if ok {
			out = append(out, x)
		}
	}
	slices.SortStableFunc(out, func(a, b fixture) int { return len(a.Path) - len(b.Path) })
	return out
}

// objectSet is a set of objects by "Kind namespace/name".
type objectSet map[string]map[string]any

func objectKey(o map[string]any) string {
	m, _ := o["metadata"].(map[string]any)
	ns, _ := m["namespace"].(string)
	return fmt.Sprintf("%v %s/%v", o["kind"], ns, m["name"])
}

func (w objectSet) add(objects []map[string]any) {
	for _, o := range objects {
		w[objectKey(o)] = o
	}
}

// patched returns a copy with patches laid over objects.
func (w objectSet) patched(patches map[string]map[string]any) objectSet {
	out := maps.Clone(w)
	for key, p := range patches {
		if p == nil {
			delete(out, key)
			continue
		}
		var before any
		if o := out[key]; o != nil {
			before = o
		}
		out[key] = overlay(before, p).(map[string]any)
	}
	return out
}

// overlay lays a patch over a value.
func overlay(v, patch any) any {
	switch p := patch.(type) {
	case map[string]any:
		if r, ok := p["="]; ok && len(p) == 1 {
			return r
		}
		old, _ := v.(map[string]any)
		out := maps.Clone(old)
		if out == nil {
			out = map[string]any{}
		}
		for k, e := range p {
			if e == nil {
				delete(out, k)
			} else {
				out[k] = overlay(out[k], e)
			}
		}
		return out
	case []any:
		old, _ := v.([]any)
		out := slices.Clone(old)
		for i, e := range p {
			if i >= len(out) {
				out = append(out, overlay(nil, e))
			} else if e != nil {
				out[i] = overlay(out[i], e)
			}
		}
		return out
	}
	return patch
}

// set returns a copy of an object with a field set, and the path that the field then has in it. The first element of each
// list and the first key of each mapping on the way is taken, or made; other arms of a oneof go.
func set(o map[string]any, root []string, l leaf, value any) (map[string]any, string) {
	var at []string
	var place func(v any, i int, names []string) any
	place = func(v any, i int, names []string) any {
		if i == len(names) {
			return value
		}
		name, list := strings.CutSuffix(names[i], "[]")
		name, dict := strings.CutSuffix(name, "{}")
		old, _ := v.(map[string]any)
		out := maps.Clone(old)
		if out == nil {
			out = map[string]any{}
		}
		if r := i - len(root); r >= 0 {
			for _, x := range strings.Split(l.rivals[r], ",") {
				delete(out, x)
			}
		}
		at = append(at, name)
		last := i == len(names)-1
		switch {
		case list && last:
			out[name] = []any{value}
			if whole, ok := value.([]any); ok {
				out[name] = whole
			}
		case list:
			have, _ := out[name].([]any)
			have = slices.Clone(have)
			if len(have) == 0 {
				have = []any{nil}
			}
			at[len(at)-1] += "[0]"
			have[0] = place(have[0], i+1, names)
			out[name] = have
		case dict && last:
			if whole, ok := value.(map[string]any); ok {
				out[name] = whole
			} else {
				out[name] = map[string]any{"field-test": value}
			}
		case dict:
			have, _ := out[name].(map[string]any)
			have = maps.Clone(have)
			key := "field-test"
			if len(have) > 0 {
				key = slices.Sorted(maps.Keys(have))[0]
			} else {
				have = map[string]any{}
			}
			at = append(at, key)
			have[key] = place(have[key], i+1, names)
			out[name] = have
		default:
			out[name] = place(out[name], i+1, names)
		}
		return out
	}
	names := append(slices.Clone(root), strings.Split(l.path, ".")...)
	out := place(o, 0, names).(map[string]any)
	return out, strings.Join(at[len(root):], ".")
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := yaml.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return strconv.Quote(strings.TrimSpace(string(b)))
}
