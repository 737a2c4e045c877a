package envoy

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// jwtRule is one rule with the object it stands in.
type jwtRule struct {
	owner *mesh.RequestAuthentication
	index int
	spec  *security.JWTRule
}

// jwtRules returns the rules of all RequestAuthentications that apply, by issuer.
func jwtRules(in *mesh.Inbound) []jwtRule {
	var out []jwtRule
	for _, p := range in.RequestAuthentications {
		for i, r := range p.Spec.GetJwtRules() {
			out = append(out, jwtRule{p, i, r})
		}
	}
	slices.SortStableFunc(out, func(a, b jwtRule) int { return cmp.Compare(a.spec.GetIssuer(), b.spec.GetIssuer()) })
	return out
}

// jwtAuthn lowers RequestAuthentication to a JwtAuthentication filter, nil when none applies. Claims of a verified token
// go to dynamic metadata, where authorization and claim based routing look for them.
func jwtAuthn(in *mesh.Inbound) (*jwtv3.JwtAuthentication, diag.List) {
	rules := jwtRules(in)
	if len(rules) == 0 {
		return nil, nil
	}
	var found diag.List
	out := &jwtv3.JwtAuthentication{Providers: map[string]*jwtv3.JwtProvider{}, BypassCorsPreflight: true}
	var providers []string
	for i, r := range rules {
		name := names.TokenProvider(i)
		providers = append(providers, name)
		out.Providers[name] = jwtProvider(in, r, &found)
	}
	out.Rules = []*jwtv3.RequirementRule{jwtRequirementRule(providers)}
	return out, found
}

// jwtProvider lowers RequestAuthentication.jwtRules[].
func jwtProvider(in *mesh.Inbound, r jwtRule, found *diag.List) *jwtv3.JwtProvider {
	s := r.spec
	p := &jwtv3.JwtProvider{
		Issuer: s.GetIssuer(), Audiences: s.GetAudiences(), Forward: s.GetForwardOriginalToken(),
		ForwardPayloadHeader: s.GetOutputPayloadToHeader(),
		FromParams:           s.GetFromParams(), FromCookies: s.GetFromCookies(),
		PayloadInMetadata:          jwtPayloadKey,
		NormalizePayloadInMetadata: &jwtv3.JwtProvider_NormalizePayload{SpaceDelimitedClaims: spaceDelimited(s.GetSpaceDelimitedClaims())},
		ClearRouteCache:            in.Gateway, // routes of a gateway may match claims
	}
	for _, h := range s.GetFromHeaders() {
		p.FromHeaders = append(p.FromHeaders, &jwtv3.JwtHeader{Name: h.GetName(), ValuePrefix: h.GetPrefix()})
	}
	for _, h := range s.GetOutputClaimToHeaders() {
		p.ClaimToHeaders = append(p.ClaimToHeaders, &jwtv3.JwtClaimToHeader{HeaderName: h.GetHeader(), ClaimName: h.GetClaim()})
	}
	jwtKeys(in, r, p, found)
	return p
}

// spaceDelimited adds the claims that are lists in one string by their standard: scope, and permission.
func spaceDelimited(claims []string) []string {
	out := []string{"permission", "scope"}
	for _, c := range claims {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// keysOfNobody is a set of one key, with which Envoy refuses every token; it refuses the whole listener for an empty set.
// The x of the key is the SHA-256 of "meshc: a key that nobody has 0", so that nobody can know its private half.
const keysOfNobody = `{"keys":[{"kty":"EC","crv":"P-256","x":"MDYLjguHUkD9J7X3LyUTk1t0VABEjc1wLS7PUBE4ogA","y":"noQo34hh1O487dA6wZX6GqdjNXcGgpN6jFZx3AH5xiY"}]}`

// jwtKeys sets where the keys of an issuer come from. Without usable keys no token is taken.
func jwtKeys(in *mesh.Inbound, r jwtRule, p *jwtv3.JwtProvider, found *diag.List) {
	at := func(field string) []any { return []any{"spec", "jwtRules", r.index, field} }
	inline := func(keys string) *jwtv3.JwtProvider_LocalJwks {
		return &jwtv3.JwtProvider_LocalJwks{LocalJwks: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: keys}}}
	}
	switch {
	case r.spec.GetJwks() != "":
		keys := r.spec.GetJwks()
		if err := validate.JWKS(keys); err != nil {
			found.Add(r.owner.Object.Finding(diag.Error, "MESHC1550", fmt.Sprintf("jwks cannot be used, so every token of issuer %q is refused: %v", r.spec.GetIssuer(), err),
				"give the public keys as a JSON Web Key Set: {\"keys\":[{\"kty\":\"RSA\",…}]}", at("jwks")...))
			keys = keysOfNobody
		}
		p.JwksSourceSpecifier = inline(keys)
	case r.spec.GetJwksUri() != "":
		source, err := jwksSource(in, r.spec.GetJwksUri())
		if err != nil {
			found.Add(r.owner.Object.Finding(diag.Error, "MESHC1551", fmt.Sprintf("jwksUri cannot be used, so every token of issuer %q is refused: %v", r.spec.GetIssuer(), err),
				"write an http or https URL", at("jwksUri")...))
			p.JwksSourceSpecifier = inline(keysOfNobody)
			return
		}
		if source.extra && !source.tls && !ownHost(source.host) {
			found.Add(r.owner.Object.Finding(diag.Warning, "MESHC1554", fmt.Sprintf("the keys of issuer %q come in plain text from outside the mesh: whoever is on the way can sign tokens", r.spec.GetIssuer()),
				"use https, or serve the keys from a service of the mesh", at("jwksUri")...))
		}
		timeout := r.spec.GetTimeout()
		if timeout.AsDuration() <= 0 {
			timeout = seconds(5)
		}
		p.JwksSourceSpecifier = &jwtv3.JwtProvider_RemoteJwks{RemoteJwks: &jwtv3.RemoteJwks{
			HttpUri: &corev3.HttpUri{Uri: r.spec.GetJwksUri(), Timeout: timeout,
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: source.cluster}},
			CacheDuration: seconds(20 * 60),
			AsyncFetch:    &jwtv3.JwksAsyncFetch{},
		}}
	default:
		found.Add(r.owner.Object.Finding(diag.Error, "MESHC1552", fmt.Sprintf("the rule for issuer %q has neither jwks nor jwksUri, so every token is refused: "+
			"the address of the keys is not looked up by OpenID discovery, since compiling uses no network", r.spec.GetIssuer()),
			"set jwksUri to the jwks_uri of the issuer's /.well-known/openid-configuration", at("issuer")...))
		p.JwksSourceSpecifier = inline(keysOfNobody)
	}
}

