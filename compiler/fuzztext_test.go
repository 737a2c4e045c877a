package compiler

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/watchdog"
)

// Whatever the input says, compiling ends with findings or with a bundle, and findings have a place.
func FuzzText(f *testing.F) {
	const workload = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: istio-proxy}, {name: app, ports: [{containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
`
	for _, o := range []string{
		"kind: VirtualService\nspec: {hosts: [web], http: [{match: [{uri: {regex: '.*'}}], route: [{destination: {host: web}, weight: 1}], retries: {attempts: 2}, fault: {abort: {httpStatus: 1, percentage: {value: 1}}}}]}",
		"kind: DestinationRule\nspec: {host: web, subsets: [{name: v1, labels: {a: b}}], trafficPolicy: {tls: {mode: SIMPLE}, loadBalancer: {consistentHash: {httpHeaderName: x}}}}",
		"kind: Gateway\nspec: {selector: {app: web}, servers: [{port: {number: 443, name: s, protocol: HTTPS}, hosts: ['*.a'], tls: {mode: SIMPLE, credentialName: c}}]}",
		"kind: ServiceEntry\nspec: {hosts: ['*.b.test'], ports: [{number: 443, name: t, protocol: TLS}], resolution: NONE}",
		"kind: Sidecar\nspec: {egress: [{hosts: ['./*'], port: {number: 80, protocol: HTTP, name: h}}], ingress: [{port: {number: 9, protocol: TCP, name: t}, defaultEndpoint: '127.0.0.1:1'}]}",
	} {
		f.Add(workload + "apiVersion: networking.istio.io/v1\nmetadata: {name: a, namespace: shop}\n" + o)
	}
	for _, o := range []string{
		"kind: AuthorizationPolicy\nspec: {action: DENY, rules: [{to: [{operation: {paths: ['/a/{*}', '*']}}]}]}",
		"kind: RequestAuthentication\nspec: {jwtRules: [{issuer: a, jwksUri: 'https://a.test/k'}]}",
		"kind: PeerAuthentication\nspec: {selector: {matchLabels: {app: web}}, portLevelMtls: {8080: {mode: STRICT}}}",
	} {
		f.Add(workload + "apiVersion: security.istio.io/v1\nmetadata: {name: a, namespace: shop}\n" + o)
	}
	f.Add(workload + "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'trustDomainAliases: [a]', meshNetworks: 'networks: {}'}")
	examples, _ := filepath.Glob("../examples/*/*/*.yaml")
	for _, e := range examples {
		if b, err := os.ReadFile(e); err == nil {
			f.Add(string(b))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		b, found, err := compileWithoutPolicies(text)
		if err != nil {
			t.Fatal(err)
		}
		if found.HasErrors() == (b != nil) {
			t.Errorf("bundle %t, findings %v", b != nil, found)
		}
		for _, d := range found {
			if d.Code == "MESHC1490" {
				t.Errorf("Envoy would refuse what comes out: %s", d.Message)
			}
		}
	})
}

// compileWithoutPolicies is Compile without Rego, which takes a second to begin with.
func compileWithoutPolicies(text string) (*bundle.Bundle, diag.List, error) {
	ctx, opts := context.Background(), Options{Stdin: strings.NewReader(text), Lenient: true, Workers: 1, Version: "test"}
	in, findings, err := readClusters(ctx, []string{"-"}, opts)
	if err != nil || applySeverities(&findings, opts, nil, false) {
		return nil, findings, err
	}
	findings.Add(in.check(opts)...)
	stop := applySeverities(&findings, opts, nil, false)
	linked := in.link()
	linked.Add(in.group()...)
	stop = applySeverities(&linked, opts, nil, true) || stop
	findings.Add(linked...)
	if stop {
		return nil, findings, nil
	}
	sets := newLoweredSets()
	for _, c := range in.clusters {
		f, err := sets.lower(ctx, c.mesh, c.classes, opts)
		if err != nil {
			return nil, nil, err
		}
		stop = applySeverities(&f, opts, nil, true) || stop
		findings.Add(f...)
	}
	if stop {
		return nil, findings, nil
	}
	b, err := seal(in, sets, opts)
	return b, findings, err
}
