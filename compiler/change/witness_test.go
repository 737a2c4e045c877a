package change_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
)

const (
	tokens = `
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  jwtRules: [{issuer: ISSUER, jwks: '{"keys":[]}'}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{from: [{source: {requestPrincipals: ["*"]}}]}]
`
	posts = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{to: [{operation: {methods: [POST], paths: [/open]}}], when: [{key: "request.headers[x-a]", values: ["1"]}]}]
`
	fromWeb = `
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reviews, namespace: shop}
spec:
  selector: {matchLabels: {app: reviews}}
  rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}], to: [{operation: {methods: [POST]}}]}]
`
	slice = `
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: NAME-0, namespace: shop, labels: {kubernetes.io/service-name: NAME}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [ADDRESS], conditions: {ready: READY}}]
`
)

func replaced(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}

// TestShownWitnesses: each difference has a witness that walks show: with a token, past the policies of servers, where endpoints are
// gone, and as what it is where only the destination of a mirror differs.
func TestShownWitnesses(t *testing.T) {
	weights := replaced(routes, "weight: 100}", "weight: 90}", "weight: 0}", "weight: 10}")
	mirrored := func(host string) string {
		return replaced(routes, "  - timeout: 5s", "  - timeout: 5s\n    mirror: {host: "+host+"}")
	}
	endpoints := func(ready string) string {
		return replaced(slice, "NAME", "db", "ADDRESS", "10.1.0.9", "READY", "true") + replaced(slice, "NAME", "reviews", "ADDRESS", "10.1.0.8", "READY", ready)
	}
	for _, c := range []struct {
		name, base, head string
		kind, category   string
		to               string // begins a witness of the difference
		fits             func(w change.Witness) bool
	}{
		{"a token", replaced(routes+tokens, "ISSUER", "https://a.example"), replaced(routes+tokens, "ISSUER", "https://b.example"), change.Closed, change.AccessNarrowed,
			"http://reviews", func(w change.Witness) bool { return w.Token != nil && w.Token.Issuer == "https://a.example" }},
		{"past a policy", routes + posts, weights + posts, change.Moved, change.Routing, "http://reviews.shop.svc.cluster.local:80/open",
			func(w change.Witness) bool { return w.Method == "POST" && slices.Contains(w.Headers, "x-a: 1") }},
		{"past a policy for one caller", routes + fromWeb, weights + fromWeb, change.Moved, change.Routing, "http://reviews",
			func(w change.Witness) bool { return w.From.Name == "web" && w.Method == "POST" }},
		{"past the need of a token", replaced(routes+tokens, "ISSUER", "https://a.example"), replaced(weights+tokens, "ISSUER", "https://a.example"), change.Moved, change.Routing,
			"http://reviews.shop", func(w change.Witness) bool { return w.Token != nil && w.Token.Issuer == "https://a.example" }},
		{"a mirror", mirrored("reviews"), mirrored("db"), change.Changed, change.Routing, "http://reviews", nil},
		{"no endpoint is ready", endpoints("true"), endpoints("false"), change.Closed, change.Availability, "http://reviews", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := change.Compare(compile(t, c.base), compile(t, c.head))
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range r.Undecided {
				t.Errorf("undecided: %+v", u)
			}
			if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
				return d.Kind == c.kind && d.Category == c.category && strings.HasPrefix(d.Witness.To, c.to) && (c.fits == nil || c.fits(d.Witness))
			}) {
				for _, d := range r.Differences {
					t.Logf("%s %s %s, was %v, is %v", d.Kind, d.Category, d.Witness.String(), d.Base, d.Head)
				}
				t.Errorf("none is %s, %s, to %s", c.kind, c.category, c.to)
			}
		})
	}
}

// TestRefusedElsewhere: requests that go elsewhere, and that are refused at one of two places, are opened or closed besides; where a
// policy lets some of them pass at both, they are moved alone.
func TestRefusedElsewhere(t *testing.T) {
	to := func(server string) string {
		return replaced(routes, "    - {destination: {host: reviews, subset: v1}, weight: 100}\n    - {destination: {host: reviews, subset: v2}, weight: 0}", "    - {destination: {host: "+server+"}}")
	}
	const service = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {clusterIP: 10.0.0.7, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"
	const plain = "\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\nspec: {host: web, trafficPolicy: {tls: {mode: DISABLE}}}\n" +
		"---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: web, namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, mtls: {mode: STRICT}}\n"
	const nothing = "\n---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: web, namespace: shop}\nspec: {selector: {matchLabels: {app: web}}}\n"
	some := replaced(posts, "name: reviews", "name: web", "app: reviews", "app: web")
	for _, c := range []struct{ name, more, there, back, category, opposite string }{
		{"plain text where mutual TLS is wanted", plain, change.Closed, change.Opened, change.Encryption, change.Encryption},
		{"a policy of nothing", nothing, change.Closed, change.Opened, change.AccessNarrowed, change.AccessWidened},
		{"a policy that lets some pass", some, change.Moved, change.Moved, change.Routing, change.Routing},
	} {
		one, other := compile(t, to("reviews")+c.more+service), compile(t, to("web")+c.more+service)
		for kind, sides := range map[string][2]*bundle.Bundle{c.there + " " + c.category: {one, other}, c.back + " " + c.opposite: {other, one}} {
			r, err := change.Compare(sides[0], sides[1])
			if err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
				return d.Kind+" "+d.Category == kind && d.From[0].Name != "" && strings.HasPrefix(d.Witness.To, "http://reviews.shop.svc.cluster.local:80/")
			})
			alone := !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.Kind == change.Opened || d.Kind == change.Closed })
			if !found || alone != (c.there == change.Moved) {
				for _, d := range r.Differences {
					t.Logf("%s %s %s, was %v, is %v", d.Kind, d.Category, d.Witness.String(), d.Base, d.Head)
				}
				t.Errorf("%s: none is %s; undecided %v", c.name, kind, r.Undecided)
			}
		}
	}
}

const (
	cart = `
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.0.0.7, selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: cart, namespace: shop}
spec: {host: cart, trafficPolicy: {loadBalancer: {simple: LB}, tls: {mode: DISABLE}}}
` + permissive
	podOf = `
