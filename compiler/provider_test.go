package compiler

import (
	"context"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
)

// A Sidecar narrows what the application may call, not what its proxy asks on behalf of the mesh.
func TestProvidersOutsideTheSidecar(t *testing.T) {
	const text = `
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - {name: authz, envoyExtAuthzGrpc: {service: authz.test, port: 9000}}
    - {name: unused, envoyExtAuthzGrpc: {service: unused.test, port: 9000}}
    - {name: logs, envoyTcpAls: {service: logs.test, port: 9000}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: providers, namespace: other}
spec:
  hosts: [authz.test, unused.test, logs.test, keys.test]
  resolution: STATIC
  ports: [{number: 9000, name: grpc, protocol: GRPC}, {number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 10.9.9.9}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec: {egress: [{hosts: [./*]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: shop}
spec: {action: CUSTOM, provider: {name: authz}, rules: [{}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: tokens, namespace: shop}
spec: {jwtRules: [{issuer: a, jwksUri: 'http://keys.test/keys'}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: logs, namespace: shop}
spec: {accessLogging: [{match: {mode: CLIENT}, providers: [{name: logs}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: istio-proxy}, {name: app, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
`
	res, found, err := Compile(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(text), Version: "test"})
	if err != nil || found.HasErrors() {
		t.Fatal(err, found)
	}
	for _, c := range res.Bundle.Classes {
		if c.Namespace != "shop" {
			continue
		}
		got := map[string]bool{}
		for _, r := range c.Resources() {
			if r.Type == bundle.ClusterType {
				got[r.Name] = true
			}
		}
		for name, want := range map[string]bool{"outbound|9000||authz.test": true, "outbound|80||keys.test": true, "outbound|9000||logs.test": true,
			"outbound|9000||unused.test": false, "outbound|80||authz.test": false, "outbound|9000||keys.test": false} {
			if got[name] != want {
				t.Errorf("class %s: cluster %s is there: %t", c.ID, name, got[name])
			}
		}
	}
}
