//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// reach is a mesh of ways to get somewhere: listeners that a Sidecar opens, a proxy for HTTP, tunnels, hosts outside
// the mesh, machines that are no pods, and shares by locality.
func reach() manifests {
	m := meshOf("enableTracing: false")
	m.pod("sidecar", "client", "app: client, istio-locality: here.a.1, rack: r1", "10.9.0.9", "http:8080")
	m.pod("sidecar", "bound", "app: bound", "10.9.0.10", "http:8080")
	m.pod("sidecar", "inner", "app: inner", "10.9.0.11", "http:8080", "http-direct:8090")
	for i, p := range []string{"here.a.1 r1", "here.b.1 r2", "there.c.1 r1"} {
		where, rack, _ := strings.Cut(p, " ")
		m.pod("plain", fmt.Sprint("zone-", i), fmt.Sprintf("app: zone, version: v%d, istio-locality: %s, rack: %s", i, where, rack), fmt.Sprintf("10.9.2.%d", i+1), "http:8080", "tcp-echo:9000")
	}
	m.pod("plain", "machine", "app: machine, version: vm", "192.0.2.10", "http:8080")
	m.pod("plain", "external", "app: external", "198.51.100.7", "http:8080", "tcp-echo:9000")
	m.pod("plain", "connect", "app: connect", "198.51.100.8", "http:3128")
	for i, name := range []string{"share", "rack", "close", "root"} {
		m.serves(name, "zone", fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
	}
	m.serves("web", "machine", "10.96.9.5", "http:80:8080", "http-alt:9999:8080")
	m.serves("proxied", "zone", "10.96.9.10", "tcp-echo:9000:9000")
	m.serves("inner", "inner", "10.96.9.11", "http:80:9080", "http-direct:81:8090")
	m.rule("share", `loadBalancer: {localityLbSetting: {distribute: [{from: "here/a/*", to: {"here/b/*": 70, "there/c/*": 30}}]}}`)
	m.rule("rack", "loadBalancer: {localityLbSetting: {failoverPriority: [rack, topology.kubernetes.io/zone]}}, outlierDetection: {consecutive5xxErrors: 5, maxEjectionPercent: 100}")
	m.rule("proxied", "proxyProtocol: {version: V1}")
	m["services.yaml"] = strings.Replace(m["services.yaml"], "{name: close, namespace: lab}\nspec:\n", "{name: close, namespace: lab}\nspec:\n  trafficDistribution: PreferClose\n", 1)
	m.add("sidecars.yaml", `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: bound, namespace: lab}
spec:
  workloadSelector: {labels: {app: bound}}
  egress:
  - port: {number: 9999, name: http, protocol: HTTP}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: [./web.lab.svc.cluster.local]
  - port: {number: 3128, name: forward, protocol: HTTP_PROXY}
    bind: 127.0.0.1
    captureMode: NONE
    hosts: [./web.lab.svc.cluster.local]
  - hosts: [./inner.lab.svc.cluster.local]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: inner, namespace: lab}
spec:
  workloadSelector: {labels: {app: inner}}
  ingress:
  - port: {number: 9080, name: http, protocol: HTTP}
    defaultEndpoint: 127.0.0.1:8080
  - port: {number: 8090, name: http-direct, protocol: HTTP}
`)
	m.add("outside.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: machines, namespace: lab}
spec:
  hosts: [machines.example.com]
  addresses: [10.96.9.60]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  workloadSelector: {labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: machine, namespace: lab}
spec: {address: 192.0.2.10, labels: {app: vm}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: anywhere, namespace: lab}
spec:
  hosts: ["*.any.example.com"]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: 8080, name: http, protocol: HTTP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: range, namespace: lab}
spec:
  hosts: [range.example.com]
  addresses: [198.51.100.0/24]
  location: MESH_EXTERNAL
  resolution: NONE
  ports: [{number: 9000, name: tcp, protocol: TCP}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: resolved, namespace: lab}
spec:
  hosts: [resolved.example.com]
  addresses: [10.96.9.61]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  endpoints: [{address: 198.51.100.7}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: tunneled, namespace: lab}
spec:
  hosts: [tunneled.example.com]
  addresses: [10.96.9.62]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 9000, name: tcp, protocol: TCP}]
  endpoints: [{address: 198.51.100.8, ports: {tcp: 3128}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: tunneled, namespace: lab}
spec:
  host: tunneled.example.com
  trafficPolicy: {tunnel: {protocol: CONNECT, targetHost: 198.51.100.7, targetPort: 9000}}
`)
	m.routes("root", `
  http:
  - match: [{uri: {prefix: /team/}}]
    delegate: {name: team, namespace: lab}
  - route: [{destination: {host: root}}]
`)
	m.add("root.yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: team, namespace: lab}
spec:
  http:
  - match: [{uri: {prefix: /team/a}}]
    rewrite: {uri: /from-a}
    route: [{destination: {host: root}}]
  - directResponse: {status: 410}
`)
	return m
}