---
apiVersion: v1
kind: Pod
metadata: {name: NAME, namespace: shop, labels: {app: APP}}
spec: {serviceAccountName: web, nodeName: NODE, containers: [{name: cart, image: cart}, {name: istio-proxy, image: p}]}
status: {phase: Running, podIP: ADDRESS, conditions: [{type: Ready, status: "True"}]}
`
	nodes = `
---
apiVersion: v1
kind: Node
metadata: {name: west, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: west}}
---
apiVersion: v1
kind: Node
metadata: {name: east, labels: {topology.kubernetes.io/region: r1, topology.kubernetes.io/zone: east}}
`
)

// TestLabelsDecide: where no endpoints are known, or the node of the client picks one, another label of a pod is what a service has
// lost or gained, though no resource is another.
func TestLabelsDecide(t *testing.T) {
	for lb, name := range map[string]string{"RANDOM": "endpoints that come when the bundle is served", "PASSTHROUGH": "the node of the client"} {
		with := func(app string) *bundle.Bundle {
			one := replaced(podOf, "NAME", "cart-1", "APP", "cart", "NODE", "west", "ADDRESS", "10.1.0.21")
			return compile(t, replaced(cart, "LB", lb)+one+replaced(podOf, "NAME", "cart-2", "APP", app, "NODE", "west", "ADDRESS", "10.1.0.22")+nodes)
		}
		r, err := change.Compare(with("cart"), with("web"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
			return (d.Kind == change.Moved || d.Kind == change.Changed) && d.Host == "cart.shop.svc.cluster.local" && strings.Contains(d.Base.Detail, "cart-2") && !strings.Contains(d.Head.Detail, "cart-2")
		}) {
			for _, d := range r.Differences {
				t.Logf("%s %s %v %s, was %v, is %v", d.Kind, d.Category, d.From, d.Witness.String(), d.Base, d.Head)
			}
			t.Errorf("%s: no difference is it; undecided %v", name, r.Undecided)
		}
	}
	gone := func(app string) *bundle.Bundle {
		return compile(t, replaced(cart, "LB", "PASSTHROUGH")+replaced(podOf, "NAME", "cart-1", "APP", app, "NODE", "west", "ADDRESS", "10.1.0.21")+nodes)
	}
	r, err := change.Compare(gone("cart"), gone("web"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
		return d.Kind == change.Closed && d.Category == change.Availability && d.Host == "cart.shop.svc.cluster.local"
	}) {
		t.Errorf("a service without any: differences %v, undecided %v", r.Differences, r.Undecided)
	}
}

// TestKeysElsewhere: whether other keys are at another address nobody can tell from the input; keys that the input has itself are known.
func TestKeysElsewhere(t *testing.T) {
	at := func(keys string) *bundle.Bundle {
		return compile(t, routes+replaced(tokens, "ISSUER", "https://a.example", "jwks: '{\"keys\":[]}'", keys))
	}
	r, err := change.Compare(at("jwksUri: https://a.example/keys"), at("jwksUri: https://a.example/others"))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		t.Errorf("%s %s %s, was %v, is %v", d.Kind, d.Category, d.Witness.String(), d.Base, d.Head)
	}
	if !slices.ContainsFunc(r.Undecided, func(u change.Undecided) bool {
		return strings.Contains(u.Why, "the keys of tokens") && len(u.Servers) > 0 && u.Causes[0].Object == "RequestAuthentication shop/reviews"
	}) {
		t.Errorf("undecided %v", r.Undecided)
	}
	if r, err = change.Compare(at("jwks: '{\"keys\":[]}'"), at("jwksUri: https://a.example/keys")); err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) == 0 {
		t.Errorf("keys that are fetched are no others than those of the input; undecided %v", r.Undecided)
	}
}

// TestFormerAddress: where a service has another address, clients that still know the one before reach it no more.
func TestFormerAddress(t *testing.T) {
	at := func(address string) *bundle.Bundle {
		return compile(t, "---\napiVersion: v1\nkind: Service\nmetadata: {name: queue, namespace: shop}\nspec: {clusterIP: "+address+", selector: {app: db}, ports: [{name: tcp, port: 9000}]}\n")
	}
	r, err := change.Compare(at("10.0.0.7"), at("10.0.0.8"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
		return d.Host == "queue.shop.svc.cluster.local" && d.Witness.Address == "10.0.0.7" && strings.Contains(d.Base.Detail, "shop/db-0")
	}) {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
	// A name that DNS knows is called at whatever address that says: with addresses in the input at another than those, without at any.
	entry := func(addresses string) *bundle.Bundle {
		return compile(t, "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: git, namespace: shop}\nspec: {hosts: [git.example.com], "+addresses+"location: MESH_EXTERNAL, resolution: NONE, ports: [{number: 22, name: tcp, protocol: TCP}]}\n")
	}
	if r, err = change.Compare(entry("addresses: [192.0.2.7/32], "), entry("")); err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		if d.Host == "git.example.com" && d.Witness.Address == "" {
			t.Errorf("%s at the address of the input: was %v, is %v", d.Kind, d.Base, d.Head)
		}
	}
	if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.Host == "git.example.com" && d.Witness.Address != "" }) {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
}

// TestOneNameTwice: services of one name in two namespaces are each called at their own address.
func TestOneNameTwice(t *testing.T) {
	at := func(balancer string) *bundle.Bundle {
		var text string
		for _, in := range [][2]string{{"bank", "192.0.2.1"}, {"shop", "192.0.2.2"}} {
			text += replaced("---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: git, namespace: NAMESPACE}\nspec: {hosts: [git.example.com], exportTo: [.], addresses: [ADDRESS], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 22, name: tcp, protocol: TCP}], endpoints: [{address: 198.51.100.9}]}\n",
				"NAMESPACE", in[0], "ADDRESS", in[1])
		}
		return compile(t, text+"---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: git, namespace: shop}\nspec: {host: git.example.com, trafficPolicy: {loadBalancer: {simple: "+balancer+"}}}\n")
	}
	r, err := change.Compare(at("RANDOM"), at("ROUND_ROBIN"))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Undecided) > 0 || !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
		return d.Host == "git.example.com" && d.Witness.Address == "192.0.2.2"
	}) {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
}

// TestPodsInSeveralPlaces: pods of one workload that run in several localities are compared each with that which stands for it, so
// that their order is no difference, and what only those of one locality see is one.
func TestPodsInSeveralPlaces(t *testing.T) {
	endpoints := func(name, address, node string) string {
		return replaced(slice, "NAME", name, "ADDRESS", address, "conditions: {ready: READY}", "nodeName: "+node+", conditions: {ready: true}")
	}
	with := func(first, second, failover string) *bundle.Bundle {
		pod := func(address, node string) string {
			return replaced(podOf, "NAME", "cart-5d4f8-"+map[string]string{"west": "aaaaa", "east": "bbbbb"}[node], "APP", "cart", "NODE", node, "ADDRESS", address)
		}
		return compile(t, replaced(cart, "{simple: LB}", failover)+pod("10.1.0.21", first)+pod("10.1.0.22", second)+nodes+
			endpoints("cart", "10.1.0.21", first)+replaced(endpoints("cart", "10.1.0.22", second), "name: cart-0", "name: cart-1"))
	}
	const none, to = "{simple: RANDOM}", "{simple: RANDOM, localityLbSetting: {enabled: true, distribute: [{from: r1/east/*, to: {r1/west/*: 100}}]}}"
	for _, c := range []struct {
		name       string
		base, head *bundle.Bundle
		differ     bool
	}{
		{"another order", with("west", "east", to), with("east", "west", to), false},
		{"only those of one locality", with("west", "east", none), with("west", "east", to), true},
	} {
		r, err := change.Compare(c.base, c.head)
		if err != nil {
			t.Fatal(err)
		}
		moved := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
			return d.Kind != change.Tuned && d.Host == "cart.shop.svc.cluster.local" && slices.ContainsFunc(d.From, func(f change.Ref) bool { return f.Name == "cart" })
		})
		if moved != c.differ {
			for _, d := range r.Differences {
				t.Logf("%s %s %v %s, was %v, is %v", d.Kind, d.Category, d.From, d.Witness.String(), d.Base, d.Head)
			}
			t.Errorf("%s: differs %t; undecided %v", c.name, moved, r.Undecided)
		}
	}
}

// TestRefusedAnyway: what servers refuse on both sides is said to be undecided where the proxy of the client treats it otherwise,
// and no difference where the connection is of another protocol than the server's.
func TestRefusedAnyway(t *testing.T) {
	closed := replaced(posts, "name: reviews", "name: db", "app: reviews", "app: db")
	endpoints := func(ready string) string {
		return closed + replaced(slice, "name: http", "name: tcp", "8080", "3306", "NAME", "db", "ADDRESS", "10.1.0.4", "READY", ready) +
			replaced(slice, "NAME", "reviews", "ADDRESS", "10.1.0.2", "READY", "true")
	}
	r, err := change.Compare(compile(t, endpoints("true")), compile(t, endpoints("false")))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) > 0 || !slices.ContainsFunc(r.Undecided, func(u change.Undecided) bool {
		return u.Host == "db.shop.svc.cluster.local" && u.Port == 3306 && strings.Contains(u.Why, "nothing is behind")
	}) {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
	r, err = change.Compare(compile(t, routes), compile(t, routes+registry))
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range r.Undecided {
		t.Errorf("undecided: %+v", u)
	}
}

// TestMachines: what the proxy of a machine outside Kubernetes would do otherwise is undecided, also under another account, and said
// as a difference where a workload shows it.
func TestMachines(t *testing.T) {
	const machine = "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, namespace: shop}\n" +
		"spec: {address: 10.9.0.1, serviceAccount: ACCOUNT, labels: {app: LABEL, security.istio.io/tlsMode: istio}}\n"
	with := func(account, label string) string {
		return routes + fromWeb + replaced(machine, "ACCOUNT", account, "LABEL", label)
	}
	for name, c := range map[string]struct {
		head string
		says string
	}{
		"another account": {with("other", "vm"), "closed, access-narrowed"},
		"another label":   {with("web", "reviews"), "access-narrowed"},
	} {
		r, err := change.Compare(compile(t, with("web", "vm")), compile(t, c.head))
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(r.Undecided, func(u change.Undecided) bool {
			return slices.ContainsFunc(slices.Concat(u.From, u.Servers), func(x change.Ref) bool { return x.Name == "vm" }) && strings.Contains(u.Why, c.says)
		})
		if !found {
			t.Errorf("%s: undecided %v", name, r.Undecided)
		}
		for _, d := range r.Differences {
			if slices.ContainsFunc(slices.Concat(d.From, d.Servers), func(x change.Ref) bool { return x.Name == "vm" }) {
				t.Errorf("%s: %+v", name, d)
			}
		}
	}
}

// TestLoopbackListener: what differs at a listener of a gateway that only programs beside it reach has no request from outside as its
// witness.
func TestLoopbackListener(t *testing.T) {
	beside := replaced(gateway, "protocol: HTTP}, hosts", "protocol: HTTP}, bind: 127.0.0.1, hosts")
	r, err := change.Compare(compile(t, routes+beside), compile(t, routes+replaced(beside, "prefix: /reviews", "prefix: /other")))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Differences) > 0 || len(r.Undecided) == 0 || !strings.Contains(r.Undecided[0].Why, "127.0.0.1") {
		t.Errorf("differences %v, undecided %v", r.Differences, r.Undecided)
	}
}

// TestGatewayPorts: a port of a gateway is known by that of its server and by those of the Services in front.
func TestGatewayPorts(t *testing.T) {
	own := replaced(gateway, "number: 80, name: http, protocol", "number: 8080, name: http, protocol")
	r, err := change.Compare(compile(t, routes+own), compile(t, routes+replaced(own, "prefix: /reviews", "prefix: /other")))
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range []uint16{80, 8080} {
		if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.Host == "shop.example" && d.Port == port }) {
			t.Errorf("no difference at port %d: %v", port, r.Differences)
		}
	}
}

// TestWhichListener: a listener that comes to a port is no difference for what goes where it went before.
func TestWhichListener(t *testing.T) {
	const proxied = "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: default, namespace: shop}\n" +
		"spec:\n  outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: reviews.shop.svc.cluster.local, port: {number: 80}}}\n  egress: [{hosts: [\"*/*\"]}]\n"
	const entry = "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: out, namespace: shop}\n" +
		"spec: {hosts: [out.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}\n"
	r, err := change.Compare(compile(t, proxied+entry), compile(t, proxied))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Differences {
		if strings.HasPrefix(d.Base.Detail, "listener") || d.Host == "*" && d.Kind == change.Changed {
			t.Errorf("%s %s %s: was %v, is %v", d.Kind, d.Category, d.Witness.String(), d.Base, d.Head)
		}
	}
}
