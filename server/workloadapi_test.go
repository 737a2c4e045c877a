package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/spiffetest"
)

// startWithAgent is a starter whose server has its identity from an agent.
func startWithAgent(t testing.TB, ca *authority, secrets string, more ...*bundle.Resource) (*Server, string) {
	t.Helper()
	socket := socketPath(t)
	a := startAgent(t, socket)
	give(t, a, ca, time.Hour, ca.pem, nil)
	srv := New(sealed(t, append(base(1), more...)...), Options{SPIFFESocket: socket, SecretsDir: secrets})
	addr := serveADS(t, srv)
	ready(t, srv, http.StatusOK, "ok\n")
	return srv, addr
}

// socketPath is short enough for a socket.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "api.sock")
}

func startAgent(t testing.TB, socket string) *spiffetest.Agent {
	t.Helper()
	a, err := spiffetest.Start(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Stop)
	return a
}

// give has the agent hand the server an identity of the trust domain td.
func give(t testing.TB, a *spiffetest.Agent, ca *authority, valid time.Duration, bundle []byte, federated map[string][]byte) {
	t.Helper()
	crt, key := ca.issue("spiffe://td/ns/meshc/sa/server", valid)
	if err := a.Give(spiffetest.Identity{Certificate: crt, Key: key, Bundle: bundle, Federated: federated}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for what happens soon.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if happened() {
			return
		}
	}
	t.Fatalf("%s does not happen", what)
}

// ready waits until /readyz answers so, with these words in it.
func ready(t testing.TB, srv *Server, code int, words string) {
	t.Helper()
	eventually(t, words, func() bool {
		got, body := srv.ready()
		return got == code && strings.Contains(body, words)
	})
}

// attempt asks for clusters on a connection of its own.
func attempt(t testing.TB, server, by *authority, addr, id string) codes.Code {
	t.Helper()
	crt, key := by.issue(id, time.Hour)
	st, err := dial(t, server, addr, crt, key).DeltaAggregatedResources(t.Context())
	if err == nil {
		_ = st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: bundle.ClusterType})
		_, err = st.Recv()
	}
	return status.Code(err)
}

const rightID = "spiffe://td/ns/default/sa/sa"

// shown is the certificate that the server shows.
func shown(t testing.TB, addr string) []byte {
	t.Helper()
	var leaf []byte
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf = s.PeerCertificates[0].Raw
		return nil
	}})
	if err == nil {
		_ = c.Close()
	}
	return leaf
}

