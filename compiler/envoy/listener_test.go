package envoy

import (
	"context"
	"slices"
	"strings"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// linked links YAML and returns the class of the workload NAMESPACE/NAME.
func linked(t *testing.T, workload, text string) *mesh.Class {
	t.Helper()
	return classOf(t, linkedClasses(t, text), workload)
}

// linkedClasses links a mesh.
func linkedClasses(t *testing.T, text string) []*mesh.Class {
	t.Helper()
	read, found, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(text)})
	if err != nil || found.HasErrors() {
		t.Fatal(err, found)
	}
	objects, found := schema.Check(read.Documents, schema.Options{})
	if found.HasErrors() {
		t.Fatal(found)
	}
	m, _ := mesh.Link(objects)
	classes, _, _ := mesh.Classes(m)
	return classes
}

// classOf is the class of a workload, given as namespace/name.
func classOf(t *testing.T, classes []*mesh.Class, workload string) *mesh.Class {
	t.Helper()
	for _, c := range classes {
		for _, w := range c.Workloads {
			if w.Namespace+"/"+w.Name == workload {
				return c
			}
		}
	}
	t.Fatalf("no workload %s", workload)
	return nil
}

func findListener(t *testing.T, rs []*Resource, name string) *listenerv3.Listener {
	t.Helper()
	var names []string
	for _, r := range rs {
		if r.Name == name {
			return r.Message.(*listenerv3.Listener)
		}
		names = append(names, r.Name)
	}
	t.Fatalf("no listener %s in %v", name, names)
	return nil
}

func chainNames(l *listenerv3.Listener) []string {
	var out []string
	for _, c := range l.FilterChains {
		out = append(out, c.Name)
	}
	if l.DefaultFilterChain != nil {
		out = append(out, "default:"+l.DefaultFilterChain.Name)
	}
	return out
}

func codes(l diag.List) []string {
	var out []string
	for _, d := range l {
		out = append(out, d.Code)
	}
	return out
}

const client = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: default}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client, sidecar.istio.io/inject: "true"}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: default, labels: {istio-injection: enabled}}
---
`

func serviceEntry(name, host, addresses, port string) string {
	return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ` + name + `, namespace: default}
spec:
  hosts: [` + host + `]
  addresses: [` + addresses + `]
  ports: [` + port + `]
  resolution: STATIC
  endpoints: [{address: 10.9.9.9}]
---
`
}

func TestOutboundMerging(t *testing.T) {
	http, tcp, auto, mongo, tls := "{number: 80, name: p, protocol: HTTP}", "{number: 80, name: p, protocol: TCP}",
		"{number: 80, name: p}", "{number: 80, name: p, protocol: MONGO}", "{number: 80, name: p, protocol: TLS}"
	for _, c := range []struct {
		name, a, b string
		aAddr      string
		bAddr      string
		listener   string
		chains     []string
		codes      []string
	}{
		{name: "HTTP and HTTP share", a: http, b: http, listener: "0.0.0.0_80", chains: []string{"http|80", "default:PassthroughFilterChain"}},
		{name: "TCP joins HTTP", a: http, b: tcp, listener: "0.0.0.0_80", chains: []string{"http|80", "default:outbound|80||b.example"}},
		{name: "HTTP joins TCP", a: tcp, b: http, listener: "0.0.0.0_80", chains: []string{"http|80", "default:outbound|80||a.example"}},
		{name: "TCP over TCP", a: tcp, b: tcp, listener: "0.0.0.0_80", chains: []string{"outbound|80||a.example"}, codes: []string{CodeDroppedChain}},
		{name: "TCP over TCP with ranges", a: tcp, b: tcp, aAddr: "10.1.0.0/16", bAddr: "10.2.0.0/16", listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "outbound|80||b.example", "default:PassthroughFilterChain"}},
		{name: "same range but for insignificant bits", a: tcp, b: tcp, aAddr: "10.1.0.0/16", bAddr: "10.1.2.3/16", listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "default:PassthroughFilterChain"}, codes: []string{CodeDroppedChain}},
		{name: "TCP with addresses", a: tcp, b: tcp, aAddr: "10.1.0.1", bAddr: "10.1.0.2", listener: "10.1.0.2_80", chains: []string{"outbound|80||b.example"}},
		{name: "sniffed over sniffed", a: auto, b: auto, listener: "0.0.0.0_80", chains: []string{"http|80", "default:outbound|80||a.example"}, codes: []string{CodeDroppedChain}},
		{name: "sniffed with address", a: auto, b: tcp, aAddr: "10.1.0.1", bAddr: "10.1.0.2", listener: "10.1.0.1_80", chains: []string{"http|a.example:80", "default:outbound|80||a.example"}},
		{name: "Mongo does not mix", a: tcp, b: mongo, listener: "0.0.0.0_80", chains: []string{"outbound|80||a.example"}, codes: []string{CodeDroppedChain}},
		{name: "TLS by server name", a: tls, b: tls, listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "outbound|80||b.example", "default:PassthroughFilterChain"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			class := linked(t, "default/client", client+serviceEntry("a", "a.example", c.aAddr, c.a)+serviceEntry("b", "b.example", c.bAddr, c.b))
			rs, _, found := outboundListeners(class.Scope)
			if got := chainNames(findListener(t, rs, c.listener)); !slices.Equal(got, c.chains) {
				t.Errorf("chains %v, want %v", got, c.chains)
			}
			if got := codes(found); !slices.Equal(got, c.codes) {
				t.Errorf("findings %v, want %v", found, c.codes)
			}
		})
	}
}

