//go:build linux

package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/change"
)

// alike is a mesh in which requests go to the pods of the version v1. There is a pod of each of two Deployments: the second has that
// version or another.
func alike(version string) manifests {
	m := identified("enableTracing: false")
	m.pod("sidecar", "client", "app: client", "10.9.0.9", "http:8080")
	for i, v := range []string{"v1", version} {
		name := fmt.Sprintf("web-%d", i+1)
		m.add("web.yaml", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: web, version: %[2]s}}
  template:
    metadata: {labels: {app: web, version: %[2]s}}
    spec: {containers: [{name: app, image: "registry.example.com/echo:1"}]}
`, name, v)
		m.pod("sidecar", name+"-5d4f8b7c9-abcde", "app: web, version: "+v, fmt.Sprintf("10.9.1.%d", i+1), "http:8080")
		m.amend("  namespace: lab\n", fmt.Sprintf("  namespace: lab\n  ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s-5d4f8b7c9, uid: u%d, controller: true}]\n", name, i))
	}
	m.serves("web", "web", "10.96.9.1", "http:80:8080")
	m.add("web.yaml", `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: lab}
spec:
  host: web
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
  subsets: [{name: v1, labels: {version: v1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: lab}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: web, subset: v1}}]}]
`)
	return m
}

// TestLabelsOfAnother: where pods get the labels of those of another Deployment, they stay those of their own, and real Envoys send them
// requests that the others had alone; the report says so.
func TestLabelsOfAnother(t *testing.T) {
	require(t)
	l := runSecured(t, alike("v2"), Spec{})
	base := alike("v2").write(t)
	answers := func() []string {
		seen := map[string]bool{}
		for range 40 {
			seen[ask(t, l, Request{URL: "http://web/"}).Echo.IP] = true
		}
		return slices.Sorted(maps.Keys(seen))
	}
	if got := answers(); !slices.Equal(got, []string{"10.9.1.1"}) {
		t.Errorf("before: %v", got)
	}
	head := alike("v1").write(t)
	if err := l.Apply(context.Background(), head); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if got := answers(); !slices.Equal(got, []string{"10.9.1.1", "10.9.1.2"}) {
			return fmt.Errorf("after: %v", got)
		}
		return nil
	})
	r, err := change.Compare(compiled(t, base), compiled(t, head))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
		return d.Kind == change.Moved && d.Host == "web.lab.svc.cluster.local" && !strings.Contains(d.Base.Detail, "web-2") && strings.Contains(d.Head.Detail, "web-2")
	}) {
		t.Errorf("%v, undecided %v", r.Differences, r.Undecided)
	}
}
