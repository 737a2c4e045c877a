package security

import (
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// CodeIneffectiveTLS is reported for a field of ServerTLSSettings that nothing reads beside the others.
const CodeIneffectiveTLS = "MESHC1503"

// ServerTLSFindings is about the TLS of a server of a Gateway or of an ingress listener of a Sidecar, where TLS ends.
func ServerTLSFindings(o *schema.Object, t *networking.ServerTLSSettings, path ...any) diag.List {
	if t == nil {
		return nil
	}
	var out diag.List
	unread := func(set bool, sev diag.Severity, field, why, help string) {
		if set {
			out.Add(o.Finding(sev, CodeIneffectiveTLS, "tls."+field+" has no effect: "+why, help, append(append([]any{}, path...), field)...))
		}
	}
	for i, c := range t.CipherSuites {
		if !validate.KnownCipher(c) {
			out.Add(o.Finding(diag.Error, CodeUnknownCipher, unknownCipher(c), useCipher(), append(append([]any{}, path...), "cipherSuites", i)...))
		}
	}
	files := len(credentialNames(t)) == 0
	switch t.GetMode() {
	case networking.ServerTLSSettings_MUTUAL, networking.ServerTLSSettings_OPTIONAL_MUTUAL:
		if files {
			why, help := "it is read only where certificates come from credentialName", "Use credentialName, or match names with subjectAltNames."
			unread(len(t.VerifyCertificateSpki) > 0, diag.Error, "verifyCertificateSpki", why, help)
			unread(len(t.VerifyCertificateHash) > 0, diag.Error, "verifyCertificateHash", why, help)
			unread(t.CaCertCredentialName != "", diag.Error, "caCertCredentialName", why, "Use credentialName, or name the file of the roots in caCertificates.")
		} else {
			unread(t.CaCertificates != "", diag.Error, "caCertificates", "the roots come from a Secret, as the certificate does", "Name the Secret in caCertCredentialName.")
		}
	case networking.ServerTLSSettings_SIMPLE:
		why, help := "mode SIMPLE asks clients for no certificate", "Use mode MUTUAL or OPTIONAL_MUTUAL, or remove it."
		unread(len(t.VerifyCertificateSpki) > 0, diag.Warning, "verifyCertificateSpki", why, help)
		unread(len(t.VerifyCertificateHash) > 0, diag.Warning, "verifyCertificateHash", why, help)
		unread(t.CaCertCredentialName != "", diag.Warning, "caCertCredentialName", why, help)
		unread(t.CaCertificates != "", diag.Warning, "caCertificates", why, help)
		unread(t.InsecureSkipVerify != nil, diag.Warning, "insecureSkipVerify", why, help)
		unread(len(t.SubjectAltNames) > 0, diag.Warning, "subjectAltNames", why, help)
	case networking.ServerTLSSettings_ISTIO_MUTUAL:
		why, help := "mode ISTIO_MUTUAL takes it from the mesh", "Set MeshConfig.meshMTLS, or remove it."
		unread(t.MinProtocolVersion != networking.ServerTLSSettings_TLS_AUTO, diag.Warning, "minProtocolVersion", why, help)
		unread(t.MaxProtocolVersion != networking.ServerTLSSettings_TLS_AUTO, diag.Warning, "maxProtocolVersion", why, help)
		unread(len(t.CipherSuites) > 0, diag.Warning, "cipherSuites", why, help)
		unread(len(t.EcdhCurves) > 0, diag.Warning, "ecdhCurves", why, help)
		unread(len(t.AlpnProtocols) > 0, diag.Warning, "alpnProtocols", "mode ISTIO_MUTUAL offers what clients of the mesh ask for", "Remove it, or change the mode.")
		why, help = "mode ISTIO_MUTUAL verifies clients by the identities of the mesh", "Match identities with subjectAltNames or an AuthorizationPolicy."
		unread(len(t.VerifyCertificateSpki) > 0, diag.Error, "verifyCertificateSpki", why, help)
		unread(len(t.VerifyCertificateHash) > 0, diag.Error, "verifyCertificateHash", why, help)
		unread(t.InsecureSkipVerify != nil, diag.Warning, "insecureSkipVerify", why, help)
		unread(t.CaCertCredentialName != "", diag.Warning, "caCertCredentialName", why, help)
	}
	return out
}
