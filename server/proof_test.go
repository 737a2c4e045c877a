package server

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/tokentest"
	"github.com/meshc/meshc/server/ads"
)

// startTokens starts a server that takes the tokens of a signer; with the CA of the proxies or without.
func startTokens(t testing.TB, ca *authority, s *tokentest.Signer, withCA bool, o Options) (*Server, string, string) {
	t.Helper()
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, dir, map[string][]byte{"crt": crt, "key": key, "ca": ca.pem, "jwks": tokentest.JWKS(t, s)})
	o.TLSCert, o.TLSKey, o.TokenKeys = filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "jwks")
	if withCA {
		o.TLSCA, o.TrustDomains = filepath.Join(dir, "ca"), []string{"td"}
	}
	if err := o.check(); err != nil {
		t.Fatal(err)
	}
	srv := New(sealed(t, base(1)...), o)
	if err := srv.openTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	return srv, serveADS(t, srv), o.TokenKeys
}

// authorization is the context of a stream with authorization headers.
func authorization(ctx context.Context, headers ...string) context.Context {
	for _, h := range headers {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", h)
	}
	return ctx
}

// ask asks for resources of a type on a stream of its own and returns the end of it.
func ask(ctx context.Context, c discoveryv3.AggregatedDiscoveryServiceClient, n *corev3.Node, url string) (*discoveryv3.DeltaDiscoveryResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := c.DeltaAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	req := &discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: url}
	if url == ads.SecretType {
		req.ResourceNamesSubscribe = []string{"default"}
	}
	_ = st.Send(req)
	return st.Recv()
}

// Whoever shows no token of the workload gets nothing and learns nothing, as with certificates; and no token is in the log.
func TestSpoofedTokens(t *testing.T) {
	for name, withCA := range map[string]bool{"without a CA": false, "with a CA": true} {
		t.Run(name, func(t *testing.T) { testSpoofedTokens(t, withCA) })
	}
}

