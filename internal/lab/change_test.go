//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

// edited is one change of a mesh: parts of it in place of those of the base.
type edited struct {
	name  string
	parts map[string]string
	// marker is in the configuration of the proxy only with the change, where no single request shows it.
	marker string
	// ask is a query that makes the application show the change.
	ask string
}

// baseParts are those that edits replace.
var baseParts = map[string]string{
	"mesh": "enableTracing: false\n",
	"alpha": `
  - match: [{uri: {prefix: /v2}}]
    route: [{destination: {host: beta}}]
  - timeout: 5s
    route: [{destination: {host: alpha}}]
`,
	"front": `
  - route: [{destination: {host: alpha}}]
`,
	"host":     "shop.test",
	"deny":     "paths: [/admin]",
	"betaMTLS": "PERMISSIVE",
	"alphaDR":  "",
	"betaDR":   "",
	"more":     "",
}

// parted is the mesh of some parts: a client, another, three servers, a gateway and a host outside.
func parted(parts map[string]string) manifests {
	m := identified(parts["mesh"])
	m.workload("sidecar", "client", "10.9.0.9", "", "http:8080:8080")
	m.workload("sidecar", "other", "10.9.0.8", "", "http:8080:8080")
	for i, name := range servers() {
		m.workload("sidecar", name, fmt.Sprintf("10.9.1.%d", i+1), fmt.Sprintf("10.96.9.%d", i+1), "http:8080:8080")
	}
	m.workload("plain", "outside", "198.51.100.7", "", "http:8080:8080")
	m.pod("gateway", "ingress", "istio: ingress, app: ingress", "10.9.0.1")
	m.serves("ingress", "ingress", "10.96.9.103", "http:80:8080")
	m.ingress(parts["host"])
	for host, more := range map[string]string{"alpha": parts["alphaDR"], "beta": parts["betaDR"], "gamma": ""} {
		m.add("rules.yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %[1]s, namespace: lab}
spec:
  host: %[1]s
  trafficPolicy:
    connectionPool: {http: {maxRequestsPerConnection: 1}%[2]s
`, host, "}"+more)
	}
	for name, head := range map[string]string{"alpha": "hosts: [alpha]", "front": "hosts: [" + parts["host"] + "]\n  gateways: [front]"} {
		m.add("rules.yaml", `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %s, namespace: lab}
spec:
  %s
  http:%s`, name, head, parts[name])
	}
	m.add("rules.yaml", `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny, namespace: lab}
spec:
  selector: {matchLabels: {app: alpha}}
  action: DENY
  rules: [{to: [{operation: {%s}}]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: beta, namespace: lab}
spec: {selector: {matchLabels: {app: beta}}, mtls: {mode: %s}}
`, parts["deny"], parts["betaMTLS"])
	if parts["more"] != "" {
		m.add("more.yaml", "%s", parts["more"])
	}
	return m
}

// policyFor is an access policy of a server or gateway.
func policyFor(app, action, rules string) string {
	return "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: more, namespace: lab}\nspec:\n  selector: {matchLabels: {app: " + app + "}}\n  action: " + action +
		"\n  rules: [" + rules + "]\n"
}

// edits are changes of every category. Each is compared both ways.
func edits() []edited {
	alpha := func(before, after string) map[string]string {
		return map[string]string{"alpha": strings.Replace(baseParts["alpha"], before, after, 1)}
	}
	more := func(text string) map[string]string { return map[string]string{"more": text} }
	return []edited{
		{name: "another destination", parts: alpha("host: beta", "host: gamma")},
		{name: "the border of a path", parts: alpha("prefix: /v2", "exact: /v2")},
		{name: "a header that a rule asks for", parts: alpha("{prefix: /v2}}", "{prefix: /v2}, headers: {x-beta: {exact: \"1\"}}}")},
		{name: "a method", parts: alpha("{prefix: /v2}}", "{prefix: /v2}, method: {exact: POST}}")},
		{name: "a query parameter", parts: alpha("{prefix: /v2}}", "{prefix: /v2}, queryParams: {v: {exact: \"2\"}}}")},
		{name: "upper and lower case", parts: alpha("{prefix: /v2}}", "{prefix: /v2}, ignoreUriCase: true}")},
		{name: "an expression", parts: alpha("prefix: /v2", "regex: \"/v[1-3].*\"")},
		{name: "a rewritten path", parts: alpha("  - timeout: 5s", "  - timeout: 5s\n    rewrite: {uri: /new}")},
		{name: "a rewritten host", parts: alpha("  - timeout: 5s", "  - timeout: 5s\n    rewrite: {authority: other.test}")},
		{name: "a request header", parts: alpha("  - timeout: 5s", "  - timeout: 5s\n    headers: {request: {set: {x-team: blue}}}")},
		{name: "a response header", parts: alpha("  - timeout: 5s", "  - timeout: 5s\n    headers: {response: {add: {x-via: mesh}}}")},
		{name: "a timeout", parts: alpha("timeout: 5s", "timeout: 100ms"), ask: "?delay=600ms"},
		{name: "an abort", parts: alpha("  - timeout: 5s", "  - timeout: 5s\n    fault: {abort: {httpStatus: 418, percentage: {value: 100}}}")},
		{name: "a redirect", parts: map[string]string{"alpha": strings.Replace(baseParts["alpha"], "    route: [{destination: {host: beta}}]", "    redirect: {uri: /elsewhere}", 1)}},
		{name: "an answer", parts: map[string]string{"alpha": strings.Replace(baseParts["alpha"], "    route: [{destination: {host: beta}}]", "    directResponse: {status: 299}", 1)}},
		{name: "no route", parts: map[string]string{"alpha": strings.Split(baseParts["alpha"], "  - timeout")[0]}},
		{name: "a policy that denies more", parts: map[string]string{"deny": "paths: [/admin, /secret*]"}},
		{name: "a policy that allows methods", parts: more(policyFor("alpha", "ALLOW", "{to: [{operation: {methods: [GET]}}]}"))},
		{name: "a policy that allows accounts", parts: more(policyFor("beta", "ALLOW", "{from: [{source: {serviceAccounts: [lab/client]}}]}"))},
		{name: "a policy about a header", parts: more(policyFor("gamma", "DENY", "{when: [{key: \"request.headers[x-a]\", values: [\"1\"]}]}"))},
		{name: "a policy of the gateway", parts: more(policyFor("ingress", "DENY", "{to: [{operation: {paths: [/x]}}]}"))},
		{name: "a policy of nothing", parts: more(strings.Split(policyFor("gamma", "ALLOW", ""), "  rules")[0])},
		{name: "mutual TLS that is wanted", parts: map[string]string{"betaMTLS": "STRICT"}},
		{name: "plain text from clients", parts: map[string]string{"betaDR": "\n    tls: {mode: DISABLE}"}},
		{name: "only what is registered", parts: map[string]string{"mesh": baseParts["mesh"] + "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"}},
		{name: "another host of the gateway", parts: map[string]string{"host": "store.test"}},
		{name: "a route of the gateway", parts: map[string]string{"front": "\n  - route: [{destination: {host: gamma}}]\n"}},
		{name: "a pool", parts: map[string]string{"alphaDR": "\n    loadBalancer: {simple: RANDOM}"}, marker: `"RANDOM"`},
		{name: "ejection", parts: map[string]string{"alphaDR": "\n    outlierDetection: {consecutive5xxErrors: 7}"}, marker: `"consecutive_5xx": 7`},
		{name: "a keepalive", parts: map[string]string{"alphaDR": "\n    portLevelSettings: [{port: {number: 8080}, connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 9s, timeout: 4s}}}}]"}, marker: `"connection_keepalive"`},
		{name: "a log", parts: more("apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: mesh, namespace: istio-system}\nspec: {accessLogging: [{providers: [{name: envoy}]}]}\n"), marker: `"access_log"`},
	}
}

// proven is what both directions of an edit say, with the requests that show it.
type proven struct {
	edited
	source string
	bundle *bundle.Bundle
	found  []*change.Difference
	asked  []query
	before []string
}

// TestChangesInEnvoy: real Envoys answer every witness that the lab can send otherwise before and after a change, in the way that
// the comparison says. Each change is compared both ways, and all categories of differences come up.
func TestChangesInEnvoy(t *testing.T) {
	require(t)
	visitor := netip.MustParseAddr("10.9.8.8")
	base := parted(baseParts)
	was := compiled(t, base.write(t))
	l := runSecured(t, base, Spec{Visitors: map[string]netip.Addr{"visitor": visitor}})
	settled(t, l, was)
	var all []*proven
	for _, e := range edits() {
		parts := maps.Clone(baseParts)
		maps.Copy(parts, e.parts)
		p := &proven{edited: e, source: parted(parts).write(t)}
		p.bundle = compiled(t, p.source)
		for _, pair := range [][2]*bundle.Bundle{{was, p.bundle}, {p.bundle, was}} {
			r, err := change.Compare(pair[0], pair[1])
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Differences) == 0 {
				t.Errorf("%s: no difference", e.name)
			}
			p.found = append(p.found, r.Differences...)
		}
		for _, d := range p.found {
			q, ok := witnessed(d, visitor)
			if !ok {
				q = query{}
			}
			q.real.URL += e.ask
			p.asked = append(p.asked, q)
			p.before = append(p.before, p.seen(t, l, q, d))
		}
		all = append(all, p)
	}
	categories := map[string]int{}
	for _, p := range all {
		if err := l.Apply(context.Background(), p.source); err != nil {
			t.Fatal(err)
		}
		settled(t, l, p.bundle)
		p.confirm(t, l, categories)
	}
	t.Logf("confirmed witnesses: %v", categories)
	for _, c := range change.Categories() {
		if categories[c] == 0 {
			t.Errorf("no change of category %s was confirmed", c)
		}
	}
}

func compiled(t *testing.T, source string) *bundle.Bundle {
	t.Helper()
	r, found, err := compiler.Compile(context.Background(), []string{source}, compiler.Options{})
	if err != nil || r.Bundle == nil {
		t.Fatalf("%v %v", err, found)
	}
	return r.Bundle
}

// witnessed is the witness of a difference as a request of the lab; false: it cannot send that.
func witnessed(d *change.Difference, visitor netip.Addr) (q query, ok bool) {
	w := d.Witness
	u, err := url.Parse(w.To)
	if err != nil || u.Scheme != "http" || w.Token != nil || w.Principal != "" || w.Source != "" && w.Source != visitor.String() {
		return q, false
	}
	q.from, q.real = w.From.Name, Request{Method: w.Method, URL: w.To, Headers: map[string]string{}}
	for _, h := range w.Headers {
		name, value, _ := strings.Cut(h, ": ")
		q.real.Headers[name] = value
	}
	path := strings.TrimPrefix(w.To, "http://"+u.Host)
	addresses := map[string]string{"alpha": "10.9.1.1", "beta": "10.9.1.2", "gamma": "10.9.1.3"}
	switch {
	case w.From.Kind == change.KindGateway:
		q.from, q.real.URL, q.real.Host = "visitor", "http://10.9.0.1:8080"+path, u.Hostname()
		return q, u.Port() == "80"
	case w.From.Kind == change.KindOutside:
		if w.Server == nil || addresses[w.Server.Name] == "" || u.Port() != "8080" {
			return q, false
		}
		q.from, q.real.URL, q.real.Host = "visitor", "http://"+addresses[w.Server.Name]+":8080"+path, u.Hostname()
	case strings.HasPrefix(u.Hostname(), "unlisted."):
		q.real.URL, q.real.Host = "http://198.51.100.7:"+u.Port()+path, u.Hostname()
		return q, u.Port() == "8080"
	case !slices.Contains(servers(), strings.Split(u.Hostname(), ".")[0]):
		return q, false
	}
	return q, true
}

// seen is what a request gets now: an answer, with the headers that the application and the client saw, or for what no request shows
// whether the configuration has the marker.
func (p *proven) seen(t *testing.T, l *Lab, q query, d *change.Difference) string {
	t.Helper()
	if d.Kind == change.Tuned {
		if d.From[0].Name == "" || p.marker == "" {
			return ""
		}
		text, err := l.Admin(context.Background(), d.From[0].Name, "/config_dump?include_eds")
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(strings.Contains(text, p.marker))
	}
	if q.from == "" {
		return ""
	}
	r, err := l.Send(context.Background(), q.from, q.real)
	if err != nil {
		return "closed"
	}
	headers := []string{}
	for name, value := range r.Echo.Headers {
		if name = strings.ToLower(name); name != "x-request-id" && name != "content-length" {
			headers = append(headers, name+"="+value)
		}
	}
	slices.Sort(headers)
	return fmt.Sprintf("%d|%s %s|%s %s %s %s %s", r.Status, r.Echo.Name, r.Header.Get("Location"), r.Echo.Method, r.Echo.Path, r.Echo.Host, r.Header.Get("x-via"), headers)
}

// confirm compares what is seen now with what was seen before, for the differences of both directions.
func (p *proven) confirm(t *testing.T, l *Lab, categories map[string]int) {
	t.Helper()
	confirmed := 0
	for i, d := range p.found {
		before := p.before[i]
		if before == "" {
			continue
		}
		after := p.seen(t, l, p.asked[i], d)
		refused := func(s string) bool { return !strings.HasPrefix(s, "2") && !strings.HasPrefix(s, "3") }
		var fits bool
		switch d.Kind {
		case change.Opened, change.Closed:
			fits = refused(before) != refused(after)
		case change.Moved:
			fits = strings.Join(strings.Split(before, "|")[:min(2, strings.Count(before, "|")+1)], "|") != strings.Join(strings.Split(after, "|")[:min(2, strings.Count(after, "|")+1)], "|")
		default:
			fits = before != after
		}
		if !fits {
			t.Errorf("%s: %s, %s, %s: was %s, is %s, and Envoy answers %q and %q", p.name, d.Kind, d.Category, d.Witness.String(), d.Base, d.Head, before, after)
			continue
		}
		confirmed++
		categories[d.Category]++
	}
	if confirmed == 0 {
		t.Errorf("%s: none of %d differences could be asked", p.name, len(p.found))
	}
}
