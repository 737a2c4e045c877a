package trace_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// fixture holds the certificates and tokens that requests draw from.
type fixture struct {
	ca      *x509.Certificate
	caKey   *ecdsa.PrivateKey
	server  tls.Certificate
	clients map[string]tls.Certificate // by SPIFFE identity; "" is no certificate
	tokens  map[string]match.Token
	texts   []string // of tokens, sorted as made
	jwks    string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	w := &fixture{clients: map[string]tls.Certificate{}, tokens: map[string]match.Token{}}
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.caKey = key
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(crand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if w.ca, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	w.server = w.certificate(t, "spiffe://cluster.local/ns/default/sa/server")
	for _, id := range identities() {
		w.clients[id] = w.certificate(t, "spiffe://"+id)
	}
	w.makeTokens(t)
	return w
}

func identities() []string {
	return []string{"cluster.local/ns/default/sa/a", "cluster.local/ns/default/sa/ab", "cluster.local/ns/other/sa/a", "cluster.local/ns/default-2/sa/b",
		"old.example/ns/default/sa/a", "foreign.example/ns/default/sa/a", "cluster.local/ns/d.fault/sa/x", "cluster.local/ns/other/sa/ns/default/sa/a"}
}

func (w *fixture) certificate(t *testing.T, id string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	uri, err := url.Parse(id)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{uri},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(crand.Reader, template, w.ca, key.Public(), w.caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func (w *fixture) makeTokens(t *testing.T) {
	t.Helper()
	key, err := rsa.GenerateKey(crand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	w.jwks = fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","kid":"k","n":%q,"e":%q}]}`, enc(key.N.Bytes()), enc(big.NewInt(int64(key.E)).Bytes()))
	far := float64(4102444800)
	for i, claims := range []map[string]any{
		{"iss": "https://one.example", "sub": "alice", "exp": far, "groups": []any{"g1", "g2"}, "scope": "read write"},
		{"iss": "https://one.example", "sub": "alice/x", "exp": far, "aud": "api", "azp": "app"},
		{"iss": "https://one.example", "sub": "bob", "exp": far, "aud": []any{"web", "api"}, "nested": map[string]any{"role": "admin", "list": []any{"x"}}},
		{"iss": "two", "sub": "alice", "exp": far, "groups": "g1", "aud": "api"},
		{"iss": "two", "exp": far, "level": float64(3)},
		{"iss": "three", "sub": "alice", "exp": far},
		{"iss": "two", "sub": "late", "exp": float64(1000000000)},
		{"iss": "https://one.example", "sub": "forged", "exp": far},
	} {
		body, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		text := enc([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + enc(body)
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		if i == 7 {
			sig[10] ^= 1
		}
		text += "." + enc(sig)
		w.tokens[text] = match.Token{Claims: claims, Valid: i != 7, Expired: i == 6}
		w.texts = append(w.texts, text)
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// some draws up to three values, most often none.
func some(r *rand.Rand, from ...string) []string {
	var out []string
	if r.IntN(3) == 0 {
		for range 1 + r.IntN(3) {
			out = append(out, pick(r, from...))
		}
	}
	return out
}

func paths() []string {
	return []string{"/", "/a", "/a/b", "/a/b/c", "/ab", "/a.b", "/a+b", "/A", "/x/a", "/a(b", "/a%20b", "/a/b/"}
}

func hosts() []string {
	return []string{"a.example", "b.example", "A.Example", "a.example:8080", "aXexample"}
}

func (w *fixture) source(r *rand.Rand) *security.Source {
	ids := append(identities(), "*", "*/ns/default/sa/a", "cluster.local/ns/default/*", "cluster.local/ns/default/sa/a*", "*sa/a", "old.example/ns/other/sa/a", "cluster.local/ns/d.fault/sa/a", "*.example/ns/default/sa/a")
	ns := []string{"default", "other", "def*", "*2", "d.fault", "*", "default-2"}
	ips := []string{"127.0.0.2", "127.0.0.0/30", "127.0.0.4/31", "0.0.0.0/0", "10.0.0.0/8", "::1"}
	remotes := []string{"10.1.2.3", "10.0.0.0/8", "127.0.0.0/8", "192.0.2.0/24"}
	subjects := []string{"*", "https://one.example/alice", "https://one.example/*", "*/alice", "two/alice", "two*", "*ice", "https://one.example/b*", "two/", "https://one.example/alice/x", "*example/alice"}
	s := &security.Source{IpBlocks: some(r, ips...), NotIpBlocks: some(r, ips[:3]...), RemoteIpBlocks: some(r, remotes...), NotRemoteIpBlocks: some(r, remotes[:1]...),
		RequestPrincipals: some(r, subjects...), NotRequestPrincipals: some(r, subjects[1:]...)}
	switch r.IntN(4) {
	case 0:
		s.Principals, s.NotPrincipals = some(r, ids...), some(r, ids...)
	case 1:
		s.Namespaces, s.NotNamespaces = some(r, ns...), some(r, ns...)
	case 2:
		s.ServiceAccounts, s.NotServiceAccounts = some(r, "a", "default/a", "other/a", "d.fault/x", "b"), some(r, "a", "ab")
	case 3:
		s.TrustDomains, s.NotTrustDomains = some(r, "cluster.local", "foreign.example", "*.example", "old*", "*"), some(r, "old.example", "foreign.example")
	}
	return s
}

func operation(r *rand.Rand, port uint16) *security.Operation {
	ps := append(paths(), "*", "/a*", "*b", "/a/{*}", "/a/{**}", "/{*}/b", "/{**}/c", "/a.*")
	hs := append(hosts(), "*", "*.example", "a.*", "A.example")
	return &security.Operation{Paths: some(r, ps...), NotPaths: some(r, ps...), Hosts: some(r, hs...), NotHosts: some(r, hs[:5]...),
		Methods: some(r, "GET", "POST", "get", "P*", "*T", "*"), NotMethods: some(r, "DELETE", "P*"),
		Ports: some(r, fmt.Sprint(port), "80"), NotPorts: some(r, "80", "81")}
}

func condition(r *rand.Rand, port uint16) *security.Condition {
	c := pick(r,
		&security.Condition{Key: "request.headers[X-Test]", Values: []string{"v", "w*", "*z", "*", "a.b", "v+"}},
		&security.Condition{Key: "request.auth.claims[groups]", Values: []string{"g1", "g*", "*2", "*"}},
		&security.Condition{Key: "request.auth.claims[scope]", Values: []string{"read", "w*"}},
		&security.Condition{Key: "request.auth.claims[nested][role]", Values: []string{"admin", "*"}},
		&security.Condition{Key: "request.auth.claims[nested][list]", Values: []string{"x"}},
		&security.Condition{Key: "request.auth.audiences", Values: []string{"api", "web"}},
		&security.Condition{Key: "request.auth.presenter", Values: []string{"app"}},
		&security.Condition{Key: "request.auth.principal", Values: []string{"two/alice", "*"}},
		&security.Condition{Key: "source.ip", Values: []string{"127.0.0.2", "127.0.0.0/29"}},
		&security.Condition{Key: "remote.ip", Values: []string{"10.0.0.0/8"}},
		&security.Condition{Key: "source.namespace", Values: []string{"default", "d.fault"}},
		&security.Condition{Key: "source.principal", Values: []string{"*", "cluster.local/ns/default/sa/a"}},
		&security.Condition{Key: "destination.ip", Values: []string{"127.0.0.1", "10.0.0.0/8"}},
		&security.Condition{Key: "destination.port", Values: []string{fmt.Sprint(port), "80"}},
		&security.Condition{Key: "connection.sni", Values: []string{"a.sni", "*.sni", "b*"}},
	)
	if v := []string{pick(r, c.Values...), pick(r, c.Values...)}; r.IntN(2) == 0 {
		return &security.Condition{Key: c.Key, Values: v}
	} else {
		return &security.Condition{Key: c.Key, NotValues: v[:1]}
	}
}

// inbound makes random policies for the workload behind one listener.
func (w *fixture) inbound(r *rand.Rand, port uint16) *mesh.Inbound {
	in := &mesh.Inbound{
		Mesh:      &mesh.Mesh{TrustDomain: "cluster.local", Config: &meshconfig.MeshConfig{TrustDomainAliases: []string{"old.example"}}},
		Namespace: "default",
	}
	object := func(name string) *schema.Object {
		return &schema.Object{Kind: "AuthorizationPolicy", Namespace: "default", Name: name, Doc: &source.Document{}}
	}
	for i := range 1 + r.IntN(3) {
		spec := &security.AuthorizationPolicy{Action: pick(r, security.AuthorizationPolicy_ALLOW, security.AuthorizationPolicy_DENY, security.AuthorizationPolicy_ALLOW, security.AuthorizationPolicy_AUDIT)}
		for range 1 + r.IntN(3) {
			rule := &security.Rule{}
			for range r.IntN(3) {
				rule.From = append(rule.From, &security.Rule_From{Source: w.source(r)})
			}
			for range r.IntN(3) {
				rule.To = append(rule.To, &security.Rule_To{Operation: operation(r, port)})
			}
			for range r.IntN(2) {
				rule.When = append(rule.When, condition(r, port))
			}
			spec.Rules = append(spec.Rules, rule)
		}
		in.AuthorizationPolicies = append(in.AuthorizationPolicies, &mesh.AuthorizationPolicy{Object: object(fmt.Sprint("p", i)), Spec: spec})
	}
	var rules []*security.JWTRule
	for _, iss := range []string{"https://one.example", "two"} {
		if r.IntN(3) == 0 {
			continue
		}
		rule := &security.JWTRule{Issuer: iss, Jwks: w.jwks, ForwardOriginalToken: r.IntN(2) == 0, Audiences: some(r, "api", "web"),
			Presence: pick(r, security.JWTRule_OPTIONAL, security.JWTRule_OPTIONAL, security.JWTRule_REQUIRED)}
		if r.IntN(3) == 0 {
			rule.FromHeaders = []*security.JWTHeader{{Name: "x-token", Prefix: pick(r, "", "Tok ")}}
			rule.FromParams = some(r, "tok")
			rule.FromCookies = some(r, "session")
		}
		if r.IntN(3) == 0 {
			rule.OutputClaimToHeaders = []*security.ClaimToHeader{{Header: "x-test", Claim: "sub"}}
		}
		rules = append(rules, rule)
	}
	if len(rules) > 0 {
		in.RequestAuthentications = []*mesh.RequestAuthentication{{Object: object("r"), Spec: &security.RequestAuthentication{JwtRules: rules}}}
	}
	return in
}

// request makes a random request and what this package knows of it.
func (w *fixture) request(r *rand.Rand, c *listenerCase) *query {
	from := fmt.Sprintf("127.0.0.%d", 1+r.IntN(5))
	call := &match.Call{HTTP: true, Method: pick(r, "GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"), Authority: pick(r, hosts()...), Path: pick(r, paths()...),
		Headers: map[string][]string{}, Source: netip.MustParseAddr(from), Destination: netip.MustParseAddrPort(fmt.Sprintf("127.0.0.1:%d", c.port))}
	call.Remote = call.Source
	if r.IntN(2) == 0 {
		call.Headers["x-test"] = []string{pick(r, "v", "wx", "yz", "", "a.b", "aXb", "vv", "alice")}
	}
	if r.IntN(3) == 0 {
		call.Remote = netip.MustParseAddr(pick(r, "10.1.2.3", "192.0.2.7", "10.9.9.9"))
		call.Headers["x-forwarded-for"] = []string{call.Remote.String()}
	}
	params := ""
	if r.IntN(2) == 0 {
		text := pick(r, append(w.texts, "no-token", "a.b.c")...)
		switch r.IntN(6) {
		case 0:
			params = "?access_token=" + text
		case 1:
			params = "?q=1&tok=" + text
		case 2:
			call.Headers["cookie"] = []string{"other=1; session=" + text}
		case 3:
			call.Headers["x-token"] = []string{pick(r, "", "Tok ") + text}
		default:
			call.Headers["authorization"] = []string{"Bearer " + text}
		}
	} else if r.IntN(3) == 0 {
		params = "?q=/a"
	}
	call.Path += params
	scheme := "http"
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true,
		DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext}
	if c.tls {
		scheme = "https"
		call.SNI = pick(r, "a.sni", "b.sni", "other")
		cfg := &tls.Config{InsecureSkipVerify: true, ServerName: call.SNI} //nolint:gosec // the server is not under test
		if id := pick(r, append(identities(), "")...); id != "" {
			call.Principals = []string{"spiffe://" + id}
			cfg.Certificates = []tls.Certificate{w.clients[id]}
		}
		transport.TLSClientConfig = cfg
	}
	req, err := http.NewRequest(call.Method, fmt.Sprintf("%s://127.0.0.1:%d%s", scheme, c.port, call.Path), nil)
	if err != nil {
		panic(err)
	}
	req.Host = call.Authority
	for k, v := range call.Headers {
		req.Header.Set(k, v[0])
	}
	return &query{call: call, client: &http.Client{Transport: transport}, req: req}
}

// bootstrap is a static Envoy with one listener per case: the filters under test before a direct response.
func (w *fixture) bootstrap(t *testing.T, cases []*listenerCase, admin uint16) []byte {
	t.Helper()
	b := &bootstrapv3.Bootstrap{Admin: &bootstrapv3.Admin{Address: address(admin)}, StaticResources: &bootstrapv3.Bootstrap_StaticResources{}}
	for _, c := range cases {
		hcm := &hcmv3.HttpConnectionManager{StatPrefix: "x", UseRemoteAddress: wrapperspb.Bool(true), XffNumTrustedHops: 1,
			NormalizePath: wrapperspb.Bool(true),
			RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{VirtualHosts: []*routev3.VirtualHost{{
				Name: "x", Domains: []string{"*"}, Routes: []*routev3.Route{{
					Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200}}}}}}}},
			HttpFilters: append(c.filters[:len(c.filters):len(c.filters)], &hcmv3.HttpFilter{Name: "envoy.filters.http.router",
				ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: xds.Any(&routerv3.Router{})}}),
		}
		chain := &listenerv3.FilterChain{Filters: []*listenerv3.Filter{{Name: "envoy.filters.network.http_connection_manager",
			ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: xds.Any(hcm)}}}}
		l := &listenerv3.Listener{Name: fmt.Sprint(c.port), Address: address(c.port), FilterChains: []*listenerv3.FilterChain{chain}}
		if c.tls {
			l.ListenerFilters = []*listenerv3.ListenerFilter{{Name: "envoy.filters.listener.tls_inspector",
				ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: xds.Any(&tlsinspectorv3.TlsInspector{})}}}
			chain.TransportSocket = &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: xds.Any(w.tls(t))}}
		}
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, l)
	}
	out, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (w *fixture) tls(t *testing.T) *tlsv3.DownstreamTlsContext {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(w.server.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	inline := func(kind string, der []byte) *corev3.DataSource {
		var b strings.Builder
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
		return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: b.String()}}
	}
	return &tlsv3.DownstreamTlsContext{RequireClientCertificate: wrapperspb.Bool(false), CommonTlsContext: &tlsv3.CommonTlsContext{
		TlsCertificates:       []*tlsv3.TlsCertificate{{CertificateChain: inline("CERTIFICATE", w.server.Certificate[0]), PrivateKey: inline("PRIVATE KEY", key)}},
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{TrustedCa: inline("CERTIFICATE", w.ca.Raw)}},
	}}
}

func address(port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)}}}}
}
