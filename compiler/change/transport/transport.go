// Package transport reads the transport sockets of Envoy as people see them: which TLS they open or end, against what the certificate of the
// other side is verified, and what is sent before it. Equal ones have equal texts, in which names that a control plane is free to choose are no part.
package transport

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
)

// Mesh begins the text of the mutual TLS between proxies of the mesh.
const Mesh = "mutual TLS of the mesh"

// Text says which TLS a socket opens, as one line; "" for none. known tells whether the identity of the server is: then the
// names that the client expects are held against it, and no part of the text.
func Text(socket *corev3.TransportSocket, known bool) string {
	if socket == nil {
		return ""
	}
	_, socket = AfterHeader(socket)
	u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	if !ok {
		if strings.Contains(socket.GetName(), "raw_buffer") {
			return ""
		}
		return "transport socket " + socket.GetName() + " " + text.Message(socket.GetTypedConfig())
	}
	common := u.GetCommonTlsContext()
	certs := certificates(common)
	var parts []string
	switch {
	case slices.Contains(certs, names.OwnCertificate):
		parts = []string{Mesh}
	case len(certs) > 0:
		parts = []string{"mutual TLS with " + strings.Join(certs, ", ")}
	default:
		parts = []string{"TLS"}
	}
	if sni := u.GetSni(); sni != "" && !(known && names.IsServerName(sni)) { // proxies of the mesh that are called directly do not look at it
		parts = append(parts, "server name "+names.AnySubset(sni)) // which endpoints a subset has is said by those
	}
	parts = append(parts, validated(common, known)...)
	if u.GetAutoHostSni() || u.GetAutoSniSanValidation() {
		parts = append(parts, "server name from the host")
	}
	return strings.Join(append(parts, parameters(common, tlsv3.TlsParameters_TLSv1_2)...), ", ")
}

// AfterHeader is what a socket opens once it has sent a PROXY protocol header, and what that header is; "": it sends none.
func AfterHeader(socket *corev3.TransportSocket) (header string, rest *corev3.TransportSocket) {
	p, ok := unpack(socket.GetTypedConfig(), &proxyprotocolv3.ProxyProtocolUpstreamTransport{})
	if !ok {
		return "", socket
	}
	more := proto.CloneOf(p)
	more.TransportSocket = nil
	if c := more.GetConfig(); c != nil {
		if c.Version = 0; proto.Size(c) == 0 {
			more.Config = nil
		}
	}
	header = p.GetConfig().GetVersion().String()
	if proto.Size(more) > 0 {
		header += " " + text.Message(more)
	}
	return header, p.GetTransportSocket()
}

// Expects tells whether a client that opens TLS takes a server with an identity.
func Expects(socket *corev3.TransportSocket, identity string) bool {
	_, socket = AfterHeader(socket)
	u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	if !ok {
		return true
	}
	names := expectedNames(u.GetCommonTlsContext())
	return len(names)+len(otherNames(u.GetCommonTlsContext())) == 0 || slices.ContainsFunc(names, func(m *matcherv3.StringMatcher) bool {
		in, err := match.String(m, identity)
		return in && err == nil
	})
}

// Validation is against what a certificate is verified.
func Validation(c *tlsv3.CommonTlsContext) *tlsv3.CertificateValidationContext {
	if cv := c.GetCombinedValidationContext(); cv != nil {
		return cv.GetDefaultValidationContext()
	}
	return c.GetValidationContext()
}

// expectedNames are those of which the certificate of the other side has to have one; none: any.
func expectedNames(c *tlsv3.CommonTlsContext) []*matcherv3.StringMatcher {
	v := Validation(c)
	out := slices.Clone(v.GetMatchSubjectAltNames()) //nolint:staticcheck // Envoy honours it
	for _, m := range v.GetMatchTypedSubjectAltNames() {
		if m.GetSanType() == tlsv3.SubjectAltNameMatcher_URI {
			out = append(out, m.GetMatcher())
		}
	}
	return out
}

// otherNames are those that are no URI: no identity of the mesh is one.
func otherNames(c *tlsv3.CommonTlsContext) (out []string) {
	for _, m := range Validation(c).GetMatchTypedSubjectAltNames() {
		if m.GetSanType() != tlsv3.SubjectAltNameMatcher_URI {
			out = append(out, strings.ToLower(m.GetSanType().String())+" "+match.StringText(m.GetMatcher()))
		}
	}
	return out
}

func certificates(c *tlsv3.CommonTlsContext) []string {
	var out []string
	for _, s := range c.GetTlsCertificateSdsSecretConfigs() {
		out = append(out, s.GetName())
	}
	for _, s := range c.GetTlsCertificates() {
		out = append(out, s.GetCertificateChain().GetFilename())
	}
	slices.Sort(out)
	return out
}

