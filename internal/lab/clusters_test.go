//go:build linux

package lab

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// clusters is a repository of two clusters, each a network of its own behind a gateway that its Service names.
func clusters(t *testing.T, p *pki) string {
	t.Helper()
	p.issueTo("lab/default", labIdentity)
	dir := t.TempDir()
	base := meshWith("STRICT", "enableTracing: false")
	base.serves("web", "web", "10.96.9.1", "http:80:8080")
	base.serves("local", "web", "10.96.9.2", "http:80:8080")
	base["mesh.yaml"] = strings.Replace(base["mesh.yaml"], "enableTracing: false", "serviceSettings: [{settings: {clusterLocal: true}, hosts: [local.lab.svc.cluster.local]}]", 1)
	sides := map[string]manifests{"base": base}
	for i, name := range []string{"east", "west"} {
		m := manifests{}
		at := ", topology.istio.io/network: " + name + ", topology.istio.io/cluster: " + name
		m.pod("sidecar", "client-"+name, "app: client"+at, []string{"10.9.0.9", "10.20.0.9"}[i], "http:8080")
		m.pod("sidecar", "web-"+name, "app: web, version: "+name+at, []string{"10.9.1.1", "10.20.1.1"}[i], "http:8080")
		m.pod("gateway", "crossing-"+name, "istio: eastwest"+at, []string{"203.0.113.40", "203.0.113.50"}[i])
		m.amend("name: istio-proxy,", "name: istio-proxy, env: [{name: ISTIO_META_REQUESTED_NETWORK_VIEW, value: "+name+"}],")
		m.crossing()
		m.add("networks.yaml", `
apiVersion: v1
kind: Service
metadata: {name: crossing, namespace: lab, labels: {topology.istio.io/network: %s}}
spec:
  clusterIP: 10.96.9.3
  externalIPs: [%s]
  selector: {istio: eastwest}
  ports: [{name: tls, port: 15443, targetPort: 15443}]
`, name, []string{"203.0.113.40", "203.0.113.50"}[i])
		sides[name] = m
	}
	for _, name := range slices.Sorted(maps.Keys(sides)) {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		sides[name].writeTo(t, filepath.Join(dir, name))
	}
	if err := os.WriteFile(filepath.Join(dir, "meshc.yaml"), []byte("clusters:\n  east: [base, east]\n  west: [base, west]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Two clusters compiled together: a service has the endpoints of both, those of the other by way of its gateway; what
// is local to a cluster stays there.
func TestClusters(t *testing.T) {
	require(t)
	p := newPKI(t)
	l := run(t, Spec{Source: clusters(t, p), ServeFlags: []string{"--secrets", p.dir, "--insecure-secrets-without-tls"}})
	for from, far := range map[string]string{"client-east": "10.20.0.0/16", "client-west": "10.9.0.0/16"} {
		if err := l.members[from].ns.run("ip", "route", "add", "unreachable", far); err != nil {
			t.Fatal(err)
		}
		own := strings.TrimPrefix(from, "client-")
		if got := countFrom(t, l, from, 200, Request{URL: "http://web/"}); got["east"] < 50 || got["west"] < 50 {
			t.Errorf("%s: %v, want both clusters", from, got)
		}
		if got := countFrom(t, l, from, 50, Request{URL: "http://local/"}); got[own] != 50 {
			t.Errorf("%s: %v, want its own cluster only", from, got)
		}
	}
}
