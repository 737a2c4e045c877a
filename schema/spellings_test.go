package schema

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// crd is what the test reads of a CustomResourceDefinition.
type crd struct {
	Spec struct {
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Schema struct {
				Root property `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

type property struct {
	Properties map[string]property `json:"properties"`
	Items      *property           `json:"items"`
}

// TestSpellingsOfTheCRDs holds the names of fields to those that an API server takes: the definitions that belong to the release of
// the API in go.mod name each field of a spec, some of them twice. It names what the schemas lack.
func TestSpellingsOfTheCRDs(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "istio.io/api").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "kubernetes", "customresourcedefinitions.gen.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := readShapes()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, doc := range strings.Split(string(text), "\n---\n") {
		var d crd
		if err := yaml.Unmarshal([]byte(doc), &d); err != nil {
			t.Fatal(err)
		}
		kind := d.Spec.Names.Kind
		if kind == "" {
			continue
		}
		for _, v := range d.Spec.Versions {
			seen++
			missing(kind, "spec", v.Schema.Root.Properties["spec"], all["#"+kind], all, t.Errorf)
		}
	}
	if seen < 20 {
		t.Errorf("only %d versions of kinds were looked at", seen)
	}
}

// missing reports the properties below a path that a shape has under no spelling.
func missing(kind, path string, p property, s *shape, all shapes, report func(string, ...any)) {
	for name, sub := range p.Properties {
		at := path + "." + name
		plain := map[string]any{name: true}
		list, last, below := strings.Cut(strings.TrimPrefix(path, "spec."), "[]")
		if below && last == "" {
			spec := map[string]any{list: []any{plain}}
			aliases(kind, spec)
		}
		var own *field
		for n := range plain {
			own = s.byName[n]
		}
		if own == nil {
			report("%s: %s is not in the schema", kind, at)
			continue
		}
		next := all.of(own)
		if sub.Items != nil {
			at, sub = at+"[]", *sub.Items
		}
		if next != nil && len(sub.Properties) > 0 && len(next.byName) > 0 {
			missing(kind, at, sub, next, all, report)
		}
	}
}
