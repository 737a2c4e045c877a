package lint_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/lint"
	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// findings compiles documents as far as the linter needs, and returns what it finds.
func findings(t *testing.T, docs ...string) diag.List {
	t.Helper()
	read, findings, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(strings.Join(docs, "---\n"))})
	if err != nil || findings.HasErrors() {
		t.Fatal(err, findings)
	}
	objects, findings := schema.Check(read.Documents, schema.Options{Workers: 1})
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	m, _ := mesh.Link(objects)
	return lint.Mesh(m, objects)
}

// linted returns what the linter finds, sorted, as CODE FIELD.
func linted(t *testing.T, docs ...string) []string {
	t.Helper()
	var got []string
	for _, d := range findings(t, docs...) {
		got = append(got, d.Code+" "+d.Field)
	}
	slices.Sort(got)
	return got
}

func injected(name string) string {
	return object("Namespace", name, ", labels: {istio-injection: enabled}", "")
}

// TestValuesThatMatchNothing: a value that no request matches takes the protection out of a rule without a sound.
func TestValuesThatMatchNothing(t *testing.T) {
	policy := func(rule string) string {
		return object("AuthorizationPolicy", "p", ", namespace: shop", "spec: {action: DENY, rules: ["+rule+"]}")
	}
	tokens := object("RequestAuthentication", "r", ", namespace: shop", "spec: {jwtRules: [{issuer: x}]}")
	for _, c := range []struct{ field, good, bad string }{
		{"from[0].source.principals", "*, cluster.local/ns/a/sa/b, td2/ns/a/sa/b, */ns/a/sa/b, partner/ns/a/*, cluster*, cluster.local/*, cluster.local/ns/a/s*", "cluster.local/sa/b, cluster.local/ns/a, cluster.local/ns/a/b/c, cluster.local/x*, spiffe://cluster.local/ns/a/sa/b, web, other/ns/a/sa/b, a/b, cluster.local/ns/<NS>/sa/b, cluster.local/ns/a/sa/B*"},
		{"from[0].source.notPrincipals", "td2/x", "web"},
		{"from[0].source.trustDomains", "cluster.local, td2, partner, td*", "other"},
		{"from[0].source.namespaces", "shop, shop*, *-shop", "shop/sa, Shop, $(NS), <NAMESPACE>*"},
		{"from[0].source.notRequestPrincipals", "x/b, */b, *, x/*, x*", "a/b, x/a/b, x/a/*, a*"},
		{"to[0].operation.methods", "GET, P*, *, M-SEARCH", "get, Get*, GET POST, GET|PUT"},
		{"to[0].operation.paths", "/, *, */x, /x/{*}, /a%20b", "/a b, /a\"b, /a/../b, /%41, admin, /a?b, /a#b, {**}"},
		{"to[0].operation.notHosts", "a.com, *.a.com, a.com:80, a.com:*, *, my_host, 10.0.0.7:80, [fd00::1]:80, a*", "http://a.com, a.com/b, <HOST>, $(HOST), @@HOST@@, a com, a.com:port"},
		{"when[0].values", "cluster.local/ns/a/sa/b", "web"},
	} {
		lists := map[string]string{"good": c.good, "bad": c.bad}
		for kind, list := range lists {
			if list == "" {
				continue
			}
			list = "'" + strings.ReplaceAll(list, ", ", "', '") + "'"
			rule := ""
			switch part, name, _ := strings.Cut(c.field, "]."); {
			case part == "when[0":
				rule = "{when: [{key: source.principal, values: [" + list + "]}]}"
			default:
				outer, inner, _ := strings.Cut(name, ".")
				rule = "{" + strings.TrimSuffix(part, "[0") + ": [{" + outer + ": {" + inner + ": [" + list + "]}}]}"
			}
			var want []string
			for i := range strings.Split(list, ",") {
				if kind == "bad" {
					want = append(want, fmt.Sprintf("MESHC1544 spec.rules[0].%s[%d]", c.field, i))
				}
			}
			config := object("ConfigMap", "istio", ", namespace: istio-system", "data: {mesh: 'trustDomainAliases: [td2]\n\n  caCertificates: [{trustDomains: [partner]}]'}")
			if got := linted(t, strings.Replace(config, "networking.istio.io/v1", "v1", 1), pod("web", "app: web"), tokens, policy(rule)); !slices.Equal(got, want) {
				t.Errorf("%s: [%s]\n got %v\nwant %v", c.field, list, got, want)
			}
		}
	}
}

