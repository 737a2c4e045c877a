package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"

	"github.com/meshc/meshc/server/ads"
)

func resource(url, name string, m proto.Message) *bundle.Resource {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return &bundle.Resource{Type: url, Name: name, Bytes: b, Origins: []bundle.Origin{{File: "mesh.yaml", Line: 12}}}
}

func cds(name string, timeout int64) *bundle.Resource {
	return resource(bundle.ClusterType, name, &clusterv3.Cluster{Name: name, ConnectTimeout: &durationpb.Duration{Seconds: timeout}})
}

func eds(name string) *bundle.Resource {
	return resource(bundle.EndpointsType, name, &endpointv3.ClusterLoadAssignment{ClusterName: name})
}

func lds(name, prefix string) *bundle.Resource {
	return resource(bundle.ListenerType, name, &listenerv3.Listener{Name: name, StatPrefix: prefix})
}

func rds(name string) *bundle.Resource {
	return resource(bundle.RouteConfigurationType, name, &routev3.RouteConfiguration{Name: name, Vhds: &routev3.Vhds{ConfigSource: &corev3.ConfigSource{}}})
}

func vhs(rc, name, domain string) *bundle.Resource {
	return resource(bundle.VirtualHostType, rc+"/"+name, &routev3.VirtualHost{Name: name, Domains: []string{domain}})
}

// routed is a virtual host that leads to a cluster.
func routed(rc, name, cluster string) *bundle.Resource {
	return resource(bundle.VirtualHostType, rc+"/"+name, &routev3.VirtualHost{Name: name, Domains: []string{name}, Routes: []*routev3.Route{{
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}}}}})
}

// base is the mesh that the tests change; version counts changes of nothing that a proxy sees.
func base(line int) []*bundle.Resource {
	rs := []*bundle.Resource{cds("c1", 1), eds("c1"), cds("c2", 1), eds("c2"), lds("l", "x"), rds("80"), vhs("80", "a", "a"), vhs("80", "b", "b"), rds("empty")}
	for _, r := range rs {
		r.Origins[0].Line = line
	}
	return rs
}

func sealed(t testing.TB, rs ...*bundle.Resource) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
		Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, ServiceAccounts: []string{"sa"}, Sets: []*bundle.Set{{Resources: rs}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func without(rs []*bundle.Resource, name string) []*bundle.Resource {
	return slices.DeleteFunc(slices.Clone(rs), func(r *bundle.Resource) bool { return r.Name == name })
}

// serveADS serves ADS on a loopback port and returns its address.
func serveADS(t testing.TB, srv *Server) string {
	t.Helper()
	if srv.own != nil {
		if err := srv.own.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	g := srv.GRPC()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	return lis.Addr().String()
}

func start(t testing.TB, b *bundle.Bundle, o Options) (*Server, discoveryv3.AggregatedDiscoveryServiceClient) {
	t.Helper()
	srv := New(b, o)
	conn, err := grpc.NewClient(serveADS(t, srv), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return srv, discoveryv3.NewAggregatedDiscoveryServiceClient(conn)
}

func node(labels map[string]any) *corev3.Node {
	md, err := structpb.NewStruct(map[string]any{"NAMESPACE": "default", "LABELS": labels, "SERVICE_ACCOUNT": "sa"})
	if err != nil {
		panic(err)
	}
	return &corev3.Node{Id: "sidecar~10.0.0.1~p.default~default.svc.cluster.local", Metadata: md}
}

// proxy is a delta client that acknowledges by hand.
type proxy struct {
	t    testing.TB
	st   discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	in   chan *discoveryv3.DeltaDiscoveryResponse
	held map[string]map[string]string
}

func connect(t testing.TB, c discoveryv3.AggregatedDiscoveryServiceClient) *proxy {
	t.Helper()
	return connectWith(context.Background(), t, c)
}

// connectWith connects with what a context has, as headers.
func connectWith(ctx context.Context, t testing.TB, c discoveryv3.AggregatedDiscoveryServiceClient) *proxy {
	t.Helper()
	ctx, cancel := context.WithCancel(ctx)
	t.Cleanup(cancel)
	st, err := c.DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, st: st, in: make(chan *discoveryv3.DeltaDiscoveryResponse, 100), held: map[string]map[string]string{}}
	go func() {
		defer close(p.in)
		for {
			r, err := st.Recv()
			if err != nil {
				return
			}
			p.in <- r
		}
	}()
	return p
}

func (p *proxy) send(r *discoveryv3.DeltaDiscoveryRequest) {
	p.t.Helper()
	if r.Node == nil {
		r.Node = node(map[string]any{"app": "a"})
	}
	if err := p.st.Send(r); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) ack(r *discoveryv3.DeltaDiscoveryResponse) {
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce})
}

