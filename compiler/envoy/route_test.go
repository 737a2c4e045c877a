package envoy

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/envoy/listener"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/lowertest"
)

const routeMesh = lowertest.Client + `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}, {name: http-b, port: 81}, {name: tcp, port: 9000}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: nodes, namespace: far}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: default}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local, ports: [{name: http, port: 80}]}
---
`

func virtualServiceYAML(name, hosts, gateways, http string) string {
	return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ` + name + `, namespace: default}
spec: {hosts: [` + hosts + `], gateways: [` + gateways + `], http: [` + http + `]}
---
`
}

// hostsOf returns the virtual hosts by name, and fails on a domain that two have.
func hostsOf(t *testing.T, rs []*xds.Resource) map[string]*routev3.VirtualHost {
	t.Helper()
	out, domains := map[string]*routev3.VirtualHost{}, map[string]string{}
	for _, r := range rs {
		vh, ok := r.Message.(*routev3.VirtualHost)
		if !ok {
			continue
		}
		if err := vh.ValidateAll(); err != nil {
			t.Errorf("%s: %v", r.Name, err)
		}
		config, name, _ := strings.Cut(r.Name, "/")
		if name != vh.Name {
			t.Errorf("resource %s holds %s", r.Name, vh.Name)
		}
		out[name] = vh
		for _, d := range vh.Domains {
			if other := domains[config+d]; other != "" {
				t.Errorf("%s is a domain of %s and %s", d, other, name)
			}
			domains[config+d] = name
		}
	}
	return out
}

func catchAllListener(s *mesh.Scope) *mesh.EgressListener { return s.Listeners[len(s.Listeners)-1] }

// outboundListeners lowers the outbound listeners of a scope alone.
func outboundListeners(s *mesh.Scope) ([]*xds.Resource, []route.Key, diag.List) {
	return listener.Outbound(NewLowering(s.Mesh).listenerInputs(s))
}

// outboundRoutes lowers the routes of a scope alone.
func outboundRoutes(s *mesh.Scope, keys []route.Key) ([]*xds.Resource, diag.List) {
	l := NewLowering(s.Mesh)
	in := l.listenerInputs(s)
	rs, _ := l.routes.Outbound(&in.OutboundInputs, keys, s.Namespace)
	return rs, l.routes.Findings()
}

func routesOn(t *testing.T, text string, key route.Key) (map[string]*routev3.VirtualHost, *mesh.Scope) {
	t.Helper()
	s := lowertest.Linked(t, "default/client", text).Scope
	key.Listener = catchAllListener(s)
	rs, _ := outboundRoutes(s, []route.Key{key})
	return hostsOf(t, rs), s
}

func TestDefaultVirtualHosts(t *testing.T) {
	hosts, _ := routesOn(t, routeMesh, route.Key{Name: "80", Port: 80})
	want := map[string]string{
		"api.default.svc.cluster.local:80": "api.default.svc.cluster.local api.default.svc.cluster.local. api api.default.svc api.default 10.96.0.1",
		"web.default.svc.cluster.local:80": "web.default.svc.cluster.local web.default.svc.cluster.local. web web.default.svc web.default " +
			"alias.default.svc.cluster.local alias.default.svc.cluster.local. alias alias.default.svc alias.default 10.96.0.2",
		"nodes.far.svc.cluster.local:80": "nodes.far.svc.cluster.local nodes.far.svc.cluster.local. nodes.far.svc nodes.far " +
			"*.nodes.far.svc.cluster.local *.nodes.far.svc.cluster.local. *.nodes.far.svc *.nodes.far",
		"allow_any": "*",
	}
	for name, domains := range want {
		if got := strings.Join(hosts[name].GetDomains(), " "); got != domains {
			t.Errorf("%s: got %s, want %s", name, got, domains)
		}
	}
	if len(hosts) != len(want) {
		t.Errorf("got %d virtual hosts", len(hosts))
	}
	a := hosts["api.default.svc.cluster.local:80"].Routes[0].GetRoute()
	if a.GetCluster() != "outbound|80||api.default.svc.cluster.local" || a.RetryPolicy.GetNumRetries().GetValue() != 2 || a.Timeout.AsDuration() != 0 {
		t.Errorf("default route: %v", a)
	}
}

func TestOtherKeys(t *testing.T) {
	hosts, _ := routesOn(t, routeMesh, route.Key{Name: "api.default.svc.cluster.local:81", Port: 81, Host: "api.default.svc.cluster.local"})
	if len(hosts) != 1 || !slices.Equal(hosts["api.default.svc.cluster.local:81"].GetDomains(), []string{"*"}) {
		t.Errorf("sniffed: %v", hosts)
	}
	hosts, _ = routesOn(t, routeMesh, route.Key{Name: "http_proxy"})
	if d := hosts["api.default.svc.cluster.local:81"].GetDomains(); !slices.Contains(d, "api:81") || slices.Contains(d, "api") {
		t.Errorf("port 81 of a proxy: %v", d)
	}
	if d := hosts["api.default.svc.cluster.local:80"].GetDomains(); !slices.Contains(d, "api:80") || !slices.Contains(d, "api") {
		t.Errorf("port 80 of a proxy: %v", d)
	}
}

func TestVirtualServiceHosts(t *testing.T) {
	to := func(host string) string { return "{route: [{destination: {host: " + host + "}}]}" }
	text := routeMesh +
		virtualServiceYAML("a-exact", "api, extra.example.com", "mesh", to("web")) +
		virtualServiceYAML("b-later", "api", "mesh", to("api")) +
		virtualServiceYAML("c-wild", `"*.default.svc.cluster.local"`, "mesh", "{match: [{uri: {prefix: /w}}], route: [{destination: {host: api, port: {number: 81}}}]}") +
		virtualServiceYAML("d-none", "nodes.far.svc.cluster.local", "mesh", "{match: [{sourceLabels: {app: other}}], route: [{destination: {host: web}}]}")
	cluster := func(vh *routev3.VirtualHost) string { return vh.GetRoutes()[0].GetRoute().GetCluster() }
	hosts, _ := routesOn(t, text, route.Key{Name: "80", Port: 80})
	for host, want := range map[string]string{
		"api.default.svc.cluster.local:80": "outbound|80||web.default.svc.cluster.local",
		"extra.example.com:80":             "outbound|80||web.default.svc.cluster.local",
		"web.default.svc.cluster.local:80": "outbound|81||api.default.svc.cluster.local",
		"nodes.far.svc.cluster.local:80":   "outbound|80||nodes.far.svc.cluster.local", // no route for this caller: as if absent
	} {
		if hosts[host] == nil || cluster(hosts[host]) != want {
			t.Errorf("%s: %v", host, hosts[host])
		}
	}
	hosts, s := routesOn(t, text, route.Key{Name: "81", Port: 81})
	if got := cluster(hosts["api.default.svc.cluster.local:81"]); got != "outbound|81||web.default.svc.cluster.local" {
		t.Errorf("a destination without a port means the port of the listener: %s", got)
	}
	_, ds := outboundRoutes(s, []route.Key{{Name: "81", Listener: catchAllListener(s), Port: 81}})
	if len(ds) != 1 || ds[0].Code != "MESHC1426" {
		t.Errorf("findings: %v", ds)
	}
	if hosts["extra.example.com:81"] == nil || hosts["web.default.svc.cluster.local:81"] != nil {
		t.Errorf("port 81: %v", hosts)
	}
	hosts, _ = routesOn(t, routeMesh+virtualServiceYAML("only", "only.example.com", "mesh", to("web")), route.Key{Name: "81", Port: 81})
	if hosts["only.example.com:81"] != nil {
		t.Error("a host without a service is on port 80 only")
	}
}

func TestUnreachable(t *testing.T) {
	s := lowertest.Linked(t, "default/client", routeMesh+virtualServiceYAML("v", "api", "mesh",
		"{route: [{destination: {host: web}}]}, {match: [{uri: {prefix: /a}}], route: [{destination: {host: api}}]}")).Scope
	rs, ds := outboundRoutes(s, []route.Key{{Name: "80", Listener: catchAllListener(s), Port: 80}})
	if len(hostsOf(t, rs)["api.default.svc.cluster.local:80"].Routes) != 1 {
		t.Error("routes after a catch-all stay")
	}
	if len(ds) != 1 || ds[0].Code != "IST0130" || ds[0].Field != "spec.http[1]" || len(ds[0].Related) != 1 {
		t.Errorf("findings: %v", ds)
	}
	for _, r := range rs {
		if r.Name == "80/api.default.svc.cluster.local:80" && (len(r.Origins) != 2 || r.Origins[1].At != names.RoutePart(0) || r.Origins[1].Field != "spec.http[0]") {
			t.Errorf("origins: %v", r.Origins)
		}
	}
}

// TestRoutesAreShared wants scopes to share what is equal, and sharing to change nothing. The keys of both see different
// services and rules, and one match holds for one of them only.
func TestRoutesAreShared(t *testing.T) {
	text := routeMesh + strings.ReplaceAll(lowertest.Client, "namespace: default", "namespace: far") +
		virtualServiceYAML("v", "api", "mesh", "{match: [{sourceNamespace: far}], route: [{destination: {host: web}}]}, {route: [{destination: {host: api}}]}") + `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: far}
