package change_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

const routes = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - match: [{uri: {regex: "/r/[0-9]+"}, headers: {end-user: {exact: jason}}}]
    route: [{destination: {host: reviews, subset: v2}}]
  - timeout: 5s
    route:
    - {destination: {host: reviews, subset: v1}, weight: 100}
    - {destination: {host: reviews, subset: v2}, weight: 0}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
`

const policy = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin*]}}]
    from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
`

const gateway = `
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: ingress}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example]
  gateways: [ingress/public]
  http:
  - match: [{uri: {prefix: /reviews}}]
    route: [{destination: {host: reviews.shop.svc.cluster.local, port: {number: 80}}}]
`

func compile(t *testing.T, text string) *bundle.Bundle {
	t.Helper()
	base, err := os.ReadFile("../../golden/base/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, b := range map[string][]byte{"base.yaml": base, "input.yaml": []byte(text)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil || r.Bundle == nil {
		t.Fatalf("%v %v", err, found)
	}
	return r.Bundle
}

func text(b change.Behaviour) string {
	var out []string
	for _, l := range b.Lines {
		out = append(out, l.String())
	}
	return strings.Join(out, "\n")
}

func TestCompare(t *testing.T) {
	edit := func(before, after string) string {
		text := routes + policy + gateway
		if !strings.Contains(text, before) {
			t.Fatalf("%q is not in the input", before)
		}
		return strings.Replace(text, before, after, 1)
	}
	base := compile(t, routes+policy+gateway)
	for _, c := range []struct {
		name, head string
		want       string // kind and call of the first difference, "" for none
		line       string // that head has
	}{
		{"nothing", routes + policy + gateway, "", ""},
		{"a comment", "# first\n" + edit("  - timeout: 5s", "  # then\n  - timeout: 5s"), "", ""},
		{"weights", edit("weight: 100}\n    - {destination: {host: reviews, subset: v2}, weight: 0}", "weight: 90}\n    - {destination: {host: reviews, subset: v2}, weight: 10}"), "moved: ", "10% subset v2 of"},
		{"a match", edit("exact: jason", "exact: mary"), "moved: http://reviews.shop.svc.cluster.local:80/r/0 from shop/", "allowed at shop/reviews-v1:8080"},
		{"a timeout", edit("timeout: 5s", "timeout: 6s"), "changed: ", "timeout 6s"},
		{"a policy less", routes + gateway, "opened: http://reviews.shop.svc.cluster.local:80/adminwitness from shop/web", "allowed at shop/reviews-v1:8080"},
		{"a policy wider", edit("/ns/shop/sa/web]", "/ns/shop/sa/web, cluster.local/ns/shop/sa/db]"), "closed: http://reviews.shop.svc.cluster.local:80/adminwitness from shop/db-0", "denied 403 at shop/reviews-v1"},
		{"a route of the gateway", edit("prefix: /reviews", "prefix: /rev"), "opened: http://shop.example:80/rev from \"gateway ingress/gateway\"", "allowed at shop/reviews-v1 and 1 more:8080"},
		{"plain text", routes + policy + gateway + "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: PERMISSIVE}}\n", "opened: ", "allowed at "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := change.Compare(base, compile(t, c.head))
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := r.Print(&b); err != nil {
				t.Fatal(err)
			}
			if c.want == "" {
				if len(r.Differences) > 0 {
					t.Errorf("differences where there are none:\n%s", b.String())
				}
				return
			}
			if len(r.Differences) == 0 {
				t.Fatalf("no difference, in %d requests", r.Witnesses)
			}
			d := r.Differences[0]
			if got := d.Kind + ": " + d.Request.Call(); !strings.HasPrefix(got, c.want) || !strings.Contains(text(d.Head), c.line) {
				t.Errorf("want %s with %q\n%s", c.want, c.line, b.String())
			}
		})
	}
}

// What no request shows is named with the fields that differ.
func TestSettings(t *testing.T) {
	const pool = "  trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}\n"
	r, err := change.Compare(compile(t, routes), compile(t, routes+pool))
	if err != nil || len(r.Differences) > 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "settings: Cluster outbound|80||reviews.shop.svc.cluster.local: circuit_breakers") {
		t.Error(b.String())
	}
}

