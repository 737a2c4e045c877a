//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

const labIdentity = "spiffe://cluster.local/ns/lab/sa/default"

// secured is a mesh whose workloads have certificates: two networks joined by a gateway, gateways that terminate and
// originate TLS, a host outside the mesh, a StatefulSet and a workload that may call little.
func secured(p *pki) manifests {
	m := meshWith("PERMISSIVE", "enableTracing: false")
	m["mesh.yaml"] += `
  meshNetworks: |
    networks:
      far:
        endpoints: [{fromCidr: 10.20.0.0/16}]
        gateways: [{address: 203.0.113.50, port: 15443}]
`
	p.issueTo("lab/default", labIdentity)
	m.pod("sidecar", "client", "app: client, topology.istio.io/network: near", "10.9.0.9", "http:8080")
	m.pod("sidecar", "scoped", "app: scoped", "10.9.0.10", "http:8080")
	m.pod("sidecar", "web-near", "app: web, version: near, topology.istio.io/network: near", "10.9.1.1", "http:8080", "tcp-echo:9000")
	m.pod("sidecar", "web-far", "app: web, version: far, topology.istio.io/network: far", "10.20.1.1", "http:8080", "tcp-echo:9000")
	m.pod("gateway", "eastwest", "istio: eastwest, topology.istio.io/network: far", "203.0.113.50")
	m.amend("name: istio-proxy,", "name: istio-proxy, env: [{name: ISTIO_META_REQUESTED_NETWORK_VIEW, value: far}],") // forward no further
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	m.pod("gateway", "egress", "istio: egress, app: egress", "10.9.0.2")
	m.serves("web", "web", "10.96.9.1", "http:80:8080", "tcp-echo:9000:9000")
	m.serves("only", "web", "10.96.9.2", "http:80:8080")
	m.serves("ingress", "ingress", "10.96.9.3", "http:80:8080", "https:443:8443")
	m.serves("egress", "egress", "10.96.9.4", "https:443:8443")
	m.crossing()
	m.front(p)
	m.outside(p)
	m.stateful()
	m.add("scope.yaml", `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: scoped, namespace: lab}
spec:
  workloadSelector: {labels: {app: scoped}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress:
  - hosts: [./only.lab.svc.cluster.local]
`)
	return m
}

// crossing is the gateway that forwards mutual TLS into the other network by its server name.
func (m manifests) crossing() {
	m.add("networks.yaml", `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: crossing, namespace: lab}
spec:
  selector: {istio: eastwest}
  servers:
  - port: {number: 15443, name: tls, protocol: TLS}
    tls: {mode: AUTO_PASSTHROUGH}
    hosts: ["*.local"]
`)
}

// front is an ingress gateway with every way of taking TLS on one port.
func (m manifests) front(p *pki) {
	p.issueTo("lab/kubernetes/shop", "shop.example.com")
	p.issueTo("lab/kubernetes/mutual", "mutual.example.com")
	p.issueTo("lab/kubernetes/optional", "optional.example.com")
	p.issueTo("lab/kubernetes/modern", "modern.example.com")
	p.issueTo("visitor", "visitor.example.com")
	m.add("front.yaml", `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: lab}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    tls: {httpsRedirect: true}
    hosts: [shop.example.com]
  - port: {number: 443, name: https-shop, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: shop}
    hosts: [shop.example.com]
  - port: {number: 443, name: https-mutual, protocol: HTTPS}
    tls: {mode: MUTUAL, credentialName: mutual}
    hosts: [mutual.example.com]
  - port: {number: 443, name: https-optional, protocol: HTTPS}
    tls: {mode: OPTIONAL_MUTUAL, credentialName: optional}
    hosts: [optional.example.com]
  - port: {number: 443, name: https-modern, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: modern, minProtocolVersion: TLSV1_3}
    hosts: [modern.example.com]
  - port: {number: 443, name: tls-pass, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: [external.example.com]
  - port: {number: 9000, name: tcp-echo, protocol: TCP}
    hosts: ["*"]
  - port: {number: 9443, name: tls-echo, protocol: TLS}
    tls: {mode: SIMPLE, credentialName: shop}
    hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: lines, namespace: lab}
spec:
  hosts: ["*"]
  gateways: [front]
  tcp:
  - match: [{port: 9000}, {port: 9443}]
    route: [{destination: {host: web, port: {number: 9000}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: lab}
spec:
  hosts: [shop.example.com, mutual.example.com, optional.example.com, modern.example.com]
  gateways: [front]
  http:
  - route: [{destination: {host: web, port: {number: 80}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pass, namespace: lab}
spec:
  hosts: [external.example.com]
  gateways: [front]
  tls:
  - match: [{port: 443, sniHosts: [external.example.com]}]
    route: [{destination: {host: external.example.com, port: {number: 443}}}]
`)
}

