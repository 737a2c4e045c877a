//go:build linux

package lab

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// resilience is a mesh of one client, and pods without proxies in three localities behind it: what it shows is the
// doing of the client's proxy alone. Scaled says whether the fifth pod of the hashed services serves yet.
func resilience(scaled bool) manifests {
	m := meshOf("accessLogFile: /dev/stdout")
	m.pod("sidecar", "client", "app: client, istio-locality: here.a.1", "10.9.0.9", "http:8080")
	m.pod("gateway", "ingress", "istio: ingress, app: ingress, istio-locality: here.a.1", "10.9.0.1")
	m.serves("ingress", "ingress", "10.96.9.103", "http:80:8080")
	for i, where := range []string{"here.a.1", "here.b.1", "there.c.1"} {
		m.pod("plain", "near-"+string(rune('0'+i)), fmt.Sprintf("app: near, version: %q, istio-locality: %s", where, where), fmt.Sprintf("10.9.2.%d", i+1), "http:8080")
	}
	for i := range 5 {
		app := "many"
		if i == 4 && !scaled {
			app = "spare"
		}
		m.pod("plain", fmt.Sprint("many-", i), fmt.Sprintf("app: %s, version: v%d", app, i), fmt.Sprintf("10.9.3.%d", i+1), "http:8080")
	}
	m.pod("plain", "shadow", "app: shadow", "10.9.4.1", "http:8080")
	for i, name := range []string{"eject", "header", "cookie", "session", "mirror", "source", "upgraded", "plain"} {
		m.serves(name, "many", fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
	}
	m.serves("near", "near", "10.96.9.101", "http:80:8080")
	m.serves("shadow", "shadow", "10.96.9.102", "http:80:8080")
	m.serves("breaker", "shadow", "10.96.9.104", "http:80:8080") // one pod: Envoy grants each pod a connection
	m.rule("near", "outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}")
	m.rule("eject", "loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 4s, maxEjectionPercent: 50}")
	m.rule("breaker", "connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}")
	m.rule("header", "loadBalancer: {consistentHash: {httpHeaderName: x-user}}")
	m.rule("cookie", "loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 60s}}}")
	m.rule("session", "loadBalancer: {consistentHash: {httpCookie: {name: session, ttl: 0s}}}")
	m.rule("source", "loadBalancer: {consistentHash: {useSourceIp: true}}")
	m.rule("upgraded", "connectionPool: {http: {h2UpgradePolicy: UPGRADE}}")
	m.routes("mirror", `
  http:
  - mirrors: [{destination: {host: shadow}, percentage: {value: 30}}]
    route: [{destination: {host: mirror}}]
`)
	m.ingress("source.example.com")
	m.add("gateway.yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: lab}
spec:
  hosts: [source.example.com]
  gateways: [front]
  http:
  - route: [{destination: {host: source}}]
`)
	return m
}

func TestResilience(t *testing.T) {
	require(t)
	visitors := map[string]netip.Addr{}
	for i := range 8 {
		visitors[fmt.Sprint("visitor-", i)] = netip.AddrFrom4([4]byte{203, 0, 113, byte(20 + i)})
	}
	l := run(t, Spec{Source: resilience(false).write(t), Visitors: visitors})
	t.Run("outlier ejection", func(t *testing.T) { testEjection(t, l) })
	t.Run("circuit breaking", func(t *testing.T) { testBreaker(t, l) })
	t.Run("hash by source", func(t *testing.T) { testSourceHash(t, l) })
	t.Run("hash by cookie", func(t *testing.T) { testCookieHash(t, l) })
	t.Run("mirror percent", func(t *testing.T) { testMirrorPercent(t, l) })
	t.Run("http2 upgrade", func(t *testing.T) { testUpgrade(t, l) })
	t.Run("hash by header after scaling", func(t *testing.T) { testScaling(t, l) })
	t.Run("locality failover", func(t *testing.T) { testFailover(t, l) }) // kills pods
}

// Requests stay in the client's zone, move to the next zone of the region when its pod dies, then to the other region.
// What fails is what was on its way to the dead, until the proxy has learnt of it.
func testFailover(t *testing.T, l *Lab) {
	for i, where := range []string{"here.a.1", "here.b.1", "there.c.1"} {
		if i > 0 {
			if err := l.Stop(fmt.Sprint("near-", i-1)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond) // Envoy holds back a change of health within a second of the last (update_merge_window)
			failed := 0
			eventually(t, func() error {
				r := ask(t, l, Request{URL: "http://near/"})
				if r.Status != 200 {
					failed++
					return fmt.Errorf("status %d", r.Status)
				}
				return nil
			})
			if failed > 3 { // one is enough where the machine is not busy
				t.Errorf("%d requests failed before the dead pod of %s was left out", failed, where)
			}
		}
		if got := count(t, l, 50, Request{URL: "http://near/"}); got[where] != 50 {
			t.Errorf("with %d localities dead: %v, want only %s", i, got, where)
		}
	}
}

// A pod that fails three times in a row is left out; after a while it is tried again.
func testEjection(t *testing.T, l *Lab) {
	failed := 0
	for range 60 {
		if r := ask(t, l, Request{URL: "http://eject/?status=503&only=v1"}); r.Status != 200 {
			failed++
		}
	}
	if failed < 3 || failed > 5 { // three, and what came while the proxy took that in
		t.Errorf("%d of 60 requests failed, want the 3 that it takes to eject the pod", failed)
	}
	if s := stat(t, l, "client", `outbound\|80\|\|eject.*outlier_detection.ejections_enforced_consecutive_5xx`); s != 1 {
		t.Errorf("%d ejections", s)
	}
	eventually(t, func() error {
		if got := count(t, l, 12, Request{URL: "http://eject/"}); got["v1"] == 0 {
			return fmt.Errorf("not tried again: %v", got)
		}
		return nil
	})
}

// stat reads the one counter or gauge of a proxy that a pattern matches.
func stat(t *testing.T, l *Lab, of, pattern string) (n int) {
	t.Helper()
	s, err := l.Admin(context.Background(), of, "/stats?filter="+strings.NewReplacer(`\`, "%5C", "|", "%7C").Replace(pattern))
	if err != nil {
		t.Fatal(err)
	}
	if s == "" {
		return 0 // it is made when it is counted for the first time
	}
	name, value, _ := strings.Cut(strings.TrimSpace(s), ": ")
	if _, err := fmt.Sscan(value, &n); err != nil || strings.Contains(value, "\n") {
		t.Fatalf("statistic %s: want one, got %q (%s)", pattern, s, name)
	}
	return n
}

// One connection, one request that waits for it, and an answer at once for all that come on top.
func testBreaker(t *testing.T, l *Lab) {
	ctx, cancel := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	for _, gauge := range []string{"upstream_rq_active", "upstream_rq_pending_active"} {
		busy.Go(func() { l.Send(ctx, "client", Request{URL: "http://breaker/?delay=20s"}) })
		eventually(t, func() error {
			if n := stat(t, l, "client", `outbound\|80\|\|breaker.*`+gauge+"$"); n != 1 {
				return fmt.Errorf("%s is %d", gauge, n)
			}
			return nil
		})
	}
	for range 8 {
		if r := ask(t, l, Request{URL: "http://breaker/"}); r.Status != 503 || r.Header.Get("X-Envoy-Overloaded") != "true" {
			t.Errorf("with one request under way and one waiting: %d %v %s", r.Status, r.Header, r.Body)
		}
	}
	cancel()
	busy.Wait()
	if n := stat(t, l, "client", `outbound\|80\|\|breaker.*upstream_rq_pending_overflow`); n != 8 {
		t.Errorf("%d overflows counted", n)
	}
	eventually(t, func() error {
		if n := strings.Count(l.Log("client.envoy"), " 503 UO "); n != 8 {
			return fmt.Errorf("the access log has %d times 503 UO", n)
		}
		return nil
	})
}

// A gateway tells visitors apart by their addresses.
func testSourceHash(t *testing.T, l *Lab) {
	pods := map[string]bool{}
	for i := range 8 {
		var first string
		for range 5 {
			r, err := l.Send(context.Background(), fmt.Sprint("visitor-", i), Request{URL: "http://10.9.0.1:8080/", Host: "source.example.com"})
			if err != nil || r.Status != 200 {
				t.Fatalf("visitor %d: %v %v", i, r, err)
			}
			if first == "" {
				first = r.Echo.Version
			}
			if r.Echo.Version != first {
				t.Errorf("visitor %d was led to %s and to %s", i, first, r.Echo.Version)
			}
			pods[r.Echo.Version] = true
		}
	}
	if len(pods) < 2 {
		t.Errorf("all visitors were led to %v", pods)
	}
}

// A visitor without the cookie gets one, which leads it back to the same pod; with a ttl of zero it ends with the
// browser's session.
func testCookieHash(t *testing.T, l *Lab) {
	for host, attribute := range map[string]string{"cookie": "Max-Age=60", "session": ""} {
		pods := map[string]bool{}
		for range 12 {
			first := ask(t, l, Request{URL: "http://" + host + "/"})
			set := first.Header.Get("Set-Cookie")
			c, err := http.ParseSetCookie(set)
			if err != nil || c.Name != "session" || c.Value == "" {
				t.Fatalf("%s: Set-Cookie: %q, %v", host, set, err)
			}
			if (attribute == "") != (c.MaxAge == 0) || !strings.Contains(set, attribute) {
				t.Errorf("%s: cookie %q, want it with %q", host, set, attribute)
			}
			for range 3 {
				again := ask(t, l, Request{URL: "http://" + host + "/", Headers: map[string]string{"Cookie": c.Name + "=" + c.Value}})
				if again.Echo.Version != first.Echo.Version || again.Header.Get("Set-Cookie") != "" {
					t.Errorf("%s: first %s, with the cookie %s and another cookie %q", host, first.Echo.Version, again.Echo.Version, again.Header.Get("Set-Cookie"))
				}
			}
			pods[first.Echo.Version] = true
		}
		if len(pods) < 2 {
			t.Errorf("%s: all visitors were led to %v", host, pods)
		}
	}
}

func testMirrorPercent(t *testing.T, l *Lab) {
	drain(t, l, "shadow")
	for range 200 {
		if r := ask(t, l, Request{URL: "http://mirror/"}); r.Status != 200 || r.Echo.Name != "many" {
			t.Fatalf("%d from %s", r.Status, r.Echo.Name)
		}
	}
	n := 0 // of mirrored ones, which nobody waits for
	eventually(t, func() error {
		if n += len(drain(t, l, "shadow")); n < 32 {
			return fmt.Errorf("%d of 200 requests mirrored, want 30 %%", n)
		}
		return nil
	})
	time.Sleep(200 * time.Millisecond)
	// 30 % of 200 are 60; chance leaves this range once in a hundred thousand runs
	if n += len(drain(t, l, "shadow")); n > 91 {
		t.Errorf("30 %% of 200 requests mirrored: %d", n)
	}
}

func testUpgrade(t *testing.T, l *Lab) {
	for host, want := range map[string]string{"upgraded": "HTTP/2.0", "plain": "HTTP/1.1"} {
		if r := ask(t, l, Request{URL: "http://" + host + "/"}); r.Status != 200 || r.Echo.Protocol != want {
			t.Errorf("%s: %d over %s, want %s", host, r.Status, r.Echo.Protocol, want)
		}
	}
}

// users maps keys to the pods they are led to.
func users(t *testing.T, l *Lab) map[string]string {
	t.Helper()
	c, err := l.Client("client")
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	to := map[string]string{}
	for i := range 200 {
		user := fmt.Sprint("user-", i)
		for range 2 {
			r, err := Do(context.Background(), c, Request{URL: "http://header/", Headers: map[string]string{"x-user": user}})
			if err != nil || r.Status != 200 {
				t.Fatalf("%s: %v %v", user, r, err)
			}
			if to[user] != "" && to[user] != r.Echo.Version {
				t.Errorf("%s was led to %s and to %s", user, to[user], r.Echo.Version)
			}
			to[user] = r.Echo.Version
		}
	}
	return to
}

// A fifth pod takes its share of the keys, and most others stay where they were; without it all are as before.
func testScaling(t *testing.T, l *Lab) {
	four := users(t, l)
	scale := func(scaled bool) map[string]string {
		if err := l.Apply(context.Background(), resilience(scaled).write(t)); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() error {
			s, err := l.Admin(context.Background(), "client", "/clusters?filter=outbound.80..header")
			if strings.Contains(s, "10.9.3.5:8080") != scaled {
				return fmt.Errorf("the fifth pod is there: %t: %w", !scaled, err)
			}
			return nil
		})
		return users(t, l)
	}
	five := scale(true)
	fresh, moved := 0, 0
	for user, pod := range five {
		switch {
		case pod == "v4":
			fresh++
		case pod != four[user]:
			moved++
		}
	}
	if fresh < 10 || fresh > 80 || moved > 60 {
		t.Errorf("of 200 keys %d went to the new pod and %d from one old pod to another", fresh, moved)
	}
	t.Logf("of 200 keys %d went to the new pod and %d from one old pod to another", fresh, moved)
	for user, pod := range scale(false) {
		if pod != four[user] {
			t.Errorf("%s is led to %s after scaling down, was to %s before scaling up", user, pod, four[user])
		}
	}
}
