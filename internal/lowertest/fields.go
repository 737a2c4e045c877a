package lowertest

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// LeafPath leads to a field that is set: fields, and indices of lists.
type LeafPath []any

func (l LeafPath) String() string {
	var out []string
	for _, e := range l {
		if f, ok := e.(protoreflect.FieldDescriptor); ok {
			out = append(out, f.JSONName())
		}
	}
	return strings.Join(out, ".")
}

func (l LeafPath) Clear(m protoreflect.Message) {
	for i := 0; i < len(l)-1; i++ {
		f := l[i].(protoreflect.FieldDescriptor)
		if n, ok := l[i+1].(int); ok {
			m = m.Get(f).List().Get(n).Message()
			i++
			continue
		}
		m = m.Mutable(f).Message()
	}
	m.Clear(l[len(l)-1].(protoreflect.FieldDescriptor))
}

func Leaves(m protoreflect.Message, at LeafPath) []LeafPath {
	var out []LeafPath
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		here := append(slices.Clone(at), f)
		switch {
		case f.IsMap() || !isMessage(f):
			out = append(out, here)
		case f.IsList():
			for i := range v.List().Len() {
				out = append(out, Leaves(v.List().Get(i).Message(), append(slices.Clone(here), i))...)
			}
		default:
			sub := Leaves(v.Message(), here)
			if len(sub) == 0 {
				sub = []LeafPath{here}
			}
			out = append(out, sub...)
		}
		return true
	})
	slices.SortFunc(out, func(a, b LeafPath) int { return strings.Compare(fmt.Sprint(a.String(), a), fmt.Sprint(b.String(), b)) })
	return out
}

func isMessage(f protoreflect.FieldDescriptor) bool {
	return f.Message() != nil && f.Message().FullName().Parent() != "google.protobuf"
}

func FieldsOf(d protoreflect.MessageDescriptor, prefix string) []string {
	var out []string
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if isMessage(f) && !f.IsMap() {
			out = append(out, FieldsOf(f.Message(), prefix+f.JSONName()+".")...)
			continue
		}
		out = append(out, prefix+f.JSONName())
	}
	return out
}
