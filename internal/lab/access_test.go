//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

// issuer signs tokens.
type issuer struct {
	name string
	key  *ecdsa.PrivateKey
}

func newIssuer(t *testing.T, name string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{name, key}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwks is the issuer's public key as a JSON Web Key Set.
func (i *issuer) jwks(t *testing.T) string {
	t.Helper()
	p, err := i.key.PublicKey.Bytes() // 4, X, Y
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","alg":"ES256","use":"sig","kid":"1","x":%q,"y":%q}]}`, b64(p[1:33]), b64(p[33:]))
}

// token signs claims on top of the usual ones.
func (i *issuer) token(t *testing.T, more map[string]any) string {
	t.Helper()
	claims := map[string]any{"iss": i.name, "sub": "alice", "aud": "shop", "exp": time.Now().Add(time.Hour).Unix()}
	for k, v := range more {
		if claims[k] = v; v == nil {
			delete(claims, k)
		}
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	text := b64([]byte(`{"alg":"ES256","kid":"1","typ":"JWT"}`)) + "." + b64(body)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return text + "." + b64(sig)
}

// outsideService adds a ServiceEntry of one address in plaintext.
func (m manifests) outsideService(host, ip, port, protocol string) {
	m.add("outside.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %s, namespace: lab}
spec:
  hosts: [%s]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: %s, name: main, protocol: %s}]
  endpoints: [{address: %s}]
`, strings.ReplaceAll(host, ".", "-"), host, port, protocol, ip)
}

// serveAt serves HTTP from the namespace of a visitor until the test or the returned function ends it.
func serveAt(t *testing.T, l *Lab, name, address string, h http.Handler) (stop func()) {
	t.Helper()
	lis, err := l.members[name].ns.listen(address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go s.Serve(lis)
	t.Cleanup(func() { s.Close() })
	return func() { s.Close() }
}

func TestTokens(t *testing.T) {
	require(t)
	inline, remote, stranger := newIssuer(t, "https://inline.test"), newIssuer(t, "https://remote.test"), newIssuer(t, "https://stranger.test")
	m := identified("enableTracing: false")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "open", "10.9.1.1", "10.96.9.1", "http:80:8080")
	m.workload("sidecar", "closed", "10.9.1.2", "10.96.9.2", "http:80:8080")
	m.outsideService("keys.test", "10.9.5.1", "80", "HTTP")
	for _, app := range []string{"open", "closed"} {
		m.add("tokens.yaml", `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  jwtRules:
  - issuer: %[2]s
    audiences: [shop]
    jwks: '%[3]s'
    outputClaimToHeaders: [{header: x-user, claim: sub}]
  - issuer: %[4]s
    audiences: [shop]
    jwksUri: http://keys.test/keys.json
`, app, inline.name, inline.jwks(t), remote.name)
	}
	m.add("tokens.yaml", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: closed, namespace: lab}
spec:
  selector: {matchLabels: {app: closed}}
  rules:
  - from: [{source: {requestPrincipals: ["https://inline.test/alice", "https://remote.test/*"]}}]
    when: [{key: "request.auth.claims[realm][roles]", values: [reader]}]
  - to: [{operation: {paths: [/public]}}]
`)
	l := runSecured(t, m, Spec{Visitors: map[string]netip.Addr{"keys": netip.MustParseAddr("10.9.5.1")}})
	serveAt(t, l, "keys", "10.9.5.1:80", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, remote.jwks(t)) }))
	reader := map[string]any{"realm": map[string]any{"roles": []string{"writer", "reader"}}}
	with := func(i *issuer, more map[string]any) string {
		all := map[string]any{}
		for _, x := range []map[string]any{reader, more} {
			for k, v := range x {
				all[k] = v
			}
		}
		return i.token(t, all)
	}
	eventually(t, func() error { // keys are fetched when the first token needs them, or before
		r, err := l.Get(context.Background(), "client", "http://open/", "authorization", "Bearer "+with(remote, nil))
		if err == nil && r.Status != 200 {
			err = fmt.Errorf("token whose key is fetched: %d %s", r.Status, r.Body)
		}
		return err
	})
	forged := *stranger
	forged.name = inline.name
	good := with(inline, nil)
	for _, c := range []struct {
		name, token  string
		open, closed int
	}{
		{"none", "", 200, 403},
		{"valid", good, 200, 200},
		{"valid, key fetched", with(remote, nil), 200, 200},
		{"several audiences", with(inline, map[string]any{"aud": []string{"x", "shop"}}), 200, 200},
		{"expired", with(inline, map[string]any{"exp": time.Now().Add(-2 * time.Hour).Unix()}), 401, 401},
		{"not yet valid", with(inline, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}), 401, 401},
		{"wrong audience", with(inline, map[string]any{"aud": "bank"}), 403, 403},
		{"no audience", with(inline, map[string]any{"aud": nil}), 403, 403},
		{"wrong issuer", with(stranger, nil), 401, 401},
		{"wrong key", with(&forged, nil), 401, 401},
		{"key of the other issuer", with(&issuer{inline.name, remote.key}, nil), 401, 401},
		{"altered", good[:len(good)-8] + "AAAAAAAA", 401, 401},
		{"no algorithm", b64([]byte(`{"alg":"none"}`)) + good[strings.IndexByte(good, '.'):strings.LastIndexByte(good, '.')+1], 401, 401},
		{"rubbish", "rubbish", 401, 401},
		{"another subject", with(inline, map[string]any{"sub": "mallory"}), 200, 403},
		{"another role", with(inline, map[string]any{"realm": map[string]any{"roles": []string{"writer"}}}), 200, 403},
		{"no role", inline.token(t, nil), 200, 403},
	} {
		for service, want := range map[string]int{"open": c.open, "closed": c.closed} {
			req := Request{URL: "http://" + service + "/private", Headers: map[string]string{"x-user": "mallory"}}
			if c.token != "" {
				req.Headers["authorization"] = "Bearer " + c.token
			}
			r := ask(t, l, req)
			if r.Status != want {
				t.Errorf("%s, token %s: %d %s, want %d", service, c.name, r.Status, r.Body, want)
			}
			if c.name == "valid" && r.Echo.Headers["x-user"] != "alice" {
				t.Errorf("%s: the application hears of user %q", service, r.Echo.Headers["x-user"])
			}
			if r.Echo.Headers["authorization"] != "" && c.name == "valid" {
				t.Errorf("%s: the token is passed on", service)
			}
		}
	}
	if r := ask(t, l, Request{URL: "http://closed/public"}); r.Status != 200 {
		t.Errorf("no token where none is needed: %d", r.Status)
	}
}

