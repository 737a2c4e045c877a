package inject

import (
	"bytes"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
)

// FunctionConfig reads the settings of a KRM function off its ResourceList: the data of a ConfigMap. There may be none.
func FunctionConfig(text []byte) (map[string]string, error) {
	var list struct {
		Kind   string `yaml:"kind"`
		Config *struct {
			Kind string            `yaml:"kind"`
			Data map[string]string `yaml:"data"`
		} `yaml:"functionConfig"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("standard input is no ResourceList: %w", err)
	}
	if list.Kind != resourceList {
		return nil, errors.New("standard input is no ResourceList, which kustomize and kpt give to functions; inject - reads manifests")
	}
	if list.Config == nil {
		return nil, nil
	}
	if list.Config.Kind != "ConfigMap" {
		return nil, fmt.Errorf("functionConfig is a %s: settings are the data of a ConfigMap", list.Config.Kind)
	}
	return list.Config.Data, nil
}

// WithResults puts findings into a ResourceList, where the contract of functions wants them.
func WithResults(text []byte, findings diag.List) ([]byte, error) {
	if len(findings) == 0 {
		return text, nil
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("standard input is no ResourceList: %w", err)
	}
	var results []any
	for _, d := range findings {
		r := map[string]any{"message": d.Code + ": " + d.Message, "severity": d.Severity.String()}
		if o := d.Object; o.Kind != "" {
			r["resourceRef"] = map[string]any{"kind": o.Kind, "name": o.Name, "namespace": o.Namespace}
		}
		if d.Field != "" {
			r["field"] = map[string]any{"path": d.Field}
		}
		results = append(results, r)
	}
	style := styleOf(&root, text)
	n := root.Content[0]
	if old := nodeAt(n, "results"); old != nil {
		*old = *write(results)
	} else {
		n.Content = append(n.Content, scalar("results"), write(results))
	}
	return bytes.TrimPrefix(style.write(&root), []byte("---\n")), nil
}
