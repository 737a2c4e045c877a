package mesh

import (
	"slices"
	"strings"
	"testing"
)

// classes lists classes as "id: workload workload".
func classes(t *testing.T, texts ...string) ([]*Class, string) {
	t.Helper()
	m, _ := link(t, texts...)
	list, _, findings := Classes(m)
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	var out []string
	for _, c := range list {
		var in []string
		for _, w := range c.Workloads {
			in = append(in, w.Name)
		}
		slices.Sort(in)
		out = append(out, c.ID+": "+strings.Join(in, " "))
	}
	return list, strings.Join(out, "\n")
}

func deployment(namespace, name, labels, more string) string {
	return object("apps/v1", "Deployment", namespace, name, "spec: {selector: {matchLabels: {"+labels+"}}, template: {metadata: {labels: {"+labels+"}"+more+"}, spec: {containers: [{name: istio-proxy}, {name: app}]}}}")
}

func TestClasses(t *testing.T) {
	for _, c := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"labels that nothing selects do not part proxies",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", "")}, "sidecar/shop/a: a b"},
		{"a Service parts them",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), service("shop", "a")}, "sidecar/shop/a: a\nsidecar/shop/b: b"},
		{"so does a policy",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), istio("AuthorizationPolicy", "shop", "p", "{selector: {matchLabels: {app: b}}}")}, "sidecar/shop/a: a\nsidecar/shop/b: b"},
		{"and sourceLabels, in every namespace",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), istio("VirtualService", "far", "v", "{hosts: [x.com], http: [{match: [{sourceLabels: {app: a}}], directResponse: {status: 200}}]}")},
			"sidecar/far/implied: implied\nsidecar/istio-system/implied:app=a: implied:app=a\nsidecar/shop/a: a\nsidecar/shop/b: b"},
		{"a policy of another namespace does not",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), deployment("far", "c", "app: b", ""), istio("AuthorizationPolicy", "far", "p", "{selector: {matchLabels: {app: b}}}")}, "sidecar/far/c: c\nsidecar/shop/a: a b"},
		{"annotations about traffic do",
			[]string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ", annotations: {traffic.sidecar.istio.io/includeInboundPorts: '80'}")}, "sidecar/shop/a: a\nsidecar/shop/b: b"},
		{"a selector without a workload implies one",
			[]string{service("shop", "a")}, "sidecar/shop/implied: implied\nsidecar/shop/implied:app=a: implied:app=a"},
		{"a pod and its template are one",
			[]string{service("shop", "a"), deployment("shop", "a", "app: a", ""), podOf("shop", "a-7d4-xyz", "10.0.0.1", "app: a, pod-template-hash: 7d4")}, "sidecar/shop/a: a a-7d4-xyz"},
		{"injection is not asked: whatever comes with a proxy has a class",
			[]string{object("apps/v1", "Deployment", "shop", "a", "spec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app}]}}}")}, "sidecar/shop/a: a"},
		{"a gateway's proxy",
			[]string{object("apps/v1", "Deployment", "edge", "gw", "spec: {selector: {matchLabels: {istio: ingress}}, template: {metadata: {labels: {istio: ingress}}, spec: {containers: [{name: istio-proxy}]}}}"), gateway("edge", "gw", "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}")}, "router/edge/gw: gw\nrouter/istio-system/implied:istio=ingress: implied:istio=ingress\nsidecar/istio-system/implied:istio=ingress: implied:istio=ingress"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, got := classes(t, c.texts...); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

// TestScopesAreShared: proxies that differ in what reaches them, but not in what they may call, share the outbound side.
func TestScopesAreShared(t *testing.T) {
	texts := []string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), deployment("far", "c", "app: c", ""), service("shop", "a"), service("shop", "b"), service("far", "c")}
	for _, c := range []struct {
		name, more string
		shared     bool
	}{
		{"one namespace", "", true},
		{"a Sidecar for one of them", istio("Sidecar", "shop", "s", "{workloadSelector: {labels: {app: a}}, egress: [{hosts: ['./*']}]}"), false},
		{"a Sidecar for both", istio("Sidecar", "shop", "s", "{egress: [{hosts: ['./*']}]}"), true},
		{"a route for one of them", istio("VirtualService", "shop", "v", "{hosts: [a], http: [{match: [{sourceLabels: {app: b}}], route: [{destination: {host: a}}]}]}"), false},
		{"a DestinationRule for one of them", rule("shop", "r", "b", "1", ", workloadSelector: {matchLabels: {app: a}}"), false},
		{"a policy for one of them", istio("PeerAuthentication", "shop", "p", "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := texts
			if c.more != "" {
				all = append(slices.Clone(texts), c.more)
			}
			list, _ := classes(t, all...)
			scope := map[string]*Scope{}
			for _, k := range list {
				scope[k.ID] = k.Scope
			}
			if scope["sidecar/shop/a"] == nil || (scope["sidecar/shop/a"] == scope["sidecar/shop/b"]) != c.shared {
				t.Errorf("shared: %v", !c.shared)
			}
			if scope["sidecar/far/c"] == scope["sidecar/shop/a"] {
				t.Error("two namespaces share a scope")
			}
		})
	}
}

func TestTargets(t *testing.T) {
	m, _ := link(t, podOf("shop", "web", "10.0.0.1", "app: web"),
		object("v1", "Service", "shop", "web", "spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: web}, {name: tcp-x, port: 81}, {name: gone, port: 82, targetPort: nowhere}, {name: dns, port: 53, protocol: UDP}]}"),
		object("v1", "Service", "far", "web", "spec: {clusterIP: 10.96.0.2, selector: {app: web}, ports: [{name: http, port: 90}]}"),
		istio("ServiceEntry", "shop", "vm", "{hosts: [vm.example.com], location: MESH_INTERNAL, resolution: STATIC, endpoints: [{address: 10.0.0.1, ports: {http: 7000}}], ports: [{number: 70, name: http, protocol: HTTP}]}"))
	var got []string
	for _, x := range classNamed(t, m, "sidecar/shop/web").Inbound.Targets {
		got = append(got, x.Service.Name+":"+x.Port.Name)
	}
	if strings.Join(got, " ") != "vm:http web:http web:tcp-x" {
		t.Error("named ports that no container declares, UDP and other namespaces are no targets:", got)
	}
}

// TestClassesDoNotDependOnFileOrder: the same objects in any order are the same classes with the same selectors.
func TestClassesDoNotDependOnFileOrder(t *testing.T) {
	texts := []string{deployment("shop", "a", "app: a", ""), deployment("shop", "b", "app: b", ""), service("shop", "a"), service("shop", "b"), rule("shop", "r", "a", "1", ""),
		gateway("shop", "gw", "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}"), istio("PeerAuthentication", "shop", "p", "{selector: {matchLabels: {app: a}}, mtls: {mode: STRICT}}")}
	_, want := classes(t, texts...)
	slices.Reverse(texts)
	if _, got := classes(t, texts...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
