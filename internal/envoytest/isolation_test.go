package envoytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
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
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/lab"
	"github.com/meshc/meshc/server"
)

// town is what one proxy gets: a listener, a route configuration, virtual hosts that answer by themselves, and clusters.
type town struct {
	port     int
	hosts    map[string]string // name → what it answers
	clusters map[string]int    // name → connect timeout in seconds; those called e… find their endpoints by EDS
	badHosts []string          // refused for what is in them, and by Envoy's constraints
	badCDS   []string
}

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{ResourceApiVersion: corev3.ApiVersion_V3, ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

func (w *town) bundle(t *testing.T) *bundle.Bundle {
	t.Helper()
	var rs []*bundle.Resource
	add := func(url, name string, m proto.Message) {
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		rs = append(rs, &bundle.Resource{Type: url, Name: name, Bytes: b, Origins: []bundle.Origin{{File: name + ".yaml", Line: 1}}})
	}
	for name, timeout := range w.clusters {
		c := &clusterv3.Cluster{Name: name, ConnectTimeout: durationpb.New(time.Duration(timeout) * time.Second)}
		if strings.HasPrefix(name, "e") {
			c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS}
			c.EdsClusterConfig = &clusterv3.Cluster_EdsClusterConfig{EdsConfig: ads()}
			add(bundle.EndpointsType, name, &endpointv3.ClusterLoadAssignment{ClusterName: name})
		}
		if slices.Contains(w.badCDS, name) {
			c.ConnectTimeout = durationpb.New(0) // a constraint: Envoy takes nothing of the response
		}
		add(bundle.ClusterType, name, c)
	}
	for name, says := range w.hosts {
		v := &routev3.VirtualHost{Name: name, Domains: []string{name}, Routes: []*routev3.Route{{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 200,
				Body: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: says}}}}}}}
		switch slices.Index(w.badHosts, name) % 2 {
		case 0:
			v.Routes[0].Match.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: "("}}
		case 1:
			v.Routes[0].GetDirectResponse().Status = 9999
		}
		add(bundle.VirtualHostType, "80/"+name, v)
	}
	add(bundle.RouteConfigurationType, "80", &routev3.RouteConfiguration{Name: "80", Vhds: &routev3.Vhds{ConfigSource: ads()}})
	hcm := &hcmv3.HttpConnectionManager{StatPrefix: "x", RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "80", ConfigSource: ads()}},
		HttpFilters: []*hcmv3.HttpFilter{{Name: "router", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: anyOf(t, &routerv3.Router{})}}}}
	add(bundle.ListenerType, "l", &listenerv3.Listener{Name: "l", Address: &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(w.port)}}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "http", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: anyOf(t, hcm)}}}}}})
	b, err := bundle.Seal(bundle.Input{Compiler: "test", EnvoyMin: "1.36", Selectors: []bundle.Selector{{ID: "s", Labels: map[string]string{"app": "a"}}},
		Classes: []bundle.Class{{ID: "a", Namespace: "default", Selectors: []string{"s"}, Sets: []*bundle.Set{{Resources: rs}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answers is what the host says; its status where that is not 200.
func (w *town) answer(host string) string {
	req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", w.port), nil)
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "no connection"
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprint(resp.StatusCode)
	}
	return string(body)
}

// timeouts are those in effect, by cluster.
func timeouts(admin string) map[string]string {
	out := map[string]string{}
	resp, err := http.Get("http://" + admin + "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.connect_timeout")
	if err != nil {
		return out
	}
	defer func() { _ = resp.Body.Close() }()
	var dump struct {
		Configs []struct {
			Cluster struct {
				Name    string
				Timeout string `json:"connect_timeout"`
			}
		}
	}
	_ = json.NewDecoder(resp.Body).Decode(&dump)
	for _, c := range dump.Configs {
		out[c.Cluster.Name] = c.Cluster.Timeout
	}
	return out
}

func soon(t *testing.T, within time.Duration, what string, is func() string, want string) {
	t.Helper()
	got := is()
	for end := time.Now().Add(within); got != want && time.Now().Before(end); got = is() {
		time.Sleep(20 * time.Millisecond)
	}
	if got == want {
		return
	}
	t.Errorf("%s: got %s, want %s", what, got, want)
}

// What a real Envoy refuses costs itself alone, in one that starts with it and in one that runs.
func TestRefusedByEnvoy(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	for _, sotw := range []bool{false, true} {
		for _, fresh := range []bool{true, false} {
			t.Run(fmt.Sprintf("state of the world %v, fresh %v", sotw, fresh), func(t *testing.T) { testRefused(t, envoy, sotw, fresh) })
		}
	}
}

func testRefused(t *testing.T, envoy string, sotw, fresh bool) {
	ports, err := lab.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	before := &town{hosts: map[string]string{}, clusters: map[string]int{}}
	fmt.Sscan(ports[0], &before.port)
	after := &town{port: before.port, hosts: map[string]string{}, clusters: map[string]int{}, badHosts: []string{"s3", "s5"}, badCDS: []string{"c2"}}
	for i := range 7 {
		before.hosts[fmt.Sprint("s", i)], after.hosts[fmt.Sprint("s", i)] = "old", "new"
		before.clusters[fmt.Sprint("c", i)], after.clusters[fmt.Sprint("c", i)] = 5, 6
	}
	before.clusters["e1"], after.clusters["e1"] = 5, 6
	mended := &town{port: before.port, hosts: after.hosts, clusters: after.clusters}
	first := before
	if fresh {
		first = after
	}
	srv, admin := serveAndStart(t, envoy, first.bundle(t), ports[1], sotw)
	if !fresh {
		soon(t, 20*time.Second, "s3 at the start", func() string { return before.answer("s3") }, "old")
		soon(t, 20*time.Second, "c2 at the start", func() string { return timeouts(admin)["c2"] }, "5s")
		srv.Switch(after.bundle(t))
	}
	// Envoy by itself would let the changed EDS cluster wait for 15 seconds, and all that waits for it.
	deadline := time.Now().Add(8 * time.Second)
	if fresh {
		deadline = deadline.Add(12 * time.Second)
	}
	bad := map[bool]string{true: "404", false: "old"}[fresh]
	for i := range 7 {
		host, want := fmt.Sprint("s", i), "new"
		if slices.Contains(after.badHosts, host) || sotw { // inlined, all hosts of a route configuration are one resource
			want = bad
		}
		soon(t, time.Until(deadline), host, func() string { return after.answer(host) }, want)
	}
	for name := range after.clusters {
		want := "6s"
		if name == "c2" {
			want = map[bool]string{true: "", false: "5s"}[fresh]
		}
		soon(t, time.Until(deadline), name, func() string { return timeouts(admin)[name] }, want)
	}
	named := map[bool]string{true: "80 c2", false: "80/s3 80/s5 c2"}[sotw]
	soon(t, 5*time.Second, "/status", func() string {
		var named []string
		for _, n := range srv.Status().Nodes[0].NACKs {
			named = append(named, n.Resources...)
		}
		slices.Sort(named)
		return strings.Join(named, " ")
	}, named)
	srv.Switch(mended.bundle(t))
	for i := range 7 {
		host := fmt.Sprint("s", i)
		soon(t, 20*time.Second, host+", mended", func() string { return after.answer(host) }, "new")
	}
	soon(t, 20*time.Second, "c2, mended", func() string { return timeouts(admin)["c2"] }, "6s")
	soon(t, 5*time.Second, "synced", func() string { return fmt.Sprint(srv.Status().Nodes[0].Synced) }, "true")
}

// serveAndStart serves a bundle to an Envoy that it starts, and returns the address of its admin interface.
func serveAndStart(t *testing.T, envoy string, b *bundle.Bundle, port string, sotw bool) (*server.Server, string) {
	t.Helper()
	srv := server.New(b, server.Options{Grace: 100 * time.Millisecond})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := srv.GRPC()
	go func() { _ = g.Serve(lis) }()
	t.Cleanup(g.Stop)
	admin := "127.0.0.1:" + port
	boot, err := bootstrap.New(bootstrap.Options{Name: "p", Namespace: "default", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Labels: map[string]string{"app": "a"},
		XDSAddress: lis.Addr().String(), AdminAddress: admin, NoServing: true, StateOfTheWorld: sotw})
	if err != nil {
		t.Fatal(err)
	}
	text, err := bootstrap.JSON(boot)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "bootstrap.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, envoy, "--config-path", file, "--log-level", "error", "--log-path", filepath.Join(dir, "log"), "--disable-hot-restart", "--concurrency", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	return srv, admin
}