func TestReach(t *testing.T) {
	require(t)
	l := run(t, Spec{Source: reach().write(t)})
	t.Run("sidecar listeners", func(t *testing.T) { testSidecarListeners(t, l) })
	t.Run("sidecar ingress", func(t *testing.T) { testSidecarIngress(t, l) })
	t.Run("service entries", func(t *testing.T) { testServiceEntries(t, l) })
	t.Run("proxy protocol and tunnel", func(t *testing.T) { testWrapped(t, l) })
	t.Run("delegate", func(t *testing.T) { testDelegate(t, l) })
	t.Run("shares by locality", func(t *testing.T) { testShares(t, l) }) // kills a pod
}

func testShares(t *testing.T, l *Lab) {
	got := count(t, l, 400, Request{URL: "http://share/"})
	// 70 % of 400 are 280; chance leaves this range once in a hundred thousand runs
	if n := got["v1"]; n < 240 || n > 320 || got["v0"] > 0 || got["v1"]+got["v2"] != 400 {
		t.Errorf("0/70/30 became %v", got)
	}
	if got := count(t, l, 40, Request{URL: "http://rack/"}); got["v0"] != 40 {
		t.Errorf("same rack and zone first: %v", got)
	}
	if got := count(t, l, 40, Request{URL: "http://close/"}); got["v0"] != 40 {
		t.Errorf("trafficDistribution PreferClose: %v", got)
	}
	if err := l.Stop("zone-0"); err != nil {
		t.Fatal(err)
	}
	// No zone has both any more: the rack counts first. The first requests find out that the pod is gone.
	eventually(t, func() error {
		for range 10 {
			if r := ask(t, l, Request{URL: "http://rack/"}); r.Status != 200 || r.Echo.Version != "v2" {
				return fmt.Errorf("%d from %s, want the pod of the same rack in another region", r.Status, r.Echo.Version)
			}
		}
		return nil
	})
}

// A listener that is not captured is open on the loopback interface, one of them as a forward proxy.
func testSidecarListeners(t *testing.T, l *Lab) {
	for _, c := range []struct {
		url, host string
		want      int
	}{
		{"http://127.0.0.1:9999/", "web.lab.svc.cluster.local", 200},
		{"http://inner/", "", 200},
	} {
		r, err := l.Send(context.Background(), "bound", Request{URL: c.url, Host: c.host})
		if err != nil || r.Status != c.want {
			t.Errorf("%s %s: %+v, %v", c.url, c.host, r, err)
		}
	}
	c, err := l.Client("bound")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:3128"})
	if r, err := Do(context.Background(), c, Request{URL: "http://web.lab.svc.cluster.local/by/proxy"}); err != nil || r.Status != 200 || r.Echo.Path != "/by/proxy" {
		t.Errorf("by the forward proxy: %+v, %v", r, err)
	}
}

// Requests to port 9080 of the workload arrive at its application's port 8080; those to another are led where they go.
func testSidecarIngress(t *testing.T, l *Lab) {
	for url, port := range map[string]string{"http://inner/": "8080", "http://inner:81/": "8090"} {
		if r := ask(t, l, Request{URL: url}); r.Status != 200 || r.Echo.Name != "inner" || r.Echo.Port != port {
			t.Errorf("%s: %d at port %s of %s, want %s", url, r.Status, r.Echo.Port, r.Echo.Name, port)
		}
	}
}

func testServiceEntries(t *testing.T, l *Lab) {
	for _, c := range []struct{ url, host, version, name string }{
		{"http://machines.example.com/", "", "vm", "machine"},
		{"http://198.51.100.7:8080/", "one.any.example.com", "v1", "external"},
		{"http://resolved.example.com/", "", "v1", "external"},
	} {
		if r := ask(t, l, Request{URL: c.url, Host: c.host}); r.Status != 200 || r.Echo.Version != c.version || r.Echo.Name != c.name {
			t.Errorf("%s %s: %d from %s %s", c.url, c.host, r.Status, r.Echo.Name, r.Echo.Version)
		}
	}
	if got := line(t, l, "198.51.100.7:9000"); got != "external v1 hello" {
		t.Errorf("an address of a range: %q", got)
	}
	if n := stat(t, l, "client", `outbound\|9000\|\|range.*upstream_cx_total$`); n != 1 {
		t.Errorf("%d connections went by the cluster of the range", n)
	}
}

func testWrapped(t *testing.T, l *Lab) {
	if got := line(t, l, "proxied:9000"); !strings.HasPrefix(got, "zone v") || !strings.Contains(got, "PROXY TCP4 10.9.0.9 10.96.9.10 ") {
		t.Errorf("with PROXY protocol the application first saw %q", got)
	}
	if got := line(t, l, "tunneled.example.com:9000"); got != "external v1 hello" {
		t.Errorf("through a CONNECT proxy: %q", got)
	}
}

func testDelegate(t *testing.T, l *Lab) {
	for path, want := range map[string]string{"/": "200 /", "/team/a/b": "200 /from-a/b", "/team/other": "410 "} {
		if r := ask(t, l, Request{URL: "http://root" + path}); fmt.Sprint(r.Status, " ", r.Echo.Path) != want {
			t.Errorf("%s: %d %s, want %s", path, r.Status, r.Echo.Path, want)
		}
	}
}
