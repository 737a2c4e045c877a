package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/server/ads"
)

// authority is a CA of the test.
type authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	return &authority{t: t, cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

func (a *authority) issue(id string, expires time.Duration) (crt, key []byte) {
	a.t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	u, err := url.Parse(id)
	if err != nil {
		a.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), KeyUsage: x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(expires), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}, URIs: []*url.URL{u}}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &k.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	kd, _ := x509.MarshalECPrivateKey(k)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: kd})
}

func put(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for n, b := range files {
		if err := os.WriteFile(filepath.Join(dir, n), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// eachSource runs a test with each source of the server's own identity.
func eachSource(t *testing.T, test func(t *testing.T, start starter)) {
	t.Run("files", func(t *testing.T) { test(t, startTLS) })
	t.Run("agent", func(t *testing.T) { test(t, startWithAgent) })
}

// starter starts a server of the trust domain td that has its identity of a CA, and secrets from a directory.
type starter func(t testing.TB, ca *authority, secrets string, more ...*bundle.Resource) (*Server, string)

func startTLS(t testing.TB, ca *authority, secrets string, more ...*bundle.Resource) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, dir, map[string][]byte{"crt": crt, "key": key, "ca": ca.pem})
	srv := New(sealed(t, append(base(1), more...)...), Options{TLSCert: filepath.Join(dir, "crt"), TLSKey: filepath.Join(dir, "key"), TLSCA: filepath.Join(dir, "ca"), TrustDomains: []string{"td"}, SecretsDir: secrets})
	return srv, serveADS(t, srv)
}

func dial(t testing.TB, ca *authority, addr string, crt, key []byte) discoveryv3.AggregatedDiscoveryServiceClient {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	conf := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if crt != nil {
		pair, err := tls.X509KeyPair(crt, key)
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(conf)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
}

// spoof is what a caller tries: a certificate and a node.
type spoof struct {
	name     string
	crt, key []byte
	node     *corev3.Node
	code     codes.Code // OK: the right one
	reason   string     // in the server's own log; not told to the caller
}

func spoofs(ca, other *authority) []spoof {
	mine := func() *corev3.Node { return node(map[string]any{"app": "a"}) }
	without := func(keys ...string) *corev3.Node {
		n := mine()
		for _, k := range keys {
			delete(n.Metadata.Fields, k)
		}
		return n
	}
	elsewhere := mine()
	elsewhere.Metadata.Fields["NAMESPACE"] = structpb.NewStringValue("bank")
	router := mine()
	router.Id = "router" + strings.TrimPrefix(router.Id, "sidecar")
	var out []spoof
	add := func(name string, a *authority, id string, valid time.Duration, n *corev3.Node, code codes.Code, reason string) {
		s := spoof{name: name, node: n, code: code, reason: reason}
		if a != nil {
			s.crt, s.key = a.issue(id, valid)
		}
		out = append(out, s)
	}
	right := "spiffe://td/ns/default/sa/sa"
	add("right", ca, right, time.Hour, mine(), codes.OK, "")
	add("right, says no service account", ca, right, time.Hour, without("SERVICE_ACCOUNT"), codes.OK, "")
	add("another namespace", ca, "spiffe://td/ns/bank/sa/sa", time.Hour, mine(), codes.PermissionDenied, `namespace "bank"`)
	add("another namespace, metadata too", ca, "spiffe://td/ns/bank/sa/sa", time.Hour, elsewhere, codes.InvalidArgument, "metadata NAMESPACE")
	add("another service account", ca, "spiffe://td/ns/default/sa/other", time.Hour, mine(), codes.PermissionDenied, `service account "other"`)
	add("replayed node id", ca, "spiffe://td/ns/default/sa/other", time.Hour, without("SERVICE_ACCOUNT"), codes.PermissionDenied, "run as sa")
	add("replayed node id, nothing else", ca, "spiffe://td/ns/bank/sa/sa", time.Hour, without("SERVICE_ACCOUNT", "NAMESPACE"), codes.PermissionDenied, `namespace "bank"`)
	add("another trust domain", ca, "spiffe://evil/ns/default/sa/sa", time.Hour, mine(), codes.PermissionDenied, "trust domain")
	add("a router of the namespace", ca, right, time.Hour, router, codes.NotFound, "no class")
	add("labels of no class", ca, right, time.Hour, node(map[string]any{"app": "z"}), codes.NotFound, "app=a")
	for _, id := range []string{"spiffe://td/default/sa", "https://td/ns/default/sa/sa", "spiffe://td/ns/default/sa/sa/x", "spiffe://td/ns/default/sa/sa?x", "spiffe://td/ns/default%2Fsa/sa/sa", "spiffe://u@td/ns/default/sa/sa", "spiffe:///ns/default/sa/sa"} {
		add(id, ca, id, time.Hour, mine(), codes.PermissionDenied, "SPIFFE ID")
	}
	add("expired", ca, right, -time.Hour, mine(), codes.Unavailable, "")
	add("another CA", other, right, time.Hour, mine(), codes.Unavailable, "")
	add("no certificate", nil, "", 0, mine(), codes.Unavailable, "")
	return out
}

// Whoever is not the workload gets nothing, and learns nothing: neither of clusters nor of secrets, neither by deltas nor
// by state of the world.
func TestSpoofedNodes(t *testing.T) { eachSource(t, testSpoofedNodes) }

func testSpoofedNodes(t *testing.T, start starter) {
	ca := newAuthority(t)
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	put(t, filepath.Join(dir, "default", "sa"), map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	srv, addr := start(t, ca, dir)
	for _, c := range spoofs(ca, newAuthority(t)) {
		conn := dial(t, ca, addr, c.crt, c.key)
		for _, url := range []string{bundle.ClusterType, bundle.ListenerType, ads.SecretType} {
			before := len(srv.Status().Refused)
			delta := func() (proto.Message, error) {
				st, err := conn.DeltaAggregatedResources(t.Context())
				if err != nil {
					return nil, err
				}
				req := &discoveryv3.DeltaDiscoveryRequest{Node: c.node, TypeUrl: url}
				if url == ads.SecretType {
					req.ResourceNamesSubscribe = []string{"default"}
				}
				_ = st.Send(req)
				r, err := st.Recv()
				if r == nil {
					return nil, err
				}
				return r, err
			}
			sotw := func() (proto.Message, error) {
				st, err := conn.StreamAggregatedResources(t.Context())
				if err != nil {
					return nil, err
				}
				_ = st.Send(&discoveryv3.DiscoveryRequest{Node: c.node, TypeUrl: url, ResourceNames: []string{"default"}})
				r, err := st.Recv()
				if r == nil {
					return nil, err
				}
				return r, err
			}
			for mode, try := range map[string]func() (proto.Message, error){"delta": delta, "sotw": sotw} {
				r, err := try()
				if status.Code(err) != c.code || (r != nil) != (c.code == codes.OK) {
					t.Errorf("%s, %s of %s: %v, %v", c.name, mode, url, r, err)
				}
				if err != nil && (strings.Contains(err.Error(), "app=a") || strings.Contains(err.Error(), "run as")) {
					t.Errorf("%s, %s of %s is told %v", c.name, mode, url, err)
				}
			}
			if c.code == codes.OK || c.code == codes.Unavailable {
				continue
			}
			if got := srv.Status().Refused; len(got) != min(100, before+2) || !strings.Contains(got[len(got)-1].Reason, c.reason) {
				t.Errorf("%s, %s: /status says %v, want %q", c.name, url, got[len(got)-1], c.reason)
			}
		}
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="tls"}`); n == "" {
		t.Error("refusals by TLS are not counted")
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="identity"}`); n != "72" {
		t.Errorf("%v refusals by identity are counted", n)
	}
}

// A node that changes its mind on an open stream keeps the class of its first request.
func TestNodeOfLaterRequests(t *testing.T) { eachSource(t, testNodeOfLaterRequests) }

func testNodeOfLaterRequests(t *testing.T, start starter) {
	ca := newAuthority(t)
	_, addr := start(t, ca, "")
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	p := connect(t, dial(t, ca, addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	other := node(map[string]any{"app": "z"})
	other.Id = "router~10.9.9.9~x.bank~bank.svc.cluster.local"
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType, Node: other})
	p.want("lds +l")
}

// A stream does not outlive the certificate it was opened with.
func TestStreamEndsWithCertificate(t *testing.T) { eachSource(t, testStreamEndsWithCertificate) }

func testStreamEndsWithCertificate(t *testing.T, start starter) {
	ca := newAuthority(t)
	_, addr := start(t, ca, "")
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", 1500*time.Millisecond)
	p := connect(t, dial(t, ca, addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.want("cds +c1 +c2")
	p.ended()
}

// Each port does its own duty only, and neither speaks TLS 1.1.
func TestPortsAreApart(t *testing.T) { eachSource(t, testPortsAreApart) }

func testPortsAreApart(t *testing.T, start starter) {
	ca := newAuthority(t)
	srv, addr := start(t, ca, "")
	admin := httptest.NewServer(srv.Admin())
	defer admin.Close()
	conn, err := grpc.NewClient(strings.TrimPrefix(admin.URL, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	st, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(t.Context())
	if err == nil {
		_ = st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: bundle.ClusterType})
		_, err = st.Recv()
	}
	if err == nil {
		t.Error("the admin port speaks ADS")
	}
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	pair, _ := tls.X509KeyPair(crt, key)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	for _, path := range []string{"/healthz", "/metrics", "/status", "/"} {
		c := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}}
		r, err := c.Get("https://" + addr + path)
		if err == nil && r.StatusCode == http.StatusOK {
			t.Errorf("the ADS port answers %s", path)
		}
		if err == nil {
			_ = r.Body.Close()
		}
		c.CloseIdleConnections()
		for _, p := range []string{"/config_dump", "/debug/pprof/", "/v3/discovery:clusters", "/clusters"} {
			if r, err := http.Get(admin.URL + p); err != nil || r.StatusCode != http.StatusNotFound {
				t.Errorf("the admin port answers %s: %v", p, err)
			}
		}
	}
	if c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		_ = c.Close()
		t.Error("TLS 1.1 is accepted")
	}
	for _, o := range []Options{{AdminAddress: "0.0.0.0:0"}, {AdminAddress: ":0"}, {AdminAddress: "10.1.2.3:80"}, {AdminAddress: "nonsense"}} {
		if err := adminMayListen(o); err == nil {
			t.Errorf("%s is taken for loopback", o.AdminAddress)
		}
	}
	for _, o := range []Options{{AdminAddress: "-"}, {AdminAddress: "[::1]:0"}, {AdminAddress: "0.0.0.0:0", InsecureAdminOnAnyAddress: true}} {
		if err := adminMayListen(o); err != nil {
			t.Error(err)
		}
	}
}

func TestLimits(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{MaxStreams: 2, RequestRate: 1})
	try := func(req *discoveryv3.DeltaDiscoveryRequest) error {
		st, err := c.DeltaAggregatedResources(t.Context())
		if err == nil {
			_ = st.Send(req)
			_, err = st.Recv()
		}
		return err
	}
	big := node(map[string]any{"app": "a"})
	big.Id = strings.Repeat("x", limit.NodeIDBytes+1)
	wide := node(map[string]any{"app": "a", "x": strings.Repeat("x", limit.NodeMetadataBytes)})
	for name, req := range map[string]*discoveryv3.DeltaDiscoveryRequest{
		"node id": {Node: big, TypeUrl: bundle.ClusterType}, "metadata": {Node: wide, TypeUrl: bundle.ClusterType},
		"message": {Node: node(map[string]any{"app": "a"}), TypeUrl: strings.Repeat("x", limit.MessageBytes)},
	} {
		if err := try(req); status.Code(err) != codes.InvalidArgument && status.Code(err) != codes.ResourceExhausted {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Ten requests at once, then one a second: the eleventh waits.
	p := connect(t, c)
	for range 11 {
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	}
	p.want("cds +c1 +c2")
	for range 500 {
		if counted(srv, "meshc_throttled_requests_total") != "0" {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if counted(srv, "meshc_throttled_requests_total") == "0" {
		t.Error("nothing waits")
	}
	connect(t, c).send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	for range 500 {
		srv.mu.Lock()
		n := srv.opened[""]
		srv.mu.Unlock()
		if n == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := try(&discoveryv3.DeltaDiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: bundle.ClusterType}); status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a third stream: %v", err)
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="limit"}`); n != "4" {
		t.Errorf("%v refusals by limits are counted", n)
	}
}

// counted reads a metric as /metrics has it.
func counted(srv *Server, name string) string {
	w := httptest.NewRecorder()
	srv.Admin().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if v, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
