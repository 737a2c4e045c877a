package mesh

import (
	"strings"
	"testing"
)

const reviews = "reviews.shop.svc.cluster.local"

// rule is a DestinationRule whose connect timeout tells it from others.
func rule(namespace, name, host, seconds, more string) string {
	return istio("DestinationRule", namespace, name, "{host: '"+host+"', trafficPolicy: {connectionPool: {tcp: {connectTimeout: "+seconds+"s}}}"+more+"}")
}

func TestDestinationRuleLookup(t *testing.T) {
	for _, c := range []struct {
		name, client string // namespace
		rules        []string
		want         string
	}{
		{"own namespace before the service's", "client", []string{rule("client", "own", reviews, "1", ""), rule("shop", "svc", "reviews", "2", "")}, "own"},
		{"the service's before the root", "client", []string{rule("shop", "svc", "reviews", "1", ""), rule("istio-system", "root", reviews, "2", "")}, "svc"},
		{"the root namespace last", "client", []string{rule("istio-system", "root", reviews, "1", ""), rule("far", "far", reviews, "2", "")}, "root"},
		{"a wildcard nearby beats an exact host further away", "client", []string{rule("client", "own", "*.local", "1", ""), rule("shop", "svc", "reviews", "2", "")}, "own"},
		{"the most specific host within a namespace", "client", []string{rule("client", "a", "*.local", "1", ""), rule("client", "b", "*.shop.svc.cluster.local", "2", ""), rule("client", "c", "*", "3", "")}, "b"},
		{"exact before wildcard", "client", []string{rule("client", "a", "*.shop.svc.cluster.local", "1", ""), rule("client", "b", reviews, "2", "")}, "b"},
		{"not exported: on to the root", "client", []string{rule("shop", "svc", "reviews", "1", ", exportTo: ['.']"), rule("istio-system", "root", reviews, "2", "")}, "root"},
		{"exported by name", "client", []string{rule("shop", "svc", "reviews", "1", ", exportTo: [client]")}, "svc"},
		{"own, exported elsewhere only", "client", []string{rule("client", "own", reviews, "1", ", exportTo: [far]"), rule("shop", "svc", "reviews", "2", "")}, "svc"},
		{"the root's own client sees private rules first", "istio-system", []string{rule("istio-system", "private", reviews, "1", ", exportTo: ['.']"), rule("shop", "svc", "reviews", "2", "")}, "private"},
		{"and its public ones last", "istio-system", []string{rule("istio-system", "public", reviews, "1", ""), rule("shop", "svc", "reviews", "2", "")}, "svc"},
		{"of one host with other exportTo the last, at home", "shop", []string{rule("shop", "a", "reviews", "1", ""), rule("shop", "b", "reviews", "2", ", exportTo: ['.']")}, "b"},
		{"and the last of the service's namespace", "client", []string{rule("shop", "a", "reviews", "1", ""), rule("shop", "b", "reviews", "2", ", exportTo: [client]")}, "b"},
		{"an exact host exported to others still hides a wildcard", "client", []string{rule("shop", "a", "reviews", "1", ", exportTo: [far]"), rule("shop", "b", "*.shop.svc.cluster.local", "2", ""), rule("istio-system", "root", "*.local", "3", "")}, "root"},
		{"a private exact host hides none", "client", []string{rule("shop", "a", "reviews", "1", ", exportTo: ['.']"), rule("shop", "b", "*.shop.svc.cluster.local", "2", "")}, "b"},
		{"a name of another namespace", "client", []string{rule("client", "own", "reviews", "1", "")}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, _ := link(t, append(c.rules, service("shop", "reviews"), service(c.client, "client"))...)
			got := ""
			if r := classNamed(t, m, "sidecar/"+c.client+"/implied:app=client").Scope.View().Rule(m.serviceNamed(t, reviews)); r != nil {
				got = r.Object.Name
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestDestinationRulesMerge(t *testing.T) {
	m, findings := link(t, service("shop", "reviews"),
		istio("DestinationRule", "shop", "a", "{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}"),
		istio("DestinationRule", "shop", "b", "{host: reviews.shop.svc.cluster.local, trafficPolicy: {tls: {mode: DISABLE}}, subsets: [{name: v2, labels: {version: v2}}, {name: v1, labels: {version: other}}]}"),
		istio("DestinationRule", "shop", "c", "{host: reviews, trafficPolicy: {tls: {mode: SIMPLE}}}"),
		istio("DestinationRule", "shop", "private", "{host: reviews, exportTo: ['.']}"),
	)
	wantCodes(t, findings, "MESHC1240 DestinationRule/c spec.trafficPolicy", "MESHC1241 DestinationRule/b spec.subsets[1]")
	if len(m.DestinationRules) != 2 {
		t.Fatalf("got %d rules", len(m.DestinationRules))
	}
	r := m.DestinationRules[0]
	var got []string
	for i, s := range r.Spec.Subsets {
		got = append(got, s.Name+"="+s.Labels["version"]+" of "+r.Subsets[i].Object.Name)
	}
	if strings.Join(got, ", ") != "v1=v1 of a, v2=v2 of b" || r.Spec.TrafficPolicy.Tls.Mode.String() != "DISABLE" || len(r.Objects) != 3 {
		t.Error(got, r.Spec)
	}
	for _, d := range findings {
		if len(d.Related) != 1 || d.Related[0].Line == 0 {
			t.Errorf("%s does not show the other place", d.Code)
		}
	}
}

// TestDestinationRulesOfSeveralAudiences: a rule adds to those before it that are for fewer, and holds for the rest of
// its own clients.
func TestDestinationRulesOfSeveralAudiences(t *testing.T) {
	subset := func(name, more string) string {
		return istio("DestinationRule", "shop", name, "{host: reviews, subsets: [{name: "+name+", labels: {version: "+name+"}}]"+more+"}")
	}
	m, findings := link(t, service("shop", "reviews"), service("near", "near"), service("far", "far"), podOf("shop", "one", "10.0.0.1", "app: one"), podOf("shop", "two", "10.0.0.2", "app: two"),
		subset("a", ", exportTo: [near]"), subset("b", ", exportTo: [near, far]"),
		subset("c", ", exportTo: ['.']"), subset("d", ", workloadSelector: {matchLabels: {app: one}}"))
	wantCodes(t, findings)
	for id, want := range map[string]string{
		"sidecar/near/implied:app=near": "ab", "sidecar/far/implied:app=far": "b", "sidecar/shop/one": "dc", "sidecar/shop/two": "c",
	} {
		got := ""
		if r := classNamed(t, m, id).Scope.View().Rule(m.serviceNamed(t, reviews)); r != nil {
			for _, s := range r.Spec.Subsets {
				got += s.Name
			}
		}
		if got != want {
			t.Errorf("%s: subsets %q, want %q", id, got, want)
		}
	}
}

// TestWorkloadSelector: a rule for some clients holds for those, in its namespace, and another holds for the rest.
func TestWorkloadSelector(t *testing.T) {
	gateway := strings.Replace(podOf("shop", "exit", "10.0.0.4", "app: one, istio: exit"), ", {name: app, ports: [{name: web, containerPort: 8080}]}", "", 1)
	m, _ := link(t, service("shop", "reviews"), podOf("shop", "one", "10.0.0.1", "app: one"), podOf("shop", "two", "10.0.0.2", "app: two"), podOf("far", "one", "10.0.0.3", "app: one"), gateway,
		istio("Gateway", "shop", "exit", "{selector: {istio: exit}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}"),
		rule("shop", "all", "reviews", "1", ""), rule("shop", "chosen", "reviews", "2", ", workloadSelector: {matchLabels: {app: one}}"))
	for id, want := range map[string]string{"sidecar/shop/one": "chosen", "sidecar/shop/two": "all", "sidecar/far/one": "all", "router/shop/exit": "chosen"} {
		s := classNamed(t, m, id).Scope
		if r := s.View().Rule(s.View().Service(reviews)); r == nil || r.Object.Name != want {
			t.Errorf("%s: got %v, want %s", id, r, want)
		}
	}
	if r := m.InboundRule(m.serviceNamed(t, reviews), nil); r.Object.Name != "all" {
		t.Errorf("servers follow %s", r.Object.Name)
	}
}

// TestInboundRuleOfSidecar: servers follow a rule only where their Sidecar imports their service.
func TestInboundRuleOfSidecar(t *testing.T) {
	m, _ := link(t, service("shop", "reviews"), service("shop", "cart"), rule("shop", "all", "reviews", "1", ""),
		istio("Sidecar", "shop", "a", "{egress: [{hosts: ['./*']}]}"), istio("Sidecar", "shop", "b", "{egress: [{hosts: ['bank/*']}]}"),
		istio("Sidecar", "shop", "c", "{egress: [{hosts: ['./cart.shop.svc.cluster.local']}]}"), istio("Sidecar", "shop", "d", "{ingress: [{port: {number: 80, name: http, protocol: HTTP}}]}"),
		istio("VirtualService", "shop", "cart", "{hosts: [cart], http: [{route: [{destination: {host: reviews}}]}]}"))
	for _, s := range m.Sidecars {
		if got, want := m.InboundRule(m.serviceNamed(t, reviews), s) != nil, s.Object.Name != "b"; got != want {
			t.Errorf("%s: %v, want %v", s.Object.Name, got, want)
		}
	}
}

// TestPolicyLayers: blocks are taken whole, and a port entry wipes what it leaves out.
func TestPolicyLayers(t *testing.T) {
	m, _ := link(t, service("shop", "reviews"), istio("DestinationRule", "shop", "r", `
  host: reviews
  trafficPolicy:
    connectionPool: {tcp: {maxConnections: 1}}
    outlierDetection: {consecutive5xxErrors: 1}
    tls: {mode: DISABLE}
    proxyProtocol: {version: V2}
    portLevelSettings:
    - port: {number: 81}
      connectionPool: {tcp: {maxConnections: 2}}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy:
      connectionPool: {http: {maxRetries: 3}}
      portLevelSettings:
      - port: {number: 82}
        tls: {mode: SIMPLE}`), `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    defaultTrafficPolicy:
      connectionPool: {tcp: {maxConnections: 9}}
      outlierDetection: {consecutive5xxErrors: 9}
`)
	r := m.DestinationRules[0]
	for _, c := range []struct {
		port    uint32
		subset  string
		pool    uint32 // tcp.maxConnections
		retries int32
		outlier uint32
		tls     string
	}{
		{80, "", 1, 0, 1, "DISABLE"},
		{81, "", 2, 0, 9, "-"}, // outlierDetection and tls are gone, so the mesh's default holds
		{80, "v1", 0, 3, 1, "DISABLE"},
		{81, "v1", 0, 3, 9, "-"},
		{82, "v1", 9, 0, 9, "SIMPLE"},
		{80, "none", 1, 0, 1, "DISABLE"},
	} {
		p := m.PolicyOf(r, &Port{Number: c.port}, c.subset)
		tls := "-"
		if p.Tls != nil {
			tls = p.Tls.Mode.String()
		}
		if p.GetConnectionPool().GetTcp().GetMaxConnections() != int32(c.pool) || p.GetConnectionPool().GetHttp().GetMaxRetries() != c.retries ||
			p.GetOutlierDetection().GetConsecutive_5XxErrors().GetValue() != c.outlier || tls != c.tls {
			t.Errorf("port %d, subset %q: %v", c.port, c.subset, p)
		}
		if p.ProxyProtocol == nil {
			t.Errorf("port %d, subset %q: proxyProtocol is lost", c.port, c.subset)
		}
	}
	if p := m.PolicyOf(nil, nil, ""); p.ConnectionPool.Tcp.MaxConnections != 9 {
		t.Error("without a rule the mesh's default holds:", p)
	}
}