// TestEgressListeners: a Sidecar listener with a port and no bind stands on the addresses of its services, as listeners
// of the whole mesh do; a forward proxy takes everything; nothing stands where intercepted connections enter.
func TestEgressListeners(t *testing.T) {
	const both = "hosts: ['*/*']"
	for _, c := range []struct {
		name, port, a, b string // addresses of two services
		egress           string
		want             map[string][]string
		codes            []string
	}{
		{name: "TCP on the address of each", port: "{number: 90, name: p, protocol: TCP}", a: "10.1.0.1", b: "10.1.0.2", egress: "{port: {number: 90, name: p, protocol: TCP}, " + both + "}",
			want: map[string][]string{"10.1.0.1_90": {"outbound|90||a.example"}, "10.1.0.2_90": {"outbound|90||b.example"}}},
		{name: "TCP without addresses", port: "{number: 90, name: p, protocol: TCP}", egress: "{port: {number: 90, name: p, protocol: TCP}, " + both + "}",
			want: map[string][]string{"0.0.0.0_90": {"outbound|90||a.example"}}, codes: []string{CodeDroppedChain}},
		{name: "bind", port: "{number: 90, name: p, protocol: HTTP}", a: "10.1.0.1", egress: "{bind: 10.7.7.7, port: {number: 90, name: p, protocol: HTTP}, " + both + "}",
			want: map[string][]string{"10.7.7.7_90": {"http|90"}}},
		{name: "TLS of a range on an address of the Sidecar", port: "{number: 90, name: p, protocol: TLS}", a: "10.1.0.0/16", b: "10.1.0.2", egress: "{bind: 10.7.7.7, port: {number: 90, name: p, protocol: TLS}, " + both + "}",
			want: map[string][]string{"10.7.7.7_90": {"outbound|90||a.example", "default:outbound|90||b.example"}}},
		{name: "forward proxy", port: "{number: 90, name: p, protocol: HTTP}", egress: "{bind: 0.0.0.0, port: {number: 3128, name: p, protocol: HTTP_PROXY}, " + both + "}",
			want: map[string][]string{"0.0.0.0_3128": {"http|3128"}}},
		{name: "the port of the proxy", port: "{number: 15006, name: p, protocol: HTTP}", egress: "{" + both + "}", codes: []string{CodeDroppedChain, CodeDroppedChain}},
		{name: "the port of the proxy at an address", port: "{number: 15006, name: p, protocol: TCP}", a: "10.1.0.1", b: "10.1.0.2", egress: "{" + both + "}",
			want: map[string][]string{"10.1.0.1_15006": {"outbound|15006||a.example"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sidecar := "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: default}\nspec: {egress: [" + c.egress + "]}\n---\n"
			class := linked(t, "default/client", client+sidecar+serviceEntry("a", "a.example", c.a, c.port)+serviceEntry("b", "b.example", c.b, c.port))
			rs, _, found := outboundListeners(class.Scope)
			for name, chains := range c.want {
				if got := chainNames(findListener(t, rs, name)); !slices.Equal(got, chains) {
					t.Errorf("%s: chains %v, want %v", name, got, chains)
				}
			}
			if c.want == nil && len(rs) != 1 {
				t.Error("listeners besides virtualOutbound")
			}
			if got := codes(found); !slices.Equal(got, c.codes) {
				t.Errorf("findings %v, want %v", found, c.codes)
			}
		})
	}
}

func TestInboundKinds(t *testing.T) {
	describe := func(ks []kind) string {
		var out []string
		for _, k := range ks {
			s := k.transport + "(" + strings.Join(k.alpn, " ") + ")"
			if k.terminate {
				s += " mtls"
			}
			if k.http {
				s += " http"
			} else {
				s += " tcp"
			}
			out = append(out, s)
		}
		return strings.Join(out, "; ")
	}
	const marks, httpMarks = "istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2", "istio-http/1.0 istio-http/1.1 istio-h2"
	for _, c := range []struct {
		family family
		mode   mesh.MTLSMode
		want   string
	}{
		{httpFamily, mesh.Strict, "tls() mtls http"},
		{httpFamily, mesh.Permissive, "tls(" + marks + ") mtls http; raw_buffer() http"},
		{httpFamily, mesh.Disable, "raw_buffer() http"},
		{tcpFamily, mesh.Strict, "tls() mtls tcp"},
		{tcpFamily, mesh.Permissive, "tls(" + marks + ") mtls tcp; tls() tcp; raw_buffer() tcp"},
		{tcpFamily, mesh.Disable, "() tcp"},
		{autoFamily, mesh.Strict, "tls(" + httpMarks + ") mtls http; tls() mtls tcp"},
		{autoFamily, mesh.Permissive, "tls(" + httpMarks + ") mtls http; raw_buffer(http/1.1 h2c) http; tls(istio-peer-exchange istio) mtls tcp; raw_buffer() tcp; tls() tcp"},
		{autoFamily, mesh.Disable, "raw_buffer(http/1.1 h2c) http; raw_buffer() tcp"},
	} {
		if got := describe(kinds(c.family, c.mode)); got != c.want {
			t.Errorf("family %d mode %d:\n got %s\nwant %s", c.family, c.mode, got, c.want)
		}
	}
}

func TestGatewayServers(t *testing.T) {
	const gateway = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: gw, namespace: default}
spec:
  selector: {matchLabels: {istio: ingressgateway}}
  template:
    metadata: {labels: {istio: ingressgateway}}
    spec: {containers: [{name: c, image: i}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [a.example], tls: {mode: SIMPLE, credentialName: a}}
  - {port: {number: 443, name: pass, protocol: TLS}, hosts: [b.example], tls: {mode: PASSTHROUGH}}
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ["*"]}
  - {port: {number: 9001, name: tcp2, protocol: TCP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: b, namespace: default}
spec:
  hosts: [b.example]
  gateways: [gw]
  tls:
  - match: [{sniHosts: [b.example]}]
    route: [{destination: {host: b.example, port: {number: 443}}}]
  tcp:
  - match: [{port: 9000}]
    route: [{destination: {host: b.example, port: {number: 9000}}}]
`
	class := linked(t, "default/gw", gateway)
	rs, found := GatewayListeners(gatewayInputsOf(class))
	if len(found) > 0 {
		t.Error(found)
	}
	for name, want := range map[string][]string{
		"0.0.0.0_80":   {"http.80"},
		"0.0.0.0_443":  {"https.443.https.gw.default", "443.pass.gw.default|default/b|b.example"},
		"0.0.0.0_9000": {"9000.tcp.gw.default"},
	} {
		if got := chainNames(findListener(t, rs, name)); !slices.Equal(got, want) {
			t.Errorf("%s: chains %v, want %v", name, got, want)
		}
	}
	if len(rs) != 3 {
		t.Errorf("%d listeners, want 3: nothing routes to port 9001", len(rs))
	}
}

func TestDisabledPorts(t *testing.T) {
	if p := disabledPorts(map[uint32]bool{0: true, 80: true}); p != nil {
		t.Errorf("no port differs, but %v", p)
	}
	if p := disabledPorts(map[uint32]bool{0: true, 80: false, 81: true}); p.GetDestinationPortRange().GetStart() != 80 || p.GetDestinationPortRange().GetEnd() != 81 {
		t.Errorf("want port 80, got %v", p)
	}
	if p := disabledPorts(map[uint32]bool{0: false, 80: true, 81: true}); len(p.GetNotMatch().GetOrMatch().GetRules()) != 2 {
		t.Errorf("want all but two ports, got %v", p)
	}
}

func TestPlainAndTLSOnOnePort(t *testing.T) {
	chains := []*chain{{name: "plain"}, {name: "tls", tls: &tlsContext{}}}
	tellTLS(chains)
	if sameMatch(chains[0].match, chains[1].match) || chains[1].match.TransportProtocol != "tls" {
		t.Errorf("a TLS server for any host and plain HTTP match the same connections: %v, %v", chains[0].match, chains[1].match)
	}
}

// A Sidecar's forward proxy leads to every port of what it imports, whatever number the proxy itself listens at.
func TestSidecarForwardProxy(t *testing.T) {
	c := linked(t, "default/client", routeMesh+`---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: forward, namespace: default}
spec:
  egress:
  - port: {number: 3128, name: forward, protocol: HTTP_PROXY}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: [./api.default.svc.cluster.local]
`)
	rs, keys, _ := outboundListeners(c.Scope)
	if l := findListener(t, rs, "127.0.0.1_3128"); l.BindToPort != nil && !l.BindToPort.Value {
		t.Error("it does not listen")
	}
	routes, _ := outboundRoutes(c.Scope, keys)
	hosts := hostsOf(t, routes)
	for name, domain := range map[string]string{"api.default.svc.cluster.local:80": "api.default.svc.cluster.local", "api.default.svc.cluster.local:81": "api.default.svc.cluster.local:81"} {
		if d := hosts[name].GetDomains(); !slices.Contains(d, domain) {
			t.Errorf("%s has domains %v, want %s among them", name, d, domain)
		}
	}
}
