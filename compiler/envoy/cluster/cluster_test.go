package cluster

import (
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/encoding/protojson"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/lowertest"
)

// testService is reviews with an HTTP, a gRPC and a TCP port and endpoints in three regions, all of the mesh but one.
func testService() *mesh.Service {
	svc := &mesh.Service{
		Object: lowertest.Object("Service", "reviews"), Hostname: "reviews.default.svc.cluster.local", Namespace: "default", Name: "reviews",
		Kubernetes: true, Addresses: []string{"10.96.0.10"}, ServiceAccounts: []string{"spiffe://cluster.local/ns/default/sa/reviews"},
	}
	for i, p := range []mesh.Port{{Number: 80, Name: "http", Protocol: mesh.HTTP}, {Number: 9090, Name: "grpc", Protocol: mesh.GRPC}, {Number: 9000, Name: "tcp", Protocol: mesh.TCP}} {
		p.Index = i
		for j, l := range []string{"r1/z1/s1", "r1/z1/s2", "r1/z2/s1", "r2/z1/s1", "r3/z1/s1"} {
			p.Endpoints = append(p.Endpoints, &mesh.Endpoint{
				Address: fmt.Sprintf("10.44.0.%d", j+1), Port: 8080 + uint32(i), Locality: l, Ready: true, MTLS: j > 0,
				Labels: map[string]string{"app": "reviews", "version": fmt.Sprintf("v%d", j%2+1)}, Namespace: "default",
			})
		}
		svc.Ports = append(svc.Ports, &p)
	}
	return svc
}

func testRule(t *testing.T, spec string) *mesh.DestinationRule {
	t.Helper()
	r := &mesh.DestinationRule{Object: lowertest.Object("DestinationRule", "reviews"), Spec: &networking.DestinationRule{}}
	if err := protojson.Unmarshal([]byte(spec), r.Spec); err != nil {
		t.Fatalf("%v in %s", err, spec)
	}
	for i := range r.Spec.Subsets {
		r.Subsets = append(r.Subsets, mesh.SubsetOrigin{Object: r.Object, Index: i})
	}
	return r
}

func testInputs(svc *mesh.Service, rule *mesh.DestinationRule, config *meshconfig.MeshConfig) Inputs {
	m := &mesh.Mesh{Config: config, RootNamespace: "istio-system", Domain: "cluster.local", TrustDomain: "cluster.local", Services: []*mesh.Service{svc}}
	env, _ := NewEnv(m)
	return Inputs{Env: env, Service: svc, Rule: rule, Locality: "r1/z1/s1", Labels: "app=client,topology.kubernetes.io/region=r1,version=v1"}
}

func clusterNamed(t *testing.T, rs []*xds.Resource, name string) (*clusterv3.Cluster, *endpointv3.ClusterLoadAssignment) {
	t.Helper()
	var c *clusterv3.Cluster
	var e *endpointv3.ClusterLoadAssignment
	for _, r := range rs {
		if r.Name == name {
			switch m := r.Message.(type) {
			case *clusterv3.Cluster:
				c = m
			case *endpointv3.ClusterLoadAssignment:
				e = m
			}
		}
	}
	if c == nil {
		t.Fatalf("no cluster %s", name)
	}
	return c, e
}

func TestOutboundClusterNamesAndKinds(t *testing.T) {
	svc := testService()
	svc.Ports = append(svc.Ports, &mesh.Port{Number: 53, Name: "udp-dns", Protocol: mesh.UDP})
	rs, ds := Outbound(testInputs(svc, testRule(t, `{"host":"reviews.default.svc.cluster.local","subsets":[{"name":"v1","labels":{"version":"v1"}},{"name":"v1"}]}`), nil))
	if len(ds) > 0 {
		t.Errorf("findings: %v", ds)
	}
	if len(rs) != 12 { // three ports, service and subset, cluster and endpoints
		t.Errorf("%d resources, want 12", len(rs))
	}
	c, e := clusterNamed(t, rs, "outbound|80|v1|reviews.default.svc.cluster.local")
	if c.GetType() != clusterv3.Cluster_EDS || c.EdsClusterConfig.ServiceName != c.Name || len(e.Endpoints) != 3 {
		t.Errorf("subset: %v %v", c.GetType(), e)
	}
	for _, test := range []struct {
		res     mesh.Resolution
		gateway bool
		want    string
	}{
		{mesh.Passthrough, false, "ORIGINAL_DST"}, {mesh.Passthrough, true, "EDS"}, {mesh.DNS, false, "STRICT_DNS"},
		{mesh.DNSRoundRobin, true, "LOGICAL_DNS"}, {mesh.DynamicDNS, true, "envoy.clusters.dynamic_forward_proxy"}, {mesh.Alias, false, ""},
	} {
		svc := testService()
		svc.Resolution = test.res
		in := testInputs(svc, nil, nil)
		in.Gateway = test.gateway
		rs, _ := Outbound(in)
		lowertest.Render(t, rs, nil)
		if test.want == "" {
			if len(rs) != 0 {
				t.Errorf("ExternalName has clusters of its own")
			}
			continue
		}
		c, _ := clusterNamed(t, rs, "outbound|80||reviews.default.svc.cluster.local")
		if got := c.GetType().String(); got != test.want && c.GetClusterType().GetName() != test.want {
			t.Errorf("resolution %d: %s, want %s", test.res, got, test.want)
		}
	}
}

