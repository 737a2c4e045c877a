package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/rollout/trafficrouting/plugin/rpc"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
	"github.com/hashicorp/go-plugin"
)

// TestMain is the plugin itself where a test starts it as the controller does.
func TestMain(m *testing.M) {
	if os.Getenv(handshake().MagicCookieKey) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const token = "a-token-of-some-length"

// meshc plays a server with one live route, which 3 proxies have.
type meshc struct {
	mu    sync.Mutex
	rest  map[string]uint32
	live  map[string]uint32
	acked int
	puts  int
}

func (m *meshc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case r.URL.Path != "/weights":
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		at := route{Route: "shop/reviews/main", Proxies: 3, Acked: m.acked}
		for _, name := range []string{"reviews.shop.svc.cluster.local/v1", "reviews.shop.svc.cluster.local/v2", "old.shop.svc.cluster.local"} {
			d := destination{Name: name, Rest: m.rest[name]}
			if v, ok := m.live[name]; ok {
				d.Live = &v
			}
			at.Destinations = append(at.Destinations, d)
		}
		_ = json.NewEncoder(w).Encode([]route{{Route: "shop/gone/main", Orphan: true}, at})
	case r.Header.Get("Authorization") != "Bearer "+token:
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprintln(w, "the token is not that of the server")
	default:
		var body struct{ Weights map[string]uint32 }
		_ = json.NewDecoder(r.Body).Decode(&body)
		m.live, m.acked = body.Weights, 0
		m.puts++
	}
}

// started is the plugin as the controller has it, in a process of its own.
func started(t *testing.T) rpc.TrafficRouterPlugin {
	t.Helper()
	c := plugin.NewClient(&plugin.ClientConfig{HandshakeConfig: handshake(), Cmd: exec.Command(os.Args[0]), Plugins: map[string]plugin.Plugin{"RpcTrafficRouterPlugin": &rpc.RpcTrafficRouterPlugin{}}})
	t.Cleanup(c.Kill)
	p, err := c.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.Dispense("RpcTrafficRouterPlugin")
	if err != nil {
		t.Fatal(err)
	}
	out := raw.(rpc.TrafficRouterPlugin)
	if err := out.InitPlugin(); err.HasError() {
		t.Fatal(err)
	}
	return out
}

// rollout is a Rollout whose plugin has these settings.
func rollout(text string) *v1alpha1.Rollout {
	r := &v1alpha1.Rollout{}
	r.Spec.Strategy.Canary = &v1alpha1.CanaryStrategy{StableService: "v1", CanaryService: "v2",
		TrafficRouting: &v1alpha1.RolloutTrafficRouting{Plugins: map[string]json.RawMessage{pluginName: json.RawMessage(text)}}}
	return r
}

func site(t *testing.T) (*meshc, *v1alpha1.Rollout) {
	t.Helper()
	m := &meshc{rest: map[string]uint32{"reviews.shop.svc.cluster.local/v1": 100}}
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return m, rollout(fmt.Sprintf(`{"route":"shop/reviews/main","servers":[%q],"tokenFile":%q}`, s.URL, file))
}

func (m *meshc) holds(t *testing.T, v1, v2 int, live bool) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	a, set := m.live["reviews.shop.svc.cluster.local/v1"]
	if b := m.live["reviews.shop.svc.cluster.local/v2"]; set != live || live && (int(a) != v1 || int(b) != v2) {
		t.Errorf("the server has %v, want %d and %d", m.live, v1, v2)
	}
}

func (m *meshc) acknowledge(n int) { m.mu.Lock(); m.acked = n; m.mu.Unlock() }

