package change_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
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

const (
	permissive = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: default, namespace: shop}\nspec: {mtls: {mode: PERMISSIVE}}\n"
	registry   = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n"
	logs       = "---\napiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: mesh, namespace: istio-system}\nspec: {accessLogging: [{providers: [{name: envoy}]}]}\n"
)

// edit replaces a part of the input.
func edit(t *testing.T, before, after string) string {
	t.Helper()
	text := routes + policy + gateway
	if !strings.Contains(text, before) {
		t.Fatalf("%q is not in the input", before)
	}
	return strings.Replace(text, before, after, 1)
}

// TestDifferences: each category is found, with the kind, a caller and what happens on both sides; and what changes nothing
// is proven to change nothing.
func TestDifferences(t *testing.T) {
	base := compile(t, routes+policy+gateway)
	for _, c := range []struct {
		name, head     string
		kind, category string // of one of the differences; "": there are none
		to             string // begins its witness
		was, is        string
	}{
		{"nothing", routes + policy + gateway, "", "", "", "", ""},
		{"a comment", "# first\n" + edit(t, "  - timeout: 5s", "  # then\n  - timeout: 5s"), "", "", "", "", ""},
		{"another spelling", edit(t, "[0-9]+", "[[:digit:]]+"), "", "", "", "", ""},
		{"a rule that no request meets", edit(t, "  - timeout: 5s", "  - match: [{uri: {exact: /r/1}, headers: {end-user: {exact: jason}}}]\n    route: [{destination: {host: reviews, subset: v1}}]\n  - timeout: 5s"), "", "", "", "", ""},
		{"weights", edit(t, "weight: 100}\n    - {destination: {host: reviews, subset: v2}, weight: 0}", "weight: 90}\n    - {destination: {host: reviews, subset: v2}, weight: 10}"),
			change.Moved, change.Routing, "http://reviews.shop.svc.cluster.local:80/", "reviews-v1", "10% "},
		{"a match", edit(t, "exact: jason", "exact: mary"), change.Moved, change.Routing, "http://reviews.shop.svc.cluster.local:80/r/", "", ""},
		{"the border of an expression", edit(t, "[0-9]+", "[0-8]+"), change.Moved, change.Routing, "http://reviews.shop.svc.cluster.local:80/r/9", "reviews-v2", "reviews-v1"},
		{"a timeout", edit(t, "timeout: 5s", "timeout: 6s"), change.Changed, change.Tuning, "http://reviews.shop.svc.cluster.local:80/", "timeout 5s", "timeout 6s"},
		{"headers of one destination", edit(t, "subset: v1}, weight: 100}", "subset: v1}, weight: 100, headers: {request: {set: {x-role: admin}}}}"), change.Changed, change.Routing, "http://reviews", "", "x-role admin"},
		{"a policy less", routes + gateway, change.Opened, change.AccessWidened, "http://reviews.shop.svc.cluster.local:80/admin", "DENY", "the application"},
		{"a policy wider", edit(t, "/ns/shop/sa/web]", "/ns/shop/sa/web, cluster.local/ns/shop/sa/db]"), change.Closed, change.AccessNarrowed, "http://reviews.shop.svc.cluster.local:80/admin", "the application", "DENY"},
		{"a gateway less", routes + policy, change.Closed, change.AccessNarrowed, "http://shop.example:80/reviews", "", "nothing listens"},
		{"plain text", routes + policy + gateway + strings.Replace(permissive, "PERMISSIVE", "DISABLE", 1), "*", change.Encryption, "", "", ""},
		{"what leaves", routes + policy + gateway + registry, change.Closed, change.Egress, "http://unlisted.example.org:", "", ""},
		{"a service without endpoints", edit(t, "labels: {version: v1}", "labels: {version: v9}"), "*", "*", "http://reviews", "", ""},
		{"a pool", edit(t, "  subsets: [", "  trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}\n  subsets: ["), change.Tuned, change.Tuning, "http://reviews", "", "7"},
		{"logs", routes + policy + gateway + logs, change.Tuned, change.Observability, "", "", "access log"},
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
			if l := r.Ledger; l.Changed != l.Equal+l.Witnessed+l.Undecided || len(r.Undecided) > 0 {
				t.Errorf("the ledger does not add up: %+v, %v", l, r.Undecided)
			}
			if r.Differs() != (c.kind != "") {
				t.Fatalf("differs: %t\n%s", r.Differs(), b.String())
			}
			fits := func(d *change.Difference) bool {
				return (c.kind == "*" || d.Kind == c.kind) && (c.category == "*" || d.Category == c.category) && strings.HasPrefix(d.Witness.To, c.to) &&
					strings.Contains(d.Base.Detail, c.was) && strings.Contains(d.Head.Detail, c.is) && len(d.Causes) > 0 && len(d.From) > 0
			}
			if c.kind != "" && !slices.ContainsFunc(r.Differences, fits) {
				t.Errorf("no difference is %s, %s, to %s, from %q to %q:\n%s", c.kind, c.category, c.to, c.was, c.is, b.String())
			}
		})
	}
}

