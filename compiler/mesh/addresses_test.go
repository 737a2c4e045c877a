package mesh

import (
	"context"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/schema"
)

func objectsOf(t *testing.T, text string) []*schema.Object {
	t.Helper()
	res, findings, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(text)})
	if err != nil || findings.HasErrors() {
		t.Fatal(err, findings)
	}
	objects, findings := schema.Check(res.Documents, schema.Options{Workers: 1})
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	return objects
}

func TestGivenAddresses(t *testing.T) {
	svc := func(name, spec string) string {
		return object("v1", "Service", "shop", name, "spec: {"+spec+"ports: [{name: tcp, port: 90}]}")
	}
	source := objectsOf(t, strings.Join([]string{svc("a", ""), svc("own", "clusterIP: 10.0.0.1, "), svc("right", "clusterIP: 10.0.0.2, "), svc("out", "type: ExternalName, externalName: x.com, "), svc("new", "")}, "\n---\n"))
	cluster := objectsOf(t, "apiVersion: v1\nkind: List\nitems:\n"+
		"- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: shop}, spec: {clusterIP: 10.0.0.9, clusterIPs: [10.0.0.9, 'fd00::9']}}\n"+
		"- {apiVersion: v1, kind: Service, metadata: {name: own, namespace: shop}, spec: {clusterIP: 10.0.0.8}}\n"+
		"- {apiVersion: v1, kind: Service, metadata: {name: right, namespace: shop}, spec: {clusterIP: 10.0.0.2}}\n"+
		"- {apiVersion: v1, kind: Service, metadata: {name: out, namespace: shop}, spec: {clusterIP: 10.0.0.7}}\n"+
		"- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: far}, spec: {clusterIP: 10.0.0.6}}\n")
	wantCodes(t, GiveAddresses(source, cluster, "services.yaml"), "MESHC1249 Service/own spec.clusterIP")
	m, findings := Link(source)
	wantCodes(t, findings, "MESHC1248 Service/new spec.ports[0]")
	want := map[string]string{"a": "10.0.0.9 fd00::9", "own": "10.0.0.1", "right": "10.0.0.2", "out": "", "new": ""}
	for _, s := range m.Services {
		if got := strings.Join(s.Addresses, " "); got != want[s.Name] {
			t.Errorf("%s: %s", s.Name, got)
		}
	}
	wantCodes(t, GiveAddresses(source, objectsOf(t, deployment("shop", "d", "app: d", "")), "pods.yaml"), "MESHC1243 / ")
}

func TestUnaddressed(t *testing.T) {
	svc := func(spec string) string { return object("v1", "Service", "shop", "db", "spec: {"+spec+"}") }
	app, bare := deployment("shop", "db", "app: db", ""), object("apps/v1", "Deployment", "shop", "db", "spec: {template: {metadata: {labels: {app: db}}, spec: {containers: [{name: app}]}}}")
	gateway := object("apps/v1", "Deployment", "shop", "gw", "spec: {template: {metadata: {labels: {app: gw}}, spec: {containers: [{name: istio-proxy}]}}}")
	const found = "MESHC1248 Service/db "
	for _, c := range []struct{ name, service, workload, want string }{
		{"tcp", "selector: {app: db}, ports: [{name: http, port: 80}, {name: tcp-sql, port: 5432}]", app, found + "spec.ports[1]"},
		{"a known protocol of bytes", "selector: {app: db}, ports: [{name: redis, port: 6379}, {name: mongo, port: 1}]", app, found + "spec.ports[0]"},
		{"no workload in the source", "ports: [{name: tcp, port: 5432}]", "", found + "spec.ports[0]"},
		{"an address", "clusterIP: 10.0.0.1, ports: [{name: tcp, port: 5432}]", app, ""},
		{"http, tls, udp and sniffed", "ports: [{name: http, port: 80}, {name: tls, port: 443}, {name: https, port: 444}, {name: dns, port: 53, protocol: UDP}, {name: any, port: 81}]", app, ""},
		{"headless", "clusterIP: None, selector: {app: db}, ports: [{name: tcp, port: 5432}]", app, "MESHC1244 Service/db spec.ports[0]"},
		{"an alias", "type: ExternalName, externalName: a.com, ports: [{name: tcp, port: 5432}]", app, ""},
		{"nobody has a sidecar", "selector: {app: db}, ports: [{name: tcp, port: 5432}]", bare, ""},
		{"a gateway", "selector: {app: gw}, ports: [{name: tcp, port: 5432}]", app + "\n---\n" + gateway, ""},
	} {
		docs := []string{svc(c.service)}
		if c.workload != "" {
			docs = append(docs, c.workload)
		}
		_, findings := link(t, docs...)
		var want []string
		if c.want != "" {
			want = []string{c.want}
		}
		t.Run(c.name, func(t *testing.T) { wantCodes(t, findings, want...) })
	}
}
