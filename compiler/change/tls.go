package change

import (
	"fmt"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// tlsMesh begins the text of the mutual TLS between proxies of the mesh.
const tlsMesh = "mutual TLS of the mesh"

// tlsText says which TLS a socket opens, as one line; "" for none. The identities that the mesh gives to servers are left
// out: they follow from the accounts of the servers, which the walk to them judges.
func tlsText(socket *corev3.TransportSocket) string {
	if socket == nil {
		return ""
	}
	if p, ok := unpack(socket.GetTypedConfig(), &proxyprotocolv3.ProxyProtocolUpstreamTransport{}); ok {
		inner := tlsText(p.GetTransportSocket())
		return strings.TrimSuffix("a PROXY protocol header "+p.GetConfig().GetVersion().String()+", "+inner, ", ")
	}
	u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{})
	if !ok {
		if strings.Contains(socket.GetName(), "raw_buffer") {
			return ""
		}
		return "transport socket " + socket.GetName() + " " + messageText(socket.GetTypedConfig())
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
	if sni := u.GetSni(); sni != "" && !strings.HasPrefix(sni, "outbound_.") {
		parts = append(parts, "server name "+sni)
	}
	parts = append(parts, validated(common)...)
	if u.GetAutoHostSni() || u.GetAutoSniSanValidation() {
		parts = append(parts, "server name from the host")
	}
	return strings.Join(append(parts, parameters(common)...), ", ")
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

// validated says against what the certificate of the other side is verified.
func validated(c *tlsv3.CommonTlsContext) []string {
	v, secret := c.GetValidationContext(), c.GetValidationContextSdsSecretConfig().GetName()
	if cv := c.GetCombinedValidationContext(); cv != nil {
		v, secret = cv.GetDefaultValidationContext(), cv.GetValidationContextSdsSecretConfig().GetName()
	}
	var out, sans []string
	switch {
	case secret == names.OwnRoots:
	case secret != "":
		out = append(out, "verified by "+secret)
	case v.GetTrustedCa() != nil:
		out = append(out, "verified by "+v.GetTrustedCa().GetFilename())
	case v.GetSystemRootCerts() != nil:
		out = append(out, "verified by the roots of the system")
	}
	for _, m := range v.GetMatchTypedSubjectAltNames() {
		sans = append(sans, trace.StringText(m.GetMatcher()))
	}
	for _, m := range v.GetMatchSubjectAltNames() { //nolint:staticcheck // Envoy honours it
		sans = append(sans, trace.StringText(m))
	}
	slices.Sort(sans)
	sans = slices.Compact(sans)
	if slices.ContainsFunc(sans, func(s string) bool { return !strings.HasPrefix(s, "spiffe://") }) {
		out = append(out, "for the names "+strings.Join(sans, ", "))
	}
	if len(v.GetVerifyCertificateHash())+len(v.GetVerifyCertificateSpki()) > 0 {
		out = append(out, "with the hash "+strings.Join(slices.Concat(v.GetVerifyCertificateHash(), v.GetVerifyCertificateSpki()), ", "))
	}
	return out
}

func parameters(c *tlsv3.CommonTlsContext) []string {
	var out []string
	p := c.GetTlsParams()
	if v := p.GetTlsMinimumProtocolVersion(); v > tlsv3.TlsParameters_TLSv1_2 || v == tlsv3.TlsParameters_TLSv1_0 || v == tlsv3.TlsParameters_TLSv1_1 {
		out = append(out, "at least "+v.String())
	}
	if v := p.GetTlsMaximumProtocolVersion(); v != tlsv3.TlsParameters_TLS_AUTO && v != tlsv3.TlsParameters_TLSv1_3 {
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
	parts = append(parts, validated(common)...)
	return strings.Join(append(parts, parameters(common)...), ", "), true, mutual, asks
}

// identityMatchers are the names of which a client certificate has to have one; none: any.
func identityMatchers(socket *corev3.TransportSocket) []*matcherv3.StringMatcher {
	d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{})
	if !ok {
		return nil
	}
	v := d.GetCommonTlsContext().GetValidationContext()
	if cv := d.GetCommonTlsContext().GetCombinedValidationContext(); cv != nil {
		v = cv.GetDefaultValidationContext()
	}
	var out []*matcherv3.StringMatcher
	for _, m := range v.GetMatchTypedSubjectAltNames() {
		out = append(out, m.GetMatcher())
	}
	return out
}
