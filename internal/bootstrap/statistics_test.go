package bootstrap_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3" // in the listener of authorizing
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/lab"
	"github.com/meshc/meshc/internal/statistics"
)

// TestNamesStayWholeInStatistics: the labels that a running Envoy shows to Prometheus have the names of clusters as they are.
func TestNamesStayWholeInStatistics(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports, err := lab.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{
		"outbound|80||web.shop.svc.cluster.local", "outbound|80|v1|web.default.svc.cluster.local", "outbound|443||db.internal.example.com", "outbound|443||*.ssl.grpc.example.com",
		"outbound|80||api.version", "inbound|8080||", "PassthroughCluster", "outbound_.80_._.web.shop.svc.cluster.local",
	}
	o := options()
	admin := "127.0.0.1:" + ports[0]
	o.AdminAddress, o.NoServing, o.Statistics.All = admin, true, true
	b, err := bootstrap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.DeferredStatOptions = nil // of clusters that nobody calls
	for _, n := range names {
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, &clusterv3.Cluster{Name: n, ConnectTimeout: durationpb.New(time.Second),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}})
	}
	page := statisticsOf(t, envoy, b, admin)
	for _, n := range append(names, "xds-grpc") {
		for _, metric := range []string{"envoy_cluster_upstream_cx_total", "envoy_cluster_circuit_breakers_default_cx_open", "envoy_cluster_membership_total", "envoy_cluster_version"} {
			if want := fmt.Sprintf("%s{cluster_name=%q}", metric, n); !strings.Contains(page, want) {
				t.Errorf("there is no %s", want)
			}
		}
	}
	for s := bufio.NewScanner(strings.NewReader(page)); s.Scan(); {
		name, labels, _ := strings.Cut(s.Text(), "{")
		if strings.HasPrefix(name, "envoy_cluster_") && (strings.Contains(name, "svc") || strings.Contains(name, "example")) {
			t.Errorf("a part of a name is in the name of the statistic: %s{%s", name, labels)
		}
	}
}

// statisticsOf runs an Envoy and returns what it shows to Prometheus.
func statisticsOf(t *testing.T, envoy string, b *bootstrapv3.Bootstrap, admin string) string {
	t.Helper()
	text, err := bootstrap.JSON(b)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "envoy.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, envoy, "--config-path", file, "--log-level", "error", "--disable-hot-restart", "--concurrency", "1")
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stop(); _ = cmd.Wait() }()
	for range 600 {
		if r, err := http.Get("http://" + admin + "/stats/prometheus"); err == nil {
			page, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err == nil && strings.Contains(string(page), "envoy_cluster_version{") {
				return string(page)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("Envoy shows no statistics of clusters")
	return ""
}

// TestKeptStatistics: Envoy takes every setting of statistics, keeps what Istio's proxies keep, what is asked for besides and the
// answers of its listeners, and names labels as they do; of a cluster that nobody asks about it keeps nothing.
func TestKeptStatistics(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ports, err := lab.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.AdminAddress, o.NoServing = "127.0.0.1:"+ports[0], true
	o.Statistics = statistics.Settings{Prefixes: []string{"cluster.kept"}, Suffixes: []string{"x.membership_total"}, Regexps: []string{`cluster\.x\..*`, `http\.{pod_ip}_.*`},
		Buckets: []statistics.Buckets{{Prefix: "cluster", Bounds: []float64{1, 5}}}, Flush: time.Second, Eviction: 2 * time.Second}
	b, err := bootstrap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.StatsConfig.StatsMatcher.GetInclusionList().String(); !strings.Contains(got, `http\\.10\\.0\\.0\\.7_.*`) {
		t.Errorf("the address does not stand for {pod_ip} in %s", got)
	}
	b.DeferredStatOptions = nil
	for _, n := range []string{"kept", "other", "x.shop.svc"} {
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, &clusterv3.Cluster{Name: n, ConnectTimeout: durationpb.New(time.Second),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}})
	}
	b.StaticResources.Listeners = append(b.StaticResources.Listeners, authorizing(t, ports[1]))
	page := statisticsOf(t, envoy, b, o.AdminAddress)
	for _, want := range []string{`envoy_http_rbac{authz_enforce_result="denied",http_conn_manager_prefix="inbound_0.0.0.0_8080;"}`,
		`envoy_http_rbac{authz_dry_run_action="deny",authz_dry_run_result="allowed",http_conn_manager_prefix="inbound_0.0.0.0_8080;"}`, `envoy_cluster_version{cluster_name="kept"}`, `envoy_cluster_version{cluster_name="x.shop.svc"}`, `envoy_cluster_version{cluster_name="xds-grpc"}`, "envoy_server_live{}", `envoy_http_downstream_rq{response_code_class="2xx",http_conn_manager_prefix="admin"}`} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(page, `cluster_name="other"`) || strings.Contains(page, "envoy_http_downstream_cx_total") {
		t.Error("statistics are there that nobody asked for")
	}
}

// authorizing is a listener that authorizes requests, by rules that are enforced and by rules that are tried.
func authorizing(t *testing.T, port string) *listenerv3.Listener {
	t.Helper()
	config := `{name: authorizing, address: {socket_address: {address: 127.0.0.1, port_value: ` + port + `}}, filter_chains: [{filters: [{name: hcm, typed_config: {
  "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: "inbound_0.0.0.0_8080;", route_config: {},
  http_filters: [{name: rbac, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: {}, shadow_rules: {}, shadow_rules_stat_prefix: istio_dry_run_deny_}},
    {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}`
	text, err := yaml.YAMLToJSON([]byte(config))
	if err != nil {
		t.Fatal(err)
	}
	l := &listenerv3.Listener{}
	if err := protojson.Unmarshal(text, l); err != nil {
		t.Fatal(err)
	}
	return l
}
