package security

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// CodeUnknownCipher is reported for a cipher suite that Envoy does not know: it would refuse the listener or cluster.
const CodeUnknownCipher = "MESHC1502"

// UsableCiphers leaves out repeats, and what Envoy does not know.
func UsableCiphers(list []string) []string {
	return slices.DeleteFunc(Dedupe(list), func(c string) bool { return !validate.KnownCipher(c) })
}

func unknownCipher(c string) string {
	return fmt.Sprintf("%s is not a cipher suite that Envoy knows", c)
}

func useCipher() string { return "use one of " + strings.Join(validate.Ciphers(), ", ") }

// CipherFindings are about the cipher suites of MeshConfig: those between workloads and the defaults of all other TLS.
func CipherFindings(m *mesh.Mesh) diag.List {
	var out diag.List
	check := func(field string, list []string) {
		for i, c := range list {
			if !validate.KnownCipher(c) {
				out.Add(diag.Diagnostic{Code: CodeUnknownCipher, Severity: diag.Error, Field: fmt.Sprintf("mesh: %s.cipherSuites[%d]", field, i), Message: unknownCipher(c), Help: useCipher()})
			}
		}
	}
	check("meshMTLS", m.Config.GetMeshMTLS().GetCipherSuites())
	check("tlsDefaults", m.Config.GetTlsDefaults().GetCipherSuites())
	return out
}
