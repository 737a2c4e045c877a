package server

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/tokentest"
)

// istioctl asks one question as istioctl does: state of the world, by a node that is no proxy, with a nonce that is the time,
// and acknowledges the answer.
func istioctl(ctx context.Context, c discoveryv3.AggregatedDiscoveryServiceClient, url string, names ...string) (*discoveryv3.DiscoveryResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := c.StreamAggregatedResources(ctx)
	if err != nil {
		return nil, err
	}
	n := &corev3.Node{Id: "sidecar~172.17.0.1~test-1.default~default.svc.cluster.local", Metadata: &structpb.Struct{Fields: map[string]*structpb.Value{
		"GENERATOR": structpb.NewStringValue("event"), "SERVICE_ACCOUNT": structpb.NewStringValue("istio-reader-service-account"),
		"NAMESPACE": structpb.NewStringValue("istio-system"), "ISTIO_VERSION": structpb.NewStringValue("65536.65536.65536")}}}
	if err := st.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: url, ResourceNames: names, ResponseNonce: time.Now().String()}); err != nil {
		return nil, err
	}
	r, err := st.Recv()
	if err != nil {
		return nil, err
	}
	return r, st.Send(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: url, ResponseNonce: r.GetNonce(), VersionInfo: r.GetVersionInfo()})
}

// statusRows reads a status: POD type=STATE ….
func statusRows(t *testing.T, r *discoveryv3.DiscoveryResponse) (out []string) {
	t.Helper()
	for _, a := range r.GetResources() {
		var c statusv3.ClientConfig
		if err := a.UnmarshalTo(&c); err != nil {
			t.Fatal(err)
		}
		row := strings.Split(c.GetNode().GetId(), "~")[2]
		if ns := c.GetNode().GetMetadata().GetFields()["NAMESPACE"].GetStringValue(); !strings.HasSuffix(row, "."+ns) {
			t.Errorf("%s is said to be of namespace %q", row, ns)
		}
		for _, x := range c.GetGenericXdsConfigs() {
			row += " " + x.GetTypeUrl()[strings.LastIndex(x.GetTypeUrl(), ".")+1:] + "=" + x.GetConfigStatus().String() + x.GetErrorState().GetDetails()
		}
		out = append(out, row)
	}
	return out
}

// istioctl is told how far proxies are, and what one is to have: of all by an account of the system's namespace, of those of
// its own by any other, and of none by who proves nothing.
func TestIstioctlProxyStatus(t *testing.T) {
	ca, s := newAuthority(t), tokentest.New(t)
	srv, addr, _ := startTokens(t, ca, s, true, Options{})
	by := func(ns, sa, pod string) context.Context {
		return authorization(t.Context(), "Bearer "+s.Sign(tokentest.Claims(ns, sa, pod, time.Hour)))
	}
	c := dial(t, ca, addr, nil, nil)
	p := connectWith(by("default", "sa", "p"), t, c)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ClusterType})
	p.ack(p.want("cds +c1 +c2"))
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType})
	lds := p.want("lds +l")

	system := by("istio-system", "istio-reader-service-account", "")
	ask := func(ctx context.Context, want ...string) {
		t.Helper()
		var got []string
		for range 100 {
			r, err := istioctl(ctx, c, syncStatusType)
			if err != nil {
				t.Fatal(err)
			}
			var instance struct {
				Component, ID string
				Info          struct{ Version string }
			}
			if err := json.Unmarshal([]byte(r.GetControlPlane().GetIdentifier()), &instance); err != nil || instance.Component != "meshc" || instance.ID == "" || instance.Info.Version != "test" {
				t.Fatalf("the server calls itself %q, %v", r.GetControlPlane().GetIdentifier(), err)
			}
			if got = statusRows(t, r); slices.Equal(got, want) {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%q, want %q", got, want)
	}
	ask(system, "p.default Cluster=SYNCED Listener=STALE")
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: bundle.ListenerType, ResponseNonce: lds.GetNonce(), ErrorDetail: &rpcstatus.Status{Message: "l: no such port"}})
	ask(system, "p.default Cluster=SYNCED Listener=ERRORl: no such port")
	ask(by("default", "another", ""), "p.default Cluster=SYNCED Listener=ERRORl: no such port")
	ask(by("bank", "sa", ""))
	crt, key := ca.issue("spiffe://td/ns/bank/sa/sa", time.Hour)
	if r, err := istioctl(t.Context(), dial(t, ca, addr, crt, key), syncStatusType); err != nil || len(r.GetResources()) != 0 {
		t.Errorf("by a certificate of another namespace: %v, %v", r, err)
	}
	for name, ctx := range map[string]context.Context{"nobody": t.Context(), "a stranger": authorization(t.Context(), "Bearer "+tokentest.New(t).Sign(tokentest.Claims("istio-system", "x", "", time.Hour)))} {
		if _, err := istioctl(ctx, c, syncStatusType); status.Code(err) != codes.Unauthenticated {
			t.Errorf("%s is told: %v", name, err)
		}
	}

	dump := func(ctx context.Context, names ...string) (out string) {
		t.Helper()
		r, err := istioctl(ctx, c, configDumpType, names...)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.GetResources()) == 0 {
			return "nothing"
		}
		var clusters adminv3.ClustersConfigDump
		var listeners adminv3.ListenersConfigDump
		var routes adminv3.RoutesConfigDump
		if len(r.GetResources()) != 3 || r.GetResources()[0].UnmarshalTo(&clusters) != nil || r.GetResources()[1].UnmarshalTo(&listeners) != nil || r.GetResources()[2].UnmarshalTo(&routes) != nil {
			t.Fatal(r)
		}
		for _, l := range listeners.GetDynamicListeners() {
			out += l.GetName() + " "
		}
		for _, x := range clusters.GetDynamicActiveClusters() {
			out += strings.TrimPrefix(x.GetCluster().GetTypeUrl(), "type.googleapis.com/envoy.config.cluster.v3.") + " "
		}
		for _, x := range routes.GetDynamicRouteConfigs() {
			var config routev3.RouteConfiguration
			if err := x.GetRouteConfig().UnmarshalTo(&config); err != nil {
				t.Fatal(err)
			}
			out += "route " + config.GetName() + " "
			for _, h := range config.GetVirtualHosts() {
				out += h.GetName() + " "
			}
		}
		return out
	}
	if got := dump(system, "p.default"); got != "l Cluster Cluster route 80 80/a 80/b route empty " {
		t.Error(got)
	}
	for _, c := range []struct {
		by    context.Context
		names []string
	}{{by("bank", "sa", ""), []string{"p.default"}}, {system, []string{"q.default"}}, {system, nil}, {system, []string{"p.default", "p.default"}}} {
		if got := dump(c.by, c.names...); got != "nothing" {
			t.Errorf("%v: %s", c.names, got)
		}
	}
	if n := len(srv.Status().Nodes); n != 1 {
		t.Errorf("istioctl counts as a proxy: %d", n)
	}
}