// outside is a host that speaks only TLS, reached through the egress gateway under one name and directly under others.
func (m manifests) outside(p *pki) {
	p.issueTo("lab/kubernetes/partner", "partner.example.com")
	folder := p.issueTo("external", "external.example.com", "origin.example.com")
	m.pod("plain", "external", "app: external", "198.51.100.7", "tls-web:8443")
	m.amend("    ports:\n", "    env: [{name: CERTIFICATE, value: "+folder+"}]\n    ports:\n")
	m.add("egress.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: external, namespace: lab}
spec:
  hosts: [external.example.com]
  addresses: [10.96.9.50]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP, targetPort: 8443}
  - {number: 443, name: https, protocol: HTTPS, targetPort: 8443}
  endpoints: [{address: 198.51.100.7}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: exit, namespace: lab}
spec:
  selector: {istio: egress}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    tls: {mode: ISTIO_MUTUAL}
    hosts: [external.example.com]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: egress, namespace: lab}
spec:
  host: egress
  subsets:
  - name: external
    trafficPolicy: {portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: external.example.com}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: external, namespace: lab}
spec:
  hosts: [external.example.com]
  gateways: [mesh, exit]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: egress, subset: external, port: {number: 443}}}]
  - match: [{gateways: [exit], port: 443}]
    route: [{destination: {host: external.example.com, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: external, namespace: lab}
spec:
  host: external.example.com
  workloadSelector: {matchLabels: {istio: egress}}
  trafficPolicy:
    portLevelSettings: [{port: {number: 443}, tls: {mode: MUTUAL, credentialName: partner, sni: external.example.com}}]
`)
	for i, name := range []string{"origin", "other"} {
		m.add("egress.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %s, namespace: lab}
spec:
  hosts: [%s.example.com]
  addresses: [10.96.9.5%d]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8443}]
  endpoints: [{address: 198.51.100.7}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %s, namespace: lab}
spec:
  host: %s.example.com
  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: %s/ca.crt}}
`, name, name, i+1, name, name, folder)
	}
}

// stateful is a StatefulSet of two under a headless Service.
func (m manifests) stateful() {
	for i := range 2 {
		m.pod("sidecar", fmt.Sprint("db-", i), fmt.Sprintf("app: db, version: v%d", i), fmt.Sprintf("10.9.5.%d", i+1), "http:8080", "tcp-db:9000")
		m.amend("spec:\n", fmt.Sprintf("spec:\n  hostname: db-%d\n  subdomain: db\n", i))
	}
	m.serves("db", "db", "None", "http:8080:8080", "tcp-db:9000:9000")
}

func TestSecured(t *testing.T) {
	require(t)
	p := newPKI(t)
	source := secured(p).write(t)
	l := run(t, Spec{
		Source: source, ServeFlags: []string{"--secrets", p.dir, "--insecure-secrets-without-tls"},
		Visitors: map[string]netip.Addr{"visitor": netip.MustParseAddr("203.0.113.9")},
	})
	t.Run("two networks", func(t *testing.T) { testNetworks(t, l) })
	t.Run("https redirect", func(t *testing.T) { testHTTPSRedirect(t, l) })
	t.Run("gateway tls", func(t *testing.T) { testFront(t, l, p) })
	t.Run("gateway tcp", func(t *testing.T) { testLines(t, l, p) })
	t.Run("egress gateway", func(t *testing.T) { testEgress(t, l) })
	t.Run("tls origination", func(t *testing.T) { testOrigination(t, l) })
	t.Run("headless by pod name", func(t *testing.T) { testHeadless(t, l) })
	t.Run("sidecar scope", func(t *testing.T) { testScope(t, l) })
}