func (p *proxy) nack(r *discoveryv3.DeltaDiscoveryResponse, why string) {
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.TypeUrl, ResponseNonce: r.Nonce, ErrorDetail: &rpcstatus.Status{Code: 13, Message: why}})
}

// recv takes the next response and renders it as "cds +c1 +c2 -c3".
func (p *proxy) recv() (*discoveryv3.DeltaDiscoveryResponse, string) {
	p.t.Helper()
	select {
	case r, ok := <-p.in:
		if !ok {
			p.t.Fatal("stream ended")
		}
		s := ads.KindOf(r.TypeUrl).String()
		if p.held[r.TypeUrl] == nil {
			p.held[r.TypeUrl] = map[string]string{}
		}
		for _, x := range r.Resources {
			s += " +" + x.Name
			p.held[r.TypeUrl][x.Name] = x.Version
			if x.Resource.TypeUrl != r.TypeUrl {
				p.t.Errorf("%s holds %s", r.TypeUrl, x.Resource.TypeUrl)
			}
		}
		for _, n := range r.RemovedResources {
			s += " -" + n
			delete(p.held[r.TypeUrl], n)
		}
		return r, s
	case <-time.After(5 * time.Second):
		p.t.Fatal("no response")
		return nil, ""
	}
}

func (p *proxy) want(s string) *discoveryv3.DeltaDiscoveryResponse {
	p.t.Helper()
	r, got := p.recv()
	if got != s {
		p.t.Errorf("got %q, want %q", got, s)
	}
	return r
}

func (p *proxy) quiet() {
	p.t.Helper()
	select {
	case r, ok := <-p.in:
		p.t.Errorf("unexpected response %v %v", r, ok)
	case <-time.After(100 * time.Millisecond):
	}
}

// ended waits for the server to end the stream.
func (p *proxy) ended() {
	p.t.Helper()
	select {
	case r, open := <-p.in:
		if open {
			p.t.Errorf("another response: %v", r)
		}
	case <-time.After(20 * time.Second):
		p.t.Error("the stream is still open")
	}
}

// warm goes through the start of an Envoy.
func (p *proxy) warm() {
	p.t.Helper()
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.warmed()
}

