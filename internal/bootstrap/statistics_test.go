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
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/lab"
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
	o.AdminAddress, o.NoServing = admin, true
	b, err := bootstrap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b.StaticResources.Clusters = append(b.StaticResources.Clusters, &clusterv3.Cluster{Name: n, ConnectTimeout: durationpb.New(time.Second),
			ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}})
	}
	page := statisticsOf(t, envoy, b, admin)
	for _, n := range append(names, "xds-grpc") {
		for _, metric := range []string{"envoy_cluster_upstream_cx_total", "envoy_cluster_circuit_breakers_default_cx_open", "envoy_cluster_membership_total", "envoy_cluster_version"} {
			if want := fmt.Sprintf("%s{envoy_cluster_name=%q}", metric, n); !strings.Contains(page, want) {
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
