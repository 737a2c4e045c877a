package mesh

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/diag"
)

func gateway(namespace, name, servers string) string {
	return istio("Gateway", namespace, name, "{selector: {istio: ingress}, servers: ["+servers+"]}")
}

// ingressService makes proxies with istio: ingress of namespace edge known, and translates port 80 to 8080.
var ingressService = object("v1", "Service", "edge", "ingress", "spec: {clusterIP: 10.96.0.5, selector: {istio: ingress}, ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443}]}")

// ingressServers merges the servers of these proxies.
func ingressServers(m *Mesh) ([]*MergedServer, diag.List) {
	return m.mergeServers(newFactTable(m).of(&Workload{Namespace: "edge", Labels: map[string]string{"istio": "ingress"}, Object: m.Gateways[0].Object}, true))
}

func servers(t *testing.T, texts ...string) (string, []string) {
	t.Helper()
	m, _ := link(t, append(texts, ingressService)...)
	merged, findings := ingressServers(m)
	var out []string
	for _, ms := range merged {
		var in []string
		for _, s := range ms.Servers {
			name := s.Gateway.Object.Name + "." + strconv.Itoa(s.Index)
			if s.RouteName != "" {
				name += "=" + s.RouteName
			}
			in = append(in, name)
		}
		out = append(out, ms.Bind+":"+strconv.Itoa(int(ms.Port))+"("+strings.Join(in, " ")+")")
	}
	return strings.Join(out, " "), codes(findings)
}

func TestGatewayServersMerge(t *testing.T) {
	const (
		http  = "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}"
		tcp   = "{port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}"
		other = "{port: {number: 9000, name: http, protocol: HTTP}, hosts: ['*']}"
		plain = "{port: {number: 443, name: http, protocol: HTTP}, hosts: ['*']}"
	)
	redirect := func(hosts string) string {
		return "{port: {number: 80, name: http, protocol: HTTP}, hosts: [" + hosts + "], tls: {httpsRedirect: true}}"
	}
	https := func(name, host string) string {
		return "{port: {number: 443, name: " + name + ", protocol: HTTPS}, hosts: ['" + host + "'], tls: {mode: SIMPLE, credentialName: c}}"
	}
	passthrough := func(host string) string {
		return "{port: {number: 443, name: tls, protocol: TLS}, hosts: ['" + host + "'], tls: {mode: PASSTHROUGH}}"
	}
	for _, c := range []struct {
		name     string
		gateways []string
		want     string
		findings string
	}{
		{"the Service translates the port", []string{gateway("edge", "a", http)}, ":8080(a.0=http.8080)", ""},
		{"no service has the port", []string{gateway("edge", "a", other)}, ":9000(a.0=http.9000)", ""},
		{"plaintext HTTP goes together", []string{gateway("edge", "a", http), gateway("far", "b", http)}, ":8080(a.0=http.8080 b.0=http.8080)", ""},
		{"plaintext HTTP and TCP do not", []string{gateway("edge", "a", http), gateway("edge", "b", tcp)}, ":8080(a.0=http.8080)", "IST0145 Gateway/a spec.servers[0], IST0145 Gateway/b spec.servers[0]"},
		{"TLS by host", []string{gateway("edge", "a", https("x", "x.com")+", "+https("z", "y.com"))}, ":443(a.0=https.443.x.a.edge a.1=https.443.z.a.edge)", ""},
		{"passthrough beside termination", []string{gateway("edge", "a", https("x", "x.com")), gateway("far", "b", passthrough("y.com"))}, ":443(a.0=https.443.x.a.edge b.0)", ""},
		{"the same TLS host twice: the first by name", []string{gateway("edge", "b", https("x", "x.com")), gateway("far", "a", https("x", "far/x.com"))}, ":443(a.0=https.443.x.a.far)", "IST0145 Gateway/a spec.servers[0], IST0145 Gateway/b spec.servers[0]"},
		{"plaintext beside TLS, when it comes second", []string{gateway("edge", "a", https("x", "x.com")), gateway("edge", "b", plain), gateway("edge", "c", https("z", "y.com"))}, ":443(a.0=https.443.x.a.edge b.0=http.443 c.0=https.443.z.c.edge)", ""},
		{"plaintext beside TLS, when it comes third", []string{gateway("edge", "a", https("x", "x.com")), gateway("edge", "b", https("z", "y.com")), gateway("edge", "c", plain)}, ":443(a.0=https.443.x.a.edge b.0=https.443.z.b.edge)", "IST0145 Gateway/b spec.servers[0], IST0145 Gateway/c spec.servers[0]"},
		{"TLS beside plaintext", []string{gateway("edge", "a", plain), gateway("edge", "b", https("x", "x.com"))}, ":443(a.0=http.443)", "IST0145 Gateway/a spec.servers[0], IST0145 Gateway/b spec.servers[0]"},
		{"redirects for the same hosts", []string{gateway("edge", "a", redirect("'*'")), gateway("edge", "b", redirect("'*'"))}, ":8080(a.0=http.8080)", ""},
		{"redirects that share a host", []string{gateway("edge", "a", redirect("x.com")), gateway("edge", "b", redirect("x.com, y.com"))}, ":8080(a.0=http.8080)", "IST0145 Gateway/a spec.servers[0], IST0145 Gateway/b spec.servers[0]"},
		{"redirects for the same host, each for its namespace", []string{gateway("edge", "a", redirect("shop/x.com")), gateway("edge", "b", redirect("far/x.com"))}, ":8080(a.0=http.8080 b.0=http.8080)", ""},
		{"bind addresses are apart", []string{gateway("edge", "a", http+", {bind: 127.0.0.1, port: {number: 80, name: tcp, protocol: TCP}, hosts: ['*']}")}, ":8080(a.0=http.8080) 127.0.0.1:8080(a.1)", ""},
		{"another selector", []string{istio("Gateway", "edge", "a", "{selector: {istio: egress}, servers: ["+http+"]}")}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, findings := servers(t, c.gateways...)
			if got != c.want || strings.Join(findings, ", ") != c.findings {
				t.Errorf("got  %s %v\nwant %s %s", got, findings, c.want, c.findings)
			}
		})
	}
}

