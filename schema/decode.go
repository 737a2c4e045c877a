package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/golang/protobuf/jsonpb" // the only reader that takes Istio's durations and refuses unknown fields
	protov1 "github.com/golang/protobuf/proto"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/internal/source"
)

// check checks and decodes one document; the object is nil if it cannot be decoded. One with errors that can be is kept,
// so that what refers to it is not called dangling.
func (c *checker) check(d *source.Document) (*Object, diag.List) {
	o := &Object{APIVersion: d.APIVersion, Kind: d.Kind, Namespace: d.Namespace, Name: d.Name, Doc: d}
	out := c.metadata(o)
	out.Add(c.marks(o)...)
	value, _ := tidy(d.Value).(map[string]any)
	if out.HasErrors() {
		delete(value, "metadata") // reported already
	}
	if source.Classify(d.APIVersion, d.Kind) == source.Istio {
		out.Add(c.istio(o, value)...)
	} else {
		out.Add(c.kubernetes(o, value)...)
	}
	if o.Spec == nil {
		return nil, out
	}
	return o, out
}

func (c *checker) istio(o *Object, value map[string]any) diag.List {
	var out diag.List
	for _, k := range sortedKeys(value) {
		if !slices.Contains([]string{"apiVersion", "kind", "metadata", "spec", "status"}, k) {
			out.Add(o.Finding(diag.Error, shapeCode, fmt.Sprintf("%s has no field %q beside spec", o.Kind, k), "Fields of the object belong under spec; check the indentation.", k))
		}
	}
	out.Add(c.knownFields(o, value["metadata"], metadata, []any{"metadata"})...)
	spec, present := value["spec"]
	if !present {
		spec = map[string]any{}
	}
	if m, ok := spec.(map[string]any); ok {
		aliases(o.Kind, m)
	}
	t := &target{doc: o.Doc, ref: o.Ref(), prefix: []any{"spec"}, def: "#" + o.Kind, value: spec}
	out.Add(c.validate(t)...)
	if misshapen(out) {
		return out
	}
	msg := kinds.Find(o.Kind).New().(proto.Message)
	if err := decodeMessage(spec, msg); err != nil {
		out.Add(o.Finding(diag.Error, shapeCode, "the spec cannot be read: "+err.Error(), "Correct the value that the message names.", "spec"))
		return out
	}
	o.Spec = msg
	out.Add(relate(o)...)
	c.values(t, c.shapes[t.def], t.value, nil, &out)
	return out
}

// misshapen tells whether findings are about the shape; what is only not supported can be read.
func misshapen(l diag.List) bool {
	return slices.ContainsFunc(l, func(d diag.Diagnostic) bool { return d.Severity == diag.Error && d.Code == shapeCode })
}

func (c *checker) kubernetes(o *Object, value map[string]any) diag.List {
	out := modernize(o, value)
	obj := kinds.Find(o.Kind).New()
	out.Add(c.knownFields(o, value, reflect.TypeOf(obj), nil)...)
	t := &target{doc: o.Doc, ref: o.Ref(), def: "#" + o.Kind, value: value}
	out.Add(c.validate(t)...)
	if err := decodeObject(value, obj); err != nil {
		if !out.HasErrors() {
			out.Add(undecodable(o, err))
		}
		return out
	}
	o.Spec = obj
	if m, ok := obj.(*kinds.MeshRollout); ok && !out.HasErrors() {
		out.Add(meshRollout(o, m)...)
	}
	if s, ok := obj.(*discoveryv1.EndpointSlice); ok && s.AddressType == discoveryv1.AddressTypeFQDN {
		out.Add(o.Finding(c.lenient(), "MESHC1110", "addressType FQDN is not supported: an endpoint needs an IP address, so these endpoints are left out",
			"Write the IP addresses, or a ServiceEntry with resolution DNS.", "addressType"))
	}
	out.Add(ownPods(o, c.lenient())...)
	if cm, ok := obj.(*corev1.ConfigMap); ok {
		found, readable := c.meshConfigMap(o, cm)
		if out.Add(found...); !readable {
			o.Spec = nil // the defaults stand in for it
		}
	}
	return out
}