func TestNothingToResolveIsNoCluster(t *testing.T) {
	svc := testService()
	svc.Resolution, svc.Kubernetes, svc.Hostname = mesh.DNS, false, "*.example.com"
	for _, p := range svc.Ports {
		p.Endpoints = nil
	}
	if rs, _ := Outbound(testInputs(svc, nil, nil)); len(rs) != 0 {
		t.Errorf("got %d resources", len(rs))
	}
}

func TestAutoMTLS(t *testing.T) {
	on := func(c *clusterv3.Cluster) string {
		switch {
		case len(c.TransportSocketMatches) == 2:
			return "match"
		case c.TransportSocket != nil:
			return "always"
		}
		return "none"
	}
	for _, test := range []struct {
		name string
		edit func(*mesh.Service, *meshconfig.MeshConfig)
		want string
	}{
		{"mesh service", func(*mesh.Service, *meshconfig.MeshConfig) {}, "match"},
		{"external", func(s *mesh.Service, _ *meshconfig.MeshConfig) { s.MeshExternal = true }, "none"},
		{"off", func(_ *mesh.Service, c *meshconfig.MeshConfig) {
			if err := protojson.Unmarshal([]byte(`{"enableAutoMtls":false}`), c); err != nil {
				t.Fatal(err)
			}
		}, "none"},
		{"headless, one endpoint plain", func(s *mesh.Service, _ *meshconfig.MeshConfig) { s.Resolution = mesh.Passthrough }, "none"},
		{"headless, all mutual", func(s *mesh.Service, _ *meshconfig.MeshConfig) {
			s.Resolution = mesh.Passthrough
			s.Ports[0].Endpoints[0].MTLS = true
		}, "always"},
	} {
		svc, config := testService(), &meshconfig.MeshConfig{}
		test.edit(svc, config)
		for _, p := range svc.Ports[1:] {
			p.Endpoints = svc.Ports[0].Endpoints
		}
		rs, _ := Outbound(testInputs(svc, nil, config))
		c, _ := clusterNamed(t, rs, "outbound|80||"+svc.Hostname)
		if got := on(c); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

func TestLocalityOfClient(t *testing.T) {
	layout := func(spec string) string {
		rs, _ := Outbound(testInputs(testService(), testRule(t, spec), nil))
		_, e := clusterNamed(t, rs, "outbound|80||reviews.default.svc.cluster.local")
		var out []string
		for _, g := range e.Endpoints {
			out = append(out, fmt.Sprintf("%s/%s/%s p%d w%d n%d", g.Locality.Region, g.Locality.Zone, g.Locality.SubZone, g.Priority, g.LoadBalancingWeight.GetValue(), len(g.LbEndpoints)))
		}
		return strings.Join(out, ", ")
	}
	for _, test := range []struct{ spec, want string }{
		{`{}`, "r1/z1/s1 p0 w1 n1, r1/z1/s2 p0 w1 n1, r1/z2/s1 p0 w1 n1, r2/z1/s1 p0 w1 n1, r3/z1/s1 p0 w1 n1"},
		{`{"trafficPolicy":{"outlierDetection":{}}}`, "r1/z1/s1 p0 w1 n1, r1/z1/s2 p1 w1 n1, r1/z2/s1 p2 w1 n1, r2/z1/s1 p3 w1 n1, r3/z1/s1 p3 w1 n1"},
		{`{"trafficPolicy":{"outlierDetection":{},"loadBalancer":{"localityLbSetting":{"failover":[{"from":"r1","to":"r3"}]}}}}`,
			"r1/z1/s1 p0 w1 n1, r1/z1/s2 p1 w1 n1, r1/z2/s1 p2 w1 n1, r3/z1/s1 p3 w1 n1, r2/z1/s1 p4 w1 n1"},
		{`{"trafficPolicy":{"loadBalancer":{"localityLbSetting":{"distribute":[{"from":"r1/*","to":{"r1/z1/*":60,"r2/*":40}}]}}}}`,
			"r1/z1/s1 p0 w30 n1, r1/z1/s2 p0 w30 n1, r2/z1/s1 p0 w40 n1"},
		{`{"trafficPolicy":{"outlierDetection":{},"loadBalancer":{"localityLbSetting":{"failoverPriority":["version=v2","topology.kubernetes.io/region"]}}}}`,
			"r1/z1/s2 p0 w1 n1, r2/z1/s1 p1 w1 n1, r1/z1/s1 p2 w1 n1, r1/z2/s1 p2 w1 n1, r3/z1/s1 p2 w1 n1"},
	} {
		if got := layout(test.spec); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.spec, got, test.want)
		}
	}
}

