package bundle

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// EachMessage calls visit for a message and for every message within it, in lists, in maps and packed ones too, outer ones
// first. Of a packed message visit gets what is packed, and nothing where the type is not known.
func EachMessage(m protoreflect.Message, visit func(protoreflect.Message)) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		if inner, err := packed.UnmarshalNew(); err == nil {
			EachMessage(inner.ProtoReflect(), visit)
		}
		return
	}
	visit(m)
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap() && f.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool { EachMessage(v.Message(), visit); return true })
		case f.IsMap() || f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				EachMessage(v.List().Get(i).Message(), visit)
			}
		default:
			EachMessage(v.Message(), visit)
		}
		return true
	})
}