// ownHost tells whether a host is the proxy's own, so that nobody else is on the way.
func ownHost(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || host == "localhost"
}

// keySource is where a proxy fetches keys from; extra is set when no cluster of the mesh leads there.
type keySource struct {
	cluster string
	host    string
	port    uint32
	tls     bool
	extra   bool
}

// jwksSource resolves a jwksUri: http to a service that the workload sees goes through that service's cluster, with its
// traffic policy; all else gets a cluster of its own.
func jwksSource(in *mesh.Inbound, uri string) (keySource, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return keySource{}, err
	}
	k := keySource{host: strings.ToLower(u.Hostname()), tls: u.Scheme == "https", port: 80}
	if k.host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return keySource{}, fmt.Errorf("%q is no http or https URL", uri)
	}
	if k.tls {
		k.port = 443
	}
	if p := u.Port(); p != "" {
		if k.port, err = rbacPort(p); err != nil {
			return keySource{}, err
		}
	}
	for _, s := range in.Mesh.Services {
		if !k.tls && s.Hostname == k.host && s.Visibility.In(in.Namespace) &&
			slices.ContainsFunc(s.Ports, func(p *mesh.Port) bool { return p.Number == k.port }) {
			k.cluster = names.Outbound(k.port, "", k.host)
			return k, nil
		}
	}
	k.cluster, k.extra = fmt.Sprintf("jwks|%d|%s|%s", k.port, u.Scheme, k.host), true
	return k, nil
}

// JWKSClusters returns the clusters that RequestAuthentication needs to fetch keys from hosts outside the mesh, sorted
// by name. For https the certificate is verified for the host against the roots of the operating system.
func JWKSClusters(in *mesh.Inbound) []*Resource {
	byName := map[string]*Resource{}
	for _, r := range jwtRules(in) {
		if r.spec.GetJwks() != "" || r.spec.GetJwksUri() == "" {
			continue
		}
		k, err := jwksSource(in, r.spec.GetJwksUri())
		if err != nil || !k.extra {
			continue
		}
		res := byName[k.cluster]
		if res == nil {
			res = &Resource{Type: Cluster, Name: k.cluster, Message: jwksCluster(k)}
			byName[k.cluster] = res
		}
		path := []any{"spec", "jwtRules", r.index, "jwksUri"}
		res.Origins = append(res.Origins, Origin{Pos: r.owner.Object.Pos(path...), Object: r.owner.Object.Ref(), Field: fmt.Sprintf("spec.jwtRules[%d].jwksUri", r.index)})
	}
	var out []*Resource
	for _, r := range byName {
		out = append(out, r)
	}
	Sort(out)
	return out
}

func jwksCluster(k keySource) *clusterv3.Cluster {
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: k.host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: k.port}}}}
	c := &clusterv3.Cluster{
		Name:                 k.cluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS},
		DnsLookupFamily:      clusterv3.Cluster_V4_PREFERRED,
		ConnectTimeout:       seconds(10),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: k.cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}}}}}}},
	}
	if !k.tls {
		return c
	}
	name := &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: rbacExact(k.host)}
	up := &tlsv3.UpstreamTlsContext{Sni: k.host}
	if _, err := netip.ParseAddr(k.host); err == nil {
		name.SanType, up.Sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // addresses are not sent as server names
	}
	up.CommonTlsContext = &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{name}},
			ValidationContextSdsSecretConfig: SDSSecret(names.FileRoots(names.SystemRoots)),
		}},
	}
	c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: Any(up)}}
	return c
}