func TestSplitHorizon(t *testing.T) {
	svc := testService()
	in := testInputs(svc, nil, nil)
	in.Env.Gateways = map[string][]endpoint.Gateway{"net-2": {{Address: "2.2.2.2", Port: 15443}}}
	in.Network = "net-1"
	for i, e := range svc.Ports[0].Endpoints {
		e.Network, e.Locality = "net-1", ""
		if i < 3 {
			e.Network = "net-2" // the first takes no mutual TLS, so it cannot be reached through a gateway
		}
	}
	rs, _ := Outbound(in)
	_, cla := clusterNamed(t, rs, "outbound|80||"+svc.Hostname)
	var got []string
	for _, e := range cla.Endpoints[0].LbEndpoints {
		a := e.GetEndpoint().Address.GetSocketAddress()
		got = append(got, fmt.Sprintf("%s:%d w%d", a.Address, a.GetPortValue(), e.LoadBalancingWeight.GetValue()))
	}
	if want := "10.44.0.4:8080 w0, 10.44.0.5:8080 w0, 2.2.2.2:15443 w2"; strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", strings.Join(got, ", "), want)
	}
	// A gateway between networks forwards only into its own, else requests could go in circles. Endpoints of no network
	// are in every view.
	in.SNI, in.Network, in.View = true, "net-2", "net-2, net-3"
	svc.Ports[0].Endpoints[4].Network = ""
	for i, e := range svc.Ports[0].Endpoints {
		e.MTLS = true
		if i == 3 {
			e.Network = "net-1"
		}
	}
	rs, _ = Outbound(in)
	_, cla = clusterNamed(t, rs, "outbound_.80_._."+svc.Hostname)
	got = nil
	for _, e := range cla.Endpoints[0].LbEndpoints {
		got = append(got, e.GetEndpoint().Address.GetSocketAddress().Address)
	}
	if want := "10.44.0.1 10.44.0.2 10.44.0.3 10.44.0.5"; strings.Join(got, " ") != want {
		t.Errorf("a gateway of net-2 forwards to %s, want %s", got, want)
	}
}

func TestKeyIsReduced(t *testing.T) {
	svc := testService()
	env := testInputs(svc, nil, nil).Env
	key := func(locality string) Inputs {
		return env.Client(Proxies{Locality: locality, Network: "n", Labels: map[string]string{"a": locality}}).Of(svc, nil)
	}
	if key("r1") != key("r2") {
		t.Error("clients in different places need different keys although no policy looks at places")
	}
	svc.TrafficDistribution = "PreferClose"
	if key("r1") == key("r2") {
		t.Error("clients in different places share a key although trafficDistribution looks at places")
	}
}