// validated says against what the certificate of the other side is verified. judged tells whether the names are judged apart.
func validated(c *tlsv3.CommonTlsContext, judged bool) []string {
	v, secret := Validation(c), cmp.Or(c.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName(), c.GetValidationContextSdsSecretConfig().GetName())
	var out, sans []string
	switch {
	case secret == names.OwnRoots:
	case secret != "":
		out = append(out, "verified by "+secret)
	case v.GetTrustedCa() != nil:
		out = append(out, "verified by "+text.Message(v.GetTrustedCa()))
	case v.GetSystemRootCerts() != nil:
		out = append(out, "verified by the roots of the system")
	}
	if !judged {
		for _, m := range expectedNames(c) {
			sans = append(sans, match.StringText(m))
		}
	}
	sans = append(sans, otherNames(c)...)
	slices.Sort(sans)
	if sans = slices.Compact(sans); len(sans) > 0 {
		out = append(out, "for the names "+strings.Join(sans, ", "))
	}
	if judged && len(expectedNames(c))+len(otherNames(c)) == 0 {
		out = append(out, "for any name")
	}
	if len(v.GetVerifyCertificateHash())+len(v.GetVerifyCertificateSpki()) > 0 {
		out = append(out, "with the hash "+strings.Join(slices.Concat(v.GetVerifyCertificateHash(), v.GetVerifyCertificateSpki()), ", "))
	}
	return out
}

// parameters are those that are not the default; newest is the version that is spoken if none is said.
func parameters(c *tlsv3.CommonTlsContext, newest tlsv3.TlsParameters_TlsProtocol) []string {
	var out []string
	p := c.GetTlsParams()
	if v := p.GetTlsMinimumProtocolVersion(); v > tlsv3.TlsParameters_TLSv1_2 || v == tlsv3.TlsParameters_TLSv1_0 || v == tlsv3.TlsParameters_TLSv1_1 {
		out = append(out, "at least "+v.String())
	}
	if v := p.GetTlsMaximumProtocolVersion(); v != tlsv3.TlsParameters_TLS_AUTO && v != newest {
		out = append(out, "at most "+v.String())
	}
	if s := p.GetCipherSuites(); len(s) > 0 {
		out = append(out, "ciphers "+strings.Join(s, " "))
	}
	if s := p.GetEcdhCurves(); len(s) > 0 {
		out = append(out, "curves "+strings.Join(s, " "))
	}
	return out
}

// Terminated says how a chain ends TLS; wants is whether it wants TLS, mutual whether it wants a certificate, asks whether it
// looks at one.
func Terminated(socket *corev3.TransportSocket) (text string, wants, mutual, asks bool) {
	if socket == nil {
		return "", false, false, false
	}
	d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	if !ok {
		return "", strings.Contains(socket.GetName(), "tls"), false, false
	}
	common := d.GetCommonTlsContext()
	mutual = d.GetRequireClientCertificate().GetValue()
	asks = mutual || common.GetValidationContextType() != nil
	parts := []string{"ends TLS with " + strings.Join(certificates(common), ", ")}
	if asks {
		parts = append(parts, fmt.Sprintf("client certificate required %t", mutual))
	}
	parts = append(parts, validated(common, false)...)
	return strings.Join(append(parts, parameters(common, tlsv3.TlsParameters_TLSv1_3)...), ", "), true, mutual, asks
}

// IdentityMatchers are the names of which the certificate of a client has to have one; any: it may have whatever name.
func IdentityMatchers(socket *corev3.TransportSocket) (names []*matcherv3.StringMatcher, any bool) {
	d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	if !ok {
		return nil, true
	}
	c := d.GetCommonTlsContext()
	names = expectedNames(c)
	return names, len(names)+len(otherNames(c)) == 0
}

// OfMesh are those of a cluster with the mutual TLS of the mesh.
func OfMesh(c *clusterv3.Cluster) (out []*corev3.TransportSocket) {
	all := []*corev3.TransportSocket{c.GetTransportSocket()}
	for _, m := range c.GetTransportSocketMatches() {
		all = append(all, m.GetTransportSocket())
	}
	for _, t := range all {
		if t != nil && strings.HasPrefix(Text(t, true), Mesh) {
			out = append(out, t)
		}
	}
	return out
}

// Fallback is the transport socket for endpoints about which nothing is known.
func Fallback(c *clusterv3.Cluster) *corev3.TransportSocket {
	for _, m := range c.GetTransportSocketMatches() {
		if len(m.GetMatch().GetFields()) == 0 {
			return m.GetTransportSocket()
		}
	}
	return c.GetTransportSocket()
}

func unpack[M proto.Message](a *anypb.Any, m M) (M, bool) {
	if a == nil || !a.MessageIs(m) {
		return m, false
	}
	return m, a.UnmarshalTo(m) == nil
}
