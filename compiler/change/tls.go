package change

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
)

// tlsMesh begins the text of the mutual TLS between proxies of the mesh.
const tlsMesh = "mutual TLS of the mesh"

// tlsText says which TLS a socket opens, as one line; "" for none. known tells whether the identity of the server is: then the
// names that the client expects are held against it, and no part of the text.
func tlsText(socket *corev3.TransportSocket, known bool) string {
	if socket == nil {
		return ""
	}
	_, socket = afterHeader(socket)
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
		parts = []string{tlsMesh}
	case len(certs) > 0:
		parts = []string{"mutual TLS with " + strings.Join(certs, ", ")}
	default:
		parts = []string{"TLS"}
	}
	if sni := u.GetSni(); sni != "" && !(known && names.IsServerName(sni)) { // proxies of the mesh that are called directly do not look at it
		parts = append(parts, "server name "+sni)
	}
	parts = append(parts, validated(common, known)...)
	if u.GetAutoHostSni() || u.GetAutoSniSanValidation() {
		parts = append(parts, "server name from the host")
	}
	return strings.Join(append(parts, parameters(common, tlsv3.TlsParameters_TLSv1_2)...), ", ")
}

// afterHeader is what a socket opens once it has sent a PROXY protocol header, and what that header is; "": it sends none.
func afterHeader(socket *corev3.TransportSocket) (header string, rest *corev3.TransportSocket) {
	p, ok := unpack(socket.GetTypedConfig(), &proxyprotocolv3.ProxyProtocolUpstreamTransport{})
	if !ok {
		return "", socket
	}
	more := textsOf(slices.Concat(fieldSettings("", p, topics.Header), fieldSettings("", p.GetConfig(), topics.Header)))
	slices.Sort(more)
	return strings.Join(append([]string{p.GetConfig().GetVersion().String()}, more...), ", "), p.GetTransportSocket()
}

// expects tells whether a client that opens TLS takes a server with an identity.
func expects(socket *corev3.TransportSocket, identity string) bool {
	_, socket = afterHeader(socket)
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

// validation is against what a certificate is verified.
func validation(c *tlsv3.CommonTlsContext) *tlsv3.CertificateValidationContext {
	if cv := c.GetCombinedValidationContext(); cv != nil {
		return cv.GetDefaultValidationContext()
	}
	return c.GetValidationContext()
}

// expectedNames are those of which the certificate of the other side has to have one; none: any.
func expectedNames(c *tlsv3.CommonTlsContext) []*matcherv3.StringMatcher {
	v := validation(c)
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
	for _, m := range validation(c).GetMatchTypedSubjectAltNames() {
		if m.GetSanType() != tlsv3.SubjectAltNameMatcher_URI {
			out = append(out, strings.ToLower(m.GetSanType().String())+" "+match.StringText(m.GetMatcher()))
		}
	}
	return out
}

// tlsDetails are the fields of a TLS context that its text leaves out.
func tlsDetails(prefix string, socket *corev3.TransportSocket) []setting {
	var out []setting
	var common *tlsv3.CommonTlsContext
	_, socket = afterHeader(socket)
	if u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{}); ok {
		out, common = fieldSettings(prefix+"TLS ", u, topics.Upstream), u.GetCommonTlsContext()
	}
	if d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{}); ok {
		out, common = fieldSettings(prefix+"TLS ", d, topics.Downstream), d.GetCommonTlsContext()
	}
	if common == nil {
		return out
	}
	out = append(out, fieldSettings(prefix+"TLS ", common, topics.Common)...)
	out = append(out, fieldSettings(prefix+"TLS ", common.GetTlsParams(), topics.Parameter)...)
	out = append(out, fieldSettings(prefix+"TLS verification ", validation(common), topics.Validation)...)
	for _, c := range common.GetTlsCertificates() {
		out = append(out, setting{topic: Encryption, name: prefix + "TLS certificate", value: text.Message(c)})
	}
	secrets := append(slices.Clone(common.GetTlsCertificateSdsSecretConfigs()), common.GetValidationContextSdsSecretConfig(), common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig())
	for _, s := range secrets {
		if s.GetSdsConfig() != nil {
			out = append(out, setting{topic: Encryption, name: prefix + "TLS where " + s.GetName() + " comes from", value: text.Message(s.GetSdsConfig())})
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
	v, secret := validation(c), cmp.Or(c.GetCombinedValidationContext().GetValidationContextSdsSecretConfig().GetName(), c.GetValidationContextSdsSecretConfig().GetName())
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

// terminated says how a chain ends TLS; wants is whether it wants TLS, mutual whether it wants a certificate, asks whether it
// looks at one.
func terminated(socket *corev3.TransportSocket) (text string, wants, mutual, asks bool) {
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

// identityMatchers are the names of which the certificate of a client has to have one; any: it may have whatever name.
func identityMatchers(socket *corev3.TransportSocket) (names []*matcherv3.StringMatcher, any bool) {
	d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	if !ok {
		return nil, true
	}
	c := d.GetCommonTlsContext()
	names = expectedNames(c)
	return names, len(names)+len(otherNames(c)) == 0
}
