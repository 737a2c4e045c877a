package mesh

import (
	"slices"
	"strings"
	"testing"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/ingress"
)

func ingressOf(name, meta, spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name + ", namespace: shop" + meta + "}\nspec: {" + spec + "}"
}

func ingressClass(name, controller string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: " + name + "}\nspec: {controller: " + controller + "}"
}

const backend = "backend: {service: {name: web, port: {number: 80}}}"

func TestWhichIngressesAreMeant(t *testing.T) {
	const rules = "rules: [{http: {paths: [{path: /, pathType: Prefix, " + backend + "}]}}]"
	for _, c := range []struct {
		mode, meta, class string
		meant             bool
	}{
		{"STRICT", "", "ingressClassName: istio, ", false}, // nothing says that the class is the mesh's
		{"STRICT", "", "ingressClassName: ours, ", true},
		{"STRICT", "", "ingressClassName: theirs, ", false},
		{"OFF", "", "ingressClassName: ours, ", false},
		{"DEFAULT", "", "ingressClassName: istio, ", true},
		{"DEFAULT", "", "ingressClassName: theirs, ", false},
		{"STRICT", ", annotations: {kubernetes.io/ingress.class: istio}", "", true},
		{"STRICT", "", "", false},
		{"STRICT", "", "ingressClassName: nginx, ", false},
		{"DEFAULT", "", "", true},
		{"DEFAULT", "", "ingressClassName: nginx, ", false},
		{"DEFAULT", ", annotations: {kubernetes.io/ingress.class: nginx}", "ingressClassName: istio, ", false},
		{"OFF", "", "ingressClassName: istio, ", false},
	} {
		m, _ := link(t, ingressClass("ours", ingress.Controller), ingressClass("theirs", "nginx"), meshConfig("istio", "ingressControllerMode: '"+c.mode+"'"), service("shop", "web"), ingressOf("in", c.meta, c.class+rules))
		if got := len(m.Gateways) > 0 && len(m.VirtualServices) > 0; got != c.meant {
			t.Errorf("%s %s%s: got %v", c.mode, c.meta, c.class, got)
		}
	}
}

// TestIngressPaths: longer before shorter, exact first among equals; a prefix ends at a slash. The VirtualService is
// bound to the Gateway of the oldest Ingress with the host.
func TestIngressPaths(t *testing.T) {
	path := func(kind, p string) string {
		return "{path: '" + p + "', pathType: " + kind + ", " + backend + "}"
	}
	m, findings := link(t, ingressClass("istio", ingress.Controller), service("shop", "web"),
		ingressOf("two", "", "ingressClassName: istio, rules: [{host: x.com, http: {paths: ["+path("Exact", "/")+", "+path("ImplementationSpecific", "/plain")+", "+path("Prefix", "/plain")+"]}}, {http: {paths: ["+path("Prefix", "/any")+", "+path("ImplementationSpecific", "/")+", "+path("ImplementationSpecific", "/*")+"]}}]"),
		ingressOf("one", "", "ingressClassName: istio, rules: [{host: X.com, http: {paths: ["+path("Prefix", "/")+", "+path("Prefix", "/a.b/")+", "+path("ImplementationSpecific", "/glob/*")+", "+path("ImplementationSpecific", "/dot.*")+"]}}]"))
	if findings.HasErrors() {
		t.Error(findings)
	}
	if len(m.VirtualServices) != 2 || len(m.Gateways) != 2 {
		t.Fatalf("%d VirtualServices and %d Gateways", len(m.VirtualServices), len(m.Gateways))
	}
	for _, v := range m.VirtualServices {
		var got []string
		for _, h := range v.Spec.Http {
			var u *networking.StringMatch
			if len(h.Match) > 0 {
				u = h.Match[0].Uri
			}
			switch {
			case u == nil:
				got = append(got, "any")
			case u.GetExact() != "":
				got = append(got, "="+u.GetExact())
			case u.GetPrefix() != "":
				got = append(got, u.GetPrefix())
			default:
				got = append(got, "~"+u.GetRegex())
			}
		}
		want := map[string]string{"x.com": `=/plain ~/plain((\/).*)? ~/a\.b((\/).*)? ~/glob((\/).*)? ~/dot((\/).*)? =/ /`, "*": `~/any((\/).*)? =/ any`}[v.Spec.Hosts[0]]
		gateway := map[string]string{"x.com": "istio-system/one-", "*": "istio-system/two-"}[v.Spec.Hosts[0]]
		if strings.Join(got, " ") != want || len(v.Spec.Gateways) != 1 || !strings.HasPrefix(v.Spec.Gateways[0], gateway) {
			t.Errorf("%s: got %v at %v, want %s at %s", v.Spec.Hosts[0], got, v.Spec.Gateways, want, gateway)
		}
	}
}

// TestIngressGateway: which gateways serve Ingresses, and a tls entry without secret is left out.
func TestIngressGateway(t *testing.T) {
	for _, c := range []struct{ mesh, want string }{
		{"{}", "ingressgateway"},
		{"ingressService: edge", "edge"},
		{"ingressService: istio-ingressgateway", "ingressgateway"},
		{"{ingressService: edge, ingressSelector: front}", "front"},
	} {
		m, findings := link(t, meshConfig("istio", c.mesh), ingressClass("istio", ingress.Controller), service("shop", "web"),
			ingressOf("in", "", "ingressClassName: istio, tls: [{hosts: [a.com]}, {hosts: [b.com], secretName: b}], rules: [{http: {paths: [{path: /, pathType: Prefix, "+backend+"}]}}]"))
		if got := codes(findings); !slices.Contains(got, "MESHC1263 Ingress/in spec.tls[0]") {
			t.Error(got)
		}
		g := m.Gateways[0].Spec
		if g.Selector["istio"] != c.want || len(g.Servers) != 2 || g.Servers[0].Hosts[0] != "b.com" {
			t.Errorf("%s: %v", c.mesh, g)
		}
	}
}

func TestIngressFindings(t *testing.T) {
	_, findings := link(t, ingressClass("istio", ingress.Controller), service("shop", "web"), ingressOf("in", "", "ingressClassName: istio, defaultBackend: {service: {name: web, port: {number: 80}}}, "+
		"rules: [{host: x.com}, {http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: none}}}}, {path: /r, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}]}}]"))
	_, missing := link(t, service("shop", "web"), ingressOf("in", "", "ingressClassName: istio, rules: [{http: {paths: [{path: /, pathType: Prefix, "+backend+"}]}}]"))
	wantCodes(t, missing, "MESHC1264 Ingress/in spec.ingressClassName")
	wantCodes(t, findings,
		"MESHC1260 Ingress/in spec.rules[0]",
		"MESHC1261 Ingress/in spec.defaultBackend",
		"IST0101 Ingress/in spec.rules[1].http.paths[0].backend.service.port",
		"MESHC1262 Ingress/in spec.rules[1].http.paths[1].backend")
}
