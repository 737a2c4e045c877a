//go:build linux

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
)

// What a walk through the bundle says about random requests under random routes and policies is what real Envoys do with
// them. Where the walk has branches, what happens must be one of them.
func TestTraceTellsTheTruth(t *testing.T) {
	require(t)
	random := rand.New(rand.NewPCG(99, 5))
	visitor := netip.MustParseAddr("10.9.8.8")
	l := runSecured(t, traced(random), Spec{Visitors: map[string]netip.Addr{"visitor": visitor}})
	for round := range 5 {
		if round > 0 {
			if err := l.Apply(context.Background(), traced(random).write(t)); err != nil {
				t.Fatal(err)
			}
		}
		b, err := bundle.Read(l.bundle)
		if err != nil {
			t.Fatal(err)
		}
		settled(t, l, b)
		w := trace.New(b)
		seen := map[string]int{}
		for i := range 200 {
			q := anyRequest(random, visitor)
			r, err := w.Walk(q.walk)
			if err != nil {
				t.Fatalf("%s from %s: %v", q.walk.URL, q.walk.From, err)
			}
			got := q.send(l)
			ends := r.Path.Leaves()
			var want []string
			fits := false
			for _, e := range ends {
				want = append(want, outcome(e.Outcome))
				fits = fits || outcome(e.Outcome) == got
			}
			if !fits {
				t.Errorf("round %d, request %d, %s %s %v from %s: %q, the walk says %q\n%s", round, i, q.walk.Method, q.walk.URL, q.walk.Headers, q.walk.From, got, want, strings.Join(r.Lines(), "\n"))
			}
			seen[strings.Fields(got)[0]]++
		}
		t.Logf("round %d: answers by status: %v", round, seen)
	}
}

// settled waits until every proxy has taken the bundle.
func settled(t *testing.T, l *Lab, b *bundle.Bundle) {
	t.Helper()
	eventually(t, func() error {
		c := clientIn(l.net.hub, nil)
		defer c.CloseIdleConnections()
		r, err := Do(context.Background(), c, Request{URL: "http://" + serverAdmin + "/status"})
		if err != nil {
			return err
		}
		var status struct {
			Nodes []struct {
				ID, Bundle string
				Synced     bool
			}
		}
		if err := json.Unmarshal([]byte(r.Body), &status); err != nil {
			return err
		}
		for _, n := range status.Nodes {
			if n.Bundle != b.Digest.String() || !n.Synced {
				return fmt.Errorf("%s has not yet taken %s", n.ID, b.Digest)
			}
		}
		return nil
	})
}