spec: {host: web.default.svc.cluster.local, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}
---
`
	classes := lowertest.LinkedClasses(t, text)
	near, far := lowertest.ClassOf(t, classes, "default/client").Scope, lowertest.ClassOf(t, classes, "far/client").Scope
	l := NewLowering(near.Mesh)
	for _, s := range []*mesh.Scope{near, far, near} {
		keys := []route.Key{{Name: "80", Listener: catchAllListener(s), Port: 80}, {Name: "81", Listener: catchAllListener(s), Port: 81}}
		in := l.listenerInputs(s)
		shared, _ := l.routes.Outbound(&in.OutboundInputs, keys, s.Namespace)
		own, _ := outboundRoutes(s, keys)
		if lowertest.Render(t, shared, nil) != lowertest.Render(t, own, nil) {
			t.Error("sharing changes the result")
		}
		again, _ := l.routes.Outbound(&in.OutboundInputs, keys, s.Namespace)
		if !slices.Equal(shared, again) {
			t.Error("equal virtual hosts are built twice")
		}
	}
}

const gatewayMesh = routeMesh + `
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge, namespace: default}
spec:
  selector: {matchLabels: {istio: edge}}
  template:
    metadata: {labels: {istio: edge}}
    spec: {containers: [{name: c, image: auto}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: default}
spec:
  selector: {istio: edge}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com", "other/*.example.net"]}
  - {port: {number: 81, name: http-b, protocol: HTTP}, hosts: ["*.example.com"], tls: {httpsRedirect: true}}
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: c}}
  - {port: {number: 82, name: http-c, protocol: HTTP}, hosts: [none.example.org]}
---
`

func TestGatewayVirtualHosts(t *testing.T) {
	text := gatewayMesh +
		virtualServiceYAML("a", "shop.example.com, shop.example.net", "gw", "{match: [{uri: {prefix: /a}}], route: [{destination: {host: api}}]}, {route: [{destination: {host: web}}]}") +
		virtualServiceYAML("b", `"*.example.com"`, "gw", "{match: [{uri: {prefix: /b}, gateways: [gw]}], redirect: {uri: /c, derivePort: FROM_REQUEST_PORT}}, {match: [{uri: {prefix: /m}, gateways: [mesh]}], route: [{destination: {host: web}}]}")
	text += virtualServiceYAML("c", "shop.example.com", "gw", "{match: [{uri: {prefix: /c}}], route: [{destination: {host: web}}]}")
	edge := lowertest.Linked(t, "default/edge", text)
	l := NewLowering(edge.Scope.Mesh)
	rs := l.routes.Gateway(gatewayInputsOf(edge))
	if ds := l.Findings(); ds.HasErrors() {
		t.Error(ds)
	}
	byConfig := map[string][]*xds.Resource{}
	var configurations []string
	for _, r := range rs {
		config, _, _ := strings.Cut(r.Name, "/")
		byConfig[config] = append(byConfig[config], r)
		if r.Type == xds.RouteConfiguration {
			configurations = append(configurations, r.Name)
		}
	}
	if !slices.Equal(configurations, []string{"http.80", "http.81", "http.82", "https.443.https.gw.default"}) {
		t.Fatalf("configurations: %v", configurations)
	}
	paths := func(vh *routev3.VirtualHost) string {
		var out []string
		for _, r := range vh.GetRoutes() {
			out = append(out, r.Match.GetPrefix())
		}
		return strings.Join(out, " ")
	}
	plain := hostsOf(t, byConfig["http.80"])
	if got := paths(plain["shop.example.com:80"]); got != "/a /c /" || len(plain) != 2 || paths(plain["*.example.com:80"]) != "/b" {
		t.Errorf("http.80: %s %v", got, plain)
	}
	for name, vh := range hostsOf(t, byConfig["http.81"]) {
		if vh.RequireTls != routev3.VirtualHost_ALL {
			t.Errorf("%s does not redirect", name)
		}
	}
	if vh := hostsOf(t, byConfig["http.82"])["blackhole:82"]; vh == nil || len(vh.Routes) != 0 {
		t.Errorf("http.82: %v", vh)
	}
	secure := hostsOf(t, byConfig["https.443.https.gw.default"])["shop.example.com:443"]
	if paths(secure) != "/a /b /c /" || secure.Routes[1].GetRedirect().GetPortRedirect() != 0 {
		t.Errorf("https: %v", secure)
	}
}
