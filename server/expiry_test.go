package server

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/ads"
)

// When certificates end is in /status and a metric: of each proxy that by which it has connected, and of those that the
// server hands out the first. One that is renewed counts no more; one whose successor is no good does.
func TestExpiries(t *testing.T) {
	ca, secrets := newAuthority(t), t.TempDir()
	folder := filepath.Join(secrets, "default", "sa")
	handOut := func(valid time.Duration) time.Time {
		crt, key := ca.issue("spiffe://td/ns/default/sa/sa", valid)
		put(t, folder, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
		return time.Now().Add(valid)
	}
	soon := handOut(10 * time.Minute)
	srv, addr := startTLS(t, ca, secrets)
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", 30*time.Minute)
	p := connect(t, dial(t, ca, addr, crt, key))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	if st := srv.Status(); len(st.Expiring) != 0 || counted(srv, "meshc_secret_expires_timestamp_seconds") != "" {
		t.Errorf("before anything is handed out: %v", st.Expiring)
	}
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.SecretType, ResourceNamesSubscribe: []string{"default", "ROOTCA"}})
	p.ack(p.want("sds +ROOTCA +default"))
	want := func(at time.Time) {
		t.Helper()
		st := srv.Status()
		if len(st.Expiring) != 1 || !strings.HasSuffix(st.Expiring[0].From, "default/sa") || st.Expiring[0].Expires.Sub(at).Abs() > time.Minute {
			t.Errorf("%+v, want %v", st.Expiring, at)
		} else if got := counted(srv, "meshc_secret_expires_timestamp_seconds"); got != fmt.Sprintf("%.9e", float64(st.Expiring[0].Expires.Unix())) {
			t.Errorf("the metric is %s, want %d", got, st.Expiring[0].Expires.Unix())
		}
		if n := st.Nodes[0]; n.Expires == nil || time.Until(*n.Expires) > 31*time.Minute || time.Until(*n.Expires) < 28*time.Minute {
			t.Errorf("the proxy's own ends at %v", n.Expires)
		}
	}
	want(soon)
	later := handOut(50 * time.Minute)
	srv.rotate()
	want(later)
	put(t, folder, map[string][]byte{"tls.crt": []byte("half a file")})
	srv.rotate()
	want(later)
}
