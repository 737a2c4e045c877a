package security

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

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// jwtRule is one rule with the object it stands in.
type jwtRule struct {
	owner *mesh.RequestAuthentication
	index int
	Spec  *security.JWTRule
}

// JWTRules returns the rules of all RequestAuthentications that apply, by issuer.
func JWTRules(in *mesh.Inbound) []jwtRule {
	var out []jwtRule
	for _, p := range in.RequestAuthentications {
		for i, r := range p.Spec.GetJwtRules() {
			out = append(out, jwtRule{p, i, r})
		}
	}
	slices.SortStableFunc(out, func(a, b jwtRule) int { return cmp.Compare(a.Spec.GetIssuer(), b.Spec.GetIssuer()) })
	return out
}

// jwtAuthn lowers RequestAuthentication to a JwtAuthentication filter, nil when none applies. Claims of a verified token
// go to dynamic metadata, where authorization and claim based routing look for them.
func jwtAuthn(in *mesh.Inbound) (*jwtv3.JwtAuthentication, diag.List) {
	rules := JWTRules(in)
	if len(rules) == 0 {
		return nil, nil
	}
	var found diag.List
	out := &jwtv3.JwtAuthentication{Providers: map[string]*jwtv3.JwtProvider{}, BypassCorsPreflight: true}
	var demands []jwtDemand
	for i, r := range rules {
		name := names.TokenProvider(i)
		demands = append(demands, jwtDemand{name, r.Spec.GetPresence() == security.JWTRule_REQUIRED})
		out.Providers[name] = jwtProvider(in, r, &found)
	}
	out.Rules = []*jwtv3.RequirementRule{jwtRequirementRule(demands)}
	return out, found
}

// jwtProvider lowers RequestAuthentication.jwtRules[].
func jwtProvider(in *mesh.Inbound, r jwtRule, found *diag.List) *jwtv3.JwtProvider {
	s := r.Spec
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
	case r.Spec.GetJwks() != "":
		keys := r.Spec.GetJwks()
		if err := validate.JWKS(keys); err != nil {
			found.Add(r.owner.Object.Finding(diag.Error, "MESHC1550", fmt.Sprintf("jwks cannot be used, so every token of issuer %q is refused: %v", r.Spec.GetIssuer(), err),
				"give the public keys as a JSON Web Key Set: {\"keys\":[{\"kty\":\"RSA\",…}]}", at("jwks")...))
			keys = keysOfNobody
		}
		p.JwksSourceSpecifier = inline(keys)
	case r.Spec.GetJwksUri() != "":
		source, err := JWKSSource(in, r.Spec.GetJwksUri())
		if err != nil {
			found.Add(r.owner.Object.Finding(diag.Error, "MESHC1551", fmt.Sprintf("jwksUri cannot be used, so every token of issuer %q is refused: %v", r.Spec.GetIssuer(), err),
				"write an http or https URL", at("jwksUri")...))
			p.JwksSourceSpecifier = inline(keysOfNobody)
			return
		}
		if source.Extra && !source.tls && !ownHost(source.Host) {
			found.Add(r.owner.Object.Finding(diag.Warning, "MESHC1554", fmt.Sprintf("the keys of issuer %q come in plain text from outside the mesh: whoever is on the way can sign tokens", r.Spec.GetIssuer()),
				"use https, or serve the keys from a service of the mesh", at("jwksUri")...))
		}
		timeout := r.Spec.GetTimeout()
		if timeout.AsDuration() <= 0 {
			timeout = xds.Seconds(5)
		}
		p.JwksSourceSpecifier = &jwtv3.JwtProvider_RemoteJwks{RemoteJwks: &jwtv3.RemoteJwks{
			HttpUri: &corev3.HttpUri{Uri: r.Spec.GetJwksUri(), Timeout: timeout,
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: source.cluster}},
			CacheDuration: xds.Seconds(20 * 60),
			AsyncFetch:    &jwtv3.JwksAsyncFetch{},
		}}
	default:
		found.Add(r.owner.Object.Finding(diag.Error, "MESHC1552", fmt.Sprintf("the rule for issuer %q has neither jwks nor jwksUri, so every token is refused: "+
			"the address of the keys is not looked up by OpenID discovery, since compiling uses no network", r.Spec.GetIssuer()),
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
	Host    string
	Port    uint32
	tls     bool
	Extra   bool
}

// JWKSSource resolves a jwksUri: http to a service that the workload sees goes through that service's cluster, with its
// traffic policy; all else gets a cluster of its own.
func JWKSSource(in *mesh.Inbound, uri string) (keySource, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return keySource{}, err
	}
	k := keySource{Host: strings.ToLower(u.Hostname()), tls: u.Scheme == "https", Port: 80}
	if k.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return keySource{}, fmt.Errorf("%q is no http or https URL", uri)
	}
	if k.tls {
		k.Port = 443
	}
	if p := u.Port(); p != "" {
		if k.Port, err = rbacPort(p); err != nil {
			return keySource{}, err
		}
	}
	for _, s := range in.Mesh.Services {
		if !k.tls && s.Hostname == k.Host && s.Visibility.In(in.Namespace) &&
			slices.ContainsFunc(s.Ports, func(p *mesh.Port) bool { return p.Number == k.Port }) {
			k.cluster = names.Outbound(k.Port, "", k.Host)
			return k, nil
		}
	}
	k.cluster, k.Extra = fmt.Sprintf("jwks|%d|%s|%s", k.Port, u.Scheme, k.Host), true
	return k, nil
}

