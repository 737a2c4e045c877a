package change

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshc/meshc/compiler/change/neutral"
	"github.com/meshc/meshc/compiler/change/text"
)

// fieldSettings makes a setting of each field of a message that is set. topics says which topic a field has; "-" leaves it
// out, and a field that it does not name has the topic of "".
func fieldSettings(prefix string, m proto.Message, topics map[string]string) []setting {
	var out []setting
	m.ProtoReflect().Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if neutral.Reason(fd.FullName()) != "" {
			return true
		}
		name := string(fd.Name())
		topic, ok := topics[name]
		if !ok {
			topic = topics[""]
		}
		if topic != "-" {
			out = append(out, setting{topic: topic, name: prefix + strings.ReplaceAll(name, "_", " "), value: text.Value(fd, v)})
		}
		return true
	})
	return out
}
