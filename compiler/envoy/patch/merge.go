package patch

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// merge lays src over dst as the MERGE operation of EnvoyFilter does: scalars and the messages of google.protobuf replace,
// other messages merge, lists grow, and map entries replace. replaceLists is MERGE_AND_REPLACE_LIST.
func merge(dst, src proto.Message, replaceLists bool) {
	mergeMessage(dst.ProtoReflect(), src.ProtoReflect(), replaceLists)
}

func mergeMessage(dst, src protoreflect.Message, replaceLists bool) {
	src.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsList():
			if replaceLists {
				dst.Clear(f)
			}
			list := dst.Mutable(f).List()
			for i := range v.List().Len() {
				list.Append(cloneValue(f, v.List().Get(i)))
			}
		case f.IsMap():
			m := dst.Mutable(f).Map()
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				m.Set(k, cloneValue(f.MapValue(), e))
				return true
			})
		case f.Message() != nil && dst.Has(f) && !strings.HasPrefix(string(f.Message().FullName()), "google.protobuf."):
			mergeMessage(dst.Mutable(f).Message(), v.Message(), replaceLists)
		default:
			dst.Set(f, cloneValue(f, v))
		}
		return true
	})
}

func cloneValue(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	if f.Message() == nil {
		return v
	}
	return protoreflect.ValueOfMessage(proto.Clone(v.Message().Interface()).ProtoReflect())
}

// mergeAny merges packed messages, which have to be of one type.
func mergeAny(dst, src *anypb.Any) (*anypb.Any, error) {
	if src == nil {
		return dst, nil
	}
	if dst == nil {
		return src, nil
	}
	if dst.TypeUrl != src.TypeUrl {
		return nil, fmt.Errorf("it holds a %s, the value a %s", dst.TypeUrl, src.TypeUrl)
	}
	a, err := dst.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	b, err := src.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	merge(a, b, false)
	return xds.Any(a), nil
}

// edit applies a patch to a list of named things: filters, chains, routes. A patch that names none merges into every
// element, and removes and replaces none. It tells whether anything changed.
func edit[T any](list []T, op patchOp, value T, matches func(T) bool, named bool, mergeInto func(T) (T, error)) ([]T, bool, error) {
	insert := func(i int) ([]T, bool, error) {
		return slices.Insert(slices.Clone(list), i, value), true, nil
	}
	at := slices.IndexFunc(list, matches)
	switch op {
	case opAdd:
		return insert(len(list))
	case opInsertFirst:
		return insert(0)
	case opInsertBefore, opInsertAfter:
		switch {
		case !named && op == opInsertBefore:
			return insert(0)
		case !named:
			return insert(len(list))
		case at < 0:
			return list, false, nil
		case op == opInsertBefore:
			return insert(at)
		}
		return insert(at + 1)
	case opReplace:
		if at < 0 || !named {
			return list, false, nil
		}
		out := slices.Clone(list)
		out[at] = value
		return out, true, nil
	case opRemove:
		if !named {
			return list, false, nil
		}
		out := slices.DeleteFunc(slices.Clone(list), matches)
		return out, len(out) < len(list), nil
	default:
		return mergeAll(list, matches, mergeInto)
	}
}

// mergeAll merges a patch into each element that matches. It fails only where no match could be merged.
func mergeAll[T any](list []T, matches func(T) bool, mergeInto func(T) (T, error)) ([]T, bool, error) {
	out, changed := append([]T{}, list...), false
	var failed error
	for i, x := range out {
		if !matches(x) {
			continue
		}
		y, err := mergeInto(x)
		if err != nil {
			failed = err
			continue
		}
		out[i], changed = y, true
	}
	if changed {
		failed = nil // one match was meant; others have another type
	}
	return out, changed, failed
}
