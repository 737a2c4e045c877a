package bundle

import (
	"bytes"
	"encoding/json"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/meshc/meshc/compiler/names"
)

// Field numbers of envoy.config.route.v3.RouteConfiguration.
const (
	virtualHostsField = 2
	vhdsField         = 9
)

// InlineVirtualHosts returns an encoded RouteConfiguration with the encoded virtual hosts in it and without vhds: what
// a proxy without delta xDS gets. It works on the wire format; nothing is parsed deeper than the first level.
func InlineVirtualHosts(rc []byte, vhs [][]byte) ([]byte, error) {
	size := len(rc)
	for _, v := range vhs {
		size += len(v) + 6
	}
	out := make([]byte, 0, size)
	for rest := rc; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		m := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if m < 0 {
			return nil, protowire.ParseError(m)
		}
		if num != vhdsField {
			out = append(out, rest[:n+m]...)
		}
		rest = rest[n+m:]
	}
	for _, v := range vhs {
		out = protowire.AppendTag(out, virtualHostsField, protowire.BytesType)
		out = protowire.AppendBytes(out, v)
	}
	return out, nil
}

// Inlined returns the resources of a class as state of the world: virtual hosts inside their route configurations.
func Inlined(rs []*Resource) ([]*Resource, error) {
	vhs := map[string][][]byte{}
	for _, r := range rs {
		if r.Type == VirtualHostType {
			rc, _ := names.ParseVirtualHost(r.Name)
			vhs[rc] = append(vhs[rc], r.Bytes)
		}
	}
	out := make([]*Resource, 0, len(rs))
	for _, r := range rs {
		switch {
		case r.Type == VirtualHostType:
			continue
		case r.Type == RouteConfigurationType:
			b, err := InlineVirtualHosts(r.Bytes, vhs[r.Name])
			if err != nil {
				return nil, refuse(CodeMalformed, resourcesFile, "", "route configuration %q: %v", r.Name, err)
			}
			c := *r
			c.Bytes, c.Digest = b, ResourceDigest(r.Type, r.Name, b)
			out = append(out, &c)
		default:
			out = append(out, r)
		}
	}
	return out, nil
}

// XDS renders the resources of a class as JSON, {"listeners":[],"routes":[],"clusters":[],"endpoints":[]}, virtual
// hosts inlined. The same bundle gives the same bytes with every build of meshc.
func (b *Bundle) XDS(c *Class) ([]byte, error) {
	rs, err := Inlined(c.Resources())
	if err != nil {
		return nil, err
	}
	lists := map[string][]json.RawMessage{}
	for _, r := range rs {
		m, err := newMessage(r.Type)
		if err != nil {
			return nil, err
		}
		if err := proto.Unmarshal(r.Bytes, m); err != nil {
			return nil, refuse(CodeMalformed, resourcesFile, "", "%s %q: %v", shortType(r.Type), r.Name, err)
		}
		j, err := JSON(m)
		if err != nil {
			return nil, refuse(CodeMalformed, resourcesFile, "", "%s %q cannot be shown as JSON: %v", shortType(r.Type), r.Name, err)
		}
		lists[r.Type] = append(lists[r.Type], j)
	}
	out := bytes.NewBufferString("{\n")
	for i, k := range []struct{ key, url string }{{"listeners", ListenerType}, {"routes", RouteConfigurationType}, {"clusters", ClusterType}, {"endpoints", EndpointsType}} {
		if i > 0 {
			out.WriteString(",\n")
		}
		if len(lists[k.url]) == 0 {
			out.WriteString("  \"" + k.key + "\": []")
			continue
		}
		out.WriteString("  \"" + k.key + "\": [\n")
		for j, m := range lists[k.url] {
			if j > 0 {
				out.WriteString(",\n")
			}
			out.WriteString("    ")
			if err := json.Indent(out, m, "    ", "  "); err != nil {
				return nil, err
			}
		}
		out.WriteString("\n  ]")
	}
	out.WriteString("\n}\n")
	return out.Bytes(), nil
}

func newMessage(url string) (proto.Message, error) {
	mt, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return nil, refuse(CodeMalformed, indexFile, "", "type %s: %v", url, err)
	}
	return mt.New().Interface(), nil
}

// JSON writes a message in protobuf's JSON, without white space: that of protojson varies from build to build.
func JSON(m proto.Message) (json.RawMessage, error) {
	text, err := protojson.Marshal(m)
	if err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	err = json.Compact(&compact, text)
	return compact.Bytes(), err
}

// Message parses the resource.
func (r *Resource) Message() (protoreflect.ProtoMessage, error) {
	m, err := newMessage(r.Type)
	if err != nil {
		return nil, err
	}
	if err := proto.Unmarshal(r.Bytes, m); err != nil {
		return nil, refuse(CodeMalformed, resourcesFile, "", "%s %q: %v", shortType(r.Type), r.Name, err)
	}
	return m, nil
}