// traced is a mesh in which every request has a connection of its own, since a connection keeps the rules under which it
// was opened: with a client, three servers, one for each mode of mutual TLS, a gateway, and random rules.
func traced(r *rand.Rand) manifests {
	m := identified("enableTracing: false")
	m.workload("sidecar", "client", "10.9.0.9", "", "http:80:8080")
	m.workload("sidecar", "other", "10.9.0.8", "", "http:80:8080")
	modes := []string{"STRICT", "PERMISSIVE", "DISABLE"}
	for i, name := range servers() {
		m.workload("sidecar", name, fmt.Sprintf("10.9.1.%d", i+1), fmt.Sprintf("10.96.9.%d", i+1), "http:80:8080")
		m.add("rules.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  mtls: {mode: %[2]s}
`, name, modes[i])
		m.randomPolicies(r, name)
	}
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	m.serves("ingress", "ingress", "10.96.9.103", "http:80:8080")
	m.ingress("shop.test")
	m.add("rules.yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: single, namespace: lab}
spec:
  host: "*.lab.svc.cluster.local"
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
`)
	m.randomRoutes(r, "inner", "hosts: [alpha]")
	m.randomRoutes(r, "outer", "hosts: [shop.test]\n  gateways: [front]")
	return m
}

func servers() []string { return []string{"alpha", "beta", "gamma"} }

func tracedPaths() []string {
	return []string{"/", "/a", "/a/b", "/a/b?q=1", "/b?q=2&r=x", "/B", "/admin", "/admin/x", "/a/../admin", "/%61dmin", "/a//b", "/c%2Fd", "/one/two/three?r=y"}
}

func oneOf[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

// randomRoutes adds a VirtualService of about ten blocks; the last one is sometimes a default.
func (m manifests) randomRoutes(r *rand.Rand, name, head string) {
	text := "spec:\n  " + head + "\n  http:\n"
	blocks := 8 + r.IntN(5)
	for i := range blocks {
		text += "  - name: r" + fmt.Sprint(i) + "\n"
		if i < blocks-1 || r.IntN(3) == 0 {
			text += "    match:\n"
			for range 1 + r.IntN(2) {
				text += "    - {" + randomMatch(r) + "}\n"
			}
		}
		text += randomAction(r, i)
	}
	m.add("routes.yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: lab}
%s`, name, text)
}

func randomMatch(r *rand.Rand) string {
	conditions := []string{
		oneOf(r, "uri: {prefix: /a}", "uri: {exact: /a/b}", "uri: {exact: /b}, ignoreUriCase: true", "uri: {regex: '/one/[a-z]+(/.*)?'}", "uri: {prefix: /admin}", "uri: {prefix: /c}"),
		oneOf(r, "headers: {x-user: {exact: jason}}", "headers: {x-user: {prefix: ja}}", "headers: {x-user: {regex: 'j.*n'}}", "headers: {x-user: {}}", "withoutHeaders: {x-user: {}}", "withoutHeaders: {x-user: {exact: jason}}"),
		oneOf(r, "method: {exact: POST}", "method: {regex: 'GET|PUT'}"),
		oneOf(r, "queryParams: {q: {exact: '1'}}", "queryParams: {r: {regex: '[xy]'}}", "queryParams: {q: {}}"),
	}
	r.Shuffle(len(conditions), func(i, j int) { conditions[i], conditions[j] = conditions[j], conditions[i] })
	return strings.Join(conditions[:1+r.IntN(2)], ", ")
}

func randomAction(r *rand.Rand, i int) string {
	to := func() string {
		return "{destination: {host: " + oneOf(r, servers()...) + ".lab.svc.cluster.local, port: {number: 80}}"
	}
	route := "    route: [" + to() + "}]\n"
	switch r.IntN(9) {
	case 0:
		return "    redirect: {" + oneOf(r, "uri: /there", "authority: new.test", "scheme: https", "authority: new.test, redirectCode: 307, port: 8443") + "}\n"
	case 1:
		return fmt.Sprintf("    directResponse: {status: %d, body: {string: block %d}}\n", oneOf(r, 200, 404, 503), i)
	case 2:
		return "    rewrite: {" + oneOf(r, "uri: /new", "authority: other.test", "uri: /x/, authority: y.test", "uriRegexRewrite: {match: '/([a-z]+)/', rewrite: '/\\1\\1/'}") + "}\n" + route
	case 3:
		return fmt.Sprintf("    fault: {abort: {httpStatus: %d, percentage: {value: %d}}}\n", oneOf(r, 418, 500, 429), oneOf(r, 100, 50)) + route
	case 4:
		return "    headers: {request: {" + oneOf(r, "set: {x-tier: gold}", "add: {x-tier: gold}", "remove: [x-user]", "set: {x-user: jason}") + "}}\n" + route
	case 5, 6:
		return fmt.Sprintf("    route:\n    - %s, weight: 60}\n    - %s, weight: 40}\n", to(), to())
	}
	return route
}

// randomPolicies guards a server.
func (m manifests) randomPolicies(r *rand.Rand, name string) {
	for i := range r.IntN(3) {
		action := oneOf(r, "ALLOW", "DENY", "DENY")
		text := ""
		for range 1 + r.IntN(3) {
			var parts []string
			if r.IntN(2) == 0 || action == "DENY" {
				parts = append(parts, "to: [{operation: {"+oneOf(r, "paths: [/admin*]", "paths: ['*/x', /a/b]", "notPaths: [/, '/a*']", "methods: [POST, PUT]", "notMethods: [GET]", "paths: [/one/*, '/{*}/b'], methods: [GET]", "ports: ['8080'], hosts: [other.test, 'shop.*']")+"}}]")
			}
			if r.IntN(2) == 0 {
				parts = append(parts, "from: [{source: {"+oneOf(r, "principals: [mesh.test/ns/lab/sa/client]", "notPrincipals: [mesh.test/ns/lab/sa/client]", "namespaces: [lab]", "notNamespaces: [lab]", "ipBlocks: [10.9.0.9/32]", "notIpBlocks: [10.9.0.0/24]", "remoteIpBlocks: [10.9.8.0/24]", "principals: ['*']")+"}}]")
			}
			if r.IntN(3) == 0 || len(parts) == 0 {
				parts = append(parts, "when: [{"+oneOf(r, "key: 'request.headers[x-user]', values: [jason]", "key: 'request.headers[x-tier]', notValues: [gold]", "key: source.namespace, values: [lab]", "key: destination.port, values: ['8080']")+"}]")
			}
			text += "  - " + strings.Join(parts, "\n    ") + "\n"
		}
		m.add("rules.yaml", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: %[1]s-%[2]d, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  action: %[3]s
  rules:
%[4]s`, name, i, action, text)
	}
}

// query is one request, for the walk and for the lab.
type query struct {
	walk trace.Request
	from string
	real Request
}

func anyRequest(r *rand.Rand, visitor netip.Addr) query {
	path := oneOf(r, tracedPaths()...)
	headers := map[string]string{}
	if r.IntN(2) == 0 {
		headers["x-user"] = oneOf(r, "jason", "jan", "bob", "")
	}
	if r.IntN(4) == 0 {
		headers["x-tier"] = oneOf(r, "gold", "silver")
	}
	method := oneOf(r, "GET", "GET", "POST", "PUT", "DELETE")
	q := query{real: Request{Method: method, Headers: headers}, walk: trace.Request{Method: method, Headers: map[string][]string{}}}
	for k, v := range headers {
		q.walk.Headers[k] = []string{v}
	}
	switch from := oneOf(r, "client", "client", "other", "gateway", "outside"); from {
	case "gateway":
		host := oneOf(r, "shop.test", "shop.test", "shop.test", "unknown.test")
		q.from, q.real.URL, q.real.Host = "visitor", "http://10.9.0.1:8080"+path, host
		q.walk.From, q.walk.URL, q.walk.Source = "gateway lab/front", "http://"+host+path, visitor
	case "outside":
		i := r.IntN(3)
		q.from, q.real.URL = "visitor", fmt.Sprintf("http://10.9.1.%d:8080%s", i+1, path)
		q.walk.From, q.walk.URL, q.walk.Source = "outside", q.real.URL, visitor
	default:
		host := oneOf(r, "alpha", "alpha", "alpha", "beta", "gamma", "alpha.lab", "beta.lab.svc.cluster.local")
		q.from, q.real.URL = from, "http://"+host+path
		q.walk.From, q.walk.URL = "lab/"+from, q.real.URL
	}
	return q
}

// send sends the request and sums up what came back.
func (q query) send(l *Lab) string {
	r, err := l.Send(context.Background(), q.from, q.real)
	switch {
	case err != nil:
		return "closed"
	case r.Echo.Name != "":
		return fmt.Sprintf("200 %s gets %s host %s", r.Echo.Name, r.Echo.Path, r.Echo.Host)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, r.Header.Get("Location")))
}

// outcome is the end of a walk in the same words.
func outcome(o *trace.Outcome) string {
	switch {
	case o.Verdict == trace.Reached:
		return fmt.Sprintf("200 %s gets %s host %s", strings.TrimPrefix(o.At, "lab/"), o.Path, o.Host)
	case o.Status == 0:
		return "closed"
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", o.Status, o.To))
}
