package cluster

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/structpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// tls lowers ClientTLSSettings of the policy; without any, auto mutual TLS: endpoints that accept it get it, the others
// plain text. An ORIGINAL_DST cluster knows no endpoints, so it uses mutual TLS only if all endpoints of the service can; the
// workloads that it selects stand for those that are still to come.
func (b *clusterBuild) tls() {
	t := b.policy.GetTls()
	if t == nil {
		b.autoMTLS()
		return
	}
	var ctx *tlsv3.UpstreamTlsContext
	switch t.Mode {
	case networking.ClientTLSSettings_ISTIO_MUTUAL:
		sans, sni := t.SubjectAltNames, t.Sni
		if sans == nil {
			sans = b.serviceAccounts()
		}
		if sni == "" {
			sni = names.ServerName(b.port.Number, b.name, b.in.Service.Hostname)
		}
		ctx = b.meshTLS(sni, sans)
	case networking.ClientTLSSettings_SIMPLE, networking.ClientTLSSettings_MUTUAL:
		ctx = b.originateTLS(t)
	}
	if ctx != nil {
		b.c.TransportSocket = tlsSocket(ctx)
	}
}

func (b *clusterBuild) autoMTLS() {
	svc, env := b.in.Service, b.in.Env
	if svc.MeshExternal || !env.autoMTLS || env.Mesh.NamespaceMode(svc.Namespace) == mesh.Disable {
		return
	}
	passthrough := svc.Resolution == mesh.Passthrough || b.simpleLB() == networking.LoadBalancerSettings_PASSTHROUGH
	if passthrough && !allCapable(b.port.Endpoints) && (len(b.port.Endpoints) > 0 || !svc.AllProxied) {
		return
	}
	sni := names.ServerName(b.port.Number, b.name, svc.Hostname)
	socket := tlsSocket(b.meshTLS(sni, b.serviceAccounts()))
	if b.c.GetType() == clusterv3.Cluster_ORIGINAL_DST {
		b.c.TransportSocket = socket
		return
	}
	match := &structpb.Struct{Fields: map[string]*structpb.Value{endpoint.TLSModeKey: structpb.NewStringValue(endpoint.TLSModeIstio)}}
	b.c.TransportSocketMatches = []*clusterv3.Cluster_TransportSocketMatch{
		{Name: "tlsMode-istio", Match: match, TransportSocket: socket},
		{Name: "tlsMode-disabled", Match: &structpb.Struct{}, TransportSocket: rawBuffer()},
	}
}

// allCapable tells whether every endpoint has a proxy that speaks mutual TLS. That PeerAuthentication turns it off for one of
// them does not count: the connections to all others would go in plain text.
func allCapable(eps []*mesh.Endpoint) bool {
	return len(eps) > 0 && !slices.ContainsFunc(eps, func(e *mesh.Endpoint) bool {
		return !e.MTLS && e.Labels[mesh.LabelTLSMode] != endpoint.TLSModeIstio
	})
}

// serviceAccounts are the identities a server of the service may show: those behind its endpoints and its own
// subjectAltNames, each also under the aliases of the trust domain.
func (b *clusterBuild) serviceAccounts() []string {
	ids := slices.Concat(b.in.Service.ServiceAccounts, b.in.Service.SubjectAltNames)
	for _, id := range slices.Clone(ids) {
		rest, ok := strings.CutPrefix(id, "spiffe://")
		_, path, ok2 := strings.Cut(rest, "/")
		if !ok || !ok2 {
			continue
		}
		for _, td := range b.in.Env.Mesh.Config.GetTrustDomainAliases() {
			ids = append(ids, "spiffe://"+td+"/"+path)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// meshTLS is mutual TLS of the mesh towards servers with one of the names. Where none is known, because the workloads behind a
// Kubernetes Service are not in the source, the server is one of its namespace: a selector reaches no other.
func (b *clusterBuild) meshTLS(sni string, names []string) *tlsv3.UpstreamTlsContext {
	ctx := meshTLS(b.in.Env.Mesh, sni, names, b.meshALPN())
	if svc := b.in.Service; len(names) == 0 && svc.Kubernetes && len(svc.Selector) > 0 {
		v := ctx.CommonTlsContext.GetCombinedValidationContext().DefaultValidationContext
		for _, td := range security.TrustDomains(b.in.Env.Mesh) {
			v.MatchTypedSubjectAltNames = append(v.MatchTypedSubjectAltNames, &tlsv3.SubjectAltNameMatcher{
				SanType: tlsv3.SubjectAltNameMatcher_URI, Matcher: security.PrefixMatcher("spiffe://" + td + "/ns/" + svc.Namespace + "/")})
		}
	}
	return ctx
}

// meshALPN tells the server what runs inside the mutual TLS, so that a PERMISSIVE port can tell mesh HTTP from mesh TCP
// and both from the application's own TLS. A sniffed port carries either, which one list per cluster cannot say, so it
// offers only the marker of the mesh.
func (b *clusterBuild) meshALPN() []string {
	switch {
	case b.http.kind == upstreamHTTP2:
		return []string{"istio-h2", "istio", "h2"}
	case b.port.Protocol.IsHTTP():
		return []string{"istio-http/1.1", "istio"}
	}
	return []string{"istio"}
}

// meshTLS is the client side of Istio mutual TLS: the workload's own certificate, the mesh's roots.
func meshTLS(m *mesh.Mesh, sni string, sans, alpn []string) *tlsv3.UpstreamTlsContext {
	return &tlsv3.UpstreamTlsContext{Sni: sni, CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsParams:                      upstreamTLSParams(),
		AlpnProtocols:                  alpn,
		TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{xds.IdentitySecret(m, names.OwnCertificate)},
		ValidationContextType:          upstreamValidation(xds.IdentitySecret(m, names.OwnRoots), sans, ""),
	}}
}

// originateTLS is SIMPLE and MUTUAL: TLS to a server that need not know the mesh. nil: not possible here, see
// credentialUsable.
func (b *clusterBuild) originateTLS(t *networking.ClientTLSSettings) *tlsv3.UpstreamTlsContext {
	if t.CredentialName != "" && !credentialUsable(b.in, t.CredentialName) {
		return nil
	}
	skip := t.GetInsecureSkipVerify().GetValue()
	b.http.upstream = autoNames(t)
	common := &tlsv3.CommonTlsContext{TlsParams: upstreamTLSParams()}
	if d := b.in.Env.Mesh.Config.GetTlsDefaults(); d != nil {
		common.TlsParams.CipherSuites = security.UsableCiphers(d.CipherSuites)
		common.TlsParams.EcdhCurves = d.EcdhCurves
	}
	if b.http.kind == upstreamHTTP2 {
		common.AlpnProtocols = []string{"h2"}
	}
	cert, root := originationSecrets(t, credentialUsable(b.in, t.CaCertCredentialName))
	if t.Mode == networking.ClientTLSSettings_MUTUAL && cert != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{xds.SDSSecret(cert)}
	}
	sans := t.SubjectAltNames
	if len(sans) == 0 && !b.in.Service.Kubernetes {
		sans = b.serviceAccounts()
	}
	if skip {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{}}
	} else {
		crl := t.CaCrl
		if t.CredentialName != "" || t.CaCertCredentialName != "" {
			crl = ""
		}
		common.ValidationContextType = upstreamValidation(xds.SDSSecret(root), sans, crl)
	}
	return &tlsv3.UpstreamTlsContext{Sni: t.Sni, CommonTlsContext: common}
}

