package validate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rule checks a message of one type. What it holds is visited afterwards.
type rule func(v *visit, m proto.Message)

// visit is one walk through a message.
type visit struct {
	*Pass
	path []step
	// categories are those of the extensions that may stand where the visit is; nil: not known.
	categories []string
	Result

	sought *Reference // its place is wanted, and no other finding; nil: none
	found  string     // path of the first field that holds it
}

// step is one step of a path: a field, or an element of a list or a map.
type step struct {
	field string
	index int    // of a list, or -1
	key   string // of a map
}

// at renders the path of the visit and a field below it.
func (v *visit) at(field string) string {
	var b strings.Builder
	for _, s := range v.path {
		switch {
		case s.field != "":
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.field)
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		default:
			b.WriteString("[" + s.key + "]")
		}
	}
	if field != "" && b.Len() > 0 && field[0] != '[' {
		b.WriteByte('.')
	}
	return b.String() + field
}

// bad notes a problem with a field of the message that is visited; "" is the message itself.
func (v *visit) bad(field, help, says string, args ...any) {
	v.Problems = append(v.Problems, Problem{Path: v.at(field), Says: fmt.Sprintf(says, args...), Help: help})
}

// into visits what stands one step below.
func (v *visit) into(s step, m protoreflect.Message, p *plan) {
	v.path = append(v.path, s)
	v.message(m, p)
	v.path = v.path[:len(v.path)-1]
}

// message visits a message and all below it that has a rule.
func (v *visit) message(m protoreflect.Message, p *plan) {
	if p == nil {
		return
	}
	if p.rule != nil {
		p.rule(v, m.Interface())
	}
	v.refer(m, p)
	outer := v.categories
	for i := range p.fields {
		f := &p.fields[i]
		if !m.Has(f.field) {
			continue
		}
		if v.categories = outer; f.categories != nil && !(slices.Contains(outer, upstreamFilters) && slices.Contains(f.categories, filtersHTTP)) {
			v.categories = f.categories
		}
		v.field(m.Get(f.field), f)
	}
	v.categories = outer
}

func (v *visit) field(value protoreflect.Value, f *plannedField) {
	name := step{field: string(f.field.Name()), index: -1}
	switch {
	case f.field.IsMap():
		v.path = append(v.path, name)
		value.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
			v.into(step{index: -1, key: k.String()}, e.Message(), f.plan)
			return true
		})
		v.path = v.path[:len(v.path)-1]
	case f.field.IsList():
		v.path = append(v.path, name)
		for i := range value.List().Len() {
			v.into(step{index: i}, value.List().Get(i).Message(), f.plan)
		}
		v.path = v.path[:len(v.path)-1]
	default:
		v.into(name, value.Message(), f.plan)
	}
}