// warmed is warm from behind the first request.
func (p *proxy) warmed() {
	p.t.Helper()
	p.ack(p.want("cds +c1 +c2"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1", "c2"}})
	p.ack(p.want("eds +c1 +c2"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	p.ack(p.want("lds +l"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80", "empty"}})
	p.ack(p.want("rds +80 +empty"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType})
	r := p.want("vhds +80/a +80/b -empty/")
	vh := &routev3.VirtualHost{}
	if err := r.Resources[0].Resource.UnmarshalTo(vh); err != nil || vh.Name != "80/a" {
		p.t.Errorf("the message of 80/a has the name %q: Envoy would not remove it (%v)", vh.Name, err)
	}
	p.ack(r)
	p.quiet()
}

func TestMinimalPushes(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{Grace: 50 * time.Millisecond})
	p := connect(t, c)
	p.warm()
	srv.Switch(sealed(t, append(without(base(1), "80/a"), vhs("80", "a", "changed"))...))
	p.ack(p.want("vhds +80/a"))
	srv.Switch(sealed(t, append(without(base(1), "80/b"), vhs("80", "c", "c"))...))
	p.ack(p.want("vhds +80/a +80/c -80/b"))
	srv.Switch(sealed(t, append(without(without(base(1), "c2"), "80/b"), vhs("80", "c", "c"), lds("l2", "x"))...))
	p.ack(p.want("lds +l2"))
	p.ack(p.want("cds -c2")) // after the time of grace; Envoy gives up the endpoints itself
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesUnsubscribe: []string{"c2"}})
	p.quiet()
	if st := srv.Status(); len(st.Nodes) != 1 || !st.Nodes[0].Synced || st.Nodes[0].Class != "a" {
		t.Errorf("%+v", st)
	}
}

func TestMakeBeforeBreak(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{Grace: 50 * time.Millisecond})
	p := connect(t, c)
	p.warm()
	next := append(without(without(base(1), "c1"), "80/a"), cds("c3", 1), eds("c3"), vhs("80", "a", "to-c3"), lds("l", "y"))
	next = append(without(without(next, "c2"), "l"), cds("c2", 9), eds("c2"), lds("l", "y"))
	srv.Switch(sealed(t, next...))
	first := p.want("cds +c2 +c3")
	again := p.want("eds +c2") // the changed cluster warms when its endpoints come again
	p.quiet()                  // nothing that refers to the new cluster before it is there
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c3"}})
	third := p.want("eds +c3")
	p.ack(first)
	p.ack(again)
	p.quiet()
	p.ack(third)
	p.ack(p.want("lds +l"))
	last := p.want("vhds +80/a")
	p.quiet() // and nothing goes before the routes have left it
	p.ack(last)
	p.ack(p.want("cds -c1"))
	p.quiet()
}

func TestReconnectCostsNothing(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{})
	p := connect(t, c)
	p.warm()
	again := func() *proxy {
		q := connect(t, c)
		for _, url := range bundle.Types() {
			r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: url, InitialResourceVersions: p.held[url]}
			if url == bundle.EndpointsType || url == bundle.RouteConfigurationType {
				for n := range p.held[url] {
					r.ResourceNamesSubscribe = append(r.ResourceNamesSubscribe, n)
				}
			}
			q.send(r)
		}
		return q
	}
	again().quiet()
	// Another server, which knows nothing of the versions before.
	other, c2 := start(t, sealed(t, append(without(without(base(1), "80/b"), "l"), lds("l", "new"))...), Options{})
	c = c2
	q := again()
	q.ack(q.want("lds +l"))
	q.ack(q.want("vhds -80/b"))
	q.quiet()
	_, _ = srv, other
}

func TestNACK(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{})
	p := connect(t, c)
	p.warm()
	bad := append(without(base(1), "80/a"), vhs("80", "a", "better"), vhs("80", "dup", "b"))
	srv.Switch(sealed(t, bad...))
	p.nack(p.want("vhds +80/a +80/dup"), "duplicate domain")
	p.ack(p.want("vhds +80/a")) // what was good comes by itself
	p.nack(p.want("vhds +80/dup"), "duplicate domain")
	p.quiet() // a refused version does not come again
	st := srv.Status().Nodes[0]
	if st.Synced || len(st.NACKs) != 1 || st.NACKs[0].Error != "duplicate domain" || !slices.Contains(st.NACKs[0].Origins, "mesh.yaml:12") {
		t.Errorf("%+v", st)
	}
	srv.Switch(sealed(t, without(bad, "80/dup")...))
	p.ack(p.want("vhds -80/dup"))
	p.quiet()
	if st := srv.Status().Nodes[0]; !st.Synced {
		t.Errorf("not mended: %+v", st)
	}
}