// TestResolvePorts: a Gateway that selects pods takes the first Service with the port, one that names Services all.
func TestResolvePorts(t *testing.T) {
	target := func(port, to uint32, labels map[string]string) Target {
		return Target{Service: &Service{Labels: labels}, Port: &Port{Number: port}, TargetPort: to}
	}
	off := map[string]string{labelNoPortTranslation: ""}
	for _, c := range []struct {
		targets         []Target
		selected, named string
	}{
		{nil, "[80]", "[]"},
		{[]Target{target(81, 8081, nil)}, "[80]", "[]"},
		{[]Target{target(80, 9090, nil), target(80, 8080, nil)}, "[9090]", "[8080 9090]"},
		{[]Target{target(80, 9090, off), target(80, 8080, nil)}, "[8080]", "[8080 9090]"},
	} {
		if got := fmt.Sprint(resolvePorts(80, c.targets, true)); got != c.selected {
			t.Errorf("selected: got %s, want %s", got, c.selected)
		}
		if got := fmt.Sprint(resolvePorts(80, c.targets, false)); got != c.named {
			t.Errorf("named: got %s, want %s", got, c.named)
		}
	}
}

// TestConflictNamesBothServers: whoever reads a finding must not have to look for the other Gateway. The server that is
// left out is an error, the one that is served a warning.
func TestConflictNamesBothServers(t *testing.T) {
	m, _ := link(t, gateway("edge", "a", "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}"), gateway("far", "b", "{port: {number: 80, name: b, protocol: TCP}, hosts: ['*']}"))
	_, findings := ingressServers(m)
	if len(findings) != 2 || findings[0].Severity != diag.Error || findings[0].Related[0].Object.String() != "Gateway edge/a" ||
		findings[1].Severity != diag.Warning || findings[1].Related[0].Object.String() != "Gateway far/b" || findings[0].Related[0].Line == 0 {
		t.Errorf("%+v", findings)
	}
}

func TestServersBindVirtualServices(t *testing.T) {
	for _, c := range []struct {
		name, serverHosts, vs string // vs: namespace/gateway/host/exportTo
		want                  string // hosts under which it is served
	}{
		{"any host", "'*'", "shop/edge/x.com/*", "x.com"},
		{"wildcard and host", "'*.com'", "shop/edge/x.com/*", "x.com"},
		{"host and wildcard", "x.com", "shop/edge/*.com/*", "x.com"},
		{"two wildcards: the narrower", "'*.com'", "shop/edge/*.x.com/*", "*.x.com"},
		{"other host", "y.com", "shop/edge/x.com/*", ""},
		{"admitted namespace", "shop/x.com", "shop/edge/x.com/*", "x.com"},
		{"other namespace", "far/x.com", "shop/edge/x.com/*", ""},
		{"its own namespace only", "./x.com", "shop/edge/x.com/*", ""},
		{"every namespace", "'*/x.com'", "shop/edge/x.com/*", "x.com"},
		{"capitals", "'X.com'", "shop/edge/x.COM/*", "x.com"},
		{"not exported to the gateway", "'*'", "shop/edge/x.com/.", ""},
		{"exported to its namespace", "'*'", "shop/edge/x.com/edge", "x.com"},
		{"bound to another gateway", "'*'", "shop/other/x.com/*", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := strings.Split(c.vs, "/")
			m, _ := link(t, gateway("edge", "gw", "{port: {number: 80, name: http, protocol: HTTP}, hosts: ["+c.serverHosts+"]}"),
				istio("VirtualService", p[0], "v", "{hosts: ['"+p[2]+"'], gateways: ["+p[1]+"/gw], exportTo: ['"+p[3]+"'], http: [{directResponse: {status: 200}}]}"))
			merged, _ := ingressServers(m)
			var got []string
			for _, v := range merged[0].Servers[0].VirtualServices {
				got = append(got, merged[0].Servers[0].MatchingHosts(v)...)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %q", got, c.want)
			}
		})
	}
}

// TestOrderAtAGateway: older VirtualServices first; without creation times by name.
func TestOrderAtAGateway(t *testing.T) {
	vs := func(name, created string) string {
		return "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name + ", namespace: edge" + created + "}\nspec: {hosts: ['*'], gateways: [gw], http: [{directResponse: {status: 200}}]}"
	}
	m, _ := link(t, gateway("edge", "gw", "{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}"),
		vs("c", ""), vs("a", ", creationTimestamp: '2024-02-01T00:00:00Z'"), vs("b", ", creationTimestamp: '2024-01-01T00:00:00Z'"))
	merged, _ := ingressServers(m)
	var got []string
	for _, v := range merged[0].Servers[0].VirtualServices {
		got = append(got, v.Object.Name)
	}
	if !slices.Equal(got, []string{"c", "b", "a"}) {
		t.Error(got)
	}
}