// TestWorkloads: another account, a workload that is new, and one that is gone.
func TestWorkloads(t *testing.T) {
	const client = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: batch, namespace: shop}\nspec:\n  selector: {matchLabels: {app: batch}}\n  template:\n" +
		"    metadata: {labels: {app: batch, sidecar.istio.io/inject: \"true\"}}\n    spec: {serviceAccountName: ACCOUNT, containers: [{name: app, image: app}]}\n"
	with := func(account string) *bundle.Bundle {
		return compile(t, routes+policy+gateway+strings.Replace(client, "ACCOUNT", account, 1))
	}
	none := compile(t, routes+policy+gateway)
	compare := func(a, b *bundle.Bundle) *change.Report {
		r, err := change.Compare(a, b)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := compare(none, with("db")); len(r.Added) != 1 || r.Added[0].Name != "batch" || len(r.Removed) != 0 {
		t.Errorf("new: %v, gone: %v", r.Added, r.Removed)
	}
	if r := compare(with("db"), none); len(r.Removed) != 1 || !r.Differs() {
		t.Errorf("gone: %v", r.Removed)
	}
	r := compare(with("db"), with("web"))
	i := slices.IndexFunc(r.Differences, func(d *change.Difference) bool { return d.Kind == change.Closed && d.Category == change.AccessNarrowed })
	if i < 0 || !slices.ContainsFunc(r.Differences[i].From, func(f change.Ref) bool { return f.Name == "batch" }) || !strings.Contains(r.Differences[i].Witness.To, "/admin") {
		t.Errorf("the account that a DENY rule names: %+v", r.Differences)
	}
}

// TestSameReport: a comparison says the same each time.
func TestSameReport(t *testing.T) {
	base, head := compile(t, routes+policy+gateway), compile(t, routes+registry)
	var first bytes.Buffer
	for i := range 4 {
		r, err := change.Compare(base, head)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := r.JSON(&b); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = b
		} else if !bytes.Equal(first.Bytes(), b.Bytes()) {
			t.Fatal("two comparisons of the same bundles differ")
		}
	}
}

// TestFindings: each category has a code of its own, at the place of the cause.
func TestFindings(t *testing.T) {
	base := compile(t, routes+policy+gateway)
	seen := map[string]bool{}
	for _, head := range []string{routes + registry + logs, edit(t, "timeout: 5s", "timeout: 6s"), edit(t, "exact: jason", "exact: mary"),
		edit(t, "/ns/shop/sa/web]", "/ns/shop/sa/web, cluster.local/ns/shop/sa/db]"), routes + policy + gateway + strings.Replace(permissive, "PERMISSIVE", "DISABLE", 1)} {
		r, err := change.Compare(base, compile(t, head))
		if err != nil {
			t.Fatal(err)
		}
		r.Undecided = append(r.Undecided, change.Undecided{Resource: "Listener a", Why: "a filter", Causes: []change.Cause{{File: "a.yaml", Line: 1, Object: "EnvoyFilter a/b"}}})
		r.Waive([]change.Waiver{{Category: change.Availability, Host: "no.such.host", Reason: "none", File: "w.yaml", Line: 2}})
		for _, d := range r.Findings() {
			seen[d.Code] = true
			if d.Message == "" || d.Pos.File == "" || d.Pos.Line == 0 {
				t.Errorf("%+v", d)
			}
		}
	}
	for _, c := range change.Codes {
		if !seen[c.ID] && c.ID != "MESHC1724" {
			t.Errorf("%s was not raised", c.ID)
		}
	}
}

