package mesh

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

func hostnames(list []*Service) string {
	var out []string
	for _, s := range list {
		short, _, _ := strings.Cut(s.Hostname, ".svc.")
		out = append(out, short)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func TestSidecarSelection(t *testing.T) {
	sidecar := func(ns, name, selector string) string {
		return istio("Sidecar", ns, name, "{"+selector+"egress: [{hosts: ['./*']}]}")
	}
	const app = "workloadSelector: {labels: {app: web}}, "
	all := []string{sidecar("istio-system", "root", ""), sidecar("shop", "plain", ""), sidecar("shop", "plain2", ""), sidecar("shop", "web", app), sidecar("shop", "web2", app), sidecar("istio-system", "rootweb", app)}
	for _, c := range []struct {
		name, namespace, app string
		objects              []string
		want                 string
	}{
		{"a selector that matches, the oldest", "shop", "web", all, "web"},
		{"no selector in the namespace, the oldest", "shop", "other", all, "plain"},
		{"the root namespace's without selector", "far", "web", all, "root"},
		{"with a selector the root namespace's reaches only there", "far", "web", all[5:], ""},
		{"none", "shop", "web", nil, ""},
		{"an empty selector matches all, before those without", "shop", "web", []string{sidecar("shop", "plain", ""), sidecar("shop", "zero", "workloadSelector: {}, ")}, "zero"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := link(t, append(c.objects, service("shop", "web"))...)
			got := ""
			if s := m.sidecarFor(c.namespace, map[string]string{"app": c.app}); s != nil {
				got = s.Object.Name
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestSidecarEgressHosts(t *testing.T) {
	services := []string{
		service("shop", "web"), service("shop", "client"), service("bank", "web"), service("bank", "ledger"), service("far", "ledger"),
		istio("ServiceEntry", "bank", "api", "{hosts: [api.example.com, WWW.example.com], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}"),
		istio("ServiceEntry", "bank", "hidden", "{hosts: [hidden.example.com], exportTo: ['.'], resolution: DNS, ports: [{number: 443, name: tls, protocol: TLS}]}"),
	}
	for hosts, want := range map[string]string{
		"'*/*'":                             "api.example.com bank/ledger bank/web far/ledger shop/client shop/web www.example.com",
		"'./*'":                             "shop/client shop/web",
		"'bank/*'":                          "api.example.com bank/ledger bank/web www.example.com",
		"'bank/*.example.com'":              "api.example.com www.example.com",
		"'*/api.example.com'":               "api.example.com",
		"'bank/web.bank.svc.cluster.local'": "bank/web",
		"'~/*'":                             "",
		"'*/*', '~bank/*'":                  "far/ledger shop/client shop/web",
		"'bank/*', '~bank/*.example.com'":   "bank/ledger bank/web",
		"'nowhere/*'":                       "",
		"'*/hidden.example.com'":            "",
		"'./*', 'far/*'":                    "far/ledger shop/client shop/web",
	} {
		m, _ := link(t, append(services, istio("Sidecar", "shop", "default", "{egress: [{hosts: ["+hosts+"]}]}"))...)
		var got []string
		for _, s := range classNamed(t, m, "sidecar/shop/implied:app=client").Scope.Services {
			if name := s.Hostname; s.Kubernetes {
				got = append(got, s.Namespace+"/"+s.Name)
			} else {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", hosts, got, want)
		}
	}
}

// TestEgressListenerWithPort: it offers services that have the port, cut to it; what only a route leads to is visible,
// and not listed.
func TestEgressListenerWithPort(t *testing.T) {
	m, _ := link(t,
		object("v1", "Service", "shop", "two", "spec: {clusterIP: 10.96.0.7, ports: [{name: http, port: 80}, {name: admin, port: 81}]}"), service("shop", "client"),
		object("v1", "Service", "shop", "other", "spec: {clusterIP: 10.96.0.8, ports: [{name: http, port: 9000}]}"),
		object("v1", "Service", "bank", "ledger", "spec: {clusterIP: 10.96.0.9, ports: [{name: http, port: 9000}]}"),
		istio("VirtualService", "shop", "two", "{hosts: [two], http: [{route: [{destination: {host: ledger.bank.svc.cluster.local}}]}]}"),
		rule("shop", "two", "two", "1", ""),
		istio("Sidecar", "shop", "default", "{egress: [{port: {number: 81, name: http, protocol: HTTP}, hosts: ['./*']}, {hosts: ['./two.shop.svc.cluster.local']}]}"))
	s := classNamed(t, m, "sidecar/shop/implied:app=client").Scope
	if len(s.Listeners) != 2 || hostnames(s.Listeners[0].Services) != "two.shop" || len(s.Listeners[0].Services[0].Ports) != 1 || s.Listeners[0].Services[0].Ports[0].Number != 81 {
		t.Errorf("first listener: %v", s.Listeners[0])
	}
	if len(s.Listeners[1].Services[0].Ports) != 2 || len(s.Listeners[1].VirtualServices) != 1 {
		t.Errorf("second listener: %v", s.Listeners[1])
	}
	if hostnames(s.Services) != "ledger.bank two.shop" || s.View().Service("other.shop.svc.cluster.local") != nil {
		t.Error("services:", hostnames(s.Services))
	}
	for _, svc := range []*Service{s.Listeners[0].Services[0], s.Listeners[1].Services[0]} {
		if s.View().Rule(svc) == nil {
			t.Error("a service cut to one port has lost its rule")
		}
	}
}

func TestSidecarOutboundPolicy(t *testing.T) {
	for _, c := range []struct {
		policy, mesh string
		registryOnly bool
		proxy        string
	}{
		{"", "", false, ""},
		{"", "REGISTRY_ONLY", true, ""},
		{"{mode: ALLOW_ANY}", "REGISTRY_ONLY", false, ""},
		{"{}", "ALLOW_ANY", true, ""}, // an empty message is REGISTRY_ONLY, the zero of the enum
		{"{mode: ALLOW_ANY, egressProxy: {host: web, port: {number: 80}}}", "", false, "web.shop.svc.cluster.local"},
	} {
		spec := "{egress: [{hosts: ['./client.shop.svc.cluster.local']}]"
		if c.policy != "" {
			spec += ", outboundTrafficPolicy: " + c.policy
		}
		objects := []string{service("shop", "client"), service("shop", "web"), istio("Sidecar", "shop", "default", spec+"}")}
		if c.mesh != "" {
			objects = append(objects, object("v1", "ConfigMap", "istio-system", "istio", "data: {mesh: 'outboundTrafficPolicy: {mode: "+c.mesh+"}'}"))
		}
		m, _ := link(t, objects...)
		s := classNamed(t, m, "sidecar/shop/implied:app=client").Scope
		if s.Outbound.RegistryOnly != c.registryOnly || s.Outbound.EgressProxy.Host != c.proxy {
			t.Errorf("%q under %q: %v", c.policy, c.mesh, s.Outbound)
		}
		if c.proxy != "" && s.View().Service(c.proxy) == nil {
			t.Error("the egress proxy is not visible")
		}
	}
}

func TestOneServicePerHost(t *testing.T) {
	entry := func(ns, name, port string) string {
		return istio("ServiceEntry", ns, name, "{hosts: [web.shop.svc.cluster.local, api.example.com], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: "+port+", name: http, protocol: HTTP}]}")
	}
	m, _ := link(t, entry("bank", "a", "80"), entry("bank", "b", "81"), entry("far", "c", "82"), service("shop", "web"), service("shop", "client"))
	s := classNamed(t, m, "sidecar/shop/implied:app=client").Scope
	if w := s.View().Service("web.shop.svc.cluster.local"); w == nil || !w.Kubernetes {
		t.Error("a Kubernetes service comes before a ServiceEntry:", w)
	}
	api := s.View().Service("api.example.com")
	if api == nil || api.Name != "a" || len(api.Ports) != 2 || api.HasPort(81) == nil {
		t.Errorf("ports of one namespace add up, those of another do not: %v", api)
	}
	if first := m.serviceNamed(t, "api.example.com"); len(first.Ports) != 1 {
		t.Error("the shared service was changed")
	}
}

// TestNamespacesOfOneHost: a sidecar takes the services of one namespace, its own before others, else the first by name. Services
// of one namespace that differ in exportTo do not add up.
func TestNamespacesOfOneHost(t *testing.T) {
	entry := func(ns, name, more, port string) string {
		return istio("ServiceEntry", ns, name, "{hosts: [api.example.com], location: MESH_INTERNAL, resolution: STATIC, "+more+"ports: [{number: "+port+", name: http, protocol: HTTP}]}")
	}
	sidecar := istio("Sidecar", "far", "default", "{egress: [{hosts: ['far/far.far.svc.cluster.local']}]}")
	route := istio("VirtualService", "far", "far", "{hosts: [far.far.svc.cluster.local], http: [{route: [{destination: {host: api.example.com}}]}]}")
	m, _ := link(t, entry("shop", "a", "", "80"), entry("shop", "c", "", "82"), entry("shop", "d", "exportTo: [shop, deep], ", "83"), entry("bank", "b", "", "81"),
		service("shop", "client"), service("bank", "client"), service("far", "far"), service("away", "client"), sidecar, route)
	for id, want := range map[string]string{"sidecar/shop/implied:app=client": "83", "sidecar/bank/implied:app=client": "81", "sidecar/away/implied:app=client": "81", "sidecar/far/implied:app=far": "81"} {
		var got []string
		for _, p := range classNamed(t, m, id).Scope.View().Service("api.example.com").Ports {
			got = append(got, strconv.Itoa(int(p.Number)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: ports %v, want %s", id, got, want)
		}
	}
}

// TestWiderVirtualServiceImported: listing a host brings VirtualServices whose host takes it in.
func TestWiderVirtualServiceImported(t *testing.T) {
	m, _ := link(t, service("shop", "client"), service("bank", "web"), service("bank", "ledger"),
		istio("VirtualService", "bank", "wide", "{hosts: ['*.bank.svc.cluster.local'], http: [{directResponse: {status: 200}}]}"),
		istio("VirtualService", "bank", "other", "{hosts: ['*.far.svc.cluster.local', ledger.bank.svc.cluster.local], http: [{directResponse: {status: 200}}]}"),
		istio("Sidecar", "shop", "default", "{egress: [{hosts: ['bank/web.bank.svc.cluster.local']}]}"))
	if l := classNamed(t, m, "sidecar/shop/implied:app=client").Scope.Listeners[0].VirtualServices; len(l) != 1 || l[0].Object.Name != "wide" {
		t.Error(l)
	}
}

func TestServiceForDestination(t *testing.T) {
	m, findings := link(t, service("shop", "one"), object("v1", "Service", "shop", "two", "spec: {ports: [{name: http, port: 80}, {name: admin, port: 81}]}"),
		istio("VirtualService", "shop", "v", `
  hosts: [one]
  http:
  - match: [{uri: {exact: /a}}]
    route: [{destination: {host: two, port: {number: 99}}}]
  - match: [{uri: {exact: /b}}]
    route: [{destination: {host: none}}]
  - match: [{uri: {exact: /c}}]
    route: [{destination: {host: two, port: {number: 81}, subset: v9}}]
  - match: [{uri: {exact: /d}, gateways: [other]}]
    route: [{destination: {host: two, port: {number: 81}}}]
    mirrors: [{destination: {host: gone}}]`))
	wantCodes(t, findings,
		"MESHC1210 VirtualService/v spec.http[0].route[0].destination.port.number",
		"IST0101 VirtualService/v spec.http[1].route[0].destination.host",
		"IST0101 VirtualService/v spec.http[2].route[0].destination.subset",
		"MESHC1234 VirtualService/v spec.http[3].match[0].gateways[0]",
		"IST0101 VirtualService/v spec.http[3].mirrors[0].destination.host")
	s := classNamed(t, m, "sidecar/shop/implied:app=one").Scope
	routes := m.VirtualServices[0].Spec.Http
	if svc, p := s.View().ServiceForDestination(routes[2].Route[0].Destination, 80); svc == nil || p.Number != 81 {
		t.Error("named port:", svc, p)
	}
	d := routes[2].Route[0].Destination
	d.Port = nil
	if _, p := s.View().ServiceForDestination(d, 80); p == nil || p.Number != 80 {
		t.Error("no port: the listener's", p)
	}
	d.Host = "one.shop.svc.cluster.local"
	if _, p := s.View().ServiceForDestination(d, 9999); p == nil || p.Number != 80 {
		t.Error("no port, and the service has just one:", p)
	}
	d.Host = "none.shop.svc.cluster.local"
	if svc, p := s.View().ServiceForDestination(d, 80); svc != nil || p != nil {
		t.Error("undefined:", svc, p)
	}
}

// TestServiceOrder: by age, then the name of a Kubernetes Service or the host of a ServiceEntry, then the namespace.
func TestServiceOrder(t *testing.T) {
	entry := func(ns, name, host string) string {
		return istio("ServiceEntry", ns, name, "{hosts: ["+host+"], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}")
	}
	m, _ := link(t, entry("shop", "a", "z.com"), entry("shop", "z", "a.com"), entry("far", "b", "a.com"), entry("shop", "c", "a.com"), service("shop", "m"), service("bank", "m"))
	var got []string
	for _, s := range m.Services {
		got = append(got, s.Namespace+"/"+s.Object.Name)
	}
	if s := strings.Join(got, " "); s != "far/b shop/c shop/z bank/m shop/m shop/a" {
		t.Error(s)
	}
}
