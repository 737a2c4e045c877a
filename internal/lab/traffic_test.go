//go:build linux

package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// traffic is a mesh in which each service has one feature, all over the same two pods.
func traffic() manifests {
	m := meshOf("enableTracing: false")
	m.backends()
	m.pod("sidecar", "shadow", "app: shadow, version: v1", "10.9.1.3", "http:8080")
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	m.pod("plain", "outside", "app: outside", "203.0.113.9", "http:8080")
	for i, name := range []string{"match", "split", "timeout", "retry", "fault", "delay", "rewrite", "redirect", "headers", "mirror", "lb", "sticky"} {
		m.service(name, "web", fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
	}
	m.service("shadow", "shadow", "10.96.9.100", "http:80:8080")
	m.service("tcp", "web", "10.96.9.101", "tcp-echo:9000:9000")
	m.service("secure", "web", "10.96.9.102", "tls-web:443:9443")
	m.service("ingress", "ingress", "10.96.9.103", "http:80:8080", "tls:443:8443")
	for _, name := range []string{"match", "split", "rewrite", "tcp", "secure"} {
		m.subsets(name, "")
	}
	m.subsets("lb", "loadBalancer: {simple: ROUND_ROBIN}")
	m.subsets("sticky", "loadBalancer: {consistentHash: {httpHeaderName: x-user}}")

	m.routes("match", `
  http:
  - match: [{headers: {end-user: {exact: tester}}}, {uri: {prefix: /new/}}, {method: {exact: DELETE}}, {queryParams: {beta: {exact: "1"}}}]
    route: [{destination: {host: match, subset: v2}}]
  - route: [{destination: {host: match, subset: v1}}]
`)
	m.routes("split", `
  http:
  - route:
    - {destination: {host: split, subset: v1}, weight: 90}
    - {destination: {host: split, subset: v2}, weight: 10}
`)
	m.routes("timeout", `
  http:
  - timeout: 200ms
    route: [{destination: {host: timeout}}]
`)
	m.routes("retry", `
  http:
  - match: [{uri: {prefix: /never}}]
    retries: {attempts: 0}
    route: [{destination: {host: retry}}]
  - retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}
    route: [{destination: {host: retry}}]
`)
	m.routes("fault", `
  http:
  - fault: {abort: {httpStatus: 418, percentage: {value: 100}}}
    route: [{destination: {host: fault}}]
`)
	m.routes("delay", `
  http:
  - fault: {delay: {fixedDelay: 300ms, percentage: {value: 100}}}
    route: [{destination: {host: delay}}]
`)
	m.routes("rewrite", `
  http:
  - match: [{uri: {prefix: /old/}}]
    rewrite: {uri: /fresh/, authority: renamed.example.com}
    route: [{destination: {host: rewrite, subset: v1}}]
  - match: [{uri: {regex: "/item/\\d+"}}]
    rewrite: {uriRegexRewrite: {match: "^/item/(\\d+)$", rewrite: "/things?id=\\1"}}
    route: [{destination: {host: rewrite, subset: v2}}]
`)
	m.routes("redirect", `
  http:
  - match: [{uri: {exact: /gone}}]
    redirect: {uri: /here, authority: elsewhere.example.com, redirectCode: 308}
  - match: [{uri: {exact: /teapot}}]
    directResponse: {status: 418, body: {string: short and stout}}
  - route: [{destination: {host: redirect}}]
`)
	m.routes("headers", `
  http:
  - headers:
      request: {set: {x-set: mesh}, add: {x-add: mesh}, remove: [x-remove]}
      response: {set: {x-answer: mesh}, remove: [x-echo-gone]}
    route: [{destination: {host: headers}}]
`)
	m.routes("mirror", `
  http:
  - mirror: {host: shadow}
    mirrorPercentage: {value: 100}
    route: [{destination: {host: mirror}}]
`)
	m.routes("tcp", `
  tcp:
  - route:
    - {destination: {host: tcp, subset: v1}, weight: 75}
    - {destination: {host: tcp, subset: v2}, weight: 25}
`)
	m.add("sni.yaml", `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: sni, namespace: lab}
spec:
  hosts: [one.example.com, two.example.com]
  addresses: [10.96.9.200]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS}]
  endpoints: [{address: 10.9.1.1, ports: {tls: 9443}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: sni, namespace: lab}
spec:
  hosts: [one.example.com, two.example.com]
  tls:
  - match: [{port: 443, sniHosts: [one.example.com]}]
    route: [{destination: {host: secure, subset: v1, port: {number: 443}}}]
  - match: [{port: 443, sniHosts: [two.example.com]}]
    route: [{destination: {host: secure, subset: v2, port: {number: 443}}}]
`)
	m.add("gateway.yaml", `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: lab}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 80, name: http, protocol: HTTP}
    hosts: [shop.example.com, "*.wild.example.com"]
  - port: {number: 443, name: tls, protocol: TLS}
    tls: {mode: PASSTHROUGH}
    hosts: [pass.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: lab}
spec:
  hosts: [shop.example.com]
  gateways: [shop]
  http:
  - match: [{uri: {prefix: /api/}}]
    route: [{destination: {host: match, subset: v2}}]
  - match: [{uri: {prefix: /}}]
    route: [{destination: {host: match, subset: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: wild, namespace: lab}
spec:
  hosts: ["*.wild.example.com"]
  gateways: [shop]
  http:
  - route: [{destination: {host: shadow}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: pass, namespace: lab}
spec:
  hosts: [pass.example.com]
  gateways: [shop]
  tls:
  - match: [{port: 443, sniHosts: [pass.example.com]}]
    route: [{destination: {host: secure, subset: v2, port: {number: 443}}}]
`)
	return m
}

func TestTrafficDelta(t *testing.T) { testTraffic(t, false) }

// The same requests get the same answers when Envoy asks with state-of-the-world ADS.
func TestTrafficStateOfTheWorld(t *testing.T) { testTraffic(t, true) }

func testTraffic(t *testing.T, sotw bool) {
	require(t)
	l := run(t, Spec{Source: traffic().write(t), StateOfTheWorld: sotw})
	for name, test := range map[string]func(*testing.T, *Lab){
		"match": testMatch, "split": testSplit, "timeout": testTimeout, "retry": testRetry, "fault": testFault,
		"rewrite": testRewrite, "redirect": testRedirect, "headers": testHeaders, "mirror": testMirror,
		"tcp split": testTCPSplit, "tls by sni": testSNI, "gateway": testGateway, "gateway passthrough": testGatewayTLS,
		"subset load balancing": testBalancing, "websocket": testWebSocket,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
}

// ask sends a request from the client and fails the test when no answer comes.
func ask(t *testing.T, l *Lab, r Request) *Response {
	t.Helper()
	out, err := l.Send(context.Background(), "client", r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	return out
}

func testMatch(t *testing.T, l *Lab) {
	for _, c := range []struct {
		name string
		r    Request
		want string
	}{
		{"nothing matches", Request{URL: "http://match/"}, "v1"},
		{"header", Request{URL: "http://match/", Headers: map[string]string{"end-user": "tester"}}, "v2"},
		{"another value", Request{URL: "http://match/", Headers: map[string]string{"end-user": "testers"}}, "v1"},
		{"path", Request{URL: "http://match/new/x"}, "v2"},
		{"path, not its prefix", Request{URL: "http://match/new"}, "v1"},
		{"method", Request{Method: "DELETE", URL: "http://match/"}, "v2"},
		{"query", Request{URL: "http://match/?beta=1"}, "v2"},
		{"full name", Request{URL: "http://match.lab.svc.cluster.local/new/x"}, "v2"},
	} {
		if r := ask(t, l, c.r); r.Status != 200 || r.Echo.Version != c.want {
			t.Errorf("%s: %d from %q, want %s: %s", c.name, r.Status, r.Echo.Version, c.want, r.Body)
		}
	}
}

// count sends requests over a few connections and counts the versions that answered.
func count(t *testing.T, l *Lab, n int, r Request) map[string]int {
	t.Helper()
	return countFrom(t, l, "client", n, r)
}

func countFrom(t *testing.T, l *Lab, from string, n int, r Request) map[string]int {
	t.Helper()
	c, err := l.Client(from)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	got := map[string]int{}
	for range n {
		resp, err := Do(context.Background(), c, r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Status != 200 {
			t.Fatalf("%s: %d %s", r.URL, resp.Status, resp.Body)
		}
		got[resp.Echo.Version]++
	}
	return got
}

func testSplit(t *testing.T, l *Lab) {
	got := count(t, l, 2000, Request{URL: "http://split/"})
	if share := float64(got["v2"]) / 20; share < 7 || share > 13 || got["v1"]+got["v2"] != 2000 {
		t.Errorf("90/10 became %v", got)
	}
	t.Logf("90/10 over 2000 requests: %v", got)
}

func testTimeout(t *testing.T, l *Lab) {
	if r := ask(t, l, Request{URL: "http://timeout/?delay=5s"}); r.Status != http.StatusGatewayTimeout {
		t.Errorf("slow answer: %d %s", r.Status, r.Body)
	}
	if r := ask(t, l, Request{URL: "http://timeout/"}); r.Status != 200 {
		t.Errorf("quick answer: %d %s", r.Status, r.Body)
	}
}

// Attempts are seen in the header that Envoy counts them in, and at the applications.
func testRetry(t *testing.T, l *Lab) {
	drain(t, l, "web-v1", "web-v2")
	if r := ask(t, l, Request{URL: "http://retry/always?status=503"}); r.Status != 503 || r.Echo.Headers["x-envoy-attempt-count"] != "4" {
		t.Errorf("last of 1+3 attempts: %d, header %q", r.Status, r.Echo.Headers["x-envoy-attempt-count"])
	}
	if n := len(drain(t, l, "web-v1", "web-v2")); n != 4 {
		t.Errorf("%d requests arrived, want the first and 3 retries", n)
	}
	ask(t, l, Request{URL: "http://retry/never?status=503"})
	if n := len(drain(t, l, "web-v1", "web-v2")); n != 1 {
		t.Errorf("attempts: 0 sent %d requests, want 1", n)
	}
}

// drain collects the requests that applications have received.
func drain(t *testing.T, l *Lab, of ...string) []string {
	t.Helper()
	var all []string
	for _, w := range of {
		got, err := l.Recent(context.Background(), w)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, got...)
	}
	return all
}

func testFault(t *testing.T, l *Lab) {
	if r := ask(t, l, Request{URL: "http://fault/"}); r.Status != http.StatusTeapot || r.Echo.Name != "" {
		t.Errorf("abort: %d from %q", r.Status, r.Echo.Name)
	}
	if r := ask(t, l, Request{URL: "http://delay/"}); r.Status != 200 || r.Elapsed < 250*time.Millisecond {
		t.Errorf("delay: %d after %v", r.Status, r.Elapsed)
	}
}

func testRewrite(t *testing.T, l *Lab) {
	if r := ask(t, l, Request{URL: "http://rewrite/old/page?q=1"}); r.Echo.Path != "/fresh/page?q=1" || r.Echo.Host != "renamed.example.com" {
		t.Errorf("prefix: %s %s (%d)", r.Echo.Host, r.Echo.Path, r.Status)
	}
	if r := ask(t, l, Request{URL: "http://rewrite/item/42"}); r.Echo.Path != "/things?id=42" || r.Echo.Version != "v2" {
		t.Errorf("regex: %s from %s (%d)", r.Echo.Path, r.Echo.Version, r.Status)
	}
}

func testRedirect(t *testing.T, l *Lab) {
	if r := ask(t, l, Request{URL: "http://redirect/gone"}); r.Status != 308 || r.Header.Get("Location") != "http://elsewhere.example.com/here" {
		t.Errorf("redirect: %d to %s", r.Status, r.Header.Get("Location"))
	}
	if r := ask(t, l, Request{URL: "http://redirect/teapot"}); r.Status != 418 || r.Body != "short and stout" {
		t.Errorf("direct response: %d %q", r.Status, r.Body)
	}
	if r := ask(t, l, Request{URL: "http://redirect/other"}); r.Status != 200 {
		t.Errorf("other path: %d", r.Status)
	}
}

func testHeaders(t *testing.T, l *Lab) {
	r := ask(t, l, Request{URL: "http://headers/", Headers: map[string]string{"x-set": "client", "x-add": "client", "x-remove": "client"}})
	if h := r.Echo.Headers; h["x-set"] != "mesh" || h["x-add"] != "client,mesh" || h["x-remove"] != "" {
		t.Errorf("request headers: %v", h)
	}
	if got := r.Header.Get("x-answer"); got != "mesh" {
		t.Errorf("response header x-answer: %q", got)
	}
}

func testMirror(t *testing.T, l *Lab) {
	drain(t, l, "shadow")
	for i := range 5 {
		if r := ask(t, l, Request{URL: fmt.Sprintf("http://mirror/copy/%d", i)}); r.Status != 200 || r.Echo.Name != "web" {
			t.Errorf("answer of %s: %d", r.Echo.Name, r.Status)
		}
	}
	var got []string
	err := poll(context.Background(), func() error {
		if got = append(got, drain(t, l, "shadow")...); len(got) < 5 {
			return fmt.Errorf("%d of 5 requests mirrored", len(got))
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v: %v", err, got)
	}
}

// line sends a line over a new TCP connection and returns the answer.
func line(t *testing.T, l *Lab, address string) string {
	t.Helper()
	s, err := tryLine(l, address)
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return s
}

func tryLine(l *Lab, address string) (string, error) {
	c, err := l.Dial(context.Background(), "client", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintln(c, "hello")
	s, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(s), err
}

func testTCPSplit(t *testing.T, l *Lab) {
	got := map[string]int{}
	for range 200 {
		got[line(t, l, "tcp:9000")]++
	}
	if n := got["web v2 hello"]; n < 25 || n > 75 || got["web v1 hello"]+n != 200 {
		t.Errorf("75/25 over 200 connections: %v", got)
	}
}

// sni makes a TLS request that only the server name leads to its destination.
func sni(t *testing.T, l *Lab, from, address, name string) (*Response, error) {
	t.Helper()
	m, err := l.member(from)
	if err != nil {
		t.Fatal(err)
	}
	c := clientIn(m.ns, func(string) string { return address[:strings.LastIndexByte(address, ':')] })
	c.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true, ServerName: name}
	defer c.CloseIdleConnections()
	return Do(context.Background(), c, Request{URL: "https://any:" + address[strings.LastIndexByte(address, ':')+1:] + "/"})
}

func testSNI(t *testing.T, l *Lab) {
	for name, version := range map[string]string{"one.example.com": "v1", "two.example.com": "v2"} {
		r, err := sni(t, l, "client", "10.96.9.200:443", name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Echo.Version != version || r.Echo.SNI != name {
			t.Errorf("%s: answered by %s, which saw %s", name, r.Echo.Version, r.Echo.SNI)
		}
	}
}

func testGateway(t *testing.T, l *Lab) {
	for _, c := range []struct {
		host, path string
		status     int
		want       string
	}{
		{"shop.example.com", "/", 200, "web/v1"},
		{"shop.example.com", "/api/x", 200, "web/v2"},
		{"a.wild.example.com", "/", 200, "shadow/v1"},
		{"wild.example.com", "/", 404, ""},
		{"other.example.com", "/", 404, ""},
	} {
		r, err := l.Send(context.Background(), "outside", Request{URL: "http://10.9.0.1:8080" + c.path, Host: c.host})
		if err != nil {
			t.Errorf("%s%s: %v", c.host, c.path, err)
			continue
		}
		if r.Status != c.status || r.Header.Get("X-Echo") != c.want {
			t.Errorf("%s%s: %d from %q, want %d from %q", c.host, c.path, r.Status, r.Header.Get("X-Echo"), c.status, c.want)
		}
	}
}

func testGatewayTLS(t *testing.T, l *Lab) {
	r, err := sni(t, l, "outside", "10.9.0.1:8443", "pass.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if r.Echo.Version != "v2" || r.Echo.SNI != "pass.example.com" {
		t.Errorf("passed through to %s %s", r.Echo.Version, r.Echo.SNI)
	}
	if r, err := sni(t, l, "outside", "10.9.0.1:8443", "shop.example.com"); err == nil {
		t.Errorf("another name was let through: %s", r.Body)
	}
}

func testBalancing(t *testing.T, l *Lab) {
	if got := count(t, l, 100, Request{URL: "http://lb/"}); got["v1"] != 50 || got["v2"] != 50 {
		t.Errorf("round robin over two endpoints: %v", got)
	}
	if got := count(t, l, 50, Request{URL: "http://sticky/", Headers: map[string]string{"x-user": "one"}}); len(got) != 1 {
		t.Errorf("consistent hash by header: %v", got)
	}
}

func testWebSocket(t *testing.T, l *Lab) {
	c, err := l.Dial(context.Background(), "client", "lb:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: lb\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %v, %v", resp, err)
	}
	fmt.Fprint(c, "ping\n")
	if s, err := r.ReadString('\n'); s != "ping\n" || err != nil {
		t.Errorf("after the upgrade: %q, %v", s, err)
	}
}
