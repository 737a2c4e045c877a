package security

import (
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// ServerTLS lowers Gateway servers[].tls and Sidecar ingress[].tls, in a mode that ends TLS, to envoy
// DownstreamTlsContext.
func ServerTLS(m *mesh.Mesh, s *networking.ServerTLSSettings) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: []string{"h2", "http/1.1"}}
	out := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	validate := true
	switch s.Mode {
	case networking.ServerTLSSettings_MUTUAL, networking.ServerTLSSettings_ISTIO_MUTUAL:
		out.RequireClientCertificate = xds.Bool(true)
	case networking.ServerTLSSettings_OPTIONAL_MUTUAL:
		out.RequireClientCertificate = xds.Bool(false)
	default:
		validate = false
	}
	credentials := credentialNames(s)
	switch {
	case s.Mode == networking.ServerTLSSettings_ISTIO_MUTUAL:
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{xds.IdentitySecret(m, names.OwnCertificate)}
		validation(common, xds.IdentitySecret(m, names.OwnRoots), &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: exactSANs(s.SubjectAltNames), Crl: crl(s)})
		return out // TLS versions, ciphers, curves and protocols are those of the mesh
	case len(credentials) > 0:
		for _, c := range credentials {
			common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, xds.SDSSecret(names.Credential(c)))
		}
		credentialValidation(common, s, credentials[0], validate)
	default:
		for _, c := range certificateFiles(s) {
			common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, xds.SDSSecret(c))
		}
		if validate {
			v := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: exactSANs(s.SubjectAltNames), Crl: crl(s)}
			acceptUntrusted(v, s)
			validation(common, xds.SDSSecret(names.FileRoots(s.CaCertificates)), v)
		}
	}
	if len(s.AlpnProtocols) > 0 {
		common.AlpnProtocols = Dedupe(s.AlpnProtocols)
	}
	common.TlsParams = serverTLSParams(m, s)
	return out
}

// credentialValidation sets how client certificates are verified when the server has credentials in Secrets. SIMPLE asks
// for none, and Envoy refuses names to match where there are no roots.
func credentialValidation(common *tlsv3.CommonTlsContext, s *networking.ServerTLSSettings, credential string, validate bool) {
	v := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: exactSANs(s.SubjectAltNames)}
	if !validate {
		return
	}
	v.VerifyCertificateSpki = s.VerifyCertificateSpki
	v.VerifyCertificateHash = s.VerifyCertificateHash
	acceptUntrusted(v, s)
	ca := names.CredentialRoots(names.Credential(credential))
	if s.CaCertCredentialName != "" {
		ca = names.Credential(s.CaCertCredentialName)
	}
	validation(common, xds.SDSSecret(ca), v)
}

func validation(common *tlsv3.CommonTlsContext, roots *tlsv3.SdsSecretConfig, v *tlsv3.CertificateValidationContext) {
	common.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         v,
			ValidationContextSdsSecretConfig: roots,
		},
	}
}

func acceptUntrusted(v *tlsv3.CertificateValidationContext, s *networking.ServerTLSSettings) {
	if s.GetInsecureSkipVerify().GetValue() {
		v.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	}
}

func credentialNames(s *networking.ServerTLSSettings) []string {
	if s.CredentialName != "" {
		return []string{s.CredentialName}
	}
	return s.CredentialNames
}

// certificateFiles are the SDS names of certificates on the proxy's own disk.
func certificateFiles(s *networking.ServerTLSSettings) []string {
	var out []string
	for _, c := range s.TlsCertificates {
		out = append(out, names.FileCertificate(c.ServerCertificate, c.PrivateKey))
	}
	if len(out) == 0 {
		out = append(out, names.FileCertificate(s.ServerCertificate, s.PrivateKey))
	}
	return out
}

func crl(s *networking.ServerTLSSettings) *corev3.DataSource {
	if s.CaCrl == "" {
		return nil
	}
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: s.CaCrl}}
}

// exactSANs matches names of client certificates. Envoy wants to know the kind of a name, which its form tells.
func exactSANs(names []string) []*tlsv3.SubjectAltNameMatcher {
	var out []*tlsv3.SubjectAltNameMatcher
	for _, n := range names {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		if _, err := netip.ParseAddr(n); err == nil {
			kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
		} else if strings.Contains(n, "://") {
			kind = tlsv3.SubjectAltNameMatcher_URI
		} else if strings.Contains(n, "@") {
			kind = tlsv3.SubjectAltNameMatcher_EMAIL
		}
		out = append(out, &tlsv3.SubjectAltNameMatcher{
			SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: n}},
		})
	}
	return out
}

// serverTLSParams resolves versions, ciphers and curves: the server's own, else MeshConfig.tlsDefaults, else Envoy's.
func serverTLSParams(m *mesh.Mesh, s *networking.ServerTLSSettings) *tlsv3.TlsParameters {
	def := m.Config.GetTlsDefaults()
	p := &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: tlsVersion(s.MinProtocolVersion),
		TlsMaximumProtocolVersion: tlsVersion(s.MaxProtocolVersion),
		CipherSuites:              UsableCiphers(s.CipherSuites),
		EcdhCurves:                Dedupe(s.EcdhCurves),
	}
	if p.TlsMinimumProtocolVersion == tlsv3.TlsParameters_TLS_AUTO {
		switch def.GetMinProtocolVersion() {
		case meshconfig.MeshConfig_TLSConfig_TLSV1_2:
			p.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_2
		case meshconfig.MeshConfig_TLSConfig_TLSV1_3:
			p.TlsMinimumProtocolVersion = tlsv3.TlsParameters_TLSv1_3
		}
	}
	if len(p.EcdhCurves) == 0 {
		p.EcdhCurves = Dedupe(def.GetEcdhCurves())
	}
	if len(p.CipherSuites) == 0 {
		p.CipherSuites = UsableCiphers(def.GetCipherSuites())
	}
	if p.TlsMinimumProtocolVersion == 0 && p.TlsMaximumProtocolVersion == 0 && len(p.CipherSuites) == 0 && len(p.EcdhCurves) == 0 {
		return nil
	}
	return p
}

func tlsVersion(v networking.ServerTLSSettings_TLSProtocol) tlsv3.TlsParameters_TlsProtocol {
	switch v {
	case networking.ServerTLSSettings_TLSV1_0:
		return tlsv3.TlsParameters_TLSv1_0
	case networking.ServerTLSSettings_TLSV1_1:
		return tlsv3.TlsParameters_TLSv1_1
	case networking.ServerTLSSettings_TLSV1_2:
		return tlsv3.TlsParameters_TLSv1_2
	case networking.ServerTLSSettings_TLSV1_3:
		return tlsv3.TlsParameters_TLSv1_3
	default:
		return tlsv3.TlsParameters_TLS_AUTO
	}
}

func Dedupe(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
