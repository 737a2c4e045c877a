package envoy

import (
	"slices"
	"testing"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/envoy/listener"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/internal/lowertest"
)

func findListener(t *testing.T, rs []*xds.Resource, name string) *listenerv3.Listener {
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
		{name: "TCP over TCP", a: tcp, b: tcp, listener: "0.0.0.0_80", chains: []string{"outbound|80||a.example"}, codes: []string{listener.CodeDroppedChain}},
		{name: "TCP over TCP with ranges", a: tcp, b: tcp, aAddr: "10.1.0.0/16", bAddr: "10.2.0.0/16", listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "outbound|80||b.example", "default:PassthroughFilterChain"}},
		{name: "same range but for insignificant bits", a: tcp, b: tcp, aAddr: "10.1.0.0/16", bAddr: "10.1.2.3/16", listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "default:PassthroughFilterChain"}, codes: []string{listener.CodeDroppedChain}},
		{name: "TCP with addresses", a: tcp, b: tcp, aAddr: "10.1.0.1", bAddr: "10.1.0.2", listener: "10.1.0.2_80", chains: []string{"outbound|80||b.example"}},
		{name: "sniffed over sniffed", a: auto, b: auto, listener: "0.0.0.0_80", chains: []string{"http|80", "default:outbound|80||a.example"}, codes: []string{listener.CodeDroppedChain}},
		{name: "sniffed with address", a: auto, b: tcp, aAddr: "10.1.0.1", bAddr: "10.1.0.2", listener: "10.1.0.1_80", chains: []string{"http|a.example:80", "default:outbound|80||a.example"}},
		{name: "Mongo does not mix", a: tcp, b: mongo, listener: "0.0.0.0_80", chains: []string{"outbound|80||a.example"}, codes: []string{listener.CodeDroppedChain}},
		{name: "TLS by server name", a: tls, b: tls, listener: "0.0.0.0_80",
			chains: []string{"outbound|80||a.example", "outbound|80||b.example", "default:PassthroughFilterChain"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			class := lowertest.Linked(t, "default/client", lowertest.Client+serviceEntry("a", "a.example", c.aAddr, c.a)+serviceEntry("b", "b.example", c.bAddr, c.b))
			rs, _, found := outboundListeners(class.Scope)
			if got := chainNames(findListener(t, rs, c.listener)); !slices.Equal(got, c.chains) {
				t.Errorf("chains %v, want %v", got, c.chains)
			}
			if got := lowertest.CodesOf(found); !slices.Equal(got, c.codes) {
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
			want: map[string][]string{"0.0.0.0_90": {"outbound|90||a.example"}}, codes: []string{listener.CodeDroppedChain}},
		{name: "bind", port: "{number: 90, name: p, protocol: HTTP}", a: "10.1.0.1", egress: "{bind: 10.7.7.7, port: {number: 90, name: p, protocol: HTTP}, " + both + "}",
			want: map[string][]string{"10.7.7.7_90": {"http|90"}}},
		{name: "TLS of a range on an address of the Sidecar", port: "{number: 90, name: p, protocol: TLS}", a: "10.1.0.0/16", b: "10.1.0.2", egress: "{bind: 10.7.7.7, port: {number: 90, name: p, protocol: TLS}, " + both + "}",
			want: map[string][]string{"10.7.7.7_90": {"outbound|90||a.example", "default:outbound|90||b.example"}}},
		{name: "forward proxy", port: "{number: 90, name: p, protocol: HTTP}", egress: "{bind: 0.0.0.0, port: {number: 3128, name: p, protocol: HTTP_PROXY}, " + both + "}",
			want: map[string][]string{"0.0.0.0_3128": {"http|3128"}}},
		{name: "the port of the proxy", port: "{number: 15006, name: p, protocol: HTTP}", egress: "{" + both + "}", codes: []string{listener.CodeDroppedChain, listener.CodeDroppedChain}},
		{name: "the port of the proxy at an address", port: "{number: 15006, name: p, protocol: TCP}", a: "10.1.0.1", b: "10.1.0.2", egress: "{" + both + "}",
			want: map[string][]string{"10.1.0.1_15006": {"outbound|15006||a.example"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sidecar := "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: default}\nspec: {egress: [" + c.egress + "]}\n---\n"
			class := lowertest.Linked(t, "default/client", lowertest.Client+sidecar+serviceEntry("a", "a.example", c.a, c.port)+serviceEntry("b", "b.example", c.b, c.port))
			rs, _, found := outboundListeners(class.Scope)
			for name, chains := range c.want {
				if got := chainNames(findListener(t, rs, name)); !slices.Equal(got, chains) {
					t.Errorf("%s: chains %v, want %v", name, got, chains)
				}
			}
			if c.want == nil && len(rs) != 1 {
				t.Error("listeners besides virtualOutbound")
			}
			if got := lowertest.CodesOf(found); !slices.Equal(got, c.codes) {
				t.Errorf("findings %v, want %v", found, c.codes)
			}
		})
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
	class := lowertest.Linked(t, "default/gw", gateway)
	rs, found := listener.ForGateway(gatewayInputsOf(class))
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

// A Sidecar's forward proxy leads to every port of what it imports, whatever number the proxy itself listens at.
func TestSidecarForwardProxy(t *testing.T) {
	c := lowertest.Linked(t, "default/client", routeMesh+`---
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
