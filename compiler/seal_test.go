package compiler

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
)

// TestSeal: classes of one namespace share the outbound set, workloads lead to their class, origins to their line.
func TestSeal(t *testing.T) {
	res, findings := compileText(t, Options{}, shop, strings.NewReplacer("name: web", "name: db", "app: web", "app: db", "10.0.0.1", "10.0.0.2", "10.96.0.1", "10.96.0.2", "host: web", "host: db").Replace(shop))
	if res.Bundle == nil {
		t.Fatal(findings)
	}
	b := res.Bundle
	web, db := b.Class("sidecar/shop/web"), b.Class("sidecar/shop/db")
	if web == nil || db == nil {
		t.Fatal(b.Summary().Classes)
	}
	if !slices.ContainsFunc(web.Sets, func(s *bundle.Set) bool { return slices.Contains(db.Sets, s) }) {
		t.Error("two classes of a namespace share no set")
	}
	if !slices.Equal(web.ServiceAccounts, []string{"web"}) {
		t.Error("service accounts:", web.ServiceAccounts)
	}
	var got []string
	for _, w := range b.Workloads {
		got = append(got, w.Kind+" "+w.Namespace+"/"+w.Name+" in "+w.Class)
	}
	if want := "Pod shop/db in sidecar/shop/db, Pod shop/web in sidecar/shop/web"; strings.Join(got, ", ") != want {
		t.Errorf("workloads %v, want %s: what is implied is no workload", got, want)
	}
	for _, r := range web.Resources() {
		if r.Name != "outbound|80|v1|web.shop.svc.cluster.local" || !strings.HasSuffix(r.Type, ".Cluster") {
			continue
		}
		if !slices.ContainsFunc(r.Origins, func(o bundle.Origin) bool { return o.Kind == "DestinationRule" && o.File == "stdin" && o.Line > 0 }) {
			t.Error("the cluster of a subset does not know its rule:", r.Origins)
		}
		return
	}
	t.Error("no cluster for the subset")
}

// TestNoKeyEntersABundle: key material stops the compile and the check, with the place it comes from, and is not shown.
func TestNoKeyEntersABundle(t *testing.T) {
	const key = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{directResponse: {status: 200, body: {string: "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n"}}}]
`
	for _, checkOnly := range []bool{false, true} {
		res, findings := compileText(t, Options{CheckOnly: checkOnly, Lenient: true}, shop, key)
		if res.Bundle != nil || !findings.HasErrors() {
			t.Fatal("a key came in:", findings)
		}
		for _, d := range findings {
			if d.Code == bundle.CodePrivateKey && (d.Pos.Line == 0 || d.Object.Name != "web") {
				t.Errorf("%+v", d)
			}
			if strings.Contains(d.Message+d.Help, "MC4CAQ") {
				t.Error("the key is shown:", d.Message)
			}
		}
	}
}
