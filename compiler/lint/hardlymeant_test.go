package lint_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// said returns what schema, link and lint find in documents, as CODE FIELD.
func said(t *testing.T, docs ...string) []string {
	t.Helper()
	read, found, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(strings.Join(docs, "---\n"))})
	if err != nil || found.HasErrors() {
		t.Fatal(err, found)
	}
	objects, found := schema.Check(read.Documents, schema.Options{Workers: 1})
	_, linked := mesh.Link(objects)
	found.Add(linked...)
	var out []string
	for _, l := range []diag.List{found, findings(t, docs...)} {
		for _, d := range l {
			out = append(out, d.Code+" "+d.Field)
		}
	}
	return out
}

// TestWhatIsHardlyMeant raises, one by one, findings about objects that are accepted and do not do what they say.
func TestWhatIsHardlyMeant(t *testing.T) {
	shop := object("Namespace", "shop", ", labels: {istio-injection: enabled}", "")
	deployment := func(labels, ports string) string {
		return object("Deployment", "web", ", namespace: shop", "spec: {selector: {matchLabels: {app: web}}, template: {metadata: {labels: {app: web"+labels+"}}, spec: {containers: [{name: c, image: c"+ports+"}]}}}")
	}
	service := func(name, port string) string {
		return object("Service", name, ", namespace: shop", "spec: {clusterIP: 10.0.0."+port+", selector: {app: web}, ports: [{name: http, port: "+port+", targetPort: 8080}]}")
	}
	patch := func(at, operation, match string) string {
		return object("EnvoyFilter", "f", ", namespace: shop", "spec: {configPatches: [{applyTo: "+at+", match: {"+match+"}, patch: {operation: "+operation+", value: {name: x}}}]}")
	}
	telemetry := func(name, selector string) string {
		return object("Telemetry", name, ", namespace: shop", "spec: {"+selector+"accessLogging: [{providers: [{name: envoy}]}]}")
	}
	const sidecar = "spec: {egress: [{hosts: ['./*']}]}"
	for want, docs := range map[string][]string{
		"IST0002 spec.http[0].fault.delay.percent": {shop, deployment("", ""), service("web", "80"), object("VirtualService", "v", ", namespace: shop",
			"spec: {hosts: [web], http: [{fault: {delay: {percent: 5, fixedDelay: 1s}}, route: [{destination: {host: web}}]}]}")},
		"IST0112 spec.http[0].route[0].destination.host": {shop, deployment("", ""), object("Service", "web", ", namespace: shop",
			"spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}, {name: http-b, port: 81}]}"),
			object("Gateway", "g", ", namespace: shop", "spec: {selector: {app: web}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]}"),
			object("VirtualService", "v", ", namespace: shop", "spec: {hosts: [a.example.com], gateways: [g], http: [{route: [{destination: {host: web}}]}]}")},
		"IST0126 data.meshNetworks": {object("ConfigMap", "istio", ", namespace: istio-system", "data: {mesh: '', meshNetworks: 'networks: {n: {endpoints: [{fromRegistry: elsewhere}]}}'}")},
		"IST0133 spec.servers[0].tls": {object("Gateway", "g", ", namespace: shop",
			"spec: {selector: {app: web}, servers: [{port: {number: 443, name: tls, protocol: TLS}, hosts: [a.example.com], tls: {mode: PASSTHROUGH, credentialName: c}}]}")},
		"IST0137 metadata.name":                         {shop, deployment("", ""), service("web", "80"), service("web-b", "81")},
		"IST0152 spec.configPatches[0].patch.operation": {patch("CLUSTER", "REPLACE", "cluster: {name: x}")},
		"IST0153 spec.configPatches[0].patch.operation": {patch("ROUTE_CONFIGURATION", "ADD", "")},
		"IST0154 spec.configPatches[0].patch.operation": {patch("HTTP_ROUTE", "REMOVE", "")},
		"IST0155 spec.configPatches[0].patch.operation": {patch("HTTP_FILTER", "INSERT_BEFORE", "proxy: {proxyVersion: '^1'}")},
		"IST0159 metadata.name":                         {shop, deployment("", ""), telemetry("a", "selector: {matchLabels: {app: web}}, "), telemetry("b", "selector: {matchLabels: {app: web}}, ")},
		"IST0160 metadata.name":                         {shop, telemetry("a", ""), telemetry("b", "")},
		"IST0166 spec.selector":                         {shop, deployment(", gateway.networking.k8s.io/gateway-name: edge", ""), telemetry("a", "selector: {matchLabels: {app: web}}, ")},
		"IST0167 spec":                                  {object("Namespace", "shop", ", labels: {istio.io/dataplane-mode: ambient}", ""), object("Sidecar", "s", ", namespace: shop", sidecar)},
		"MESHC1265 spec.selector": {shop, deployment("", ""), object("Service", "web", ", namespace: shop",
			"spec: {clusterIP: 10.0.0.1, selector: {app: wbe}, ports: [{name: http, port: 80}]}")},
		"IST0101 spec.rules[0].from[0].source.principals[0]": {shop, deployment("", ""), object("AuthorizationPolicy", "p", ", namespace: shop",
			"spec: {rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/defualt]}}]}]}")},
		"IST0101 spec.rules[0].from[0].source.serviceAccounts[0]": {shop, deployment("", ""), object("AuthorizationPolicy", "p", ", namespace: shop",
			"spec: {rules: [{from: [{source: {serviceAccounts: [defualt]}}]}]}")},
		"IST0101 spec.rules[0].when[0].values[0]": {shop, deployment("", ""), object("AuthorizationPolicy", "p", ", namespace: shop",
			"spec: {rules: [{when: [{key: source.namespace, values: [shpo]}]}]}")},
		"MESHC1229 spec.ports[0].targetPort": {shop, deployment("", ", ports: [{name: grpc, containerPort: 9000}]"), object("Service", "web", ", namespace: shop",
			"spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: grpc, port: 90, targetPort: gprc}]}")},
	} {
		if got := said(t, docs...); !slices.Contains(got, want) {
			t.Errorf("no %s in %q", want, got)
		}
	}
}
