package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server"
)

const liveMesh = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: shop, labels: {app: web, version: v1}}
spec: {containers: [{name: web, image: web}, {name: istio-proxy, image: "envoyproxy/envoy:v1.40.0"}]}
status: {phase: Running, podIP: 10.1.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, namespace: shop, labels: {app: web, version: v2}}
spec: {containers: [{name: web, image: web}, {name: istio-proxy, image: "envoyproxy/envoy:v1.40.0"}]}
status: {phase: Running, podIP: 10.1.0.2}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop, annotations: {meshc.dev/live-weights: main}}
spec:
  hosts: [web]
  http:
  - name: main
    route:
    - {destination: {host: web, subset: v1}, weight: 100}
    - {destination: {host: web, subset: v2}, weight: 0}
`

// TestWeights: weights are set, shown by get, status, route and diff, and released.
func TestWeights(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	meshc := func(want int, args ...string) string {
		t.Helper()
		var out bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &out, &out); code != want {
			t.Fatalf("%v: %d, want %d: %s", args, code, want, out.String())
		}
		return out.String()
	}
	mesh, token, other := file("mesh.yaml", liveMesh), file("token", "a-token-of-some-length\n"), file("other", "another-token-of-that-length")
	path := filepath.Join(dir, "mesh.bundle")
	meshc(0, "compile", mesh, "-o", path)
	b, err := bundle.ReadToServe(path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(server.New(b, server.Options{AdminToken: token}).Admin())
	defer s.Close()
	admin := strings.TrimPrefix(s.URL, "http://")
	at := []string{"--admin", admin}
	tell := func(want int, token string, args ...string) string {
		t.Helper()
		return meshc(want, append(append(args, at...), "--token", token)...)
	}
	if out := meshc(0, append([]string{"weights", "get"}, at...)...); !strings.Contains(out, "shop/web/main  web.shop.svc.cluster.local/v1=100, web.shop.svc.cluster.local/v2=0  at rest") || !strings.Contains(out, "mesh.yaml:") {
		t.Error(out)
	}
	for _, args := range [][]string{{"shop/web/main", "v1=1"}, {"shop/web/main", "v1=1", "v2"}, {"shop/web/main", "v1=1", "v1=2"}, {"shop/web/none", "v1=1", "v2=1"}, {"shop/web/main", "v1=-1", "v2=1"}} {
		tell(2, token, append([]string{"weights", "set"}, args...)...)
	}
	if out := tell(2, other, "weights", "set", "shop/web/main", "v1=1", "v2=1"); !strings.Contains(out, "401") {
		t.Error(out)
	}
	if out := tell(0, token, "weights", "set", "shop/web/main", "v1=0", "v2=3"); !strings.Contains(out, "v2=3 (at rest 0)") {
		t.Error(out)
	}
	if out := meshc(0, append([]string{"status"}, at...)...); !strings.Contains(out, "weights     shop/web/main") {
		t.Error(out)
	}
	route := []string{"route", path, "--from", "shop/web-1", "--to", "http://web/"}
	if out := meshc(0, route...); !strings.Contains(out, "shop/web-1:80") {
		t.Error(out)
	}
	if out := meshc(0, append(route, "--live", admin)...); !strings.Contains(out, "shop/web-2:80") || !strings.Contains(out, "set live: shop/web/main") {
		t.Error(out)
	}
	moved := file("moved.yaml", strings.NewReplacer("weight: 100", "weight: 0", "v2}, weight: 0", "v2}, weight: 100").Replace(liveMesh))
	if out := meshc(1, "diff", path, moved, "--exit-code"); !strings.Contains(out, "moved, routing") {
		t.Error(out)
	}
	meshc(0, "diff", path, moved, "--exit-code", "--live", admin)
	tell(0, token, "weights", "release", "shop/web/main")
	if out := meshc(0, append([]string{"weights", "get", "shop/web/main"}, at...)...); !strings.Contains(out, "at rest") {
		t.Error(out)
	}
	tell(2, token, "weights", "release", "shop/web/main")
}