// TestCanary: each step is set once, holds when all proxies have it, and what is over is left to Git.
func TestCanary(t *testing.T) {
	m, r := site(t)
	p := started(t)
	if p.Type() != "meshc" {
		t.Error(p.Type())
	}
	for _, step := range []int32{10, 50, 100} {
		for range 3 { // the controller asks again and again
			if err := p.SetWeight(r, step, nil); err.HasError() {
				t.Fatal(err)
			}
		}
		m.holds(t, 100-int(step), int(step), true)
		for acked, want := range []types.RpcVerified{types.NotVerified, types.NotVerified, types.NotVerified, types.Verified} {
			m.acknowledge(acked)
			if got, err := p.VerifyWeight(r, step, nil); got != want || err.HasError() {
				t.Errorf("%d%%, %d of 3 acknowledged: %v, %v", step, acked, got, err)
			}
		}
		if got, _ := p.VerifyWeight(r, step-1, nil); got != types.NotVerified {
			t.Errorf("another weight holds")
		}
	}
	if m.puts != 3 {
		t.Errorf("%d weights were set", m.puts)
	}
	if err := p.SetWeight(r, 0, nil); err.HasError() {
		t.Fatal(err)
	}
	m.holds(t, 0, 0, false)
	m.acknowledge(3)
	if got, err := p.VerifyWeight(r, 0, nil); got != types.Verified || err.HasError() {
		t.Errorf("at rest: %v, %v", got, err)
	}
	for _, err := range []types.RpcError{p.UpdateHash(r, "a", "b", nil), p.RemoveManagedRoutes(r), p.SetHeaderRoute(r, &v1alpha1.SetHeaderRoute{Name: "h"})} {
		if err.HasError() {
			t.Error(err)
		}
	}
	if err := p.SetWeight(r, 20, []v1alpha1.WeightDestination{{ServiceName: "old", Weight: 30}}); err.HasError() {
		t.Fatal(err)
	}
	m.holds(t, 50, 20, true)
	if m.live["old.shop.svc.cluster.local"] != 30 {
		t.Errorf("another destination has %v", m.live)
	}
}

// TestAllServers: each address of a name is a server, and what one refuses is told though the others are asked.
func TestAllServers(t *testing.T) {
	m, r := site(t)
	s, err := read(r)
	if err != nil {
		t.Fatal(err)
	}
	at := &router{lookup: func(string) ([]string, error) { return []string{"127.0.0.1", "127.0.0.1"}, nil }}
	if err := at.SetWeight(r, 10, nil); err.HasError() {
		t.Fatal(err)
	}
	m.holds(t, 90, 10, true)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s.Servers = append([]string{"http://" + l.Addr().String()}, s.Servers...)
	text, _ := json.Marshal(s)
	r = rollout(string(text))
	if err := at.SetWeight(r, 20, nil); !err.HasError() {
		t.Error("a server that is away is not told")
	}
	m.holds(t, 80, 20, true)
	if got, err := at.VerifyWeight(r, 20, nil); got != types.NotVerified || !err.HasError() {
		t.Errorf("a server that is away: %v, %v", got, err)
	}
}

// TestRefused: what cannot be done is said, and nothing is set.
func TestRefused(t *testing.T) {
	m, good := site(t)
	text := string(good.Spec.Strategy.Canary.TrafficRouting.Plugins[pluginName])
	at := &router{}
	for want, change := range map[string][2]string{
		"write NAMESPACE/NAME/ROUTE":    {"shop/reviews/main", "reviews"},
		"has no live route":             {"shop/reviews/main", "shop/reviews/other"},
		"has no live route shop/gone":   {"shop/reviews/main", "shop/gone/main"},
		"is not http://HOST:PORT":       {"http://", "ftp://"},
		"tokenFile is missing":          {`"tokenFile":`, `"canary":`},
		"unknown field":                 {`"route":`, `"rotue":`},
		"has no destination v9":         {`{"route"`, `{"canary":"v9","route"`},
		"stable and canary are both v2": {`{"route"`, `{"stable":"v2","route"`},
	} {
		r := rollout(strings.Replace(text, change[0], change[1], 1))
		if err := at.SetWeight(r, 10, nil); !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %s", change, err, want)
		}
		if got, err := at.VerifyWeight(r, 10, nil); got != types.NotVerified || !err.HasError() {
			t.Errorf("%v: verified %v, %v", change, got, err)
		}
	}
	if err := at.SetWeight(good, 80, []v1alpha1.WeightDestination{{ServiceName: "old", Weight: 30}}); !strings.Contains(err.Error(), "beyond 100") {
		t.Error(err)
	}
	if err := at.SetHeaderRoute(good, &v1alpha1.SetHeaderRoute{Match: []v1alpha1.HeaderRoutingMatch{{HeaderName: "x"}}}); !err.HasError() {
		t.Error("a route by header is taken")
	}
	if err := at.SetMirrorRoute(good, &v1alpha1.SetMirrorRoute{Match: []v1alpha1.RouteMatch{{}}}); !err.HasError() {
		t.Error("a mirror is taken")
	}
	s, _ := read(good)
	if err := os.WriteFile(s.TokenFile, []byte("another"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := at.SetWeight(good, 10, nil); !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong token: %v", err)
	}
	if m.puts != 0 {
		t.Errorf("%d weights were set", m.puts)
	}
}