func TestRefusedClusterHoldsRoutesBack(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{Grace: -1})
	p := connect(t, c)
	p.warm()
	srv.Switch(sealed(t, append(without(base(1), "80/a"), cds("c3", 1), eds("c3"), routed("80", "a", "c3"), vhs("80", "new", "new"))...))
	p.nack(p.want("cds +c3"), "no")
	p.ack(p.want("vhds +80/new")) // what does not depend on it is not held back
	p.quiet()
	if st := srv.Status().Nodes[0]; len(st.NACKs) != 1 || !slices.Equal(st.NACKs[0].Resources, []string{"c3"}) {
		t.Errorf("%+v", st)
	}
	srv.Switch(sealed(t, append(without(base(1), "80/a"), cds("c3", 2), eds("c3"), routed("80", "a", "c3"), vhs("80", "new", "new"))...))
	p.ack(p.want("cds +c3"))
	p.ack(p.want("vhds +80/a"))
	p.quiet()
}

func TestResubscribeSendsAgain(t *testing.T) {
	_, c := start(t, sealed(t, base(1)...), Options{})
	p := connect(t, c)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1", "none"}})
	p.ack(p.want("eds +c1 -none"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.EndpointsType, ResourceNamesSubscribe: []string{"c1"}})
	p.ack(p.want("eds +c1"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.VirtualHostType, ResourceNamesSubscribe: []string{"80"}})
	p.quietOrEmpty()
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80"}})
	p.ack(p.want("rds +80"))
	p.ack(p.want("vhds +80/a +80/b"))
	// A listener goes and comes back: Envoy drops the route configuration with its virtual hosts, and asks again.
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesUnsubscribe: []string{"80"}})
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.RouteConfigurationType, ResourceNamesSubscribe: []string{"80"}})
	p.ack(p.want("rds +80"))
	p.ack(p.want("vhds +80/a +80/b"))
}

