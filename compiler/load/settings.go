package load

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// settingsKey holds the settings of a mesh in the values of Istio's charts.
const settingsKey = "meshConfig"

// maxNested is how deep settings are looked for.
const maxNested = 10

// settingsText finds the key in values that an object holds as text.
var settingsText = regexp.MustCompile(`(?m)^\s*` + settingsKey + `:`)

// unreadSettings reports settings of the mesh in a document that is left alone: values of a chart, by themselves or in an
// object that installs it. A schema of them only describes what could be set.
func (p *parser) unreadSettings(n *yaml.Node) {
	at := findSettings(n, 0)
	if at == nil {
		return
	}
	p.out.diags.Add(warning(p.pos(at), "MESHC1015", "these settings of the mesh are not in force: they are values for a chart of Istio, which nobody has rendered here",
		"Render the chart (helm template), which makes the ConfigMap istio of them, or write them into that ConfigMap under the key mesh."))
}

// unreadValues does so for a ConfigMap, from which a release may take its values. The injector has its own.
func (p *parser) unreadValues(n *yaml.Node, kind, name string) {
	if data := child(n, "data"); kind == "ConfigMap" && data != nil && !strings.HasPrefix(name, "istio-sidecar-injector") {
		p.unreadSettings(data)
	}
}

func findSettings(n *yaml.Node, depth int) *yaml.Node {
	if depth > maxNested {
		return nil
	}
	if n.Kind == yaml.ScalarNode && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && settingsText.MatchString(n.Value) {
		return n
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			if at := findSettings(c, depth+1); at != nil {
				return at
			}
		}
		return nil
	}
	for _, field := range []string{"name", "targetPath"} { // of a parameter that a tool hands to the chart
		if strings.HasPrefix(childText(n, field), settingsKey+".") {
			return n
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Value == "properties" || key.Value == "openAPIV3Schema" {
			continue
		}
		if key.Value == settingsKey && value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			return key
		}
		if at := findSettings(value, depth+1); at != nil {
			return at
		}
	}
	return nil
}
