package compiler

import (
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
	networkingv1beta1 "istio.io/api/networking/v1beta1"
	security "istio.io/api/security/v1beta1"
	telemetry "istio.io/api/telemetry/v1alpha1"
)

// walkedKinds are the kinds of which each field must change the output or be reported, with the messages of their specs.
func walkedKinds() map[string]protoreflect.MessageDescriptor {
	return map[string]protoreflect.MessageDescriptor{
		"VirtualService":        (&networking.VirtualService{}).ProtoReflect().Descriptor(),
		"DestinationRule":       (&networking.DestinationRule{}).ProtoReflect().Descriptor(),
		"Gateway":               (&networking.Gateway{}).ProtoReflect().Descriptor(),
		"ServiceEntry":          (&networking.ServiceEntry{}).ProtoReflect().Descriptor(),
		"WorkloadEntry":         (&networking.WorkloadEntry{}).ProtoReflect().Descriptor(),
		"WorkloadGroup":         (&networking.WorkloadGroup{}).ProtoReflect().Descriptor(),
		"Sidecar":               (&networking.Sidecar{}).ProtoReflect().Descriptor(),
		"ProxyConfig":           (&networkingv1beta1.ProxyConfig{}).ProtoReflect().Descriptor(),
		"PeerAuthentication":    (&security.PeerAuthentication{}).ProtoReflect().Descriptor(),
		"RequestAuthentication": (&security.RequestAuthentication{}).ProtoReflect().Descriptor(),
		"AuthorizationPolicy":   (&security.AuthorizationPolicy{}).ProtoReflect().Descriptor(),
		"Telemetry":             (&telemetry.Telemetry{}).ProtoReflect().Descriptor(),
		"MeshConfig":            (&meshconfig.MeshConfig{}).ProtoReflect().Descriptor(),
		"MeshNetworks":          (&meshconfig.MeshNetworks{}).ProtoReflect().Descriptor(),
	}
}

// leaf is a field of a message that holds no further fields.
type leaf struct {
	path   string   // below the spec, as http[].match[].uri.exact; {} follows a mapping
	values []any    // to set it to, as plain data
	each   bool     // each value must be seen; else one of them
	rivals []string // per path element, the other arms of its oneof, comma separated
}

// leaves walks a message. A message inside itself is not walked again.
func leaves(d protoreflect.MessageDescriptor) []leaf {
	var out []leaf
	var walk func(d protoreflect.MessageDescriptor, prefix string, rivals []string, seen map[protoreflect.FullName]bool)
	walk = func(d protoreflect.MessageDescriptor, prefix string, rivals []string, seen map[protoreflect.FullName]bool) {
		if seen[d.FullName()] {
			return
		}
		seen[d.FullName()] = true
		defer delete(seen, d.FullName())
		for i := range d.Fields().Len() {
			f := d.Fields().Get(i)
			path := prefix + f.JSONName()
			value := f
			switch {
			case f.IsMap():
				path += "{}"
				value = f.MapValue()
			case f.IsList():
				path += "[]"
			}
			r := append(append([]string(nil), rivals...), others(f))
			if values, each := leafValues(value); values != nil {
				out = append(out, leaf{path: path, values: values, each: each, rivals: r})
				continue
			}
			walk(value.Message(), path+".", r, seen)
		}
	}
	walk(d, "", nil, map[protoreflect.FullName]bool{})
	return out
}

func others(f protoreflect.FieldDescriptor) string {
	o := f.ContainingOneof()
	if o == nil {
		return ""
	}
	var out string
	for i := range o.Fields().Len() {
		if g := o.Fields().Get(i); g != f {
			out += g.JSONName() + ","
		}
	}
	return out
}

// leafValues are values for a field of a scalar or well-known type, nil for a message with fields of its own.
func leafValues(f protoreflect.FieldDescriptor) (values []any, each bool) {
	switch f.Kind() {
	case protoreflect.EnumKind:
		for i := range f.Enum().Values().Len() {
			values = append(values, string(f.Enum().Values().Get(i).Name()))
		}
		return values, true
	case protoreflect.BoolKind:
		return []any{true, false}, false
	case protoreflect.StringKind:
		return []any{"field-test"}, true
	case protoreflect.BytesKind:
		return []any{"Zm9v"}, true
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return []any{7.5}, true
	case protoreflect.MessageKind, protoreflect.GroupKind:
	default:
		return []any{7}, true
	}
	switch m := f.Message(); m.FullName() {
	case "google.protobuf.Duration":
		return []any{"7s"}, true
	case "google.protobuf.BoolValue":
		return []any{true, false}, false
	case "google.protobuf.UInt32Value", "google.protobuf.Int32Value", "google.protobuf.UInt64Value", "google.protobuf.Int64Value":
		return []any{7}, true
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue":
		return []any{7.5}, true
	case "google.protobuf.StringValue":
		return []any{"field-test"}, true
	case "google.protobuf.Timestamp":
		return []any{"2026-01-31T12:00:00Z"}, true
	case (&structpb.Struct{}).ProtoReflect().Descriptor().FullName():
		return []any{map[string]any{"field-test": "value"}}, true
	default:
		if m.Fields().Len() == 0 {
			return []any{map[string]any{}}, true
		}
	}
	return nil, false
}