func (p *proxy) quietOrEmpty() {
	p.t.Helper()
	select {
	case r := <-p.in:
		if len(r.Resources) > 0 {
			p.t.Errorf("unexpected %v", r)
		}
		p.ack(r)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestRefusedNodes(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{})
	old := node(map[string]any{"app": "a"})
	old.UserAgentVersionType = &corev3.Node_UserAgentBuildVersion{UserAgentBuildVersion: &corev3.BuildVersion{Version: &typev3.SemanticVersion{MajorNumber: 1, MinorNumber: 30}}}
	for name, x := range map[string]struct {
		n    *corev3.Node
		code codes.Code
		say  string
	}{
		"no class": {node(map[string]any{"app": "b"}), codes.NotFound, "nearest class"},
		"old":      {old, codes.FailedPrecondition, "1.36 or newer"},
		"no node":  {&corev3.Node{}, codes.InvalidArgument, "form sidecar~"},
	} {
		st, err := c.DeltaAggregatedResources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = st.Send(&discoveryv3.DeltaDiscoveryRequest{Node: x.n, TypeUrl: bundle.ClusterType})
		_, err = st.Recv()
		if status.Code(err) != x.code || !strings.Contains(err.Error(), x.say) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w := httptest.NewRecorder()
	srv.Admin().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, m := range []string{`meshc_refused_nodes_total{reason="class"} 1`, `meshc_refused_nodes_total{reason="version"} 1`} {
		if !strings.Contains(w.Body.String(), m) {
			t.Errorf("no %s", m)
		}
	}
	// A proxy for which a new bundle has nothing keeps what it has.
	p := connect(t, c)
	p.warm()
	b, err := bundle.Seal(bundle.Input{Classes: []bundle.Class{{ID: "z", Namespace: "other"}}})
	if err != nil {
		t.Fatal(err)
	}
	srv.Switch(b)
	p.quiet()
	if st := srv.Status().Nodes[0]; st.Kept == "" || st.Synced {
		t.Errorf("%+v", st)
	}
}

func TestStateOfTheWorld(t *testing.T) {
	srv, c := start(t, sealed(t, base(1)...), Options{Grace: 50 * time.Millisecond})
	st, err := c.StreamAggregatedResources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{bundle.EndpointsType: {"c1", "c2"}, bundle.RouteConfigurationType: {"80", "empty"}}
	ask := func(r *discoveryv3.DiscoveryRequest) {
		r.ResourceNames = names[r.TypeUrl]
		if err := st.Send(r); err != nil {
			t.Fatal(err)
		}
	}
	recv := func(url string, n int) *discoveryv3.DiscoveryResponse {
		t.Helper()
		r, err := st.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.TypeUrl != url || len(r.Resources) != n || r.VersionInfo == "" {
			t.Fatalf("got %s with %d resources, want %s with %d", r.TypeUrl, len(r.Resources), url, n)
		}
		ask(&discoveryv3.DiscoveryRequest{TypeUrl: url, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce})
		return r
	}
	for _, x := range []struct {
		url string
		n   int
	}{{bundle.ClusterType, 2}, {bundle.EndpointsType, 2}, {bundle.ListenerType, 1}} {
		ask(&discoveryv3.DiscoveryRequest{TypeUrl: x.url, Node: node(map[string]any{"app": "a"})})
		recv(x.url, x.n)
	}
	ask(&discoveryv3.DiscoveryRequest{TypeUrl: bundle.RouteConfigurationType})
	r := recv(bundle.RouteConfigurationType, 2)
	rc := &routev3.RouteConfiguration{}
	if err := r.Resources[0].UnmarshalTo(rc); err != nil || len(rc.VirtualHosts) != 2 || rc.VirtualHosts[0].Name != "a" || rc.Vhds != nil {
		t.Errorf("virtual hosts are not inlined: %v %v", rc, err)
	}
	srv.Switch(sealed(t, append(without(without(base(1), "c1"), "80/b"), cds("c3", 1), eds("c3"))...))
	recv(bundle.ClusterType, 3)            // the new one comes while the old one is still there
	recv(bundle.RouteConfigurationType, 1) // only the changed one
	recv(bundle.ClusterType, 2)            // then the old one goes
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b")
	if err := sealed(t, base(1)...).WriteDir(path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan [2]net.Addr, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{BundlePath: path, XDSAddress: "127.0.0.1:0", AdminAddress: "127.0.0.1:0", Watch: true, Poll: 50 * time.Millisecond, Drain: 50 * time.Millisecond,
			Ready: func(x, a net.Addr) { ready <- [2]net.Addr{x, a} }})
	}()
	addrs := <-ready
	conn, err := grpc.NewClient(addrs[0].String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := connect(t, discoveryv3.NewAggregatedDiscoveryServiceClient(conn))
	p.warm()
	ready2 := func(want string) {
		t.Helper()
		for range 100 {
			r, err := http.Get(fmt.Sprintf("http://%s/readyz", addrs[1]))
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1000)
			n, _ := r.Body.Read(b)
			_ = r.Body.Close()
			if r.StatusCode == 200 && strings.Contains(string(b[:n]), want) {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("readyz does not say %q", want)
	}
	// A bad bundle does not replace the good one.
	file := filepath.Join(path, "index.json")
	good, _ := os.ReadFile(file)
	if err := os.WriteFile(file, good[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	ready2("index.json")
	p.quiet()
	if err := sealed(t, append(without(base(1), "80/a"), vhs("80", "a", "new"))...).WriteDir(path); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a"))
	ready2("ok")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	ready2("no bundle")
	p.quiet()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestListenRefusesPlaintext(t *testing.T) {
	for _, a := range []string{"0.0.0.0:0", ":0", "[::]:0", "example.org:0", "127.0.0.1"} {
		if l, err := listen(Options{XDSAddress: a}); err == nil {
			_ = l.Close()
			t.Errorf("%s: plaintext is served", a)
		}
	}
	if l, err := listen(Options{XDSAddress: "0.0.0.0:0", InsecurePlaintextOnAnyAddress: true}); err != nil {
		t.Error(err)
	} else {
		_ = l.Close()
	}
}