func TestServicesOfOneHostShareEndpoints(t *testing.T) {
	svc := testService()
	other := &mesh.Service{Hostname: svc.Hostname, Namespace: svc.Namespace, Ports: []*mesh.Port{
		{Number: 80, Name: "http", Endpoints: []*mesh.Endpoint{{Address: "198.51.100.7", Port: 80, Ready: true}}}}}
	m := &mesh.Mesh{Services: []*mesh.Service{svc, other}}
	env, _ := NewEnv(m)
	rs, _ := Outbound(Inputs{Env: env, Service: svc})
	_, cla := clusterNamed(t, rs, "outbound|80||"+svc.Hostname)
	n := 0
	for _, g := range cla.Endpoints {
		n += len(g.LbEndpoints)
	}
	if n != 6 {
		t.Errorf("%d endpoints, want 6", n)
	}
}

func TestClientNetworkOfItsCluster(t *testing.T) {
	networks := &meshconfig.MeshNetworks{}
	if err := protojson.Unmarshal([]byte(`{"networks":{"net-1":{"endpoints":[{"fromRegistry":"Kubernetes"}]},"net-2":{"gateways":[{"address":"2.2.2.2","port":15443},{"address":"gw.example.com","port":15443}]}}}`), networks); err != nil {
		t.Fatal(err)
	}
	m := &mesh.Mesh{Networks: networks}
	env, ds := NewEnv(m)
	if len(ds) != 1 || ds[0].Code != codeGatewayAddress {
		t.Errorf("findings: %v", ds)
	}
	if got := env.Client(Proxies{}).Network; got != "net-1" {
		t.Errorf("network %q, want net-1", got)
	}
}

func TestInboundClusters(t *testing.T) {
	svc := testService()
	m := &mesh.Mesh{Services: []*mesh.Service{svc}, RootNamespace: "istio-system"}
	in := &mesh.Inbound{Mesh: m, IPv4: true, Address: "10.44.0.1"}
	sidecar := &networking.Sidecar{}
	if err := protojson.Unmarshal([]byte(`{"inboundConnectionPool":{"tcp":{"maxConnections":5}},"ingress":[
		{"port":{"number":9080,"protocol":"HTTP","name":"a"},"defaultEndpoint":"127.0.0.1:8080"},
		{"port":{"number":9081,"protocol":"HTTP2","name":"b"},"defaultEndpoint":"unix:///var/run/sock"},
		{"port":{"number":9082,"protocol":"TCP","name":"c"},"defaultEndpoint":"0.0.0.0:8082","connectionPool":{"tcp":{"maxConnections":4}}},
		{"port":{"number":9083,"protocol":"TCP","name":"d"}},
		{"port":{"number":9084,"protocol":"TCP","name":"e"},"defaultEndpoint":"10.0.0.1:80"}]}`), sidecar); err != nil {
		t.Fatal(err)
	}
	in.Sidecar = &mesh.Sidecar{Object: lowertest.Object("Sidecar", "s"), Spec: sidecar}
	rs, ds := Inbound(in)
	lowertest.Render(t, rs, nil)
	if len(ds) != 1 || ds[0].Code != codeIngressEndpoint || ds[0].Field != "spec.ingress[4].defaultEndpoint" {
		t.Errorf("findings: %v", ds)
	}
	for _, test := range []struct {
		name, kind string
		max        uint32
	}{
		{"inbound|9080||", "STATIC", 5}, {"inbound|9081||", "STATIC", 5}, {"inbound|9082||", "STATIC", 4}, {"inbound|9083||", "ORIGINAL_DST", 5},
		{names.InboundPassthroughCluster, "ORIGINAL_DST", unlimited},
	} {
		c, _ := clusterNamed(t, rs, test.name)
		if got := c.CircuitBreakers.Thresholds[0].MaxConnections.GetValue(); c.GetType().String() != test.kind || got != test.max {
			t.Errorf("%s: %s with %d connections, want %s with %d", test.name, c.GetType(), got, test.kind, test.max)
		}
		// A connection to the pod's own address would be intercepted, but for its source.
		if (c.UpstreamBindConfig != nil) != (test.kind == "ORIGINAL_DST" || test.name == "inbound|9082||") {
			t.Errorf("%s: bind %v", test.name, c.UpstreamBindConfig)
		}
	}
}

func BenchmarkOutboundClusters(b *testing.B) {
	var services []*mesh.Service
	for i := range 1000 {
		svc := testService()
		svc.Hostname = fmt.Sprintf("s%d.default.svc.cluster.local", i)
		services = append(services, svc)
	}
	m := &mesh.Mesh{Services: services}
	for b.Loop() {
		env, _ := NewEnv(m)
		for _, svc := range services {
			Outbound(Inputs{Env: env, Service: svc})
		}
	}
}
