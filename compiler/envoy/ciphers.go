package envoy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// CodeUnknownCipher is reported for a cipher suite that Envoy does not know: it would refuse the listener or cluster.
const CodeUnknownCipher = "MESHC1502"

// envoyCiphers are the TLS 1.2 cipher suites of Envoy.
func envoyCiphers() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
	}
}

// knownCipher tells whether Envoy takes an entry of a list: a suite, or an expression of BoringSSL such as ALL, -NAME and
// [NAME|NAME].
func knownCipher(c string) bool {
	return c == "ALL" || slices.Contains(envoyCiphers(), c) || c != "" && strings.IndexByte("-+!@[", c[0]) >= 0
}

// usableCiphers leaves out repeats, and what Envoy does not know.
func usableCiphers(list []string) []string {
	return slices.DeleteFunc(dedupe(list), func(c string) bool { return !knownCipher(c) })
}

func unknownCipher(c string) string {
	return fmt.Sprintf("%s is not a cipher suite that Envoy knows", c)
}

func useCipher() string { return "use one of " + strings.Join(envoyCiphers(), ", ") }

// cipherFindings are about the cipher suites of MeshConfig: those between workloads and the defaults of all other TLS.
func cipherFindings(m *mesh.Mesh) diag.List {
	var out diag.List
	check := func(field string, list []string) {
		for i, c := range list {
			if !knownCipher(c) {
				out.Add(diag.Diagnostic{Code: CodeUnknownCipher, Severity: diag.Error, Field: fmt.Sprintf("mesh: %s.cipherSuites[%d]", field, i), Message: unknownCipher(c), Help: useCipher()})
			}
		}
	}
	check("meshMTLS", m.Config.GetMeshMTLS().GetCipherSuites())
	check("tlsDefaults", m.Config.GetTlsDefaults().GetCipherSuites())
	return out
}