// The pod of the other network has no way to it but the gateway, which forwards mutual TLS unopened: the client's own
// identity arrives.
func testNetworks(t *testing.T, l *Lab) {
	if err := l.members["client"].ns.run("ip", "route", "add", "unreachable", "10.20.0.0/16"); err != nil {
		t.Fatal(err)
	}
	if got := count(t, l, 200, Request{URL: "http://web/"}); got["near"] < 50 || got["far"] < 50 {
		t.Errorf("over two networks: %v", got)
	}
	for range 20 {
		r := ask(t, l, Request{URL: "http://web/"})
		if from := r.Echo.Headers["x-forwarded-client-cert"]; !strings.Contains(from, "URI="+labIdentity) {
			t.Errorf("%s saw the client as %q", r.Echo.Version, from)
		}
	}
	if n := stat(t, l, "eastwest", `cluster\.outbound_.80_._.web.*upstream_cx_total$`); n == 0 {
		t.Error("no connection went through the gateway")
	}
	lines := map[string]int{}
	for range 40 {
		lines[line(t, l, "web:9000")]++
	}
	if lines["web near hello"] < 5 || lines["web far hello"] < 5 {
		t.Errorf("connections over two networks: %v", lines)
	}
	if _, err := l.Dial(context.Background(), "client", "10.20.1.1:8080"); err == nil {
		if r, err := l.Get(context.Background(), "client", "http://10.20.1.1:8080/"); err == nil && r.Status == 200 {
			t.Error("the other network is reached directly: this test shows nothing")
		}
	}
}