// TestPrefixOfTokens: what stands before a token is only left out where the rule says so; else it is a part of a token, which is none then.
func TestPrefixOfTokens(t *testing.T) {
	require(t)
	i := newIssuer(t, "https://inline.test")
	m := identified("enableTracing: false")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	for n, app := range []string{"prefixed", "whole"} {
		m.workload("sidecar", app, fmt.Sprintf("10.9.1.%d", n+1), fmt.Sprintf("10.96.9.%d", n+1), "http:80:8080")
		m.add("tokens.yaml", `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  jwtRules:
  - issuer: %[2]s
    fromHeaders: [{name: x-auth%[4]s}]
    jwks: '%[3]s'
`, app, i.name, i.jwks(t), []string{`, prefix: "Tok "`, ""}[n])
	}
	l := runSecured(t, m, Spec{})
	good := i.token(t, nil)
	for _, c := range []struct {
		value           string
		prefixed, whole int
	}{
		{"Tok " + good, 200, 401},
		{"Tok rubbish", 401, 401},
		{good, 200, 200}, // for the one it is no token at all
		{"rubbish", 200, 401},
	} {
		for service, want := range map[string]int{"prefixed": c.prefixed, "whole": c.whole} {
			if r := ask(t, l, Request{URL: "http://" + service + "/", Headers: map[string]string{"x-auth": c.value}}); r.Status != want {
				t.Errorf("%s, %.12s: %d %s, want %d", service, c.value, r.Status, r.Body, want)
			}
		}
	}
}

// grpcAuthz allows what has the header x-allow, over gRPC.
type grpcAuthz struct {
	authv3.UnimplementedAuthorizationServer
}

