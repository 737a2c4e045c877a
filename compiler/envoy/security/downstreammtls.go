package security

import (
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// meshCiphers returns Istio's six cipher suites for TLS 1.2 between workloads: forward secrecy first.
func meshCiphers() []string {
	return []string{
		"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
		"AES256-GCM-SHA384", "AES128-GCM-SHA256",
	}
}

// DownstreamMTLS lowers Istio mutual TLS on the server side to a DownstreamTlsContext: a client certificate is
// required, signed by a root of the mesh and with an identity in one of its trust domains.
func DownstreamMTLS(in *mesh.Inbound, alpn []string) *tlsv3.DownstreamTlsContext {
	cfg := in.Mesh.Config.GetMeshMTLS()
	params := &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
	if cfg.GetMinProtocolVersion() == meshconfig.MeshConfig_TLSConfig_TLSV1_3 {
		params.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
	}
	params.CipherSuites = UsableCiphers(cfg.GetCipherSuites())
	if len(params.CipherSuites) == 0 {
		params.CipherSuites = meshCiphers()
	}
	validation := &tlsv3.CertificateValidationContext{}
	for _, td := range peerTrustDomains(in.Mesh) {
		validation.MatchTypedSubjectAltNames = append(validation.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
			SanType: tlsv3.SubjectAltNameMatcher_URI,
			Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: "spiffe://" + td + "/"}},
		})
	}
	return &tlsv3.DownstreamTlsContext{
		RequireClientCertificate: xds.Bool(true),
		CommonTlsContext: &tlsv3.CommonTlsContext{
			TlsParams:                      params,
			AlpnProtocols:                  slices.Clone(alpn),
			TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{xds.IdentitySecret(in.Mesh, names.OwnCertificate)},
			ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
				CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
					DefaultValidationContext:         validation,
					ValidationContextSdsSecretConfig: xds.IdentitySecret(in.Mesh, names.OwnRoots),
				},
			},
		},
	}
}