// originationSecrets names the client certificate and the root of trust of SIMPLE and MUTUAL. Without caCertificates
// the proxy's operating system decides whom to trust; so it does where caCertCredentialName is not usable.
func originationSecrets(t *networking.ClientTLSSettings, usable bool) (cert, root string) {
	root = names.FileRoots(cmp.Or(t.CaCertificates, names.SystemRoots))
	switch n := t.CredentialName; {
	case names.IsConfigMap(n):
		root = n
	case n != "":
		cert, root = names.Credential(n), names.CredentialRoots(names.Credential(n))
	case t.ClientCertificate != "":
		cert = names.FileCertificate(t.ClientCertificate, t.PrivateKey)
	}
	if n := t.CaCertCredentialName; n != "" && usable {
		root = names.Credential(n)
	}
	return cert, root
}

// credentialUsable: a gateway reads Secrets of its own namespace; a sidecar only where the rule selects it by
// workloadSelector, or for a public root in a ConfigMap.
func credentialUsable(in Inputs, name string) bool {
	selected := in.Rule != nil && len(in.Rule.Spec.GetWorkloadSelector().GetMatchLabels()) > 0
	return in.Gateway || selected || names.IsConfigMap(name)
}

// autoNames makes Envoy take SNI, and the name to verify, from the request where the policy gives none.
func autoNames(t *networking.ClientTLSSettings) *corev3.UpstreamHttpProtocolOptions {
	if t.Sni != "" {
		return nil
	}
	return &corev3.UpstreamHttpProtocolOptions{
		AutoSni:           true,
		AutoSanValidation: len(t.SubjectAltNames) == 0 && !t.GetInsecureSkipVerify().GetValue(),
	}
}

func upstreamTLSParams() *tlsv3.TlsParameters {
	return &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3}
}

// upstreamValidation checks the peer against a root delivered by SDS and, if any, the names it must show. crl is a file on the
// proxy.
func upstreamValidation(root *tlsv3.SdsSecretConfig, sans []string, crl string) *tlsv3.CommonTlsContext_CombinedValidationContext {
	ctx := &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: sanMatchers(sans)}
	if crl != "" {
		ctx.Crl = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: crl}}
	}
	return &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
		DefaultValidationContext: ctx, ValidationContextSdsSecretConfig: root,
	}}
}

// sanMatchers matches each name exactly, in the kinds of subject alternative name it can be.
func sanMatchers(sans []string) []*tlsv3.SubjectAltNameMatcher {
	var out []*tlsv3.SubjectAltNameMatcher
	add := func(t tlsv3.SubjectAltNameMatcher_SanType, s string) {
		out = append(out, &tlsv3.SubjectAltNameMatcher{SanType: t, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}})
	}
	for _, s := range sans {
		switch _, err := netip.ParseAddr(s); {
		case err == nil:
			add(tlsv3.SubjectAltNameMatcher_IP_ADDRESS, s)
		case strings.Contains(s, "://"):
			add(tlsv3.SubjectAltNameMatcher_URI, s)
		case strings.Contains(s, "@"):
			add(tlsv3.SubjectAltNameMatcher_EMAIL, s)
		default:
			add(tlsv3.SubjectAltNameMatcher_DNS, s)
		}
	}
	return out
}

func tlsSocket(ctx *tlsv3.UpstreamTlsContext) *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: xds.Any(ctx)},
	}
}
