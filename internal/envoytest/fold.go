package envoytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// folder carries what is looked up and what is collected while resources are folded.
type folder struct {
	routes    map[string]*routev3.RouteConfiguration
	endpoints map[string]*endpointv3.ClusterLoadAssignment
	certs     map[string]bool // names of certificates asked for
	roots     map[string]bool // names of validation contexts asked for
	asked     map[string]bool // route configurations
}

func newFolder(r Resources) *folder {
	f := &folder{routes: map[string]*routev3.RouteConfiguration{}, endpoints: map[string]*endpointv3.ClusterLoadAssignment{}, certs: map[string]bool{}, roots: map[string]bool{}, asked: map[string]bool{}}
	for _, rc := range r.Routes {
		f.routes[rc.Name] = rc
	}
	for _, e := range r.Endpoints {
		f.endpoints[e.ClusterName] = e
	}
	return f
}

func wrapFalse() *wrapperspb.BoolValue { return wrapperspb.Bool(false) }

// walk visits a message and all in it, Any included, and rewrites what would ask a control plane.
func (f *folder) walk(m protoreflect.Message) error {
	switch x := m.Interface().(type) {
	case *anypb.Any:
		return f.any(x)
	case *hcmv3.HttpConnectionManager:
		if err := f.hcm(x); err != nil {
			return err
		}
	case *tlsv3.CommonTlsContext:
		f.secrets(x)
	}
	var err error
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, e protoreflect.Value) bool {
					err = f.walk(e.Message())
					return err == nil
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = f.walk(v.List().Get(i).Message())
			}
		default:
			err = f.walk(v.Message())
		}
		return err == nil
	})
	return err
}

func (f *folder) any(a *anypb.Any) error {
	inner, err := a.UnmarshalNew()
	if err != nil {
		return nil // a type this program does not know holds nothing it could fold; Envoy judges it
	}
	before := proto.Clone(inner)
	if err := f.walk(inner.ProtoReflect()); err != nil {
		return err
	}
	if proto.Equal(before, inner) {
		return nil
	}
	return a.MarshalFrom(inner)
}

// secrets makes references to SDS into references to static secrets of the same name.
func (f *folder) secrets(c *tlsv3.CommonTlsContext) {
	for _, s := range c.TlsCertificateSdsSecretConfigs {
		f.certs[s.Name] = true
		s.SdsConfig = nil
	}
	for _, s := range []*tlsv3.SdsSecretConfig{c.GetValidationContextSdsSecretConfig(), c.GetCombinedValidationContext().GetValidationContextSdsSecretConfig()} {
		if s != nil {
			f.roots[s.Name] = true
			s.SdsConfig = nil
		}
	}
}

func (f *folder) staticSecrets() ([]*tlsv3.Secret, error) {
	if len(f.certs)+len(f.roots) == 0 {
		return nil, nil
	}
	cert, key, err := Certificate()
	if err != nil {
		return nil, err
	}
	var out []*tlsv3.Secret
	for _, n := range slices.Sorted(maps.Keys(f.certs)) {
		out = append(out, &tlsv3.Secret{Name: n, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(cert), PrivateKey: inline(key)}}})
	}
	for _, n := range slices.Sorted(maps.Keys(f.roots)) {
		if f.certs[n] {
			return nil, fmt.Errorf("secret %s is asked for as a certificate and as roots", n)
		}
		out = append(out, &tlsv3.Secret{Name: n, Type: &tlsv3.Secret_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline(cert)}}})
	}
	return out, nil
}

func inline(b []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: b}}
}

// Certificate makes a throw-away certificate that signs itself.
func Certificate() (cert, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"validate"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return nil, nil, err
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}), nil
}
