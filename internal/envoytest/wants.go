package envoytest

import (
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// wants is what Envoy will ask for because of what it was given, by name.
type wants struct {
	routes map[string]bool // route configurations
	certs  map[string]bool // secrets that are certificates
	roots  map[string]bool // secrets that are validation contexts
}

func newWants() *wants {
	return &wants{routes: map[string]bool{}, certs: map[string]bool{}, roots: map[string]bool{}}
}

// in notes what a message and all in it makes Envoy ask for.
func (w *wants) in(m protoreflect.Message) {
	switch x := m.Interface().(type) {
	case *anypb.Any:
		if inner, err := x.UnmarshalNew(); err == nil { // Envoy judges what cannot be read
			w.in(inner.ProtoReflect())
		}
		return
	case *hcmv3.HttpConnectionManager:
		if rds := x.GetRds(); rds != nil {
			w.routes[rds.GetRouteConfigName()] = true
		}
	case *tlsv3.CommonTlsContext:
		for _, s := range x.GetTlsCertificateSdsSecretConfigs() {
			w.certs[s.GetName()] = true
		}
		for _, s := range []*tlsv3.SdsSecretConfig{x.GetValidationContextSdsSecretConfig(), x.GetCombinedValidationContext().GetValidationContextSdsSecretConfig()} {
			if s != nil {
				w.roots[s.GetName()] = true
			}
		}
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			if f.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
					w.in(e.Message())
					return true
				})
			}
		case f.Message() == nil:
		case f.IsList():
			for i := range v.List().Len() {
				w.in(v.List().Get(i).Message())
			}
		default:
			w.in(v.Message())
		}
		return true
	})
}

// secrets makes what was asked for, of a certificate for this run.
func (w *wants) secrets() (map[string]named, error) {
	out := map[string]named{}
	if len(w.certs)+len(w.roots) == 0 {
		return out, nil
	}
	cert, key, err := Certificate("validate")
	if err != nil {
		return nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(w.certs)) {
		out[n] = named{n, &tlsv3.Secret{Name: n, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(cert), PrivateKey: inline(key)}}}}
	}
	for _, n := range slices.Sorted(maps.Keys(w.roots)) {
		if w.certs[n] {
			return nil, fmt.Errorf("secret %s is asked for as a certificate and as roots", n)
		}
		out[n] = named{n, &tlsv3.Secret{Name: n, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(cert)}}}}
	}
	return out, nil
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}
