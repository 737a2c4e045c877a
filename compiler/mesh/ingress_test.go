package mesh

import (
	"strings"
	"testing"
)

func ingress(name, meta, spec string) string {
	return "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name + ", namespace: shop" + meta + "}\nspec: {" + spec + "}"
}

const backend = "backend: {service: {name: web, port: {number: 80}}}"

func TestWhichIngressesAreMeant(t *testing.T) {
	const rules = "rules: [{http: {paths: [{path: /, pathType: Prefix, " + backend + "}]}}]"
	for _, c := range []struct {
		mode, meta, class string
		meant             bool
	}{
		{"STRICT", "", "ingressClassName: istio, ", true},
		{"STRICT", ", annotations: {kubernetes.io/ingress.class: istio}", "", true},
		{"STRICT", "", "", false},
		{"STRICT", "", "ingressClassName: nginx, ", false},
		{"DEFAULT", "", "", true},
		{"DEFAULT", "", "ingressClassName: nginx, ", false},
		{"DEFAULT", ", annotations: {kubernetes.io/ingress.class: nginx}", "ingressClassName: istio, ", false},
		{"OFF", "", "ingressClassName: istio, ", false},
	} {
		m, _ := link(t, meshConfig("istio", "ingressControllerMode: '"+c.mode+"'"), service("shop", "web"), ingress("in", c.meta, c.class+rules))
		if got := len(m.Gateways) > 0 && len(m.VirtualServices) > 0; got != c.meant {
			t.Errorf("%s %s%s: got %v", c.mode, c.meta, c.class, got)
		}
	}
}

// TestIngressPaths: exact before the rest, longer before shorter; a Prefix ends at a slash.
func TestIngressPaths(t *testing.T) {
	path := func(kind, p string) string {
		return "{path: '" + p + "', pathType: " + kind + ", " + backend + "}"
	}
	m, findings := link(t, service("shop", "web"), ingress("one", "", "ingressClassName: istio, rules: [{host: X.com, http: {paths: ["+path("Prefix", "/")+", "+path("Prefix", "/a.b/")+", "+path("ImplementationSpecific", "/glob/*")+"]}}]"),
		ingress("two", "", "ingressClassName: istio, rules: [{host: x.com, http: {paths: ["+path("Exact", "/")+", "+path("ImplementationSpecific", "/plain")+"]}}, {http: {paths: ["+path("Prefix", "/any")+"]}}]"))
	if findings.HasErrors() {
		t.Error(findings)
	}
	if len(m.VirtualServices) != 2 || len(m.Gateways) != 2 {
		t.Fatalf("%d VirtualServices and %d Gateways", len(m.VirtualServices), len(m.Gateways))
	}
	for _, v := range m.VirtualServices {
		var got []string
		for _, h := range v.Spec.Http {
			u := h.Match[0].Uri
			switch {
			case u.GetExact() != "":
				got = append(got, "="+u.GetExact())
			case u.GetPrefix() != "":
				got = append(got, u.GetPrefix())
			default:
				got = append(got, "~"+u.GetRegex())
			}
		}
		want := map[string]string{"x.com": `=/plain =/ /glob/ ~/a\.b((\/).*)? /`, "*": `~/any((\/).*)?`}[v.Spec.Hosts[0]]
		if strings.Join(got, " ") != want || len(v.Spec.Gateways) != 2 {
			t.Errorf("%s: got %v at %v, want %s", v.Spec.Hosts[0], got, v.Spec.Gateways, want)
		}
	}
}

func TestIngressFindings(t *testing.T) {
	_, findings := link(t, service("shop", "web"), ingress("in", "", "ingressClassName: istio, defaultBackend: {service: {name: web, port: {number: 80}}}, "+
		"rules: [{host: x.com}, {http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {name: none}}}}, {path: /r, pathType: Prefix, backend: {resource: {kind: Bucket, name: b}}}]}}]"))
	wantCodes(t, findings,
		"MESHC1260 Ingress/in spec.rules[0]",
		"MESHC1261 Ingress/in spec.defaultBackend",
		"IST0101 Ingress/in spec.rules[1].http.paths[0].backend.service.port",
		"MESHC1262 Ingress/in spec.rules[1].http.paths[1].backend")
}
