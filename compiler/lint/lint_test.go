package lint_test

import (
	"slices"
	"strings"
	"testing"
)

// object writes one manifest; body holds the lines below metadata.
func object(kind, name, meta, body string) string {
	group := map[string]string{"Service": "v1", "Namespace": "v1", "Pod": "v1", "Deployment": "apps/v1", "CronJob": "batch/v1", "ConfigMap": "v1", "AuthorizationPolicy": "security.istio.io/v1", "RequestAuthentication": "security.istio.io/v1", "PeerAuthentication": "security.istio.io/v1", "Telemetry": "telemetry.istio.io/v1"}[kind]
	if group == "" {
		group = "networking.istio.io/v1"
	}
	if kind == "EnvoyFilter" {
		group = "networking.istio.io/v1alpha3"
	}
	return "apiVersion: " + group + "\nkind: " + kind + "\nmetadata: {name: " + name + meta + "}\n" + body + "\n"
}

// pod has a proxy.
func pod(name, labels string) string {
	return object("Pod", name, ", namespace: shop, labels: {"+labels+"}", "spec: {containers: [{name: app, image: a}, {name: istio-proxy, image: p}]}")
}

// plainPod shows no proxy.
func plainPod(name, labels string) string {
	return object("Pod", name, ", namespace: shop, labels: {"+labels+"}", "spec: {containers: [{name: app, image: a}]}")
}

const web = "spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}"

