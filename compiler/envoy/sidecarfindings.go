package envoy

import (
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// CodeIneffectiveTLS is reported for a field of ServerTLSSettings that nothing reads beside the others.
const CodeIneffectiveTLS = "MESHC1503"

// codeDynamicDNS is reported for the outbound traffic policy that resolves any host.
const codeDynamicDNS = "MESHC1449"

// serverFindings reports, once for each Gateway and Sidecar, fields that have no effect where they stand.
func serverFindings(m *mesh.Mesh) diag.List {
	var out diag.List
	if m.Config.GetOutboundTrafficPolicy().GetMode() == meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY_DYNAMIC_DNS {
		out.Add(diag.Diagnostic{Code: codeDynamicDNS, Severity: diag.Error, Field: "mesh: outboundTrafficPolicy.mode",
			Message: "outboundTrafficPolicy mode ALLOW_ANY_DYNAMIC_DNS is not supported: hosts that no service declares are called at the address their name resolved to for the client, as under ALLOW_ANY",
			Help:    "use ALLOW_ANY, or a ServiceEntry with a wildcard host and resolution DYNAMIC_DNS"})
	}
	for _, g := range m.Gateways {
		for i, s := range g.Spec.GetServers() {
			out.Add(serverTLSFindings(g.Object, s.GetTls(), "spec", "servers", i, "tls")...)
		}
	}
	for _, s := range m.Sidecars {
		out.Add(inboundPoolFindings(s.Object, s.Spec.GetInboundConnectionPool(), nil, "spec", "inboundConnectionPool")...)
		for i, l := range s.Spec.GetIngress() {
			p := mesh.ParseProtocol(l.GetPort().GetProtocol())
			out.Add(inboundPoolFindings(s.Object, l.GetConnectionPool(), &p, "spec", "ingress", i, "connectionPool")...)
			out.Add(serverTLSFindings(s.Object, l.GetTls(), "spec", "ingress", i, "tls")...)
		}
	}
	return out
}

// inboundPoolFindings is about a connection pool towards the application. The protocol is nil where it holds for ports of
// several.
func inboundPoolFindings(o *schema.Object, pool *networking.ConnectionPoolSettings, protocol *mesh.Protocol, path ...any) diag.List {
	var out diag.List
	http := pool.GetHttp()
	unread := func(field, why, help string) {
		out.Add(o.Finding(diag.Warning, codePolicyNoEffect, "http."+field+" has no effect: "+why, help, append(append([]any{}, path...), "http", field)...))
	}
	if http.GetH2UpgradePolicy() == networking.ConnectionPoolSettings_HTTPSettings_UPGRADE {
		unread("h2UpgradePolicy", "connections to the application are never upgraded to HTTP/2", "Declare the port as HTTP2 or GRPC, or set useClientProtocol.")
	}
	if protocol == nil || protocol.IsHTTP2() && !http.GetUseClientProtocol() {
		return out
	}
	why, help := "the port does not speak HTTP/2 by declaration", "Declare the port as HTTP2 or GRPC."
	if http.GetMaxConcurrentStreams() != 0 {
		unread("maxConcurrentStreams", why, help)
	}
	if http.GetHttp2KeepAlive() != nil {
		unread("http2KeepAlive", why, help)
	}
	return out
}

// serverTLSFindings is about the TLS of a server of a Gateway or of an ingress listener of a Sidecar, where TLS ends.
func serverTLSFindings(o *schema.Object, t *networking.ServerTLSSettings, path ...any) diag.List {
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
		why, help = "mode ISTIO_MUTUAL verifies clients by the identities of the mesh", "Match identities with subjectAltNames or an AuthorizationPolicy."
		unread(len(t.VerifyCertificateSpki) > 0, diag.Error, "verifyCertificateSpki", why, help)
		unread(len(t.VerifyCertificateHash) > 0, diag.Error, "verifyCertificateHash", why, help)
		unread(t.InsecureSkipVerify != nil, diag.Warning, "insecureSkipVerify", why, help)
		unread(t.CaCertCredentialName != "", diag.Warning, "caCertCredentialName", why, help)
	}
	return out
}
