// Package text writes values of Envoy's messages on one line, equal ones alike: to be compared, and for people.
package text

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
)

// Value writes a value of a field on one line.
func Value(fd protoreflect.FieldDescriptor, v protoreflect.Value) string {
	one := func(v protoreflect.Value) string {
		switch {
		case fd.Message() != nil:
			return Message(v.Message().Interface())
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
			entry := e.String()
			if fd.MapValue().Message() != nil {
				entry = Message(e.Message().Interface())
			}
			parts = append(parts, k.String()+": "+entry)
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

// Message writes a message as JSON on one line: a duration or a number in a wrapper as itself.
func Message(m proto.Message) string {
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
