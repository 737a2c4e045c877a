package bootstrap

import (
	"fmt"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"
)

// Override lays a part of a bootstrap (envoy.config.bootstrap.v3.Bootstrap, as JSON or YAML) over a whole one, as Envoy does with
// --config-yaml: fields of the part count, messages are merged, lists get its entries behind their own. What Envoy would refuse of the
// result, fields out of their range or two clusters or listeners of one name, is an error.
func Override(b *bootstrapv3.Bootstrap, text []byte) error {
	data, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	part := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(data, part); err != nil {
		return fmt.Errorf("this is no part of a bootstrap: %w", err)
	}
	proto.Merge(b, part)
	if err := b.ValidateAll(); err != nil {
		return fmt.Errorf("with it the bootstrap is not valid: %w", err)
	}
	var names []string
	for _, c := range b.GetStaticResources().GetClusters() {
		names = append(names, "cluster "+c.GetName())
	}
	for _, l := range b.GetStaticResources().GetListeners() {
		if l.GetName() != "" { // Envoy names it then
			names = append(names, "listener "+l.GetName())
		}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("the bootstrap has a %s already", name)
		}
	}
	return nil
}