func testHTTPSRedirect(t *testing.T, l *Lab) {
	for host, want := range map[string]string{"shop.example.com": "301 https://shop.example.com/buy?x=1", "other.example.com": "404 "} {
		r, err := l.Send(context.Background(), "visitor", Request{URL: "http://10.9.0.1:8080/buy?x=1", Host: host})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(r.Status, " ", r.Header.Get("Location")); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// over sends a request over TLS with the client's side given, from a visitor to the ingress gateway.
func over(l *Lab, c *tls.Config) (*Response, error) {
	client := clientIn(l.members["visitor"].ns, func(string) string { return "10.9.0.1" })
	client.Transport.(*http.Transport).TLSClientConfig = c
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = slices.Contains(c.NextProtos, "h2")
	defer client.CloseIdleConnections()
	return Do(context.Background(), client, Request{URL: "https://" + c.ServerName + ":8443/"})
}

func testFront(t *testing.T, l *Lab, p *pki) {
	old := p.client("modern.example.com", "")
	old.MaxVersion = tls.VersionTLS12
	stranger := newPKI(t)
	stranger.issueTo("visitor", "visitor.example.com")
	unknown := p.client("optional.example.com", "visitor")
	unknown.Certificates = stranger.client("", "visitor").Certificates
	h2 := p.client("shop.example.com", "")
	h2.NextProtos = []string{"h2"}
	for _, c := range []struct {
		name   string
		tls    *tls.Config
		answer string // the application, "" for none
	}{
		{"terminated", p.client("shop.example.com", ""), "web"},
		{"terminated, HTTP/2", h2, "web"},
		{"another name", p.client("unknown.example.com", ""), ""},
		{"mutual", p.client("mutual.example.com", "visitor"), "web"},
		{"mutual without a certificate", p.client("mutual.example.com", ""), ""},
		{"optional", p.client("optional.example.com", "visitor"), "web"},
		{"optional without a certificate", p.client("optional.example.com", ""), "web"},
		{"optional with a certificate of another authority", unknown, ""},
		{"a version that is not too old", p.client("modern.example.com", ""), "web"},
		{"a version that is too old", old, ""},
		{"passed through", p.client("external.example.com", ""), "external"},
	} {
		r, err := over(l, c.tls)
		switch {
		case c.answer == "" && err == nil:
			t.Errorf("%s: answered %d by %s", c.name, r.Status, r.Echo.Name)
		case c.answer != "" && (err != nil || r.Status != 200 || r.Echo.Name != c.answer):
			t.Errorf("%s: %+v, %v", c.name, r, err)
		}
	}
}

// Lines reach the application over a port that takes anything, and over one that takes TLS off.
func testLines(t *testing.T, l *Lab, p *pki) {
	for port, config := range map[string]*tls.Config{"9000": nil, "9443": p.client("shop.example.com", "")} {
		c, err := l.Dial(context.Background(), "visitor", "10.9.0.1:"+port)
		if err != nil {
			t.Error(err)
			continue
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		if config != nil {
			c = tls.Client(c, config)
		}
		fmt.Fprintln(c, "hello")
		if s, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(s, "web ") || err != nil {
			t.Errorf("port %s: %q, %v", port, s, err)
		}
	}
}

// Plain HTTP of the application leaves the mesh at the egress gateway, as TLS with the certificate of the gateway.
func testEgress(t *testing.T, l *Lab) {
	r := ask(t, l, Request{URL: "http://external.example.com/"})
	if r.Status != 200 || r.Echo.Name != "external" {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if !strings.HasPrefix(r.Echo.Peer, "10.9.0.2:") || r.Echo.SNI != "external.example.com" || r.Echo.Client != "partner.example.com" {
		t.Errorf("the host outside saw %s, server name %s, certificate of %q", r.Echo.Peer, r.Echo.SNI, r.Echo.Client)
	}
}

// The client's own proxy turns HTTP into TLS, and believes only a certificate for the name in the request.
func testOrigination(t *testing.T, l *Lab) {
	r := ask(t, l, Request{URL: "http://origin.example.com/"})
	if r.Status != 200 || r.Echo.SNI != "origin.example.com" || !strings.HasPrefix(r.Echo.Peer, "10.9.0.9:") {
		t.Errorf("%d, server name %s, from %s: %s", r.Status, r.Echo.SNI, r.Echo.Peer, r.Body)
	}
	if r := ask(t, l, Request{URL: "http://other.example.com/"}); r.Status != 503 {
		t.Errorf("a certificate for other names was believed: %d %s", r.Status, r.Body)
	}
}

func testHeadless(t *testing.T, l *Lab) {
	for i := range 2 {
		pod := fmt.Sprint("db-", i)
		for _, host := range []string{pod + ".db", pod + ".db.lab.svc.cluster.local"} {
			r := ask(t, l, Request{URL: "http://" + host + ":8080/"})
			if r.Status != 200 || r.Echo.Version != fmt.Sprint("v", i) || r.Echo.Host != host+":8080" {
				t.Errorf("%s: %d from %s, asked as %s", host, r.Status, r.Echo.Version, r.Echo.Host)
			}
			if from := r.Echo.Headers["x-forwarded-client-cert"]; !strings.Contains(from, "URI="+labIdentity) {
				t.Errorf("%s saw the client as %q", host, from)
			}
		}
		if got, want := line(t, l, pod+".db:9000"), fmt.Sprintf("db v%d hello", i); got != want {
			t.Errorf("%s over TCP: %q", pod, got)
		}
	}
}

// What a Sidecar does not import does not exist for its workload.
func testScope(t *testing.T, l *Lab) {
	for _, c := range []struct {
		from, host string
		want       int
	}{
		{"scoped", "only", 200}, {"scoped", "web", 502}, {"scoped", "external.example.com", 502}, {"client", "web", 200},
	} {
		r, err := l.Get(context.Background(), c.from, "http://"+c.host+"/")
		if err != nil || r.Status != c.want {
			t.Errorf("%s to %s: %+v, %v, want %d", c.from, c.host, r, err, c.want)
		}
	}
	c, err := l.Dial(context.Background(), "scoped", "web:9000")
	if err == nil {
		defer c.Close()
		fmt.Fprintln(c, "hello")
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%d bytes came back over TCP", n)
		}
	}
	clusters, err := l.Admin(context.Background(), "scoped", "/clusters")
	if err != nil || strings.Contains(clusters, "||web.") || !strings.Contains(clusters, "||only.") {
		t.Errorf("the workload knows other services than its Sidecar imports (%v): %s", err, clusters)
	}
}
