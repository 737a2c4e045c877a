package server

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
)

// weighed is a virtual host with a live route to the subsets v1 and v2.
func weighed(route string, v1, v2 uint32) *bundle.Resource {
	one := func(subset string, w uint32) *routev3.WeightedCluster_ClusterWeight {
		return &routev3.WeightedCluster_ClusterWeight{Name: names.Outbound(80, subset, "a.default.svc.cluster.local"), Weight: wrapperspb.UInt32(w)}
	}
	return resource(bundle.VirtualHostType, "80/a", &routev3.VirtualHost{Name: "a", Domains: []string{"a"}, Routes: []*routev3.Route{{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{
			Clusters: []*routev3.WeightedCluster_ClusterWeight{one("v1", v1), one("v2", v2)}, RuntimeKeyPrefix: names.LiveWeights("default", "a", route)}}}}}}})
}

// keys are those of the runtime layer in a response.
func keys(t *testing.T, r *discoveryv3.DeltaDiscoveryResponse) (out []string) {
	t.Helper()
	m := &runtimev3.Runtime{}
	if len(r.Resources) != 1 || r.Resources[0].Resource.UnmarshalTo(m) != nil || m.Name != names.RuntimeLayer {
		t.Fatalf("%v", r)
	}
	for k, v := range m.Layer.GetFields() {
		out = append(out, strings.TrimPrefix(k, names.LivePrefix)+"="+v.String())
	}
	slices.Sort(out)
	return out
}

// TestWeights: one resource to each proxy that has the route, and nothing to others; they stay over the next bundle and a restart
// until they are released.
func TestWeights(t *testing.T) {
	a := sealed(t, append(without(base(1), "80/a"), weighed("main", 90, 10))...)
	b := sealed(t, append(without(base(1), "80/a"), weighed("main", 80, 20))...)
	c := sealed(t, base(1)...)
	m := (&memory{}).keep(a, b, c)
	srv, client := begun(t, a, m)
	p := labeled(t, client, "p", nil)
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.RuntimeType, ResourceNamesSubscribe: []string{names.RuntimeLayer}})
	r := p.want("rtds +" + names.RuntimeLayer)
	if got := keys(t, r); got != nil {
		t.Errorf("at rest %v", got)
	}
	p.ack(r)
	st := await(t, srv, "synced", synced)
	if live := srv.Weights(); len(st.Live) != 0 || len(live) != 1 || live[0].Acked != 1 || live[0].Destinations[0].Rest != 90 || live[0].Origins[0] != "mesh.yaml:12" {
		t.Errorf("%+v", live)
	}
	set, err := srv.SetWeights(WeightsRequest{Route: "default/a/main", Weights: map[string]uint32{"v1": 50, "a/v2": 50}})
	if err != nil || set.Proxies != 1 || set.Acked != 0 || *set.Destinations[1].Live != 50 || set.Destinations[1].Rest != 10 {
		t.Fatalf("%+v, %v", set, err)
	}
	r = p.want("rtds +" + names.RuntimeLayer)
	want := []string{`default/a/main.outbound|80|v1|a.default.svc.cluster.local=number_value:50`, `default/a/main.outbound|80|v2|a.default.svc.cluster.local=number_value:50`}
	if got := keys(t, r); !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	p.ack(r)
	await(t, srv, "acknowledged", func(Status) bool { return srv.Weights()[0].Acked == 1 })
	if err := srv.Switch(b); err != nil {
		t.Fatal(err)
	}
	p.ack(p.want("vhds +80/a")) // and the weights stay
	p.quiet()
	again := New(b, Options{Store: m})
	if err := again.begin(b); err != nil {
		t.Fatal(err)
	}
	if live := again.Weights(); len(live) != 1 || live[0].Since == nil || *live[0].Destinations[0].Live != 50 {
		t.Errorf("after a restart: %+v", live)
	}
	if _, err := srv.SetWeights(WeightsRequest{Route: "default/a/main"}); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, p.want("rtds +"+names.RuntimeLayer)); got != nil {
		t.Errorf("released %v", got)
	}
	if _, err := srv.SetWeights(WeightsRequest{Route: "default/a/main", Weights: map[string]uint32{"v1": 1, "v2": 2}}); err != nil {
		t.Fatal(err)
	}
	if err := srv.Switch(c); err != nil {
		t.Fatal(err)
	}
	if live := srv.Weights(); len(live) != 1 || !live[0].Orphan {
		t.Errorf("without the route: %+v", live)
	}
}

// TestWeightsThatAreNone: what would leave a route without requests, or is about none, is refused.
func TestWeightsThatAreNone(t *testing.T) {
	srv := New(sealed(t, append(without(base(1), "80/a"), weighed("main", 90, 10))...), Options{})
	for want, req := range map[string]WeightsRequest{
		"no route":         {Route: "default/a/other", Weights: map[string]uint32{"v1": 1, "v2": 1}},
		"not all dest":     {Route: "default/a/main", Weights: map[string]uint32{"v1": 1}},
		"no destination":   {Route: "default/a/main", Weights: map[string]uint32{"v1": 1, "v2": 1, "v3": 1}},
		"0 together":       {Route: "default/a/main", Weights: map[string]uint32{"v1": 0, "v2": 0}},
		"too large":        {Route: "default/a/main", Weights: map[string]uint32{"v1": 1 << 30, "v2": 1}},
		"named twice":      {Route: "default/a/main", Weights: map[string]uint32{"v1": 1, "a/v1": 2, "v2": 1}},
		"destination a:":   {Route: "default/a/main", Weights: map[string]uint32{"a": 1}},
		"no weights are s": {Route: "default/a/main"},
	} {
		if _, err := srv.SetWeights(req); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %s", req, err, want)
		}
	}
	if st := srv.Weights(); st[0].Since != nil {
		t.Errorf("%+v", st)
	}
}