// A trust domain vouches for its own workloads only, and is asked only if it is named.
func TestBundlesOfTrustDomains(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	const foreign = "spiffe://other/ns/default/sa/sa"
	for _, c := range []struct {
		name      string
		named     []string
		federated map[string][]byte
		by        *authority
		id        string
		want      codes.Code
	}{
		{"own, none named", nil, nil, ca, rightID, codes.OK},
		{"federated, not named", nil, map[string][]byte{"other": other.pem}, other, foreign, codes.Unavailable},
		{"federated and named", []string{"td", "other"}, map[string][]byte{"other": other.pem}, other, foreign, codes.OK},
		{"own beside it", []string{"td", "other"}, map[string][]byte{"other": other.pem}, ca, rightID, codes.OK},
		{"only the other is named", []string{"other"}, map[string][]byte{"other": other.pem}, ca, rightID, codes.Unavailable},
		{"named, not federated", []string{"td", "other"}, nil, other, foreign, codes.Unavailable},
		{"named, not federated, signed by the own", []string{"td", "other"}, nil, ca, foreign, codes.Unavailable},
		{"the other signs for the own", []string{"td", "other"}, map[string][]byte{"other": other.pem}, other, rightID, codes.Unavailable},
		{"the own signs for the other", []string{"td", "other"}, map[string][]byte{"other": other.pem}, ca, foreign, codes.Unavailable},
		{"the other signs for none of the server's", []string{"td", "other"}, map[string][]byte{"other": other.pem}, other, "spiffe://third/ns/default/sa/sa", codes.PermissionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			socket := socketPath(t)
			give(t, startAgent(t, socket), ca, time.Hour, ca.pem, c.federated)
			srv := New(sealed(t, base(1)...), Options{SPIFFESocket: "unix://" + socket, TrustDomains: c.named})
			addr := serveADS(t, srv)
			words := "ok\n"
			if len(c.named) == 2 && c.federated == nil {
				words = "no bundle of trust domain other"
			}
			ready(t, srv, http.StatusOK, words)
			if got := attempt(t, ca, c.by, addr, c.id); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// What the agent pushes is in use for the next connection. Streams go on for as long as their certificates are good.
func TestAgentRotates(t *testing.T) {
	old, next := newAuthority(t), newAuthority(t)
	socket := socketPath(t)
	a := startAgent(t, socket)
	give(t, a, old, time.Hour, old.pem, nil)
	srv := New(sealed(t, base(1)...), Options{SPIFFESocket: socket})
	addr := serveADS(t, srv)
	ready(t, srv, http.StatusOK, "ok\n")

	crt, key := old.issue(rightID, time.Hour)
	p := connect(t, dial(t, old, addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	resumed := resumption(t, addr, old, crt, key)
	for range 2 { // the first gets a session, the second takes it up
		if err := resumed(); err != nil {
			t.Fatal(err)
		}
	}

	first := shown(t, addr)
	give(t, a, old, time.Hour, append(append([]byte{}, old.pem...), next.pem...), nil)
	eventually(t, "another certificate", func() bool { return !bytes.Equal(first, shown(t, addr)) })
	for _, ca := range []*authority{old, next} {
		if got := attempt(t, old, ca, addr, rightID); got != codes.OK {
			t.Errorf("with both roots: %v", got)
		}
	}
	srv.reprove()
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	p.ack(p.want("lds +l"))
	second := shown(t, addr)
	give(t, a, next, time.Hour, next.pem, nil)
	eventually(t, "a certificate of the new CA", func() bool { return !bytes.Equal(second, shown(t, addr)) })
	if got := attempt(t, next, next, addr, rightID); got != codes.OK {
		t.Errorf("of the new CA: %v", got)
	}
	if got := attempt(t, next, old, addr, rightID); got != codes.Unavailable {
		t.Errorf("of the old CA: %v", got)
	}
	if err := resumed(); err == nil {
		t.Error("of the old CA, as an old session: let in")
	}
	srv.reprove()
	p.ended()
}

// resumption opens connections that take up the session of the one before, if the server lets them.
func resumption(t testing.TB, addr string, ca *authority, crt, key []byte) func() error {
	pair, err := tls.X509KeyPair(crt, key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, ClientSessionCache: tls.NewLRUClientSessionCache(1)}
	return func() error {
		c, err := tls.Dial("tcp", addr, conf)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
		_, err = c.Read(make([]byte, 1)) // the server's settings, or why it refuses
		return err
	}
}

// logged keeps what a server logs.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(words string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), words)
}

// Without an identity nobody is let in; with one, the agent need not be there.
func TestAgentComesAndGoes(t *testing.T) {
	ca, socket, log := newAuthority(t), socketPath(t), &logged{}
	srv := New(sealed(t, base(1)...), Options{SPIFFESocket: socket, Log: slog.New(slog.NewTextHandler(log, nil))})
	addr := serveADS(t, srv)
	expect := func(what string, code int, words string, want codes.Code) {
		t.Helper()
		ready(t, srv, code, words)
		if got := attempt(t, ca, ca, addr, rightID); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	expect("no agent", http.StatusServiceUnavailable, "does not answer", codes.Unavailable)
	a := startAgent(t, socket)
	expect("an agent that does not know the server", http.StatusServiceUnavailable, "register it", codes.Unavailable)
	give(t, a, ca, time.Hour, ca.pem, nil)
	expect("an identity", http.StatusOK, "ok\n", codes.OK)
	a.Garble()
	expect("nonsense", http.StatusOK, "warning: no newer identity", codes.OK)
	give(t, a, ca, time.Hour, ca.pem, nil)
	eventually(t, "an identity after nonsense", func() bool { return srv.own.status().Problem() == "" })
	before := shown(t, addr)
	a.Stop()
	expect("the agent is gone", http.StatusOK, "does not answer", codes.OK)
	if st := srv.Status().Identity; st == nil || st.ID != "spiffe://td/ns/meshc/sa/server" || st.Expires.Before(time.Now()) || !strings.Contains(st.Warning, "does not answer") {
		t.Errorf("/status says %+v", st)
	}
	if counted(srv, "meshc_identity_expires_timestamp_seconds") == "" {
		t.Error("the end of the certificate is not in the metrics")
	}
	lost := log.count("no news from the agent") // of both states: nonsense, and gone
	a = startAgent(t, socket)
	give(t, a, ca, time.Hour, ca.pem, nil)
	eventually(t, "the identity of the new agent", func() bool { return !bytes.Equal(before, shown(t, addr)) })
	expect("the agent is back", http.StatusOK, "ok\n", codes.OK)
	a.Withdraw()
	expect("the identity is taken away", http.StatusServiceUnavailable, "register it", codes.Unavailable)
	give(t, a, ca, -time.Minute, ca.pem, nil)
	expect("an expired one", http.StatusServiceUnavailable, "expired", codes.Unavailable)
	give(t, a, ca, time.Hour, ca.pem, nil)
	expect("given again", http.StatusOK, "ok\n", codes.OK)
	if lost != 2 {
		t.Errorf("two states are logged %d times", lost)
	}
}

// A server says at once what no agent can mend.
func TestSourceMisuse(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"files and agent":  {Options{TLSCert: "c", TLSKey: "k", TLSCA: "a", SPIFFESocket: "/s"}, "not both"},
		"a file and agent": {Options{TLSCA: "a", SPIFFESocket: "/s"}, "not both"},
		"half of files":    {Options{TLSKey: "k", TLSCA: "a"}, "all three"},
		"relative":         {Options{SPIFFESocket: "agent.sock"}, "absolute"},
		"opaque":           {Options{SPIFFESocket: "unix:agent.sock"}, "absolute"},
		"host":             {Options{SPIFFESocket: "unix://run/agent.sock"}, "socket on this host"},
		"TCP":              {Options{SPIFFESocket: "tcp://127.0.0.1:80"}, "socket on this host"},
		"trust domain":     {Options{SPIFFESocket: "/s", TrustDomains: []string{"spiffe://td"}}, "name of one"},
	} {
		if err := Run(context.Background(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	for in, want := range map[string]string{"/run/a b.sock": "unix:///run/a%20b.sock", "unix:/run/a.sock": "unix:///run/a.sock", "unix:///run/a.sock": "unix:///run/a.sock"} {
		if got, err := agentTarget(in); got != want || err != nil {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}