func TestFindings(t *testing.T) {
	virtual := func(name, spec string) string {
		return object("VirtualService", name, ", namespace: shop", "spec: {hosts: [web], "+spec+"http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}")
	}
	entry := func(name, protocol, more string) string {
		return object("ServiceEntry", name, ", namespace: shop", "spec: {hosts: [x.com], resolution: DNS"+more+", ports: [{number: 99, name: p, protocol: "+protocol+"}]}")
	}
	gateway := func(name, selector, host string) string {
		return object("Gateway", name, ", namespace: shop", "spec: {selector: {"+selector+"}, servers: [{port: {number: 443, name: https, protocol: HTTPS}, hosts: ['"+host+"'], tls: {mode: SIMPLE, credentialName: cert}}]}")
	}
	sidecar := func(name, selector string) string {
		return object("Sidecar", name, ", namespace: shop", "spec: {"+selector+"egress: [{hosts: ['./*']}]}")
	}
	const app = "workloadSelector: {labels: {app: web}}, "
	service := object("Service", "web", ", namespace: shop", web)
	for _, c := range []struct {
		name string
		docs []string
		want string // "CODE Kind/name", sorted
	}{
		{"subsets of a gateway that requests pass on the way", []string{service,
			object("VirtualService", "hop1", ", namespace: shop", "spec: {hosts: [news.example], http: [{route: [{destination: {host: web, subset: news}}]}]}"),
			object("VirtualService", "hop2", ", namespace: shop", "spec: {hosts: [news.example], gateways: [out], http: [{route: [{destination: {host: news.example}}]}]}")}, ""},
		{"subsets for sidecars only", []string{service,
			object("VirtualService", "inside", ", namespace: shop", "spec: {hosts: [web], http: [{route: [{destination: {host: web, subset: v1}}]}]}"),
			object("VirtualService", "outside", ", namespace: shop", "spec: {hosts: [web.example], gateways: [out], http: [{route: [{destination: {host: web}}]}]}")}, "IST0140 VirtualService/outside"},
		{"one certificate for two servers of a port", []string{pod("gw", "gw: x"), object("Gateway", "gw", ", namespace: shop", "spec: {selector: {gw: x}, servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c}}, {port: {number: 443, name: b, protocol: HTTPS}, hosts: ['*.a.com'], tls: {mode: SIMPLE, credentialName: c}}]}")}, "IST0138 Gateway/gw"},
		{"one certificate for two ports", []string{pod("gw", "gw: x"), object("Gateway", "gw", ", namespace: shop", "spec: {selector: {gw: x}, servers: [{port: {number: 443, name: a, protocol: HTTPS}, hosts: [a.com], tls: {mode: SIMPLE, credentialName: c}}, {port: {number: 444, name: b, protocol: HTTPS}, hosts: ['*.a.com'], tls: {mode: SIMPLE, credentialName: c}}]}")}, ""},
		{"a slash too many", []string{service, object("VirtualService", "v", ", namespace: shop", "spec: {hosts: [web], http: [{match: [{uri: {prefix: /common}}], rewrite: {uri: /}, route: [{destination: {host: web}}]}]}")}, "MESHC1275 VirtualService/v"},
		{"a slash too few", []string{service, object("VirtualService", "v", ", namespace: shop", "spec: {hosts: [web], http: [{rewrite: {uri: /base}, route: [{destination: {host: web}}]}]}")}, "MESHC1275 VirtualService/v"},
		{"slashes that fit", []string{service, object("VirtualService", "v", ", namespace: shop", "spec: {hosts: [web], http: [{match: [{uri: {prefix: /a/}}, {uri: {exact: /a}}], rewrite: {uri: /b/}, route: [{destination: {host: web}}]}]}")}, ""},
		{"a selector of nobody", []string{pod("web", "app: web"), object("PeerAuthentication", "p", ", namespace: shop", "spec: {selector: {matchLabels: {app: wbe}}, mtls: {mode: STRICT}}"), object("EnvoyFilter", "f", ", namespace: shop", "spec: {workloadSelector: {labels: {app: wbe}}, configPatches: []}")}, "IST0101 EnvoyFilter/f, IST0101 PeerAuthentication/p"},
		{"a namespace of nobody", []string{pod("web", "app: web"), object("PeerAuthentication", "p", ", namespace: shpo", "spec: {mtls: {mode: STRICT}}")}, "IST0101 PeerAuthentication/p"},
		{"a sound mesh", []string{service, pod("web", "app: web"), virtual("v", ""), sidecar("s", app)}, ""},
		{"two labels for injection", []string{object("Namespace", "shop", ", labels: {istio-injection: enabled, istio.io/rev: canary}", ""), service}, "IST0123 Namespace/shop"},
		{"one of them switched off", []string{object("Namespace", "shop", ", labels: {istio-injection: disabled, istio.io/rev: canary}", ""), service}, ""},
		{"the proxy's own user", []string{object("Pod", "p", ", namespace: shop", "spec: {securityContext: {runAsUser: 1337}, containers: [{name: istio-proxy, image: a}]}")}, ""},
		{"another user than the pod's", []string{object("Pod", "p", ", namespace: shop", "spec: {securityContext: {runAsUser: 1337}, containers: [{name: app, image: a, securityContext: {runAsUser: 1000}}]}")}, ""},
		{"the proxy's user", []string{object("Pod", "p", ", namespace: shop", "spec: {securityContext: {runAsUser: 1337}, containers: [{name: app, image: a}]}")}, "IST0144 Pod/p"},
		{"the proxy itself", []string{object("Pod", "p", ", namespace: shop", "spec: {containers: [{name: istio-proxy, image: a, securityContext: {runAsUser: 1337}}]}")}, ""},
		{"a port without a name", []string{object("Service", "web", ", namespace: shop", "spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80}]}")}, "IST0118 Service/web"},
		{"TCP at an ExternalName", []string{object("Service", "web", ", namespace: shop", "spec: {type: ExternalName, externalName: x.com, ports: [{name: tcp, port: 80}]}")}, "IST0150 Service/web"},
		{"TCP without addresses", []string{entry("a", "TCP", "")}, "IST0134 ServiceEntry/a"},
		{"TCP with addresses", []string{entry("a", "TCP", ", addresses: [10.1.1.1]")}, ""},
		{"two protocols for one port", []string{entry("a", "HTTP", ""), entry("b", "TLS", "")}, "IST0177 ServiceEntry/a, IST0177 ServiceEntry/b"},
		{"a host that the gateway lacks", []string{service, pod("gw", "gw: x"), gateway("gw", "gw: x", "x.com"), virtual("v", "gateways: [gw], ")}, "IST0132 VirtualService/v, MESHC1265 Service/web"},
		{"a certificate on two Gateways", []string{pod("gw", "gw: x"), gateway("a", "gw: x", "a.com"), gateway("b", "gw: x", "b.com")}, "IST0138 Gateway/a, IST0138 Gateway/b"},
		{"a port that the Service lacks", []string{object("Service", "gw", ", namespace: shop", "spec: {clusterIP: 10.96.0.1, selector: {gw: x}, ports: [{name: http, port: 80}]}"), pod("gw", "gw: x"), gateway("a", "gw: x", "a.com")}, "IST0162 Gateway/a"},
		{"a subset of nobody", []string{service, pod("web", "app: web"), object("DestinationRule", "r", ", namespace: shop", "spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}")}, "IST0173 DestinationRule/r"},
		{"TLS to anybody", []string{service, object("DestinationRule", "r", ", namespace: shop", "spec: {host: web, trafficPolicy: {tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 80}, tls: {mode: SIMPLE}}]}}")}, "IST0128 DestinationRule/r, IST0129 DestinationRule/r"},
		{"TLS with a CA", []string{service, object("DestinationRule", "r", ", namespace: shop", "spec: {host: web, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /ca.pem}}}")}, ""},
		{"two Sidecars for a namespace", []string{service, sidecar("a", ""), sidecar("b", "")}, "IST0111 Sidecar/a, IST0111 Sidecar/b"},
		{"two Sidecars for a workload", []string{service, pod("web", "app: web"), sidecar("a", app), sidecar("b", app)}, "IST0110 Sidecar/a, IST0110 Sidecar/b"},
		{"a Sidecar for nobody", []string{pod("other", "app: other"), sidecar("a", app)}, "IST0101 Sidecar/a"},
		{"a Sidecar, and no workloads at all", []string{service, sidecar("a", app)}, ""},
		{"a policy for nobody", []string{pod("other", "app: other"), object("AuthorizationPolicy", "p", ", namespace: shop", "spec: {selector: {matchLabels: {app: web}}}")}, "IST0127 AuthorizationPolicy/p"},
		{"a namespace that is not there", []string{object("Namespace", "shop", ", labels: {istio-injection: enabled}", ""), pod("web", "app: web"), object("AuthorizationPolicy", "p", ", namespace: shop", "spec: {rules: [{from: [{source: {namespaces: [shop, nowhere]}}]}]}")}, "IST0101 AuthorizationPolicy/p"},
		{"a claim that nobody checks", []string{service, pod("gw", "gw: x"), gateway("gw", "gw: x", "*"), object("VirtualService", "v", ", namespace: shop", `spec: {hosts: [x.com], gateways: [gw], http: [{match: [{headers: {"@request.auth.claims.g": {exact: a}}}], route: [{destination: {host: web, port: {number: 80}}}]}]}`)}, "IST0149 VirtualService/v, MESHC1265 Service/web"},
		{"a patch that depends on the order", []string{object("EnvoyFilter", "f", ", namespace: shop", "spec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_BEFORE, value: {name: x}}}]}")}, "IST0151 EnvoyFilter/f"},
		{"a patch with a priority", []string{object("EnvoyFilter", "f", ", namespace: shop", "spec: {priority: 1, configPatches: [{applyTo: HTTP_FILTER, match: {context: SIDECAR_INBOUND}, patch: {operation: INSERT_BEFORE, value: {name: x}}}]}")}, ""},
		{"a match twice", []string{service, object("VirtualService", "v", ", namespace: shop", `spec: {hosts: [web], http: [
  {match: [{uri: {prefix: /a}}], route: [{destination: {host: web, port: {number: 80}}}]},
  {match: [{uri: {prefix: /a/b}, method: {exact: GET}}, {uri: {prefix: /b}}], route: [{destination: {host: web, port: {number: 80}}}]},
  {match: [{uri: {exact: /b}}], route: [{destination: {host: web, port: {number: 80}}}]}]}`)}, "IST0130 VirtualService/v, IST0131 VirtualService/v"},
		{"matches that differ", []string{service, object("VirtualService", "v", ", namespace: shop", `spec: {hosts: [web], http: [
  {match: [{uri: {prefix: /a}, method: {exact: GET}}, {uri: {prefix: /c}, port: 80}], route: [{destination: {host: web, port: {number: 80}}}]},
  {match: [{uri: {prefix: /a}}, {uri: {prefix: /c}, port: 81}, {uri: {regex: "/[ab].*"}}], route: [{destination: {host: web, port: {number: 80}}}]}]}`)}, ""},
		{"matches taken by expressions, and together", []string{service, object("VirtualService", "v", ", namespace: shop", `spec: {hosts: [web], http: [
  {match: [{uri: {regex: "/v[0-9]/.*"}}, {headers: {x: {}}}, {withoutHeaders: {x: {}}, uri: {prefix: /w}}], route: [{destination: {host: web, port: {number: 80}}}]},
  {match: [{uri: {prefix: /v1/a}}, {uri: {exact: /w/x}}], route: [{destination: {host: web, port: {number: 80}}}]},
  {match: [{uri: {prefix: /k}, headers: {y: {exact: a}}, withoutHeaders: {y: {prefix: a}}}, {uri: {prefix: /k}}], route: [{destination: {host: web, port: {number: 80}}}]}]}`)},
			"IST0130 VirtualService/v, IST0131 VirtualService/v"},
		{"an image that injection would name", []string{object("Deployment", "gw", ", namespace: shop", "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: istio-proxy, image: auto}]}}}"),
			object("Deployment", "in", ", namespace: shop", "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web, sidecar.istio.io/inject: 'true'}}, spec: {containers: [{name: istio-proxy, image: auto}]}}}"),
			object("Pod", "p", ", namespace: shop", "spec: {containers: [{name: istio-proxy, image: auto}]}")}, "IST0146 Deployment/gw, IST0147 Pod/p"},
		{"an application beside the proxy, and before it", []string{object("Pod", "p", ", namespace: shop", "spec: {securityContext: {runAsUser: 1337}, containers: [{name: istio-proxy, image: a}, {name: app, image: a, securityContext: {runAsUser: 5}}]}"),
			object("CronJob", "c", ", namespace: shop", "spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: app, image: a, securityContext: {runAsUser: 1337}}]}}}}}")}, "IST0144 CronJob/c"},
		{"the proxy's user on the host network", []string{object("Deployment", "d", ", namespace: shop", "spec: {template: {metadata: {labels: {app: d, sidecar.istio.io/inject: 'true'}}, spec: {hostNetwork: true, securityContext: {runAsUser: 1337}, containers: [{name: app, image: a}]}}}")}, ""},
		{"services that disagree", []string{service, object("Service", "raw", ", namespace: shop", "spec: {clusterIP: 10.96.0.2, selector: {app: web}, ports: [{name: tcp, port: 80}]}"),
			object("Deployment", "web", ", namespace: shop", "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web}}, spec: {containers: [{name: app, image: a}]}}}")}, "IST0116 Deployment/web"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, d := range findings(t, c.docs...) {
				got = append(got, d.Code+" "+d.Object.Kind+"/"+d.Object.Name)
				if d.Pos.Line == 0 || d.Message == "" || d.Help == "" {
					t.Errorf("without place, message or help: %+v", d)
				}
			}
			slices.Sort(got)
			if strings.Join(slices.Compact(got), ", ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}