// JWKSClusters returns the clusters that RequestAuthentication needs to fetch keys from hosts outside the mesh, sorted
// by name. For https the certificate is verified for the host against the roots of the operating system.
func JWKSClusters(in *mesh.Inbound) []*xds.Resource {
	byName := map[string]*xds.Resource{}
	for _, r := range JWTRules(in) {
		if r.Spec.GetJwks() != "" || r.Spec.GetJwksUri() == "" {
			continue
		}
		k, err := JWKSSource(in, r.Spec.GetJwksUri())
		if err != nil || !k.Extra {
			continue
		}
		res := byName[k.cluster]
		if res == nil {
			res = &xds.Resource{Type: xds.Cluster, Name: k.cluster, Message: jwksCluster(k)}
			byName[k.cluster] = res
		}
		path := []any{"spec", "jwtRules", r.index, "jwksUri"}
		res.Origins = append(res.Origins, xds.Origin{Pos: r.owner.Object.Pos(path...), Object: r.owner.Object.Ref(), Field: fmt.Sprintf("spec.jwtRules[%d].jwksUri", r.index)})
	}
	var out []*xds.Resource
	for _, r := range byName {
		out = append(out, r)
	}
	xds.Sort(out)
	return out
}

func jwksCluster(k keySource) *clusterv3.Cluster {
	address := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: k.Host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: k.Port}}}}
	c := &clusterv3.Cluster{
		Name:                 k.cluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS},
		DnsLookupFamily:      clusterv3.Cluster_V4_PREFERRED,
		ConnectTimeout:       xds.Seconds(10),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: k.cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address}}}}}}},
	}
	if !k.tls {
		return c
	}
	name := &tlsv3.SubjectAltNameMatcher{SanType: tlsv3.SubjectAltNameMatcher_DNS, Matcher: rbacExact(k.Host)}
	up := &tlsv3.UpstreamTlsContext{Sni: k.Host}
	if _, err := netip.ParseAddr(k.Host); err == nil {
		name.SanType, up.Sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, "" // addresses are not sent as server names
	}
	up.CommonTlsContext = &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2, TlsMaximumProtocolVersion: tlsv3.TlsParameters_TLSv1_3},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{name}},
			ValidationContextSdsSecretConfig: xds.SDSSecret(names.FileRoots(names.SystemRoots)),
		}},
	}
	c.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: xds.Any(up)}}
	return c
}
