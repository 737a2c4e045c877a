package change

import (
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshc/meshc/compiler/bundle"
)

// Setting is a resource whose difference no request of its own shows: limits, retries, outlier detection, logs.
type Setting struct {
	Type    string          `json:"type"`
	Name    string          `json:"name"`
	Fields  []string        `json:"fields"` // of the resource, that differ
	Origins []bundle.Origin `json:"origins"`
}

// settings lists the resources that differ and whose witnesses do not.
func settings(all []looked, differs map[int]bool) ([]Setting, error) {
	out := []Setting{}
	seen := map[resourceKey]int{}
	for _, l := range all {
		if slices.ContainsFunc(l.requests, func(i int) bool { return differs[i] }) || l.held.base == nil || l.held.head == nil {
			continue
		}
		fields, err := differing(l.held)
		if err != nil {
			return nil, err
		}
		i, ok := seen[l.key]
		if !ok {
			i = len(out)
			seen[l.key] = i
			origins := l.held.head.Origins
			out = append(out, Setting{Type: shortType(l.key.url), Name: l.key.name, Fields: []string{}, Origins: origins[:min(3, len(origins))]})
		}
		for _, f := range fields {
			if !slices.Contains(out[i].Fields, f) {
				out[i].Fields = append(out[i].Fields, f)
			}
		}
	}
	return out, nil
}

// differing names the fields of a resource that differ, down to two levels.
func differing(h held) ([]string, error) {
	a, err := h.base.Message()
	if err != nil {
		return nil, err
	}
	b, err := h.head.Message()
	if err != nil {
		return nil, err
	}
	return fieldsOf(a.ProtoReflect(), b.ProtoReflect(), 2), nil
}

func fieldsOf(a, b protoreflect.Message, depth int) []string {
	var out []string
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		va, vb := a.Get(f), b.Get(f)
		if a.Has(f) == b.Has(f) && va.Equal(vb) {
			continue
		}
		name := string(f.Name())
		if depth > 1 && f.Message() != nil && !f.IsList() && !f.IsMap() && a.Has(f) && b.Has(f) && !opaque(va.Message()) {
			for _, inner := range fieldsOf(va.Message(), vb.Message(), depth-1) {
				out = append(out, name+"."+inner)
			}
			continue
		}
		out = append(out, name)
	}
	return out
}

// opaque messages have no fields that say anything: durations and numbers in a wrapper.
func opaque(m protoreflect.Message) bool {
	return strings.HasPrefix(string(proto.MessageName(m.Interface())), "google.protobuf.")
}
