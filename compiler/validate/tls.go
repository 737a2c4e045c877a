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
	if s := m.(*tlsv3.UpstreamTlsContext).GetSni(); strings.Contains(s, "\x00") {
		v.bad("sni", "Write the DNS name of the server.", "the server name has a zero byte")
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
