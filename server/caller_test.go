package server

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/meshc/meshc/compiler/bundle"

	"github.com/meshc/meshc/server/ads"
)

// sealedFor is a bundle whose class of app=a runs as a service account; "" for none that the labels lead to.
func sealedFor(t testing.TB, account string, envoyMin string, rs ...*bundle.Resource) *bundle.Bundle {
	t.Helper()
	label := "a"
	if account == "" {
		label, account = "elsewhere", "sa"
	}
	b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: envoyMin, Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": label}}},
		Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, ServiceAccounts: []string{account}, Sets: []*bundle.Set{{Resources: rs}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A caller gets of a new bundle what a new stream of it would get, and else nothing: no cluster, no endpoint, no key.
func TestSwitchIsNoWayIn(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	id := "spiffe://td/ns/default/sa/sa"
	old, oldKey := ca.issue(id, time.Hour)
	put(t, filepath.Join(dir, "default", "sa"), map[string][]byte{"tls.crt": old, "tls.key": oldKey, "ca.crt": ca.pem})
	partner := filepath.Join(dir, "default", "kubernetes", "partner")
	put(t, partner, map[string][]byte{"tls.crt": old, "tls.key": oldKey})
	secret := naming(t, "kubernetes://partner")
	for name, c := range map[string]struct {
		next   func() *bundle.Bundle
		reason string
	}{
		"another service account": {func() *bundle.Bundle { return sealedFor(t, "pay", "1.36", cds("bank", 1), eds("bank"), secret) }, "run as pay"},
		"labels of no class":      {func() *bundle.Bundle { return sealedFor(t, "", "1.36", cds("bank", 1), eds("bank"), secret) }, "no class"},
	} {
		for _, delta := range []bool{true, false} {
			srv, addr := startTLS(t, ca, dir, secret)
			conn := dial(t, ca, addr, old, oldKey)
			s := open(t, conn, delta)
			s.ask(bundle.ClusterType)
			s.ask(bundle.EndpointsType, "c1")
			s.ask(ads.SecretType, "default", "kubernetes://partner")
			if got := s.names(); !strings.Contains(got, "kubernetes://partner") || !strings.Contains(got, "c1") {
				t.Fatalf("%s: the start gave %s", name, got)
			}
			srv.Switch(c.next())
			s.ask(bundle.EndpointsType, "c1", "bank")
			s.ask(ads.SecretType, "default", "kubernetes://partner", "kubernetes://other")
			// A key that is rotated afterwards is not for it any more; its own identity is.
			crt, key := ca.issue(id, time.Hour)
			put(t, partner, map[string][]byte{"tls.crt": crt, "tls.key": key})
			srv.rotate()
			if got := s.names(); strings.Contains(got, "bank") || strings.Contains(got, "kubernetes://") {
				t.Errorf("%s, delta %v: after the switch it got %s", name, delta, got)
			}
			put(t, partner, map[string][]byte{"tls.crt": old, "tls.key": oldKey})
			if st := srv.Status().Nodes[0]; !strings.Contains(st.Kept, c.reason) {
				t.Errorf("%s, delta %v: /status says %q", name, delta, st.Kept)
			}
			// What a new stream of the caller is told is the same.
			again := open(t, conn, delta)
			again.ask(bundle.ClusterType)
			if code := again.end(); code != codes.PermissionDenied && code != codes.NotFound {
				t.Errorf("%s, delta %v: a new stream ends with %v", name, delta, code)
			}
			// Back in a bundle that it may have, it gets all.
			srv.Switch(sealedFor(t, "sa", "1.36", cds("c1", 2), eds("c1"), secret))
			if got := s.names(); !strings.Contains(got, "c1") {
				t.Errorf("%s, delta %v: in the end it got %s", name, delta, got)
			}
		}
	}
}

// A stream that is open when its CA, or its trust domain, is taken out of the server's gets nothing new: no resource of
// another bundle, and not its own key.
func TestWithdrawnTrust(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	dir := t.TempDir()
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	mine := filepath.Join(dir, "default", "sa")
	put(t, mine, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	for _, delta := range []bool{true, false} {
		srv, addr := startTLS(t, ca, dir)
		s := open(t, dial(t, ca, addr, crt, key), delta)
		s.ask(bundle.ClusterType)
		s.ask(ads.SecretType, "default")
		if got := s.names(); !strings.Contains(got, "default") || !strings.Contains(got, "c1") {
			t.Fatalf("the start gave %s", got)
		}
		o := &srv.opts
		put(t, filepath.Dir(o.TLSCA), map[string][]byte{"ca": other.pem})
		files := srv.own.(*identityFiles)
		next, nextKey := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
		put(t, mine, map[string][]byte{"tls.crt": next, "tls.key": nextKey})
		if err := files.refresh(); err != nil {
			t.Fatal(err)
		}
		srv.rotate()
		srv.Switch(sealedFor(t, "sa", "1.36", cds("bank", 1)))
		if got := s.names(); got != "" {
			t.Errorf("delta %v: after its CA went it got %s", delta, got)
		}
		if st := srv.Status().Nodes[0]; !strings.Contains(st.Kept, "CA") {
			t.Errorf("delta %v: /status says %q", delta, st.Kept)
		}
		// The connection is ended, so that the proxy comes back by the certificate that it has now.
		srv.reprove()
		if s.end() == codes.OK {
			t.Errorf("delta %v: the stream is still open", delta)
		}
		put(t, mine, map[string][]byte{"tls.crt": crt, "tls.key": key})
	}
}

// One certificate cannot take all streams.
func TestStreamsOfOneIdentity(t *testing.T) {
	ca := newAuthority(t)
	srv, addr := startTLS(t, ca, "")
	srv.opts.MaxStreams, srv.opts.MaxStreamsPerIdentity = 4, 2
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	conn := dial(t, ca, addr, crt, key)
	for range 2 {
		s := open(t, conn, true)
		s.ask(bundle.ClusterType)
		s.names()
	}
	third := open(t, conn, true)
	third.ask(bundle.ClusterType)
	if code := third.end(); code != codes.ResourceExhausted {
		t.Errorf("a third stream ends with %v", code)
	}
	otherCrt, otherKey := ca.issue("spiffe://td/ns/default/sa/other", time.Hour)
	other := open(t, dial(t, ca, addr, otherCrt, otherKey), true)
	other.ask(bundle.ClusterType)
	if code := other.end(); code != codes.PermissionDenied { // it gets as far as its identity
		t.Errorf("another identity ends with %v", code)
	}
	if n := counted(srv, `meshc_refused_nodes_total{reason="limit"}`); n != "1" {
		t.Errorf("%v are counted", n)
	}
}

// talk is a client of either form of ADS that acknowledges everything.
type talk struct {
	t     testing.TB
	delta discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	sotw  discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	in    chan string // names of what came
	done  chan error
}

func open(t testing.TB, c discoveryv3.AggregatedDiscoveryServiceClient, delta bool) *talk {
	t.Helper()
	s := &talk{t: t, in: make(chan string, 1000), done: make(chan error, 1)}
	var err error
	if delta {
		s.delta, err = c.DeltaAggregatedResources(t.Context())
	} else {
		s.sotw, err = c.StreamAggregatedResources(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	go s.read()
	return s
}

func (s *talk) read() {
	for {
		if s.delta != nil {
			r, err := s.delta.Recv()
			if err != nil {
				s.done <- err
				return
			}
			for _, x := range r.Resources {
				s.in <- x.Name
			}
			_ = s.delta.Send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce})
			continue
		}
		r, err := s.sotw.Recv()
		if err != nil {
			s.done <- err
			return
		}
		for _, x := range r.Resources {
			s.in <- string(x.Value) // names are in it as they are
		}
	}
}

func (s *talk) ask(url string, names ...string) {
	s.t.Helper()
	n := node(map[string]any{"app": "a"})
	if s.delta != nil {
		_ = s.delta.Send(&discoveryv3.DeltaDiscoveryRequest{Node: n, TypeUrl: url, ResourceNamesSubscribe: names})
		return
	}
	_ = s.sotw.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: url, ResourceNames: names})
}

// names is what has come until nothing comes for a while.
func (s *talk) names() string {
	var out []string
	wait := 300 * time.Millisecond
	for {
		select {
		case n := <-s.in:
			out = append(out, n)
		case <-time.After(wait):
			return strings.Join(out, " ")
		}
	}
}

// end is the code that the stream ends with.
func (s *talk) end() codes.Code {
	select {
	case err := <-s.done:
		return status.Code(err)
	case <-time.After(5 * time.Second):
		return codes.OK
	}
}