// TestWaivers: a waiver takes out what it names, one for nothing is noted, and one without a reason is refused.
func TestWaivers(t *testing.T) {
	r, err := change.Compare(compile(t, routes), compile(t, strings.Replace(routes, "timeout: 5s", "timeout: 6s", 1)))
	if err != nil {
		t.Fatal(err)
	}
	list, err := change.ParseWaivers("w.yaml", []byte("waivers:\n- {category: tuning, host: reviews.*, reason: agreed}\n- {category: egress, reason: old}\n"))
	if err != nil {
		t.Fatal(err)
	}
	n := len(r.Differences)
	r.Waive(list)
	if n == 0 || len(r.Differences) > 0 || len(r.Waived) != n || len(r.Stale) != 1 || r.Stale[0].Line != 3 {
		t.Errorf("%d differences, %d left, %d waived, stale %v", n, len(r.Differences), len(r.Waived), r.Stale)
	}
	for text, want := range map[string]string{
		"waivers:\n- {category: tuning}\n":                              "w.yaml:2: the waiver has no reason",
		"waivers:\n- {category: tunning, reason: x}\n":                  `w.yaml:2: "tunning" is no category`,
		"waivers:\n- {category: tuning, why: x}\n":                      `w.yaml:2: "why" is no key of a waiver`,
		"waivers:\n- {category: tuning, hots: shop, reason: x}\n":       `"hots" is no key of a waiver, which has category, kind, host, object, reason; did you mean host?`,
		"waivers: []\n---\nwaivers:\n- {category: tuning, reason: x}\n": "a second document",
		"waiver: []\n": "w.yaml: no list of waivers",
		"waivers:\n- {category: tuning, kind: x, reason: x}\n": `"x" is no kind`,
	} {
		if _, err := change.ParseWaivers("w.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestNothingIsLeftOut: what differs beside the resources of proxies is in the ledger, and counts where it is a difference for endpoints that
// are yet to come.
func TestNothingIsLeftOut(t *testing.T) {
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: late, namespace: shop}\nspec:\n  clusterIP: 10.0.0.77\n  selector: {app: reviews}\n  ports: [{name: http, port: 80, targetPort: 8080}]\n"
	base, head := compile(t, routes+service), compile(t, routes+strings.Replace(service, "  selector", "  publishNotReadyAddresses: true\n  selector", 1))
	r, err := change.Compare(base, head)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) > 0 || len(r.Undecided) != 1 || !r.Differs() || r.Undecided[0].Resource != "endpoints of late.shop.svc.cluster.local" || len(r.Undecided[0].From) == 0 {
		t.Errorf("pods that are not ready get requests from now on: %+v", r)
	}
	if !slices.ContainsFunc(r.Ledger.Entries, func(e change.Entry) bool {
		return e.Name == "endpoints of late.shop.svc.cluster.local" && e.Fate == change.FateUndecided
	}) {
		t.Errorf("the ledger lacks it: %+v", r.Ledger)
	}
	r, err = change.Compare(base, compile(t, routes+strings.Replace(service, "name: http,", "name: http-other,", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if r.Differs() || !slices.ContainsFunc(r.Ledger.Entries, func(e change.Entry) bool { return e.Name == "service shop late.shop.svc.cluster.local" && e.Why != "" }) {
		t.Errorf("another name of a port is no difference, and in the ledger: %+v", r)
	}
}