func testSpoofedTokens(t *testing.T, withCA bool) {
	ca, s, stranger := newAuthority(t), tokentest.New(t), tokentest.New(t)
	secrets := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	put(t, filepath.Join(secrets, "default", "sa"), map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	var log bytes.Buffer
	srv, addr, _ := startTokens(t, ca, s, withCA, Options{SecretsDir: secrets, Log: slog.New(slog.NewTextHandler(&log, nil))})
	mine := func(change func(*corev3.Node)) *corev3.Node {
		n := node(map[string]any{"app": "a"})
		change(n)
		return n
	}
	set := func(key, value string) func(*corev3.Node) {
		return func(n *corev3.Node) { n.Metadata.Fields[key] = structpb.NewStringValue(value) }
	}
	drop := func(keys ...string) func(*corev3.Node) {
		return func(n *corev3.Node) {
			for _, k := range keys {
				delete(n.Metadata.Fields, k)
			}
		}
	}
	id := func(id string) func(*corev3.Node) { return func(n *corev3.Node) { n.Id = id } }
	same := func(*corev3.Node) {}
	claims := func(ns, sa, pod string) string { return "Bearer " + s.Sign(tokentest.Claims(ns, sa, pod, time.Hour)) }
	right := claims("default", "sa", "p")
	// Expired and forged ones are in the tests of package token.
	for _, c := range []struct {
		name    string
		headers []string
		node    *corev3.Node
		code    codes.Code
		reason  string
	}{
		{"right", []string{right}, mine(same), codes.OK, ""},
		{"right, in small letters", []string{"bearer" + strings.TrimPrefix(right, "Bearer")}, mine(same), codes.OK, ""},
		{"right, bound to no pod", []string{claims("default", "sa", "")}, mine(same), codes.OK, ""},
		{"right, says no service account", []string{right}, mine(drop("SERVICE_ACCOUNT")), codes.OK, ""},
		{"another namespace", []string{claims("bank", "sa", "p")}, mine(same), codes.PermissionDenied, `namespace "bank"`},
		{"another namespace, metadata too", []string{claims("bank", "sa", "p")}, mine(set("NAMESPACE", "bank")), codes.InvalidArgument, "metadata NAMESPACE"},
		{"another service account", []string{claims("default", "other", "p")}, mine(same), codes.PermissionDenied, `service account "other"`},
		{"another pod of the account", []string{claims("default", "sa", "q")}, mine(same), codes.PermissionDenied, `pod "q"`},
		{"replayed node id", []string{claims("default", "other", "p")}, mine(drop("SERVICE_ACCOUNT")), codes.PermissionDenied, "run as sa"},
		{"replayed node id, nothing else", []string{claims("bank", "sa", "p")}, mine(drop("SERVICE_ACCOUNT", "NAMESPACE")), codes.PermissionDenied, `namespace "bank"`},
		{"token of another for a node of its own", []string{right}, mine(id("sidecar~10.0.0.2~x.bank~bank.svc.cluster.local")), codes.InvalidArgument, "NAMESPACE"},
		{"a router of the namespace", []string{right}, mine(id("router~10.0.0.1~p.default~default.svc.cluster.local")), codes.NotFound, "no class"},
		{"labels of no class", []string{right}, node(map[string]any{"app": "z"}), codes.NotFound, "app=a"},
		{"no token", nil, mine(same), codes.Unauthenticated, "neither a certificate nor one token"},
		{"two tokens", []string{claims("bank", "sa", "p"), right}, mine(same), codes.Unauthenticated, "2 authorization headers"},
		{"another scheme", []string{"Basic " + strings.TrimPrefix(right, "Bearer ")}, mine(same), codes.Unauthenticated, "Bearer TOKEN"},
		{"an empty token", []string{"Bearer "}, mine(same), codes.Unauthenticated, "Bearer TOKEN"},
		{"another key", []string{"Bearer " + stranger.Sign(tokentest.Claims("default", "sa", "p", time.Hour))}, mine(same), codes.Unauthenticated, "none of the keys"},
		{"expired", []string{"Bearer " + s.Sign(tokentest.Claims("default", "sa", "p", -time.Hour))}, mine(same), codes.Unauthenticated, "expired"},
		{"another audience", []string{"Bearer " + s.Sign(tokentest.With(tokentest.Claims("default", "sa", "p", time.Hour), map[string]any{"aud": "https://kubernetes.default.svc"}))}, mine(same), codes.Unauthenticated, "audience"},
	} {
		conn := dial(t, ca, addr, nil, nil)
		for _, url := range []string{bundle.ClusterType, bundle.ListenerType, ads.SecretType} {
			r, err := ask(authorization(t.Context(), c.headers...), conn, c.node, url)
			if status.Code(err) != c.code || (r != nil) != (c.code == codes.OK) {
				t.Errorf("%s, %s: %v, %v", c.name, url, r, err)
			}
			if err == nil {
				continue
			}
			for _, told := range []string{"app=a", "run as", "keys at", "istio-ca"} {
				if strings.Contains(err.Error(), told) {
					t.Errorf("%s, %s is told %v", c.name, url, err)
				}
			}
			if got := srv.Status().Refused; !strings.Contains(got[len(got)-1].Reason, c.reason) {
				t.Errorf("%s, %s: /status says %v, want %q", c.name, url, got[len(got)-1], c.reason)
			}
		}
		for _, h := range c.headers {
			for _, part := range strings.Split(strings.TrimPrefix(h, "Bearer "), ".") {
				if len(part) > 20 && strings.Contains(log.String(), part) {
					t.Errorf("%s: the log shows the token", c.name)
				}
			}
		}
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="token"}`); n != "21" {
		t.Errorf("%v refusals by token are counted", n)
	}
}

// Who shows a certificate is held to it: a token lifts nothing.
func TestCertificateBesideToken(t *testing.T) {
	ca, s := newAuthority(t), tokentest.New(t)
	_, addr, _ := startTokens(t, ca, s, true, Options{})
	right := authorization(t.Context(), "Bearer "+s.Sign(tokentest.Claims("default", "sa", "p", time.Hour)))
	for _, c := range []struct {
		name, id string
		by       *authority
		code     codes.Code
	}{
		{"the same", "spiffe://td/ns/default/sa/sa", ca, codes.OK},
		{"another account", "spiffe://td/ns/default/sa/other", ca, codes.PermissionDenied},
		{"another trust domain", "spiffe://evil/ns/default/sa/sa", ca, codes.PermissionDenied},
		{"another CA", "spiffe://td/ns/default/sa/sa", newAuthority(t), codes.Unavailable},
	} {
		crt, key := c.by.issue(c.id, time.Hour)
		_, err := ask(right, dial(t, ca, addr, crt, key), node(map[string]any{"app": "a"}), bundle.ClusterType)
		if status.Code(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A server that has its identity from an agent takes tokens beside certificates, and those of its own trust domain only.
func TestTokensWithAgent(t *testing.T) {
	ca, s := newAuthority(t), tokentest.New(t)
	dir, socket := t.TempDir(), socketPath(t)
	put(t, dir, map[string][]byte{"jwks": tokentest.JWKS(t, s)})
	give(t, startAgent(t, socket), ca, time.Hour, ca.pem, nil)
	srv := New(sealed(t, base(1)...), Options{SPIFFESocket: socket, TokenKeys: filepath.Join(dir, "jwks")})
	if err := srv.openTokens(t.Context()); err != nil {
		t.Fatal(err)
	}
	addr := serveADS(t, srv)
	ready(t, srv, http.StatusOK, "ok\n")
	for _, c := range []struct {
		name, certificate string
		by                *authority
		claims            map[string]any
		code              codes.Code
	}{
		{"a token", "", nil, tokentest.Claims("default", "sa", "p", time.Hour), codes.OK},
		{"a token of another", "", nil, tokentest.Claims("bank", "sa", "p", time.Hour), codes.PermissionDenied},
		{"nothing", "", nil, nil, codes.Unauthenticated},
		{"a certificate", "spiffe://td/ns/default/sa/sa", ca, nil, codes.OK},
		{"a certificate of another trust domain, and a token", "spiffe://evil/ns/default/sa/sa", ca, tokentest.Claims("default", "sa", "p", time.Hour), codes.PermissionDenied},
		{"a certificate of another CA, and a token", "spiffe://td/ns/default/sa/sa", newAuthority(t), tokentest.Claims("default", "sa", "p", time.Hour), codes.Unavailable},
	} {
		var crt, key []byte
		if c.by != nil {
			crt, key = c.by.issue(c.certificate, time.Hour)
		}
		ctx := t.Context()
		if c.claims != nil {
			ctx = authorization(ctx, "Bearer "+s.Sign(c.claims))
		}
		if _, err := ask(ctx, dial(t, ca, addr, crt, key), node(map[string]any{"app": "a"}), bundle.ClusterType); status.Code(err) != c.code {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A stream ends when its token expires, and when the key of its token is taken away; with a new one it comes back.
func TestStreamEndsWithToken(t *testing.T) {
	ca, s, next := newAuthority(t), tokentest.New(t), tokentest.New(t)
	srv, addr, path := startTokens(t, ca, s, false, Options{Poll: 20 * time.Millisecond})
	go srv.watchIdentity(t.Context())
	open := func(by *tokentest.Signer, valid time.Duration) *proxy {
		p := connectWith(authorization(t.Context(), "Bearer "+by.Sign(tokentest.Claims("default", "sa", "p", valid))), t, dial(t, ca, addr, nil, nil))
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
		p.want("cds +c1 +c2")
		return p
	}
	open(s, 2*time.Second).ended()
	p := open(s, time.Hour)
	put(t, filepath.Dir(path), map[string][]byte{filepath.Base(path): tokentest.JWKS(t, next)})
	p.ended()
	open(next, time.Hour)
}

// Streams of one account are counted together, whether a token or a certificate proves it.
func TestStreamsOfOneAccount(t *testing.T) {
	ca, s := newAuthority(t), tokentest.New(t)
	srv, addr, _ := startTokens(t, ca, s, true, Options{MaxStreamsPerIdentity: 1})
	srv.base().bundle.TrustDomain = "td"
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	p := connect(t, dial(t, ca, addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.want("cds +c1 +c2")
	_, err := ask(authorization(t.Context(), "Bearer "+s.Sign(tokentest.Claims("default", "sa", "p", time.Hour))), dial(t, ca, addr, nil, nil), node(map[string]any{"app": "a"}), bundle.ClusterType)
	if status.Code(err) != codes.ResourceExhausted {
		t.Error(err)
	}
}

// Options about tokens that cannot be meant are refused.
func TestTokenOptions(t *testing.T) {
	for _, c := range []struct {
		o   Options
		why string // "": it is taken
	}{
		{Options{TokenKeys: "k", TLSCert: "c", TLSKey: "k"}, ""},
		{Options{TokenReview: true, TLSCert: "c", TLSKey: "k", TLSCA: "a"}, ""},
		{Options{TokenKeys: "k", SPIFFESocket: "/s"}, ""},
		{Options{TokenKeys: "k"}, "over TLS only"},
		{Options{TokenKeys: "k", InsecurePlaintextOnAnyAddress: true}, "over TLS only"},
		{Options{TokenKeys: "k", TLSCert: "c"}, "go together"},
		{Options{TokenKeys: "k", TLSCert: "c", TLSCA: "a"}, "go together"},
		{Options{TLSCert: "c", TLSKey: "k"}, "go together"},
		{Options{TokenKeys: "k", TokenReview: true, TLSCert: "c", TLSKey: "k"}, "not both"},
		{Options{TokenAudiences: []string{"x"}}, "none is taken"},
	} {
		err := c.o.check()
		if c.why == "" && err != nil || c.why != "" && (err == nil || !strings.Contains(err.Error(), c.why)) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}
