package assert_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/assert"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
)

// app is a workload with a service of its name.
func app(ns, name, ip string) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {app: %[2]s}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[2]s, namespace: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: %[2]s, namespace: %[1]s, labels: {app: %[2]s, sidecar.istio.io/inject: "true", security.istio.io/tlsMode: istio}}
spec: {serviceAccountName: %[2]s, containers: [{name: app, image: app}, {name: istio-proxy, image: envoy}]}
status: {phase: Running, podIP: %[3]s, podIPs: [{ip: %[3]s}], conditions: [{type: Ready, status: "True"}]}
`, ns, name, ip)
}

const policies = `---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: lax, namespace: lab}
spec: {mtls: {mode: PERMISSIVE}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: billing, namespace: shop}
spec:
  selector: {matchLabels: {app: billing}}
  rules:
  - from: [{source: {namespaces: [payments]}}]
    to: [{operation: {methods: [POST], paths: ["/refund*"]}}]
  - to: [{operation: {methods: [GET], paths: ["/status", "/v*"]}}]
    when: [{key: "request.headers[x-api]", values: ["1*"]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: admin, namespace: shop}
spec:
  selector: {matchLabels: {app: admin}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: catalog, namespace: shop}
spec:
  hosts: [catalog.shop.svc.cluster.local]
  http:
  - match: [{method: {exact: POST}}]
    retries: {attempts: 0}
    route: [{destination: {host: catalog.shop.svc.cluster.local}}]
  - match: [{uri: {prefix: /slow}}]
    timeout: 5s
    retries: {attempts: 4, perTryTimeout: 1s, retryOn: 5xx}
    rewrite: {uri: /fast}
    headers: {request: {set: {x-a: b}, remove: [x-c]}}
    mirror: {host: billing.shop.svc.cluster.local}
    route: [{destination: {host: catalog.shop.svc.cluster.local}}]
  - route: [{destination: {host: catalog.shop.svc.cluster.local}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: DNS
  ports: [{number: 443, name: tls, protocol: TLS}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [public]
  http:
  - match: [{uri: {prefix: /catalog}}]
    route: [{destination: {host: catalog.shop.svc.cluster.local}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ingress, namespace: edge}
spec:
  selector: {matchLabels: {istio: ingress}}
  template:
    metadata: {labels: {istio: ingress}}
    spec: {containers: [{name: istio-proxy, image: envoy}]}
`

const registryOnly = `---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "outboundTrafficPolicy: {mode: REGISTRY_ONLY}"}
`

func mesh() string {
	return app("shop", "web", "10.0.0.1") + app("shop", "billing", "10.0.0.2") + app("shop", "admin", "10.0.0.3") + app("shop", "catalog", "10.0.0.4") +
		app("payments", "checkout", "10.0.0.5") + app("lab", "probe", "10.0.0.6") + policies + registryOnly
}

func compile(t *testing.T, text string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.yaml"), []byte(strings.TrimPrefix(text, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	res, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{Lenient: true})
	if err != nil || res.Bundle == nil {
		t.Fatalf("%v %v", found, err)
	}
	return res.Bundle
}

func TestProve(t *testing.T) {
	b := compile(t, mesh())
	w := trace.New(b)
	for _, c := range []struct{ text, verdict, call string }{
		{"only payments/* may POST /refund* at billing", assert.Proven, ""},
		{"only payments/checkout may POST,PUT /refund* at shop/billing", assert.Proven, ""},
		{"only payments/* may POST at billing", assert.Proven, ""},
		{"only payments/* may GET /refund* at billing", assert.Proven, ""},
		{"only payments/* reach billing", assert.Refuted, "from lab/probe -H x-api=1"},
		{"only payments/* may GET /v1 at billing", assert.Refuted, "-H x-api=1"},
		{"only payments/* may GET /v1x at billing", assert.Refuted, ""},
		{"only lab/* may POST /refund* at billing", assert.Refuted, "from payments/checkout"},
		{"only shop/web reach admin", assert.Proven, ""},
		{"only shop/web may at admin", assert.Proven, ""},
		{"only shop/* and lab/* reach admin", assert.Proven, ""},
		{"only lab/* reach admin", assert.Refuted, "from shop/web"},
		{"nobody outside reaches admin", assert.Proven, ""},
		{"nobody outside reaches shop/billing", assert.Proven, ""},
		{"nobody outside reaches catalog", assert.Refuted, `from "gateway edge/ingress"`},
		{"nobody outside reaches lab/probe", assert.Refuted, "from outside"},
		{"nobody in lab/* reaches admin", assert.Proven, ""},
		{"nobody in lab/* reaches web", assert.Refuted, "from lab/probe"},
		{"nobody may DELETE at billing", assert.Proven, ""},
		{"nobody reaches admin", assert.Refuted, "from shop/web"},
		{"nobody in shop/web may POST at admin", assert.Refuted, "POST http://admin.shop"},
		{"every call between namespaces is mutual TLS", assert.Proven, ""},
		{"every call is mutual TLS", assert.Proven, ""},
		{"every call from shop/* to lab/probe is mutual TLS", assert.Proven, ""},
		{"every call from outside to lab/probe is mutual TLS", assert.Refuted, "from outside"},
		{"no retry on POST from shop/* at catalog", assert.Proven, ""},
		{"no retry on POST at catalog", assert.Refuted, `from "gateway edge/ingress"`},
		{"no retry on POST", assert.Refuted, "POST http://"},
		{"no retry on GET at catalog", assert.Refuted, "http://"},
		{"nothing leaves the mesh but to api.example.com", assert.Proven, ""},
		{"nothing leaves the mesh but to *.example.com", assert.Proven, ""},
		{"nothing leaves the mesh", assert.Refuted, "tls://api.example.com:443"},
		{"nothing from shop/web leaves the mesh but to other.example.com", assert.Refuted, "from shop/web"},
	} {
		r, err := assert.Prove(b, w, c.text, 0)
		switch {
		case err != nil:
			t.Errorf("%s: %v", c.text, err)
		case r.Verdict != c.verdict || !strings.Contains(r.Call, c.call) || (r.Verdict == assert.Refuted) != (r.Call != ""):
			t.Errorf("%s: %s by %q (%s), %d tried; want %s by %q", c.text, r.Verdict, r.Call, r.Why, r.Tried, c.verdict, c.call)
		case r.Verdict == assert.Proven && r.Tried == 0:
			t.Errorf("%s: proven by nothing", c.text)
		}
	}
}

// What is proven holds for requests that the proof did not try.
func TestProvenHolds(t *testing.T) {
	b := compile(t, mesh())
	w := trace.New(b)
	for _, c := range []struct {
		text, server string
		callers      []string
		methods      []string
		paths        []string
	}{
		{"only payments/* may POST /refund* at billing", "shop/billing", []string{"shop/web", "shop/admin", "lab/probe", "outside", "gateway edge/ingress"}, []string{"POST"}, []string{"/refund", "/refunds/1", "/refund/../refund", "/refund%2f"}},
		{"nobody may DELETE at billing", "shop/billing", []string{"shop/web", "payments/checkout", "lab/probe", "outside"}, []string{"DELETE"}, []string{"/", "/status", "/v1", "/refund", "//refund", "/./status"}},
		{"only shop/web reach admin", "shop/admin", []string{"shop/billing", "payments/checkout", "lab/probe", "outside", "gateway edge/ingress"}, []string{"GET", "POST", "OPTIONS", "X"}, []string{"/", "/a/b", "/%61", "/..", "/a?b=c"}},
	} {
		r, err := assert.Prove(b, w, c.text, 0)
		if err != nil || r.Verdict != assert.Proven {
			t.Fatalf("%s: %+v %v", c.text, r, err)
		}
		host := strings.TrimPrefix(c.server, "shop/") + ".shop.svc.cluster.local"
		for _, from := range c.callers {
			for _, method := range c.methods {
				for _, path := range c.paths {
					for _, header := range []map[string][]string{nil, {"x-api": {"1"}}, {"x-api": {"12", "0"}}, {"host": {"other.example"}}, {"host": {"shop.example.com"}}} {
						req := trace.Request{From: from, Method: method, URL: "http://" + host + path, Headers: header}
						got, err := w.Walk(req)
						if err != nil {
							continue
						}
						for _, l := range got.Path.Leaves() {
							if l.Outcome.Verdict == trace.Reached && l.Outcome.At == c.server {
								t.Errorf("%s, and %s gets through", c.text, req.Call())
							}
						}
					}
				}
			}
		}
	}
}

func TestChangedMeshes(t *testing.T) {
	for _, c := range []struct {
		text    string
		change  *strings.Replacer
		verdict string
	}{
		{"only payments/* may POST /refund* at billing", strings.NewReplacer("methods: [GET], paths: [\"/status\", \"/v*\"]", "paths: [\"/status\", \"/refunds\"]"), assert.Refuted},
		{"only payments/* may POST /refund* at billing", strings.NewReplacer("methods: [GET]", "notMethods: [POST]"), assert.Proven},
		{"only payments/* may POST /refund* at billing", strings.NewReplacer("/v*", "/refund/{*}/x", "methods: [GET]", "methods: [GET, POST]"), assert.Refuted},
		{"every call between namespaces is mutual TLS", strings.NewReplacer("metadata: {name: api, namespace: shop}", "metadata: {name: api, namespace: shop}\nspec: {hosts: [x.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}\n---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: plain, namespace: lab}\nspec: {host: probe.lab.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}}\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: api2, namespace: shop}"), assert.Refuted},
		{"nothing leaves the mesh but to api.example.com", strings.NewReplacer("REGISTRY_ONLY", "ALLOW_ANY"), assert.Refuted},
		{"nobody outside reaches admin", strings.NewReplacer("mode: STRICT", "mode: PERMISSIVE"), assert.Proven},
		{"nobody outside reaches admin", strings.NewReplacer("principals: [cluster.local/ns/shop/sa/web]", "ipBlocks: [10.7.0.0/16]", "mode: STRICT", "mode: PERMISSIVE"), assert.Refuted},
		{"only shop/web reach admin", strings.NewReplacer("principals: [cluster.local/ns/shop/sa/web]", "notPrincipals: [cluster.local/ns/shop/sa/billing]"), assert.Refuted},
	} {
		b := compile(t, c.change.Replace(mesh()))
		r, err := assert.Prove(b, trace.New(b), c.text, 0)
		if err != nil || r.Verdict != c.verdict {
			t.Errorf("%s: %+v %v", c.text, r, err)
		}
	}
}

// A token opens what its claims open, and lists of claims are tried in all combinations.
func TestTokens(t *testing.T) {
	tokens := `---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: id, namespace: shop}
spec: {jwtRules: [{issuer: "https://id.example", jwks: '{"keys":[]}'}]}
`
	both := strings.Replace(mesh(), "  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]", "  - when: [{key: \"request.auth.claims[groups]\", values: [a]}, {key: \"request.auth.claims[groups]\", values: [b]}]", 1)
	b := compile(t, both+tokens)
	r, err := assert.Prove(b, trace.New(b), "nobody in shop/web reaches admin", 0)
	if err != nil || r.Verdict != assert.Refuted || !strings.Contains(r.Call, `["`) {
		t.Errorf("%+v %v", r, err)
	}
	b = compile(t, both)
	r, err = assert.Prove(b, trace.New(b), "nobody in shop/web reaches admin", 0)
	if err != nil || r.Verdict != assert.Proven {
		t.Errorf("without an issuer: %+v %v", r, err)
	}
}

func TestUndecided(t *testing.T) {
	b := compile(t, mesh())
	r, err := assert.Prove(b, trace.New(b), "only payments/* may POST /refund* at billing", 3)
	if err != nil || r.Verdict != assert.Undecided || !strings.Contains(r.Why, "more than 3 requests") {
		t.Errorf("%+v %v", r, err)
	}
}

func TestBadStatements(t *testing.T) {
	b := compile(t, mesh())
	for text, want := range map[string]string{
		"only payments/* shall pass":              "write one of",
		"nobody outside reaches nothing":          "no workload is called nothing",
		"only nobody/* may GET / at billing":      "no workload and no gateway is called nobody/*",
		"every call to shop/none is mutual TLS":   "no workload is called shop/none",
		"no retry on post":                        "write one of",
		"only the boss reach admin":               "is no caller",
		"nobody in \"gateway a/b\" reaches admin": "no workload and no gateway is called gateway a/b",
	} {
		if _, err := assert.Prove(b, trace.New(b), text, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestExhaustive: statements about who reaches whom are proven or refuted as all calls of a small mesh say, each walked by itself: every
// caller, and of methods, paths and headers those between which the policies tell.
func TestExhaustive(t *testing.T) {
	b := compile(t, mesh())
	w := trace.New(b)
	type call struct{ from, method, path string }
	reached := map[string][]call{} // by server
	for _, server := range []string{"shop/web", "shop/billing", "shop/admin", "shop/catalog", "payments/checkout", "lab/probe"} {
		ns, name, _ := strings.Cut(server, "/")
		for _, from := range []string{"shop/web", "shop/billing", "shop/admin", "shop/catalog", "payments/checkout", "lab/probe", "outside", "gateway edge/ingress"} {
			for _, method := range []string{"GET", "POST", "PUT", "DELETE"} {
				for _, path := range []string{"/", "/refund", "/refund/1", "/status", "/v1", "/v1x", "/catalog", "/slow", "/x"} {
					for _, header := range []map[string][]string{nil, {"x-api": {"1"}}, {"x-api": {"2"}}, {"host": {"shop.example.com"}}} {
						url := "http://" + name + "." + ns + ".svc.cluster.local" + path
						if strings.HasPrefix(from, "gateway") {
							url = "http://shop.example.com:8080" + path
						}
						got, err := w.Walk(trace.Request{From: from, Method: method, URL: url, Headers: header})
						if err != nil {
							continue // nobody outside knows a name of the mesh
						}
						for _, l := range got.Path.Leaves() {
							if l.Outcome.Verdict == trace.Reached && l.Outcome.At == server {
								reached[server] = append(reached[server], call{from, method, path})
							}
						}
					}
				}
			}
		}
	}
	for _, c := range []struct {
		text, server, methods, path string
		may                         []string // callers, or beginnings of them
		only                        bool     // all others may not; else these may not
	}{
		{"only payments/* may POST /refund* at billing", "shop/billing", "POST", "/refund", []string{"payments/"}, true},
		{"only payments/checkout may POST,PUT /refund* at shop/billing", "shop/billing", "POST,PUT", "/refund", []string{"payments/checkout"}, true},
		{"only payments/* may POST at billing", "shop/billing", "POST", "", []string{"payments/"}, true},
		{"only lab/* may POST at billing", "shop/billing", "POST", "", []string{"lab/"}, true},
		{"only payments/* may GET /status at billing", "shop/billing", "GET", "/status", []string{"payments/"}, true},
		{"only payments/* reach billing", "shop/billing", "", "", []string{"payments/"}, true},
		{"only payments/* and lab/* and shop/* reach billing", "shop/billing", "", "", []string{"payments/", "lab/", "shop/"}, true},
		{"only shop/web reach admin", "shop/admin", "", "", []string{"shop/web"}, true},
		{"only shop/* and lab/* reach admin", "shop/admin", "", "", []string{"shop/", "lab/"}, true},
		{"only lab/* reach admin", "shop/admin", "", "", []string{"lab/"}, true},
		{"only shop/* reach catalog", "shop/catalog", "", "", []string{"shop/"}, true},
		{"nobody in lab/* reaches admin", "shop/admin", "", "", []string{"lab/"}, false},
		{"nobody in lab/* reaches web", "shop/web", "", "", []string{"lab/"}, false},
		{"nobody in shop/web reaches admin", "shop/admin", "", "", []string{"shop/web"}, false},
		{"nobody in payments/* reaches lab/probe", "lab/probe", "", "", []string{"payments/"}, false},
		{"nobody in \"gateway edge/ingress\" reaches catalog", "shop/catalog", "", "", []string{"gateway"}, false},
		{"nobody in \"gateway edge/ingress\" reaches admin", "shop/admin", "", "", []string{"gateway"}, false},
		{"nobody may DELETE at billing", "shop/billing", "DELETE", "", nil, true},
		{"nobody may PUT at billing", "shop/billing", "PUT", "", nil, true},
		{"nobody may GET at billing", "shop/billing", "GET", "", nil, true},
		{"nobody reaches admin", "shop/admin", "", "", nil, true},
		{"nobody in shop/web may POST at admin", "shop/admin", "POST", "", []string{"shop/web"}, false},
	} {
		want := assert.Proven
		for _, x := range reached[c.server] {
			named := false
			for _, m := range c.may {
				named = named || strings.HasPrefix(x.from, m)
			}
			if named != c.only && (c.methods == "" || strings.Contains(c.methods, x.method)) && strings.HasPrefix(x.path, c.path) {
				want = assert.Refuted
			}
		}
		r, err := assert.Prove(b, w, c.text, 0)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if r.Verdict != want {
			t.Errorf("%s: %s (%s); all calls say %s", c.text, r.Verdict, r.Call, want)
		}
	}
}

// TestExhaustiveTreatment: the same of statements about how calls are treated: protected on their way, sent again, or led out of the
// mesh. Every caller calls every server and a host outside, by each method and on paths on both sides of what routes ask for.
func TestExhaustiveTreatment(t *testing.T) {
	b := compile(t, mesh())
	w := trace.New(b)
	servers := []string{"shop/web", "shop/billing", "shop/admin", "shop/catalog", "payments/checkout", "lab/probe"}
	callers := append([]string{"outside", "gateway edge/ingress"}, servers...)
	type treated struct {
		from, to, method string
		plain            bool // it comes to the server, and not by mutual TLS
		again            bool // a proxy before the server's sends it again
		outside          bool
	}
	var all []treated
	note := func(from, to, method, url string) {
		got, err := w.Walk(trace.Request{From: from, Method: method, URL: url})
		if err != nil {
			return // nobody outside knows a name of the mesh
		}
		for _, l := range got.Path.Leaves() {
			x := treated{from: from, to: to, method: method, outside: l.Outcome.Verdict == trace.Reached && strings.HasPrefix(l.Outcome.At, "outside: ")}
			mutual := false
			for _, s := range got.Path.Steps {
				x.again = x.again || s.Proxy != to && slices.ContainsFunc(s.Effects, func(e trace.Effect) bool { return e.Kind == trace.EffectRetries })
				mutual = mutual || slices.ContainsFunc(s.Effects, trace.Effect.OfMesh)
			}
			x.plain = !mutual && l.Outcome.At == to && l.Outcome.Verdict != trace.Failed
			all = append(all, x)
		}
	}
	for _, from := range callers {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for _, path := range []string{"/", "/refund/1", "/status", "/catalog", "/slow"} {
				for _, to := range servers {
					ns, name, _ := strings.Cut(to, "/")
					if strings.HasPrefix(from, "gateway") {
						note(from, to, method, "http://shop.example.com:8080"+path)
					} else if from != to {
						note(from, to, method, "http://"+name+"."+ns+".svc.cluster.local"+path)
					}
				}
			}
		}
		if !strings.HasPrefix(from, "gateway") && from != "outside" {
			note(from, "api.example.com", "GET", "https://api.example.com/")
			note(from, "unknown.example.com", "GET", "http://unknown.example.com/")
		}
	}
	from := func(prefix string) func(treated) bool {
		return func(x treated) bool { return strings.HasPrefix(x.from, prefix) }
	}
	inside := func(x treated) bool { return x.from != "outside" }
	for text, refutes := range map[string]func(treated) bool{
		"every call to shop/billing is mutual TLS":                               func(x treated) bool { return x.plain && inside(x) && x.to == "shop/billing" },
		"every call to lab/probe is mutual TLS":                                  func(x treated) bool { return x.plain && inside(x) && x.to == "lab/probe" },
		"every call from outside to lab/probe is mutual TLS":                     func(x treated) bool { return x.plain && !inside(x) && x.to == "lab/probe" },
		"every call from outside to billing is mutual TLS":                       func(x treated) bool { return x.plain && !inside(x) && x.to == "shop/billing" },
		"every call from shop/* to shop/* is mutual TLS":                         func(x treated) bool { return x.plain && from("shop/")(x) && strings.HasPrefix(x.to, "shop/") },
		"every call from shop/web to lab/probe is mutual TLS":                    func(x treated) bool { return x.plain && from("shop/web")(x) && x.to == "lab/probe" },
		"every call from \"gateway edge/ingress\" to shop/catalog is mutual TLS": func(x treated) bool { return x.plain && from("gateway")(x) && x.to == "shop/catalog" },
		"no retry on POST": func(x treated) bool { return x.again && inside(x) && x.method == "POST" },
		"no retry on POST from shop/web to catalog": func(x treated) bool {
			return x.again && from("shop/web")(x) && x.to == "shop/catalog" && x.method == "POST"
		},
		"no retry on GET from shop/web to shop/catalog": func(x treated) bool {
			return x.again && from("shop/web")(x) && x.to == "shop/catalog" && x.method == "GET"
		},
		"no retry on DELETE from lab/* to billing": func(x treated) bool {
			return x.again && from("lab/")(x) && x.to == "shop/billing" && x.method == "DELETE"
		},
		"nothing leaves the mesh":                        func(x treated) bool { return x.outside },
		"nothing leaves the mesh but to api.example.com": func(x treated) bool { return x.outside && x.to != "api.example.com" },
		"nothing from lab/* leaves the mesh":             func(x treated) bool { return x.outside && from("lab/")(x) },
	} {
		want := assert.Proven
		if slices.ContainsFunc(all, refutes) {
			want = assert.Refuted
		}
		r, err := assert.Prove(b, w, text, 0)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if r.Verdict != want {
			t.Errorf("%s: %s (%s); all calls say %s", text, r.Verdict, r.Call, want)
		}
	}
}
