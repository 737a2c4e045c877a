package cluster

import (
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/lowertest"
)

func httpOptionsOf(t *testing.T, c *clusterv3.Cluster) *httpv3.HttpProtocolOptions {
	t.Helper()
	out := &httpv3.HttpProtocolOptions{}
	if a := c.TypedExtensionProtocolOptions[httpProtocolOptions]; a != nil {
		if err := a.UnmarshalTo(out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// emptyPool is a Sidecar that leaves the connections to the application as they are.
func emptyPool() *mesh.Sidecar {
	return &mesh.Sidecar{Object: lowertest.Object("Sidecar", "s"), Spec: &networking.Sidecar{InboundConnectionPool: &networking.ConnectionPoolSettings{}}}
}

// TestPassthroughOfARule: PASSTHROUGH of a rule holds for its subsets, whatever they say, and sends to the port that was
// called.
func TestPassthroughOfARule(t *testing.T) {
	svc := testService()
	svc.Kubernetes, svc.Resolution = false, mesh.Static
	svc.Ports[0].TargetPort = 8080
	in := testInputs(svc, testRule(t, `{"host":"reviews.default.svc.cluster.local","trafficPolicy":{"loadBalancer":{"simple":"PASSTHROUGH"}},
		"subsets":[{"name":"v1","trafficPolicy":{"loadBalancer":{"simple":"ROUND_ROBIN"}}}]}`), nil)
	rs, _ := Outbound(in)
	for _, name := range []string{"outbound|80||" + svc.Hostname, "outbound|80|v1|" + svc.Hostname} {
		if c, _ := clusterNamed(t, rs, name); c.GetType() != clusterv3.Cluster_ORIGINAL_DST || c.GetOriginalDstLbConfig() != nil {
			t.Errorf("%s: %v %v", name, c.GetType(), c.LbConfig)
		}
	}
}

// TestRingOfARingHash: the size inside ringHash is the one that counts, also where it is unset.
func TestRingOfARingHash(t *testing.T) {
	for hash, want := range map[string]uint64{
		`"minimumRingSize":"7"`: 7, `"ringHash":{"minimumRingSize":"9"},"minimumRingSize":"7"`: 9, `"ringHash":{},"minimumRingSize":"7"`: 1024, `"ringHash":{}`: 1024,
	} {
		h := &networking.LoadBalancerSettings_ConsistentHashLB{}
		if err := protojson.Unmarshal([]byte(`{"httpHeaderName":"x",`+hash+`}`), h); err != nil {
			t.Fatal(err)
		}
		c := &clusterv3.Cluster{}
		if consistentHash(c, h); c.GetRingHashLbConfig().GetMinimumRingSize().GetValue() != want {
			t.Errorf("%s: %v", hash, c.LbConfig)
		}
	}
}

// TestHeaderCaseUpstream: both sides of a proxy keep the case of HTTP/1 headers, and only where HTTP/1 is spoken.
func TestHeaderCaseUpstream(t *testing.T) {
	svc := testService()
	svc.Ports = append(svc.Ports, &mesh.Port{Number: 81, Name: "sniffed"})
	proxy := &meshconfig.ProxyConfig{ProxyHeaders: &meshconfig.ProxyConfig_ProxyHeaders{PreserveHttp1HeaderCase: wrapperspb.Bool(true)}}
	in := testInputs(svc, nil, nil)
	in.KeepCase = in.Env.Client(Proxies{Proxy: proxy}).KeepCase
	rs, _ := Outbound(in)
	inbound, _ := Inbound(&mesh.Inbound{Mesh: in.Env.Mesh, Sidecar: emptyPool(), Proxy: proxy, Targets: []mesh.Target{
		{Service: svc, Port: svc.Ports[0], TargetPort: 80}, {Service: svc, Port: svc.Ports[2], TargetPort: 9000}}})
	for name, want := range map[string]bool{
		"outbound|80||" + svc.Hostname: true, "outbound|81||" + svc.Hostname: true, "outbound|9090||" + svc.Hostname: false, "outbound|9000||" + svc.Hostname: false,
		"inbound|80||": true, "inbound|9000||": false,
	} {
		c, _ := clusterNamed(t, append(rs, inbound...), name)
		o := httpOptionsOf(t, c)
		got := o.GetExplicitHttpConfig().GetHttpProtocolOptions().GetHeaderKeyFormat() != nil || o.GetUseDownstreamProtocolConfig().GetHttpProtocolOptions().GetHeaderKeyFormat() != nil
		if got != want {
			t.Errorf("%s: %v", name, o)
		}
	}
}

// TestUpgradeBehindSNI: the mesh's h2UpgradePolicy and keepalive hold for all clusters, those behind AUTO_PASSTHROUGH and
// those of the inbound side among them.
func TestUpgradeBehindSNI(t *testing.T) {
	svc := testService()
	in := testInputs(svc, nil, &meshconfig.MeshConfig{H2UpgradePolicy: meshconfig.MeshConfig_UPGRADE, TcpKeepalive: &networking.ConnectionPoolSettings_TCPSettings_TcpKeepalive{Probes: 3}})
	in.Gateway, in.SNI = true, true
	rs, _ := Outbound(in)
	c, _ := clusterNamed(t, rs, names.ServerName(80, "", svc.Hostname))
	if httpOptionsOf(t, c).GetExplicitHttpConfig().GetHttp2ProtocolOptions() == nil {
		t.Error("not upgraded")
	}
	rs, _ = Inbound(&mesh.Inbound{Mesh: in.Env.Mesh, Sidecar: emptyPool(), Targets: []mesh.Target{{Service: svc, Port: svc.Ports[0], TargetPort: 8080}}})
	c, _ = clusterNamed(t, rs, "inbound|8080||")
	if c.GetUpstreamConnectionOptions().GetTcpKeepalive().GetKeepaliveProbes().GetValue() != 3 {
		t.Error("no keepalive towards the application")
	}
}
