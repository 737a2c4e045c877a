package validate

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/meshc/meshc/compiler/bundle" // registers what may be packed
)

// TestFits: the table names messages and fields that Envoy's API has, so that a new version of it takes none away in silence.
func TestFits(t *testing.T) {
	for name, list := range fits() {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, f := range list {
			for _, field := range f.fields {
				if d.(protoreflect.MessageDescriptor).Fields().ByName(field) == nil {
					t.Errorf("%s has no field %s", name, field)
				}
			}
		}
	}
	for name := range rules() {
		if _, err := protoregistry.GlobalFiles.FindDescriptorByName(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