// TestDenyOfNobody: a rule of DENY all of whose values match nothing stops nobody, and cluster.local stands for another trust
// domain in whole identities only.
func TestDenyOfNobody(t *testing.T) {
	config := strings.Replace(object("ConfigMap", "istio", ", namespace: istio-system", "data: {mesh: 'trustDomain: corp.example'}"), "networking.istio.io/v1", "v1", 1)
	for _, c := range []struct{ action, values, want string }{
		{"DENY", "cluster.local/ns/a/*", "error"},
		{"DENY", "cluster.local/ns/a/*, corp.example/ns/a/*", "warning"},
		{"ALLOW", "cluster.local/ns/a/*", "warning"},
		{"DENY", "cluster.local/ns/a/sa/b", ""},
	} {
		policy := object("AuthorizationPolicy", "p", ", namespace: shop", "spec: {action: "+c.action+", rules: [{from: [{source: {principals: ["+c.values+"]}}]}]}")
		got := ""
		for _, d := range findings(t, config, pod("web", "app: web"), policy) {
			if d.Code == "MESHC1544" {
				got = d.Severity.String()
			}
		}
		if got != c.want {
			t.Errorf("%s [%s]: %q, want %q", c.action, c.values, got, c.want)
		}
	}
}

func TestUnenforcedPolicies(t *testing.T) {
	const any, app = "spec: {rules: [{}]}", "selector: {matchLabels: {app: web}}"
	web, other := plainPod("web", "app: web"), plainPod("other", "app: other")
	policy, strict := object("AuthorizationPolicy", "p", ", namespace: shop", any), object("PeerAuthentication", "s", ", namespace: shop", "spec: {mtls: {mode: STRICT}}")
	bare := object("Namespace", "shop", "", "")
	token := object("AuthorizationPolicy", "p", ", namespace: shop", "spec: {"+app+", rules: [{when: [{key: request.auth.principal, values: [x/a]}, {key: 'request.auth.claims[b]', values: [c]}]}]}")
	jwt := func(ns, app string) string {
		return object("RequestAuthentication", "r", ", namespace: "+ns, "spec: {selector: {matchLabels: {app: "+app+"}}, jwtRules: [{issuer: x}]}")
	}
	for _, c := range []struct {
		name string
		docs []string
		want string
	}{
		{"a proxy", []string{injected("shop"), web, policy, strict}, ""},
		{"no proxy", []string{bare, web, policy, strict}, "IST0103 metadata.name, MESHC1225 spec, MESHC1225 spec"},
		{"no proxy for one", []string{injected("shop"), web, plainPod("bare", "app: bare, sidecar.istio.io/inject: 'false'"), policy}, ""},
		{"nobody says", []string{web, policy}, "IST0103 metadata.name"},
		{"a gateway", []string{bare, web, policy, object("Gateway", "g", ", namespace: shop", "spec: {selector: {app: web}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}]}")}, ""},
		{"tokens of somebody else", []string{injected("shop"), web, other, token, jwt("shop", "other"), jwt("far", "web")}, "IST0101 spec.selector, MESHC1553 spec.rules[0].when[0].key"},
		{"tokens by the mesh", []string{injected("shop"), web, token, jwt("istio-system", "web")}, ""},
		{"two modes", []string{injected("shop"), web, strict, object("PeerAuthentication", "t", ", namespace: shop", "spec: {mtls: {mode: DISABLE}}")}, "MESHC1226 metadata.name, MESHC1226 metadata.name"},
		{"two modes for different scopes", []string{injected("shop"), web, strict, object("PeerAuthentication", "t", ", namespace: shop", "spec: {"+app+", mtls: {mode: DISABLE}}")}, ""},
	} {
		if got := linted(t, c.docs...); strings.Join(got, ", ") != c.want {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
}
