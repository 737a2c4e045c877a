package change_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

// shadowed tries a policy out on port 9999, and has an external authorizer asked on port 9998: no service has either.
const shadowed = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: trial, namespace: shop, annotations: {istio.io/dry-run: "true"}}
spec:
  selector: {matchLabels: {app: reviews}}
  action: DENY
  rules: [{to: [{operation: {ports: ["9999"]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: asked, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  action: CUSTOM
  provider: {name: authz}
  rules: [{to: [{operation: {ports: ["9998"], paths: [PATH]}}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders: [{name: authz, envoyExtAuthzHttp: {service: reviews.shop.svc.cluster.local, port: 80}}]
`

// TestWhatLiesBehind: a difference has the category of what it is about, and is said of each port that an object names.
func TestWhatLiesBehind(t *testing.T) {
	header := func(version string) string {
		return replaced(routes, "  host: reviews\n", "  host: reviews\n  trafficPolicy: {proxyProtocol: {version: "+version+"}}\n")
	}
	preferring := func(label string) string {
		failover := "{simple: RANDOM, localityLbSetting: {enabled: true, failoverPriority: [" + label + "]}}, outlierDetection: {maxEjectionPercent: 100}"
		at := func(name, address, node string) string {
			return replaced(podOf, "NAME", name, "APP", "cart", "NODE", node, "ADDRESS", address) + replaced(slice, "NAME-0", name, "NAME", "cart", "ADDRESS", address, "conditions: {ready: READY}", "nodeName: "+node)
		}
		return replaced(cart, "{simple: LB}", failover) + nodes + at("cart-1", "10.1.0.21", "west") + at("cart-2", "10.1.0.22", "east")
	}
	const machine = "\n---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: shop}\nspec: {address: 10.9.0.1, labels: {app: vm}}\n" +
		"---\napiVersion: v1\nkind: Service\nmetadata: {name: vm, namespace: shop}\nspec: {clusterIP: 10.0.0.8, selector: {app: vm}, ports: [{name: http, port: 80}]}\n" +
		"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: vm, namespace: shop}\nspec: {host: vm, trafficPolicy: {tls: {mode: MODE}}}\n"
	for _, c := range []struct {
		name, base, head string
		category         string
		kinds            []string
		port             uint16
		all              bool // differences are of it
	}{
		{"no PROXY protocol header any more", header("V2"), routes, change.Routing, []string{change.Changed}, 80, true},
		{"another version of it", header("V1"), header("V2"), change.Routing, []string{change.Changed}, 80, true},
		{"other places are preferred", preferring("topology.kubernetes.io/region"), preferring("topology.kubernetes.io/zone"), change.Tuning, []string{change.Moved, change.Changed}, 80, true},
		{"TLS that a machine may end itself", routes + replaced(machine, "MODE", "DISABLE"), routes + replaced(machine, "MODE", "SIMPLE"), change.Encryption, []string{change.Changed}, 80, true},
		{"mutual TLS of the mesh that it cannot end", routes + replaced(machine, "MODE", "DISABLE"), routes + replaced(machine, "MODE", "ISTIO_MUTUAL"), change.Encryption, []string{change.Closed}, 80, true},
		{"plain text at a port that a policy is tried out on", routes + shadowed, routes + shadowed + permissive, change.Encryption, []string{change.Opened}, 9999, false},
	} {
		r, err := change.Compare(compile(t, c.base), compile(t, c.head))
		if err != nil {
			t.Fatal(err)
		}
		of := func(d *change.Difference) bool { return d.Category == c.category && slices.Contains(c.kinds, d.Kind) }
		found := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return of(d) && d.Port == c.port })
		if !found || c.all && slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return !of(d) }) {
			for _, d := range r.Differences {
				t.Logf("%s %s %v %s, was %v, is %v", d.Kind, d.Category, d.From, d.Witness.String(), d.Base, d.Head)
			}
			t.Errorf("%s: %s %s at port %d: found %t; undecided %v", c.name, strings.Join(c.kinds, " or "), c.category, c.port, found, r.Undecided)
		}
	}
	r, err := change.Compare(compile(t, routes+replaced(shadowed, "PATH", "/a")), compile(t, routes+replaced(shadowed, "PATH", "/b")))
	if err != nil {
		t.Fatal(err)
	}
	if !r.Differs() || !slices.ContainsFunc(r.Undecided, func(u change.Undecided) bool {
		return strings.Contains(u.Why, "external authorizer") && len(u.Servers) > 0
	}) {
		t.Errorf("whether an authorizer is asked at a port that only its policy names: %v, undecided %v", r.Differences, r.Undecided)
	}
}

// TestWhereServicesLead: where a service before a gateway leads to another port of it, on which the gateway does what it did on the one before,
// clients of the gateway meet no difference.
func TestWhereServicesLead(t *testing.T) {
	const front = "---\napiVersion: v1\nkind: Service\nmetadata: {name: front, namespace: ingress}\n" +
		"spec: {clusterIP: 10.0.0.19, selector: {istio: ingress}, ports: [{name: tcp, port: 31400, targetPort: TARGET}]}\n" +
		"---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: front, namespace: ingress}\n" +
		"spec: {selector: {istio: ingress}, servers: [{port: {number: 31400, name: tcp, protocol: TCP}, hosts: [\"*\"]}]}\n" +
		"---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: front, namespace: shop}\n" +
		"spec: {hosts: [\"*\"], gateways: [ingress/front], tcp: [{route: [{destination: {host: db.shop.svc.cluster.local, port: {number: PORT}}}]}]}\n"
	for _, c := range []struct {
		name, port string
		differ     bool
	}{
		{"the same behind it", "3306", false},
		{"another port behind it", "3307", true},
	} {
		r, err := change.Compare(compile(t, routes+replaced(front, "TARGET", "31400", "PORT", "3306")), compile(t, routes+replaced(front, "TARGET", "8099", "PORT", c.port)))
		if err != nil {
			t.Fatal(err)
		}
		atGateway := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.From[0].Kind == change.KindGateway })
		if opened := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.Kind == change.Opened || d.Kind == change.Closed }); opened || atGateway != c.differ || len(r.Undecided) > 0 {
			for _, d := range r.Differences {
				t.Logf("%s %s %v %s, was %v, is %v", d.Kind, d.Category, d.From, d.Witness.String(), d.Base, d.Head)
			}
			t.Errorf("%s: opened or closed %t, at the gateway %t; undecided %v", c.name, opened, atGateway, r.Undecided)
		}
	}
}

// TestPortsOfOneChain: ports that no service has lead to one filter chain, whose rules may ask for the port.
func TestPortsOfOneChain(t *testing.T) {
	at := func(port string) *bundle.Bundle {
		return compile(t, "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: reviews, namespace: shop}\n"+
			"spec: {selector: {matchLabels: {app: reviews}}, action: DENY, rules: [{to: [{operation: {ports: [\""+port+"\"]}}]}]}\n")
	}
	r, err := change.Compare(at("7777"), at("7778"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[uint16][]string{}
	for _, d := range r.Differences {
		if d.From[0].Kind == change.KindOutside && !slices.Contains(got[d.Port], d.Kind) {
			got[d.Port] = append(got[d.Port], d.Kind)
		}
	}
	if want := map[uint16][]string{7777: {change.Opened}, 7778: {change.Closed}}; !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestWhoClosesPlainText: where mutual TLS is wanted from now on, what wants it is a cause, and the only one if it is new, and whether or not a
// service has the port.
func TestWhoClosesPlainText(t *testing.T) {
	for name, base := range map[string]string{"new": "", "another": replaced(strict, "STRICT", "PERMISSIVE")} {
		r, err := change.Compare(compile(t, permissive+base), compile(t, permissive+strict))
		if err != nil {
			t.Fatal(err)
		}
		ports := map[uint16]bool{}
		for _, d := range r.Differences {
			if d.Kind != change.Closed || d.From[0].Kind != change.KindOutside {
				continue
			}
			ports[d.Port] = true
			if !slices.ContainsFunc(d.Causes, func(c change.Cause) bool { return c.Object == "PeerAuthentication shop/reviews" }) || base == "" && len(d.Causes) > 1 {
				t.Errorf("%s: %s at port %d: causes %v", name, d.Kind, d.Port, d.Causes)
			}
		}
		if !ports[80] || !ports[12345] {
			t.Errorf("%s: closed are ports %v", name, ports)
		}
	}
}

const strict = `
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: reviews, namespace: shop}
spec: {selector: {matchLabels: {app: reviews}}, mtls: {mode: STRICT}}
`
