package change

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/neutral"
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
			out = append(out, setting{topic: topic, name: prefix + strings.ReplaceAll(name, "_", " "), value: valueText(fd, v)})
		}
		return true
	})
	return out
}

// valueText writes a value of a field on one line.
func valueText(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	one := func(v protoreflect.Value) string {
		switch {
		case fd.Message() != nil:
			return messageText(v.Message().Interface())
		case fd.Enum() != nil:
			if d := fd.Enum().Values().ByNumber(v.Enum()); d != nil {
				return strings.ToLower(string(d.Name()))
			}
		}
		return v.String()
	}
	switch {
	case fd.IsMap():
		var parts []string
		v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			text := e.String()
			if fd.MapValue().Message() != nil {
				text = messageText(e.Message().Interface())
			}
			parts = append(parts, k.String()+": "+text)
			return true
		})
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case fd.IsList():
		var parts []string
		for i := range v.List().Len() {
			parts = append(parts, one(v.List().Get(i)))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return one(v)
}

// messageText writes a message as JSON on one line: a duration or a number in a wrapper as itself.
func messageText(m proto.Message) string {
	b, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return "?"
		}
		return fmt.Sprintf("%s %s", m.ProtoReflect().Descriptor().Name(), condition.Fingerprint(raw))
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, b); err != nil {
		return string(b)
	}
	return strings.Trim(compact.String(), `"`)
}
