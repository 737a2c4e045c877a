package validate

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
)

// curves are those that Envoy offers, under the names that BoringSSL gives them.
func curves() []string {
	return []string{"P-256", "P-384", "P-521", "X25519", "X25519MLKEM768", "MLKEM1024", "prime256v1", "secp384r1", "secp521r1", "x25519"}
}

// tlsParametersRule: source/common/tls/context_impl.cc.
func tlsParametersRule(v *visit, m proto.Message) {
	for _, c := range m.(*tlsv3.TlsParameters).GetEcdhCurves() {
		if !slices.Contains(curves(), c) {
			v.bad("ecdh_curves", "Use curves of "+strings.Join(curves(), ", ")+".", "Envoy has no curve %q", c)
		}
	}
	suites := m.(*tlsv3.TlsParameters).GetCipherSuites()
	for _, c := range suites {
		if !KnownCipher(c) {
			v.bad("cipher_suites", "Use suites of "+strings.Join(Ciphers(), ", ")+".", "Envoy has no cipher suite %q", c)
		}
	}
	if why := cipherListFault(suites); len(suites) > 0 && why != "" {
		v.bad("cipher_suites", "Name the suites that are wanted.", "the list %s", why)
	}
}

// upstreamTLSRule: source/common/tls/client_context_impl.cc.
func upstreamTLSRule(v *visit, m proto.Message) {
	u := m.(*tlsv3.UpstreamTlsContext)
	if strings.Contains(u.GetSni(), "\x00") {
		v.bad("sni", "Write the DNS name of the server.", "the server name has a zero byte")
	}
	if c := u.GetCommonTlsContext(); len(c.GetTlsCertificates())+len(c.GetTlsCertificateSdsSecretConfigs()) > 1 {
		v.bad("common_tls_context", "Keep one.", "a client has more than one certificate")
	}
}

// commonTLSRule: source/common/tls/context_impl.cc and cert_validator/default_validator.cc.
func commonTLSRule(v *visit, m proto.Message) {
	c := m.(*tlsv3.CommonTlsContext)
	const longest = 255
	for _, p := range c.GetAlpnProtocols() {
		if len(p) > longest {
			v.bad("alpn_protocols", "Use names of protocols, as h2.", "the name of a protocol has %d bytes, and %d is the most", len(p), longest)
		}
	}
	t := c.GetValidationContext()
	if t == nil || t.GetTrustedCa() != nil || t.GetCaCertificateProviderInstance() != nil || t.GetSystemRootCerts() != nil || t.GetCustomValidatorConfig() != nil {
		return
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"match_typed_subject_alt_names", len(t.GetMatchTypedSubjectAltNames()) > 0},
		{"match_subject_alt_names", len(t.GetMatchSubjectAltNames()) > 0}, //nolint:staticcheck // Envoy reads it
		{"crl", t.GetCrl() != nil},
		{"allow_expired_certificate", t.GetAllowExpiredCertificate()},
	} {
		if f.set {
			v.bad("validation_context."+f.name, "Add trusted_ca.", "%s means nothing without trusted_ca", f.name)
		}
	}
}

// ticketKey is how many bytes a key of session tickets has.
const ticketKey = 80

// downstreamTLSRule: source/common/tls/server_context_impl.cc.
func downstreamTLSRule(v *visit, m proto.Message) {
	d := m.(*tlsv3.DownstreamTlsContext)
	c := d.GetCommonTlsContext()
	if len(c.GetTlsCertificates())+len(c.GetTlsCertificateSdsSecretConfigs()) == 0 && c.GetTlsCertificateProviderInstance() == nil && c.GetCustomTlsCertificateSelector() == nil {
		v.bad("common_tls_context", "Name one by tls_certificate_sds_secret_configs.", "a server has no certificate")
	}
	for _, k := range d.GetSessionTicketKeys().GetKeys() {
		if n := len(k.GetInlineString()) + len(k.GetInlineBytes()); n != ticketKey && k.GetFilename() == "" && k.GetEnvironmentVariable() == "" {
			v.bad("session_ticket_keys", "Name a secret instead.", "a key of session tickets has %d bytes, not %d", n, ticketKey)
		}
	}
}

// trustRule: certificates and digests that stand in the configuration can be read (source/common/tls/cert_validator/default_validator.cc).
func trustRule(v *visit, m proto.Message) {
	c := m.(*tlsv3.CertificateValidationContext)
	for i, h := range c.GetVerifyCertificateSpki() {
		if sum, err := base64.StdEncoding.DecodeString(h); err != nil || len(sum) != sha256.Size {
			v.bad(fmt.Sprintf("verify_certificate_spki[%d]", i), "Write the SHA-256 in base64.", "%q is no SHA-256 in base64", h)
		}
	}
	for i, h := range c.GetVerifyCertificateHash() {
		if sum, err := hex.DecodeString(strings.ReplaceAll(h, ":", "")); err != nil || len(sum) != sha256.Size {
			v.bad(fmt.Sprintf("verify_certificate_hash[%d]", i), "Write the SHA-256 in 64 hex digits.", "%q is no SHA-256 in hex digits", h)
		}
	}
	ca := c.GetTrustedCa()
	text := []byte(ca.GetInlineString() + string(ca.GetInlineBytes()))
	if ca.GetInlineString() == "" && ca.GetInlineBytes() == nil {
		return
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if _, err := x509.ParseCertificate(block.Bytes); err == nil {
			return
		}
	}
	v.bad("trusted_ca", "Write certificates as PEM.", "there is no certificate in it")
}
