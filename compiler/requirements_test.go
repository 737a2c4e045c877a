package compiler

import (
	"strconv"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/re2"
)

// A bundle says how large the programs of its regular expressions are, where Envoy does not take them by itself, and which
// extensions it needs.
func TestRequirements(t *testing.T) {
	const text = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: caller, namespace: shop, labels: {app: caller}}
spec: {containers: [{name: caller, image: caller}]}
status: {phase: Running, podIP: 10.1.0.1}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - {match: [{uri: {regex: 'EXPRESSION'}}], route: [{destination: {host: web}}]}
  - {route: [{destination: {host: web}}]}
`
	for _, expr := range []string{"/a.*", "/[a-z]{1,100}"} {
		r, found := compileText(t, Options{}, strings.ReplaceAll(text, "EXPRESSION", expr))
		if r.Bundle == nil {
			t.Fatalf("no bundle: %v", found)
		}
		size, err := re2.ProgramSize(expr)
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		if size > re2.Default {
			want = " re2-program-size/1 of at least " + strconv.Itoa(size)
		}
		c := r.Bundle.Class("sidecar/shop/caller")
		if c == nil {
			t.Fatal("the caller has no class")
		}
		got, router := "", false
		for _, r := range c.Requirements() {
			if r.Name == bundle.Extension {
				router = router || r.Of == "envoy.extensions.filters.http.router.v3.Router"
			} else {
				got += " " + r.String()
			}
		}
		if got != want || !router {
			t.Errorf("%s: needs%s, want%s; the router: %v", expr, got, want, router)
		}
	}
}