// decodeObject reads plain data into a Kubernetes object.
func decodeObject(v, into any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// undecodable places an error of encoding/json, which names the path of the field.
func undecodable(o *Object, err error) diag.Diagnostic {
	var path []any
	if te, ok := err.(*json.UnmarshalTypeError); ok { //nolint:errorlint // encoding/json returns it bare
		for _, p := range strings.Split(te.Field, ".") {
			if p != "" {
				path = append(path, p)
			}
		}
		return o.Finding(diag.Error, shapeCode, fmt.Sprintf("%s cannot be a %s", te.Field, te.Value), "See the Kubernetes reference for "+o.Kind+".", path...)
	}
	return o.Finding(diag.Error, shapeCode, "the "+o.Kind+" cannot be read: "+err.Error(), "See the Kubernetes reference for "+o.Kind+".")
}

// decodeMessage reads plain data into a message, refusing fields that the message does not have.
func decodeMessage(v any, into proto.Message) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return (&jsonpb.Unmarshaler{}).Unmarshal(bytes.NewReader(b), protov1.MessageV1(into))
}

// aliases renames the fields that Istio's API takes under a second spelling, each in the list that holds it.
func aliases(kind string, spec map[string]any) {
	second := map[string]struct{ list, name, spelling string }{
		"RequestAuthentication": {"jwtRules", "jwksUri", "jwks_uri"},
		"VirtualService":        {"http", "mirrorPercent", "mirror_percent"},
	}
	field, ok := second[kind]
	if !ok {
		return
	}
	entries, _ := spec[field.list].([]any)
	for _, e := range entries {
		if m, ok := e.(map[string]any); ok {
			if v, ok := m[field.spelling]; ok && m[field.name] == nil {
				m[field.name] = v
				delete(m, field.spelling)
			}
		}
	}
}

// tidy returns the data without nulls, which mean the same as absence, and with whole numbers as integers. It copies,
// because the document keeps what the user wrote.
func tidy(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if e != nil {
				out[k] = tidy(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = tidy(e)
		}
		return out
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return int64(v)
		}
	}
	return v
}

// metadata reads labels, annotations and age.
func (c *checker) metadata(o *Object) diag.List {
	var out diag.List
	meta, _ := o.Doc.Value["metadata"].(map[string]any)
	o.Labels = stringMap(o, meta, "labels", &out)
	o.Annotations = stringMap(o, meta, "annotations", &out)
	for _, k := range sortedStrings(o.Annotations) {
		if strings.HasPrefix(k, "internal.istio.io/") {
			out.Add(o.Finding(c.lenient(), "MESHC1106", fmt.Sprintf("the annotation %s belongs to Istio's own control plane", k), "Remove it.", "metadata", "annotations", k))
		}
	}
	if s, ok := meta["creationTimestamp"].(string); ok && s != "" {
		ts, err := time.Parse(time.RFC3339, s)
		if err != nil {
			out.Add(o.Finding(diag.Error, shapeCode, fmt.Sprintf("creationTimestamp %q is not a time", s), "Write it as 2026-01-31T12:00:00Z, or remove it.", "metadata", "creationTimestamp"))
		}
		o.Created = ts
	}
	return out
}

func sortedStrings(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func stringMap(o *Object, meta map[string]any, key string, out *diag.List) map[string]string {
	v, present := meta[key]
	if !present || v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		out.Add(o.Finding(diag.Error, shapeCode, fmt.Sprintf("metadata.%s is %s, but must be a mapping of strings", key, show(v)), "Write one key and value per line below it.", "metadata", key))
		return nil
	}
	r := make(map[string]string, len(m))
	for _, k := range sortedKeys(m) {
		switch v := m[k].(type) {
		case string:
			r[k] = v
		case nil:
			r[k] = ""
		default:
			out.Add(o.Finding(diag.Error, shapeCode, fmt.Sprintf("%s is %s, but must be a string", k, show(v)), "Quote the value.", "metadata", key, k))
		}
	}
	return r
}