// Check implements the ext_authz service.
func (grpcAuthz) Check(_ context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	if r.GetAttributes().GetRequest().GetHttp().GetHeaders()["x-allow"] == "yes" {
		return &authv3.CheckResponse{Status: &rpcstatus.Status{}, HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-checked", Value: "grpc"}}}}}}, nil
	}
	return &authv3.CheckResponse{Status: &rpcstatus.Status{Code: int32(codes.PermissionDenied)}, HttpResponse: &authv3.CheckResponse_DeniedResponse{
		DeniedResponse: &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: typev3.StatusCode_PaymentRequired}, Body: "denied by grpc"}}}, nil
}

func TestExternalAuthorization(t *testing.T) {
	require(t)
	apps := []string{"http", "http-open", "grpc", "grpc-open", "unknown"}
	providers := "extensionProviders:\n"
	for _, p := range []struct{ name, kind, extra string }{
		{"http", "envoyExtAuthzHttp", "service: authz-http.test, port: 8000, includeRequestHeadersInCheck: [x-allow], headersToUpstreamOnAllow: [x-checked]"},
		{"http-open", "envoyExtAuthzHttp", "service: authz-http.test, port: 8000, includeRequestHeadersInCheck: [x-allow], headersToUpstreamOnAllow: [x-checked], failOpen: true"},
		{"grpc", "envoyExtAuthzGrpc", "service: authz-grpc.test, port: 9000"},
		{"grpc-open", "envoyExtAuthzGrpc", "service: authz-grpc.test, port: 9000, failOpen: true"},
	} {
		providers += fmt.Sprintf("- {name: %s, %s: {%s, timeout: 2s}}\n", p.name, p.kind, p.extra)
	}
	m := identified(providers)
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.outsideService("authz-http.test", "10.9.5.1", "8000", "HTTP")
	m.outsideService("authz-grpc.test", "10.9.5.1", "9000", "GRPC")
	for i, app := range apps {
		m.workload("sidecar", app, fmt.Sprintf("10.9.1.%d", i+1), fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
		m.add("custom.yaml", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  action: CUSTOM
  provider: {name: %[1]s}
  rules: [{to: [{operation: {paths: ["/checked*"]}}]}]
`, app)
	}
	l := runSecured(t, m, Spec{Visitors: map[string]netip.Addr{"authz": netip.MustParseAddr("10.9.5.1")}, CompileFlags: []string{"--lenient"}})
	stopHTTP := serveAt(t, l, "authz", "10.9.5.1:8000", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("x-allow") != "yes" {
			w.WriteHeader(http.StatusPaymentRequired)
			fmt.Fprint(w, "denied by http")
			return
		}
		w.Header().Set("x-checked", "http")
	}))
	lis, err := l.members["authz"].ns.listen("10.9.5.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer()
	authv3.RegisterAuthorizationServer(g, grpcAuthz{})
	go g.Serve(lis)
	t.Cleanup(g.Stop)
	status := func(app, path, allow string) (int, *Response) {
		r := ask(t, l, Request{URL: "http://" + app + path, Headers: map[string]string{"x-allow": allow}})
		return r.Status, r
	}
	for _, app := range apps {
		if app == "unknown" {
			continue
		}
		kind, _, _ := strings.Cut(app, "-")
		if got, r := status(app, "/checked/x", "yes"); got != 200 || r.Echo.Headers["x-checked"] != kind {
			t.Errorf("%s, allowed: %d %s", app, got, r.Body)
		}
		if got, r := status(app, "/checked/x", "no"); got != http.StatusPaymentRequired || r.Body != "denied by "+kind {
			t.Errorf("%s, denied: %d %s", app, got, r.Body)
		}
	}
	stopHTTP()
	g.Stop()
	for app, want := range map[string]int{"http": 403, "http-open": 200, "grpc": 403, "grpc-open": 200, "unknown": 403} {
		for _, allow := range []string{"yes", "no"} {
			if got, r := status(app, "/checked/x", allow); got != want {
				t.Errorf("%s, authorizer down: %d %s, want %d", app, got, r.Body, want)
			}
		}
		if got, r := status(app, "/other", "no"); got != 200 {
			t.Errorf("%s, path that no rule checks: %d %s", app, got, r.Body)
		}
	}
}

// raw sends a request as it is written and returns the status and the path and host that the application saw.
func raw(l *Lab, from, address, request string) (status int, path, host string, err error) {
	c, err := l.Dial(context.Background(), from, address)
	if err != nil {
		return 0, "", "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		return 0, "", "", err
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.Header.Get("X-Echo") == "" {
		return r.StatusCode, "", "", err
	}
	e := Echo{}
	err = json.Unmarshal(b, &e)
	return r.StatusCode, e.Path, e.Host, err
}

// guarded denies a path and a host; everything else is allowed.
func guarded(normalization string) manifests {
	m := identified("pathNormalization: {normalization: " + normalization + "}")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "guarded", "10.9.1.1", "10.96.9.1", "http:80:8080")
	m.add("guard.yaml", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: guarded, namespace: lab}
spec:
  selector: {matchLabels: {app: guarded}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin, "/admin/*", "/admin;*", "/private*"]}}]
  - to: [{operation: {hosts: [forbidden.test, "*.forbidden.test"]}}]
`)
	return m
}

// hostile paths all mean /admin/x or /private to some application.
var hostile = []struct {
	path string
	from string // the weakest normalization that sees through it
}{
	{"/admin", "BASE"}, {"/admin/x", "BASE"}, {"/admin?x=/", "BASE"}, {"/admin#x", "BASE"}, {"/private;a=b", "BASE"}, {"/admin;a=b", "BASE"}, {"/admin;", "BASE"},
	{"/./admin", "BASE"}, {"/x/../admin", "BASE"}, {"/x/./../admin/x", "BASE"}, {"/admin/.", "BASE"}, {"/admin/x/..", "BASE"}, {"/../admin", "BASE"}, {"/../../admin", "BASE"},
	{"/%2e/admin", "BASE"}, {"/x/%2e%2e/admin", "BASE"}, {"/x/%2E%2E/admin", "BASE"}, {"/x/.%2e/admin", "BASE"}, {"/%61dmin", "BASE"}, {"/adm%69n/x", "BASE"}, {"/%70rivate", "BASE"},
	{`\admin`, "BASE"}, {`/\admin`, "MERGE_SLASHES"}, {`/x\..\admin`, "BASE"}, {`/admin\x`, "BASE"}, {`/x/..\admin`, "BASE"},
	{"//admin", "MERGE_SLASHES"}, {"///admin/x", "MERGE_SLASHES"}, {"/x//../admin", "MERGE_SLASHES"}, {"/.//admin", "MERGE_SLASHES"}, {"//private", "MERGE_SLASHES"},
	{"/%2Fadmin", "DECODE_AND_MERGE_SLASHES"}, {"/%2fadmin", "DECODE_AND_MERGE_SLASHES"}, {"%2fadmin", "DECODE_AND_MERGE_SLASHES"}, {"/admin%2fx", "DECODE_AND_MERGE_SLASHES"},
	{"/%5cadmin", "DECODE_AND_MERGE_SLASHES"}, {"/%5Cadmin", "DECODE_AND_MERGE_SLASHES"}, {"/admin%5Cx", "DECODE_AND_MERGE_SLASHES"}, {"/x%2f..%2fadmin", "DECODE_AND_MERGE_SLASHES"},
	{"/x/..%2fadmin", "DECODE_AND_MERGE_SLASHES"}, {"/x%5c..%5cadmin", "DECODE_AND_MERGE_SLASHES"}, {"/x/%2e%2e%2fadmin", "DECODE_AND_MERGE_SLASHES"},
}

func TestHostileRequests(t *testing.T) {
	require(t)
	order := []string{"BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}
	var l *Lab
	for at, mode := range order {
		if l == nil {
			l = runSecured(t, guarded(mode), Spec{Visitors: map[string]netip.Addr{"stranger": netip.MustParseAddr("10.9.8.8")}})
		} else {
			if err := l.Apply(context.Background(), guarded(mode).write(t)); err != nil {
				t.Fatal(err)
			}
			probe := map[string]string{"MERGE_SLASHES": "//admin", "DECODE_AND_MERGE_SLASHES": "/%2fadmin"}[mode]
			eventually(t, func() error {
				if s, p, _, err := raw(l, "stranger", "10.9.1.1:8080", "GET "+probe+" HTTP/1.1\r\nHost: guarded\r\nConnection: close\r\n\r\n"); err != nil || s == 200 {
					return fmt.Errorf("%s is not yet in force: %d %s %w", mode, s, p, err)
				}
				return nil
			})
		}
		var wait sync.WaitGroup
		for _, from := range []struct{ from, address string }{{"stranger", "10.9.1.1:8080"}, {"client", "guarded:80"}} {
			wait.Go(func() { testHostilePaths(t, l, mode, order[:at+1], from.from, from.address) })
		}
		wait.Wait()
	}
	testHostileHosts(t, l)
}

func testHostilePaths(t *testing.T, l *Lab, mode string, seen []string, from, address string) {
	for _, version := range []string{"1.1", "1.0"} {
		send := func(path string) (int, string, error) {
			s, p, _, err := raw(l, from, address, "GET "+path+" HTTP/"+version+"\r\nHost: guarded\r\nConnection: close\r\n\r\n")
			return s, p, err
		}
		for _, h := range hostile {
			if from == "client" && (version == "1.0" || h.path[0] != '/') {
				continue // not HTTP to the client's proxy, which passes it on to an address that nobody has
			}
			status, got, err := send(h.path)
			known := false
			for _, m := range seen {
				known = known || m == h.from
			}
			if known && err == nil && status == 200 && reaches(got) {
				t.Errorf("%s, HTTP/%s from %s: %s passes, the application sees %s", mode, version, from, h.path, got)
			}
		}
		for _, path := range []string{"/", "/administrator", "/x/admin", "/publicly"} {
			if version == "1.0" {
				continue // off on sidecars
			}
			if status, _, err := send(path); status != 200 {
				t.Errorf("%s, from %s: %s is refused: %d, %v", mode, from, path, status, err)
			}
		}
	}
}

// reaches tells whether some application would take the path for a forbidden one: one that decodes, knows dot segments,
// and takes several slashes and backslashes for one slash.
func reaches(p string) bool {
	p, _, _ = strings.Cut(p, "?")
	if d, err := url.PathUnescape(p); err == nil {
		p = d
	}
	p = path.Clean("/" + strings.ReplaceAll(p, "\\", "/"))
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return first == "admin" || strings.HasPrefix(first, "admin;") || strings.HasPrefix(first, "private")
}

func testHostileHosts(t *testing.T, l *Lab) {
	for host, pass := range map[string]bool{
		"forbidden.test": false, "FORBIDDEN.test": false, "Forbidden.Test": false, "forbidden.test:80": false, "FORBIDDEN.TEST:8080": false, "forbidden.test:0": false,
		"forbidden.test.": false, "forbidden.test.:80": false, "forbidden.test:": false, "www.forbidden.test:443": false, "xforbidden.test": true,
		"www.forbidden.test": false, "WWW.forbidden.TEST": false, "guarded": true, "forbidden.test.example": true,
	} {
		for _, from := range []struct{ from, address string }{{"stranger", "10.9.1.1:8080"}} {
			status, _, got, err := raw(l, from.from, from.address, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
			if (status == 200) != pass {
				t.Errorf("host %s from %s: %d, the application sees %s, %v", host, from.from, status, got, err)
			}
		}
		// An absolute target wins over the Host header.
		status, _, got, err := raw(l, "stranger", "10.9.1.1:8080", "GET http://"+host+"/ HTTP/1.1\r\nHost: guarded\r\nConnection: close\r\n\r\n")
		if (status == 200) != pass {
			t.Errorf("absolute target at %s: %d, the application sees %s, %v", host, status, got, err)
		}
	}
	for name, request := range map[string]string{
		"folded":     "GET / HTTP/1.1\r\nHost:\r\n forbidden.test\r\nConnection: close\r\n\r\n",
		"no version": "GET /admin\r\n\r\n",
		"tab":        "GET\t/admin\tHTTP/1.1\r\nHost: guarded\r\nConnection: close\r\n\r\n",
		"two paths":  "GET / /admin HTTP/1.1\r\nHost: guarded\r\nConnection: close\r\n\r\n",
		"CR alone":   "GET / HTTP/1.1\rHost: guarded\r\n\r\n",
		"lengths":    "POST / HTTP/1.1\r\nHost: guarded\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nHost: guarded\r\n\r\n",
	} {
		if status, path, host, err := raw(l, "stranger", "10.9.1.1:8080", request); status == 200 {
			t.Errorf("%s passes: the application sees %s %s, %v", name, host, path, err)
		}
	}
}
