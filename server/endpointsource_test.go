package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"

	"github.com/meshc/meshc/internal/watchdog"
	"github.com/meshc/meshc/server/ads"
)

// joinable is base with clusters of the services c1 and c2, which have one endpoint declared and c1 one compiled.
func joinable(t testing.TB, rs ...*bundle.Resource) *bundle.Bundle {
	t.Helper()
	plan := &endpoint.Plan{Site: &endpoint.Site{Cluster: "Kubernetes"}, Clients: []*endpoint.Client{{PanicOff: true}}}
	for i, name := range []string{"c1", "c2"} {
		plan.Services = append(plan.Services, &endpoint.Service{Namespace: "default", Name: name, Hostname: name, Kubernetes: true, Selector: map[string]string{"app": name},
			Ports: []endpoint.Port{{Number: 80, Name: "http", Target: 8080, Declared: []*endpoint.Endpoint{{Address: "10.0.9.9", Port: 8080, Ready: true}}}}})
		for _, r := range rs {
			if r.Type == bundle.EndpointsType && r.Name == name {
				r.Join = &endpoint.Join{Services: []int{i}}
			}
		}
	}
	b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: "1.36", Plan: plan, Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
		Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, ServiceAccounts: []string{"sa"}, Sets: []*bundle.Set{{Resources: rs}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sliceOf is an EndpointSlice of a service with its pods, one for each address.
func sliceOf(service string, addresses ...string) string {
	var b, pods strings.Builder
	fmt.Fprintf(&b, "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {name: %[1]s-1, namespace: default, labels: {kubernetes.io/service-name: %[1]s}}\naddressType: IPv4\nports: [{name: http, port: 8080}]\nendpoints:\n", service)
	for _, a := range addresses {
		fmt.Fprintf(&b, "- {addresses: [%[1]s], targetRef: {kind: Pod, name: p-%[1]s}}\n", a)
		fmt.Fprintf(&pods, "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p-%[1]s, namespace: default, labels: {app: %[2]s, security.istio.io/tlsMode: istio}}\nstatus: {podIP: %[1]s}\n", a, service)
	}
	return b.String() + pods.String()
}

// source is a file of endpoints.
type source struct {
	t    testing.TB
	srv  *Server
	path string
}

func (s *source) tell(docs ...string) {
	s.t.Helper()
	if err := os.WriteFile(s.path, []byte(strings.Join(docs, "")), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.srv.lookOnce()
}

// lookOnce reads the files of endpoints as the server does when they have changed.
func (srv *Server) lookOnce() {
	if err := srv.lookAtFiles(); err != nil {
		srv.rejectedEndpoints(err)
	}
}

// addresses lists what is in the ClusterLoadAssignments of a response.
func addresses(t testing.TB, list ...*anypb.Any) string {
	t.Helper()
	var out []string
	for _, a := range list {
		m := &endpointv3.ClusterLoadAssignment{}
		if err := a.UnmarshalTo(m); err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Endpoints {
			for _, e := range l.LbEndpoints {
				s := e.GetEndpoint().Address.GetSocketAddress().GetAddress()
				if e.Metadata != nil {
					s += " mtls"
				}
				out = append(out, s)
			}
		}
	}
	return strings.Join(out, ", ")
}

func (p *proxy) wantEndpoints(push, want string) {
	p.t.Helper()
	r := p.want(push)
	p.ack(r)
	if got := addresses(p.t, r.Resources[0].Resource); got != want {
		p.t.Errorf("%s: got %s, want %s", push, got, want)
	}
}

func TestLiveEndpoints(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	srv, c := start(t, joinable(t, base(1)...), Options{Endpoints: path, Grace: 50 * time.Millisecond})
	s := &source{t, srv, path}
	srv.lookOnce() // there is no file yet
	if st := srv.Status().Endpoints; st == nil || st.Synced || st.Error == "" {
		t.Errorf("%+v", st)
	}
	p := connect(t, c)
	p.warm()

	s.tell(sliceOf("c1", "10.0.0.1"))
	p.wantEndpoints("eds +c1", "10.0.0.1 mtls, 10.0.9.9") // c2 is not seen, what is declared stays
	s.tell(sliceOf("c1", "10.0.0.1"), sliceOf("c2", "10.0.0.2", "10.0.0.3"))
	p.wantEndpoints("eds +c2", "10.0.0.2 mtls, 10.0.0.3 mtls, 10.0.9.9")
	s.tell(sliceOf("c2", "10.0.0.2", "10.0.0.3"), "# a note\n", sliceOf("c1", "10.0.0.1"))
	p.quiet()

	for _, broken := range []string{"", "kind: [", sliceOf("c1", "10.0.0.1")[:150], "{}", sliceOf("c1", "10.0.0.1") + sliceOf("c1", "10.0.0.7"), sliceOf("c1", "nowhere"), "items:\n- {}\n"} {
		s.tell(broken)
		if st := srv.Status().Endpoints; st.Error == "" || st.Slices != 2 {
			t.Errorf("%q: %+v", broken, st)
		}
	}
	p.quiet()

	s.tell(sliceOf("c1"), sliceOf("c2", "10.0.0.2", "10.0.0.3")) // none is the truth, too
	p.wantEndpoints("eds +c1", "10.0.9.9")

	// A changed cluster is followed by its endpoints as they are now; a new one begins with them.
	srv.Switch(joinable(t, append(without(base(1), "c2"), cds("c2", 5), eds("c2"))...))
	p.ack(p.want("cds +c2"))
	p.wantEndpoints("eds +c2", "10.0.0.2 mtls, 10.0.0.3 mtls, 10.0.9.9")
	s.tell(sliceOf("c1", "10.0.0.4"), sliceOf("c2", "10.0.0.2", "10.0.0.3"))
	p.wantEndpoints("eds +c1", "10.0.0.4 mtls, 10.0.9.9")
	s.tell(sliceOf("c1", "10.0.0.4"))
	r := p.want("eds +c2") // no longer seen: as compiled
	p.ack(r)
	if got := addresses(t, r.Resources[0].Resource); got != "" {
		t.Error(got)
	}
	p.quiet()
	if st := srv.Status(); !st.Nodes[0].Synced || st.Endpoints.Error != "" || !st.Endpoints.Synced {
		t.Errorf("%+v", st)
	}
}

func TestLiveEndpointsStateOfTheWorld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	srv, c := start(t, joinable(t, base(1)...), Options{Endpoints: path})
	s := &source{t, srv, path}
	s.tell(sliceOf("c1", "10.0.0.1"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	st, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	send := func(url, nonce string, names ...string) {
		if err := st.Send(&discoveryv3.DiscoveryRequest{Node: node(map[string]any{"app": "a"}), TypeUrl: url, ResponseNonce: nonce, ResourceNames: names}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want string) {
		t.Helper()
		r, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if got := addresses(t, r.Resources...); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		send(bundle.EndpointsType, r.Nonce, "c1", "c2")
	}
	send(bundle.EndpointsType, "", "c1", "c2")
	want("10.0.0.1 mtls, 10.0.9.9")
	s.tell(sliceOf("c1", "10.0.0.1"), sliceOf("c2", "10.0.0.2"))
	want("10.0.0.2 mtls, 10.0.9.9") // c2 alone
	s.tell(sliceOf("c1", "10.0.0.5"), sliceOf("c2", "10.0.0.2"))
	want("10.0.0.5 mtls, 10.0.9.9")
}

// However often endpoints change, what is numbered stays bounded, and the proxies notice nothing of it.
func TestLiveEndpointsAreForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	srv, c := start(t, joinable(t, base(1)...), Options{Endpoints: path})
	s := &source{t, srv, path}
	s.tell(sliceOf("c1", "10.0.0.1"))
	p := connect(t, c)
	p.warm()
	gen := srv.base()
	for i := range 4200 {
		gen.reg.Add(ads.Endpoints, "c1", fmt.Sprint("old ", i), nil, nil)
	}
	s.tell(sliceOf("c1", "10.0.0.2"))
	p.wantEndpoints("eds +c1", "10.0.0.2 mtls, 10.0.9.9")
	if now := srv.base(); now == gen || now.reg.Size() > 100 {
		t.Errorf("%d entries", now.reg.Size())
	}
	s.tell(sliceOf("c1", "10.0.0.3"))
	p.wantEndpoints("eds +c1", "10.0.0.3 mtls, 10.0.9.9")
	srv.Switch(joinable(t, append(without(base(1), "80/a"), vhs("80", "a", "changed"))...))
	p.ack(p.want("vhds +80/a"))
	p.quiet()
}

// A refusal of endpoints holds back what depends on clusters until the endpoints have changed.
func TestLiveEndpointsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	srv, c := start(t, joinable(t, base(1)...), Options{Endpoints: path})
	s := &source{t, srv, path}
	s.tell(sliceOf("c1", "10.0.0.1"))
	p := connect(t, c)
	p.warm()
	s.tell(sliceOf("c1", "10.0.0.2"))
	p.nack(p.want("eds +c1"), "no")
	srv.Switch(joinable(t, append(without(base(1), "c1"), cds("c1", 2), eds("c1"))...))
	p.ack(p.want("cds +c1"))
	p.nack(p.want("eds +c1"), "no")
	p.quiet()
	s.tell(sliceOf("c1", "10.0.0.3"))
	p.wantEndpoints("eds +c1", "10.0.0.3 mtls, 10.0.9.9")
	p.quiet()
	if st := srv.Status().Nodes[0]; !st.Synced || len(st.NACKs) != 0 {
		t.Errorf("%+v", st)
	}
}

// The place that a proxy announces decides what is near to it, whatever places the compiler knew.
func TestLiveEndpointsByPlace(t *testing.T) {
	b := joinable(t, base(1)...)
	b.Plan.Clients[0].Policy = &endpoint.Policy{Prioritize: true}
	j := newJoiner(b.Plan, &endpointSnapshot{})
	g := newEndpointCollector()
	for i, zone := range []string{"a", "b"} {
		pod := fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: p%d, namespace: default, labels: {app: c1, topology.istio.io/locality: r/%s}}\nstatus: {podIP: 10.0.0.%d}\n", i, zone, i)
		if err := g.read([]byte(pod)); err != nil {
			t.Fatal(err)
		}
	}
	seen, err := g.done()
	if err != nil {
		t.Fatal(err)
	}
	j.update(seen.snapshot, nil)
	i := slices.IndexFunc(b.Resources, func(r *bundle.Resource) bool { return r.Join != nil && r.Name == "c1" })
	for place, want := range map[string]string{"r/a": "10.0.0.0, 10.0.0.1, 10.0.9.9", "r/b": "10.0.0.1, 10.0.0.0, 10.0.9.9"} {
		any := &anypb.Any{TypeUrl: bundle.EndpointsType, Value: j.make(b.Resources[i], place).bytes}
		if got := addresses(t, any); got != want {
			t.Errorf("from %s: got %s, want %s", place, got, want)
		}
	}
}

func FuzzReadEndpoints(f *testing.F) {
	f.Add([]byte(sliceOf("c1", "10.0.0.1")))
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Node","metadata":{"name":"n"}}]}`))
	f.Add([]byte("apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: p, namespace: default}\n  status: {podIP: 10.0.0.1}\n"))
	b := joinable(f, base(1)...)
	f.Fuzz(func(t *testing.T, data []byte) {
		defer watchdog.Watch(t)()
		g := newEndpointCollector()
		if g.read(data) != nil {
			return
		}
		seen, err := g.done()
		if err != nil {
			return
		}
		j := newJoiner(b.Plan, &endpointSnapshot{})
		j.update(seen.snapshot, nil)
		for _, r := range b.Resources {
			if r.Join == nil {
				continue
			}
			m := &endpointv3.ClusterLoadAssignment{}
			if err := (&anypb.Any{TypeUrl: r.Type, Value: j.make(r, "").bytes}).UnmarshalTo(m); err != nil || m.ValidateAll() != nil {
				t.Fatal(err, m.ValidateAll())
			}
		}
	})
}

// Proxies that come while bundles and endpoints change end with what is there at last.
func TestLiveEndpointsWhileEverythingChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "endpoints.yaml")
	bundles := []*bundle.Bundle{joinable(t, base(1)...), joinable(t, append(without(base(1), "c2"), cds("c2", 5), eds("c2"))...)}
	srv, c := start(t, bundles[0], Options{Endpoints: path})
	s := &source{t, srv, path}
	s.tell(sliceOf("c1", "10.0.0.1"))
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 30 {
			srv.Switch(bundles[i%2])
		}
	})
	all.Go(func() {
		for i := range 30 {
			s.tell(sliceOf("c1", fmt.Sprintf("10.0.1.%d", i)), sliceOf("c2", fmt.Sprintf("10.0.2.%d", i)))
		}
		s.tell(sliceOf("c1", "10.0.0.7"), sliceOf("c2", "10.0.0.8"))
	})
	for range 8 {
		all.Go(func() {
			p := connect(t, c)
			held := map[string]string{}
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
			p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1", "c2"}})
			for deadline := time.After(10 * time.Second); held["c1"] != "10.0.0.7 mtls, 10.0.9.9" || held["c2"] != "10.0.0.8 mtls, 10.0.9.9"; {
				select {
				case r := <-p.in:
					for _, x := range r.GetResources() {
						if r.TypeUrl == bundle.EndpointsType {
							held[x.Name] = addresses(t, x.Resource)
						}
					}
					p.ack(r)
				case <-deadline:
					t.Errorf("%v", held)
					return
				}
			}
		})
	}
	all.Wait()
}
