package server

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// TestWeightsAPI: weights are set with the token, by a name of the server and in its form, or not at all, whatever else is shown.
func TestWeightsAPI(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	const good = "a-token-of-some-length"
	if err := os.WriteFile(token, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := New(sealed(t, append(without(base(1), "80/a"), weighed("main", 90, 10))...), Options{AdminToken: token})
	srv.opts.AdminAddress = "127.0.0.1:0"
	web, _, err := srv.openAdmin()
	if err != nil {
		t.Fatal(err)
	}
	defer web.Close()
	const body = `{"route": "default/a/main", "weights": {"v1": 50, "v2": 50}}`
	put := func(method, host, shown, body string) int {
		t.Helper()
		r := httptest.NewRequest(method, "/weights", strings.NewReader(body))
		if r.Host = host; shown != "" {
			r.Header.Set("Authorization", shown)
		}
		w := httptest.NewRecorder()
		web.Handler.ServeHTTP(w, r)
		if strings.Contains(w.Body.String(), good) {
			t.Errorf("the answer shows the token: %s", w.Body)
		}
		return w.Code
	}
	const here, bearer = "127.0.0.1:18001", "Bearer " + good
	for _, c := range []struct {
		method, host, shown, body string
		want                      int
	}{
		{"PUT", here, "", body, http.StatusUnauthorized},
		{"PUT", here, "Bearer " + good[1:], body, http.StatusUnauthorized},
		{"PUT", "evil.example", bearer, body, http.StatusMisdirectedRequest},
		{"GET", "evil.example", "", "", http.StatusMisdirectedRequest},
		{"POST", here, bearer, body, http.StatusMethodNotAllowed},
		{"DELETE", here, bearer, body, http.StatusMethodNotAllowed},
		{"PUT", here, bearer, "", http.StatusNotFound},
		{"PUT", here, bearer, "[", http.StatusBadRequest},
		{"PUT", here, bearer, `{"route": "default/a/main", "weights": {"v1": -1, "v2": 50}}`, http.StatusBadRequest},
		{"PUT", here, bearer, `{"route": "default/a/main", "weight": {}}`, http.StatusBadRequest},
		{"PUT", here, bearer, strings.Repeat(" ", 1<<17) + body, http.StatusBadRequest},
	} {
		if code := put(c.method, c.host, c.shown, c.body); code != c.want {
			t.Errorf("%s by %s with %q, %.60q: %d, want %d", c.method, c.host, c.shown, c.body, code, c.want)
		}
	}
	if st := srv.Weights(); st[0].Since != nil {
		t.Errorf("something was set: %+v", st)
	}
	if code := put("PUT", here, bearer, body); code != http.StatusOK || srv.Weights()[0].Since == nil {
		t.Errorf("with the token: %d", code)
	}
}
