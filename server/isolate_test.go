package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"

	"github.com/meshc/meshc/compiler/bundle"

	"github.com/meshc/meshc/server/ads"
)

// answer acknowledges responses as an Envoy that takes none of a response with a bad resource in it, until nothing comes,
// and returns the names that it has taken.
func (p *proxy) answer(bad map[string]bool) map[string]bool {
	p.t.Helper()
	taken := map[string]bool{}
	for {
		var r *discoveryv3.DeltaDiscoveryResponse
		select {
		case r = <-p.in:
		case <-time.After(300 * time.Millisecond):
			return taken
		}
		refused := slices.ContainsFunc(r.Resources, func(x *discoveryv3.Resource) bool { return bad[x.Name] })
		if refused {
			p.nack(r, "one of them is bad")
			continue
		}
		for _, x := range r.Resources {
			taken[x.Name] = true
		}
		for _, n := range r.RemovedResources {
			delete(taken, n)
		}
		p.ack(r)
	}
}

// A virtual host that the proxy refuses keeps out no other, whether the proxy is new or runs, and is named.
func TestRefusedResourceCostsOnlyItself(t *testing.T) {
	for _, fresh := range []bool{true, false} {
		t.Run(fmt.Sprint("fresh ", fresh), func(t *testing.T) {
			many := base(1)
			for i := range 7 {
				many = append(many, vhs("80", fmt.Sprint("s", i), fmt.Sprint("s", i)))
			}
			bad := map[string]bool{"80/s3": true, "80/s6": true}
			first := sealed(t, base(1)...)
			if fresh {
				first = sealed(t, many...)
			}
			srv, c := start(t, first, Options{})
			p := connect(t, c)
			var taken map[string]bool
			if fresh {
				p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80"}})
				p.ack(p.want("rds +80"))
				p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType, ResourceNamesSubscribe: []string{"80"}})
				taken = p.answer(bad)
			} else {
				p.warm()
				srv.Switch(sealed(t, many...))
				taken = p.answer(bad)
				taken["80/a"], taken["80/b"] = true, true
			}
			for _, r := range many {
				if r.Type == bundle.VirtualHostType && taken[r.Name] == bad[r.Name] {
					t.Errorf("%s: taken %v, bad %v", r.Name, taken[r.Name], bad[r.Name])
				}
			}
			var named []string
			for _, n := range srv.Status().Nodes[0].NACKs {
				named = append(named, n.Resources...)
			}
			if slices.Sort(named); strings.Join(named, " ") != "80/s3 80/s6" {
				t.Errorf("/status names %v", named)
			}
			// What is mended arrives, and what is still bad is not sent again.
			mended := append(without(many, "80/s3"), vhs("80", "s3", "mended"))
			srv.Switch(sealed(t, mended...))
			r, got := p.recv()
			if got == "vhds +80/s3 +80/s6" || got == "vhds +80/s6 +80/s3" { // the other may have been refused for what has changed here
				p.nack(r, "one of them is bad")
				p.answer(bad)
			} else {
				t.Errorf("after the change: %s", got)
			}
		})
	}
}

// A client that refuses the same in a loop does not fill the log.
func TestRefusalsAreLoggedInMeasure(t *testing.T) {
	log := &bytes.Buffer{}
	_, c := start(t, sealed(t, base(1)...), Options{RequestRate: -1, Log: slog.New(slog.NewTextHandler(log, nil))})
	p := connect(t, c)
	for range 500 {
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1"}})
		r, _ := p.recv()
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, ErrorDetail: &rpcstatus.Status{Message: "no"}, ResourceNamesUnsubscribe: []string{"c1"}})
	}
	if n := strings.Count(log.String(), "proxy refused configuration"); n != 1 {
		t.Errorf("%d lines for one reason", n)
	}
}

// A type that is not served costs only itself: one line, one count, and the stream goes on.
func TestUnservedTypes(t *testing.T) {
	log := &bytes.Buffer{}
	srv, c := start(t, sealed(t, base(1)...), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	p := connect(t, c)
	urls := []string{"type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "type.googleapis.com/istio.mesh.v1alpha1.ProxyConfig", "nonsense"}
	for range 3 {
		for _, url := range urls {
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, ResourceNamesSubscribe: []string{"x"}})
		}
	}
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	sotw, err := c.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range append(urls, bundle.VirtualHostType, bundle.ClusterType) {
		if err := sotw.Send(&discoveryv3.DiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: url}); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := sotw.Recv(); err != nil || len(r.Resources) != 2 {
		t.Errorf("state of the world: %v, %v", r, err)
	}
	if n := strings.Count(log.String(), "a type is not served"); n != 4 { // one for each type of the node
		t.Errorf("%d lines", n)
	}
	for name, want := range map[string]string{"ecds": "2", "pcds": "2", "vhds": "1", "other": "2"} {
		if n := counted(srv, `meshc_unserved_subscriptions_total{type="`+name+`"}`); n != want {
			t.Errorf("%s: %v are counted, want %v", name, n, want)
		}
	}
}

// A proxy that connects again and again does not fill the log, and what is left out is counted.
func TestReconnectsAreLoggedInMeasure(t *testing.T) {
	log := &logged{}
	srv, c := start(t, sealed(t, base(1)...), Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	const times = 50
	for range times {
		p := connect(t, c)
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: "nonsense"})
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.SecretType, ResourceNamesSubscribe: []string{"kubernetes://nothing"}})
		p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
		p.nack(p.want("lds +l"), "no")
		if err := p.st.CloseSend(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the end of the stream", func() bool { return len(srv.Status().Nodes) == 0 })
	}
	lines := []string{"proxy connected", "proxy gone", "a type is not served", "secret not available", "proxy refused configuration"}
	for _, line := range lines {
		if n := log.count(line); n != 1 {
			t.Errorf("%d lines: %s", n, line)
		}
	}
	if n, want := counted(srv, "meshc_suppressed_log_lines_total"), fmt.Sprint((times-1)*len(lines)); n != want {
		t.Errorf("%s lines are counted, want %s", n, want)
	}
}

// What a proxy has refused does not come again with each change of endpoints, whatever is beside it that the proxy does
// not have.
func TestRefusalsAreNotRepeatedWithEndpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "e.yaml")
	srv, c := start(t, joinable(t, append(base(1), lds("m", "x"))...), Options{Endpoints: path})
	eps := &source{t, srv, path}
	eps.tell(sliceOf("c1", "10.1.0.1"))
	p := connect(t, c)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1"}})
	p.ack(p.want("eds +c1"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80"}})
	p.ack(p.want("rds +80"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType, ResourceNamesSubscribe: []string{"80/a"}}) // and not 80/b
	p.nack(p.want("vhds +80/a"), "no")
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType, ResourceNamesSubscribe: []string{"l"}}) // and not m
	p.nack(p.want("lds +l"), "no")
	for _, address := range []string{"10.1.0.2", "10.1.0.3"} {
		eps.tell(sliceOf("c1", address))
		p.ack(p.want("eds +c1"))
		p.quiet()
	}
	srv.Switch(joinable(t, append(without(base(1), "80/b"), lds("m", "x"), vhs("80", "b", "another"))...))
	p.ack(p.want("vhds +80/a")) // now it may pass
	p.quiet()
}