func TestWorkloads(t *testing.T) {
	base := compile(t, routes)
	head := compile(t, routes+"---\napiVersion: v1\nkind: Pod\nmetadata: {name: more, namespace: shop, labels: {app: more}}\nspec: {containers: [{name: x, image: x}]}\nstatus: {podIP: 10.1.0.77}\n")
	r, err := change.Compare(base, head)
	if err != nil || len(r.Added) != 1 || r.Added[0] != "Pod shop/more" || len(r.Differences) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

const rule = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules: [RULE]
`

// Values travel as values: one that needs quotes in a call is tried like any other, and one that cannot be tried is said.
func TestValuesOfRules(t *testing.T) {
	head := compile(t, routes)
	for _, c := range []struct{ rule, call, untried string }{
		{`{when: [{key: "request.headers[x-plan]", values: ["free tier"]}]}`, `-H 'x-plan=free tier'`, ""},
		{`{when: [{key: "request.headers[x-plan]", values: ["it's \"free\""]}]}`, `-H 'x-plan=it'"'"'s "free"'`, ""},
		{`{when: [{key: "request.headers[x-plan]", values: ["a\tb"]}]}`, "-H 'x-plan=a\tb'", ""},
		{`{when: [{key: "request.headers[x-plan]", values: ["$HOME ` + "`ls`" + `"]}]}`, "-H 'x-plan=$HOME `ls`'", ""},
		{`{when: [{key: "request.headers[x-plan]", values: ["a=b: c*"]}]}`, `-H 'x-plan=a=b: cwitness'`, ""},
		{`{to: [{operation: {paths: ["/it's"]}}]}`, `'http://reviews.shop.svc.cluster.local:80/it'"'"'s' from shop/db-0`, ""},
		{`{to: [{operation: {paths: ["/q;uote"]}}]}`, `'http://reviews.shop.svc.cluster.local:80/q;uote' from shop/db-0`, ""},
		{`{to: [{operation: {methods: ["X-1"]}}]}`, `X-1 http://reviews.shop.svc.cluster.local:80/ from shop/db-0`, ""},
		{`{when: [{key: "request.headers[x-plan]", values: [" free"]}]}`, "", `condition "header x-plan  free" of Listener virtualInbound: a header does not keep blanks`},
		{`{to: [{operation: {paths: ["/a b"]}}]}`, "", `condition "path /a b" of Listener virtualInbound: no request can carry the character ' '`},
		{`{to: [{operation: {paths: ["/a?b"]}}]}`, "", `no request can carry the character '?'`},
		{`{to: [{operation: {hosts: ["h.example"]}}]}`, "", `condition "host ~`},
		{`{to: [{operation: {ports: ["8080"]}}]}`, "", `condition "port 8080"`},
		{`{from: [{source: {ipBlocks: ["192.0.2.0/24"]}}]}`, "", `condition "peer address 192.0.2.0/24"`},
		{`{from: [{source: {principals: ["cluster.local/ns/gone/sa/gone"]}}]}`, "", "no workload of both states can be told by it"},
		{`{from: [{source: {requestPrincipals: ["a/b"]}}]}`, "", `condition "claim`},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r, err := change.Compare(compile(t, routes+strings.Replace(rule, "RULE", c.rule, 1)), head)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := r.Print(&b); err != nil {
				t.Fatal(err)
			}
			if c.call != "" && !strings.Contains(b.String(), c.call) || c.call != "" && (r.Differences[0].Kind != change.Opened || len(r.Untried) > 0) {
				t.Errorf("want opened, with %s\n%s", c.call, b.String())
			}
			if !strings.Contains(b.String(), c.untried) || c.untried != "" && (len(r.Untried) == 0 || !strings.Contains(b.String(), "could not be tried")) {
				t.Errorf("want %s\n%s", c.untried, b.String())
			}
		})
	}
}

// What no request is made for is named for routes, too; an unchanged rule is not repeated.
func TestUntriedRoutes(t *testing.T) {
	const odd = "  - match: [{uri: {regex: \"/x\\\\by\"}}]\n    route: [{destination: {host: reviews, subset: v2}}]\n"
	text := strings.Replace(routes, "  - timeout: 5s", odd+"  - timeout: 5s", 1)
	r, err := change.Compare(compile(t, routes), compile(t, text))
	if err != nil || len(r.Untried) != 1 || r.Untried[0].What != "path" || !strings.Contains(r.Untried[0].Value, `/x\by`) {
		t.Errorf("%+v, %v", r, err)
	}
	ip := strings.Replace(rule, "RULE", `{from: [{source: {ipBlocks: ["192.0.2.0/24"]}}]}`, 1)
	r, err = change.Compare(compile(t, routes+ip), compile(t, routes+ip+strings.NewReplacer("RULE", "{to: [{operation: {paths: [/y]}}]}", "name: db", "name: more").Replace(rule)))
	if err != nil || len(r.Untried) != 0 || len(r.Differences) == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// The words for what happens are no difference: the name of a policy, the number of a route, the order of destinations.
func TestWordsAreNoDifference(t *testing.T) {
	base := compile(t, routes+strings.Replace(rule, "RULE", "{to: [{operation: {paths: [/y]}}]}", 1))
	for name, text := range map[string]string{
		"a policy renamed":      routes + strings.NewReplacer("RULE", "{to: [{operation: {paths: [/y]}}]}", "name: db", "name: other").Replace(rule),
		"the order of a policy": routes + strings.Replace(rule, "RULE", "{to: [{operation: {paths: [/nothing]}}]}, {to: [{operation: {paths: [/y]}}]}", 1),
	} {
		r, err := change.Compare(base, compile(t, text))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Differences {
			if !strings.Contains(d.Request.URL, "/nothing") {
				t.Errorf("%s: %s %s: %v %v", name, d.Kind, d.Request.Call(), d.Base.Lines, d.Head.Lines)
			}
		}
	}
	weights := func(a, b string) string {
		return strings.NewReplacer("subset: v1}, weight: 100", "subset: "+a+"}, weight: 50", "subset: v2}, weight: 0", "subset: "+b+"}, weight: 50").Replace(routes)
	}
	r, err := change.Compare(compile(t, weights("v1", "v2")), compile(t, weights("v2", "v1")))
	if err != nil || len(r.Differences) > 0 {
		t.Errorf("the order of destinations: %+v, %v", r, err)
	}
}

// The same bundles give the same report.
func TestSameReport(t *testing.T) {
	rules := ""
	for _, p := range strings.Fields("/a /b /c /d /e /f") {
		rules += `{to: [{operation: {paths: ["` + p + `"], methods: [PUT]}}], when: [{key: "request.headers[x` + p[1:] + `]", values: [v]}]}, `
	}
	base, head := compile(t, routes+strings.Replace(rule, "RULE", rules, 1)), compile(t, routes)
	want := ""
	for range 5 {
		r, err := change.Compare(base, head)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.JSON(&b); err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = b.String()
		} else if b.String() != want {
			t.Fatalf("%s\nand then\n%s", want, b.String())
		}
	}
}
