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
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"
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
	c := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(expires), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
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

func startTLS(t testing.TB, ca *authority, secrets string, more ...*bundle.Resource) (*Server, string) {
	t.Helper()
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, dir, map[string][]byte{"crt": crt, "key": key, "ca": ca.pem})
	srv := New(sealed(t, append(base(1), more...)...), Options{TLSCert: filepath.Join(dir, "crt"), TLSKey: filepath.Join(dir, "key"), TLSCA: filepath.Join(dir, "ca"), TrustDomain: "td", SecretsDir: secrets})
	g, err := srv.GRPC()
	if err != nil {
		t.Fatal(err)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	return srv, lis.Addr().String()
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

func TestSpoofedNodes(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	_, addr := startTLS(t, ca, "")
	try := func(crt, key []byte) error {
		st, err := dial(t, ca, addr, crt, key).DeltaAggregatedResources(t.Context())
		if err != nil {
			return err
		}
		_ = st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: bundle.ClusterType})
		r, err := st.Recv()
		if err != nil && r != nil {
			t.Error("a refused node learned something")
		}
		return err
	}
	if err := try(ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)); err != nil {
		t.Errorf("the right identity is refused: %v", err)
	}
	for id, say := range map[string]string{
		"spiffe://td/ns/other/sa/sa": "namespace", "spiffe://td/ns/default/sa/other": "service account", "spiffe://evil/ns/default/sa/sa": "trust domain",
		"spiffe://td/default/sa": "form spiffe://", "https://td/ns/default/sa/sa": "SPIFFE",
	} {
		if err := try(ca.issue(id, time.Hour)); status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if err := try(nil, nil); err == nil {
		t.Error("no certificate is enough")
	}
	if err := try(ca.issue("spiffe://td/ns/default/sa/sa", -time.Hour)); err == nil {
		t.Error("an expired certificate is enough")
	}
	if err := try(other.issue("spiffe://td/ns/default/sa/sa", time.Hour)); err == nil {
		t.Error("a certificate of another CA is enough")
	}
}
