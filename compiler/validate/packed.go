package validate

import (
	"crypto/sha256"
	"slices"
	"strings"

	udpatypev1 "github.com/cncf/xds/go/udpa/type/v1"
	xdstypev3 "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// anyRule checks a packed message: that it can be read, that stock Envoy has it for the place where it stands, and what holds
// for the message itself.
func anyRule(v *visit, m proto.Message) {
	a := m.(*anypb.Any)
	inner, err := v.packedResult(a)
	if err != nil {
		v.bad("", "Compare the value with Envoy's reference; @type must be a message that stock Envoy has.", "%s", plain(err))
		return
	}
	if inner.name == "" { // an empty Any: the extension is looked up by nothing
		if known := v.categories; known != nil && !slices.Contains(known, perRoute) {
			v.bad("", "Write the @type of the configuration, even where it has no fields.", "no @type, so that Envoy finds no extension")
		}
		return
	}
	v.extension(inner.name)
	v.ProgramSize = max(v.ProgramSize, inner.ProgramSize)
	v.Extensions = append(v.Extensions, inner.Extensions...)
	v.within(a, inner.References)
	if len(inner.Problems) == 0 {
		return
	}
	prefix := v.at("")
	for _, p := range inner.Problems {
		v.Problems = append(v.Problems, Problem{Path: join(prefix, p.Path), Says: p.Says, Help: p.Help})
	}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "." + b
}

// packedMessage is what a Checker knows of a packed message.
type packedMessage struct {
	name string // full name of the message
	Result
}

// packedResult checks what is packed, each content once. One that several messages share is known by its place.
func (p *Pass) packedResult(a *anypb.Any) (*packedMessage, error) {
	if known := p.shared[a]; known != nil {
		return known, nil
	}
	out, err := p.byContent(a)
	if err == nil {
		p.shared[a] = out
	}
	return out, err
}

func (p *Pass) byContent(a *anypb.Any) (*packedMessage, error) {
	h := sha256.New()
	h.Write([]byte(a.GetTypeUrl()))
	h.Write([]byte{0})
	h.Write(a.GetValue())
	key := [sha256.Size]byte(h.Sum(nil))
	if known, ok := p.checker.packed.Load(key); ok {
		return known.(*packedMessage), nil
	}
	out := &packedMessage{}
	if a.GetTypeUrl() != "" {
		m, err := unpack(a)
		if err != nil {
			return nil, err
		}
		out.name = string(m.ProtoReflect().Descriptor().FullName())
		out.Result = p.Check(m)
	}
	p.checker.packed.Store(key, out)
	return out, nil
}

// unpack reads a packed message; one that is written as TypedStruct becomes the message it stands for.
func unpack(a *anypb.Any) (proto.Message, error) {
	m, err := a.UnmarshalNew()
	if err != nil {
		return nil, err
	}
	switch s := m.(type) {
	case *xdstypev3.TypedStruct:
		return typedStruct(s.GetTypeUrl(), s.GetValue())
	case *udpatypev1.TypedStruct:
		return typedStruct(s.GetTypeUrl(), s.GetValue())
	}
	return m, nil
}

func typedStruct(url string, value *structpb.Struct) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(value)
	if err != nil {
		return nil, err
	}
	m := t.New().Interface()
	if value == nil {
		return m, nil
	}
	return m, protojson.Unmarshal(text, m)
}

// plain takes from an error of the protobuf library what changes from build to build.
func plain(err error) string {
	return strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
}
