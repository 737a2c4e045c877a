package golden

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/bundle"
)

// show prints CLIENT TYPE NAME [PATH] as YAML.
func (g *golden) show(t *testing.T, b *bundle.Bundle, args string) []byte {
	t.Helper()
	words := strings.Fields(args)
	if len(words) < 3 || len(words) > 4 {
		t.Fatalf("show %s: write show WORKLOAD TYPE NAME [PATH]", args)
	}
	c := classOf(b, words[0])
	if c == nil {
		t.Fatalf("show %s: no workload or class %s", args, words[0])
	}
	types := map[string]string{"listener": bundle.ListenerType, "route": bundle.RouteConfigurationType, "host": bundle.VirtualHostType, "cluster": bundle.ClusterType, "endpoints": bundle.EndpointsType}
	rs := c.Resources()
	if words[1] == "route" {
		var err error
		if rs, err = bundle.Inlined(rs); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, r := range rs {
		if r.Type != types[words[1]] {
			continue
		}
		names = append(names, r.Name)
		if r.Name != words[2] {
			continue
		}
		part := plain(t, r)
		if len(words) == 4 {
			var err error
			if part, err = at(part, words[3]); err != nil {
				t.Fatalf("show %s: %v", args, err)
			}
		}
		out, err := yaml.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	t.Fatalf("show %s: there is no such %s, only %s", args, words[1], strings.Join(names, ", "))
	return nil
}

// classOf finds the proxies of a workload, its gateway before its sidecar, or a class by id.
func classOf(b *bundle.Bundle, name string) *bundle.Class {
	if c := b.Class(name); c != nil {
		return c
	}
	var hit *bundle.Class
	for _, w := range b.Workloads {
		if c := b.Class(w.Class); c != nil && w.Namespace+"/"+w.Name == name && (hit == nil || c.Gateway) {
			hit = c
		}
	}
	return hit
}

func plain(t *testing.T, r *bundle.Resource) any {
	t.Helper()
	m, err := r.Message()
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// at follows a path: names with dots between them; [2] is an element of a list, [name=x] the element whose name is x,
// [x.y] a key with dots in it.
func at(v any, path string) (any, error) {
	for path != "" {
		var key string
		path = strings.TrimPrefix(path, ".")
		if rest, ok := strings.CutPrefix(path, "["); ok {
			if key, path, ok = strings.Cut(rest, "]"); !ok {
				return nil, fmt.Errorf("%s has no ]", rest)
			}
			if list, ok := v.([]any); ok {
				var err error
				if v, err = element(list, key); err != nil {
					return nil, err
				}
				continue
			}
		} else {
			i := strings.IndexAny(path, ".[")
			if i < 0 {
				i = len(path)
			}
			key, path = path[:i], path[i:]
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s is asked of what has no fields", key)
		}
		if v, ok = m[key]; !ok {
			return "absent", nil
		}
	}
	return v, nil
}

func element(list []any, key string) (any, error) {
	if n, err := strconv.Atoi(key); err == nil {
		if n < 0 || n >= len(list) {
			return nil, fmt.Errorf("element %d of %d", n, len(list))
		}
		return list[n], nil
	}
	name, want, _ := strings.Cut(key, "=")
	for _, x := range list {
		if m, ok := x.(map[string]any); ok && fmt.Sprint(m[name]) == want {
			return x, nil
		}
	}
	return nil, fmt.Errorf("no element has %s", key)
}
