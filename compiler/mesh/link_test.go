package mesh

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/load"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// link reads YAML documents and links them. What load or schema find is a fault of the test.
func link(t testing.TB, texts ...string) (*Mesh, diag.List) {
	t.Helper()
	res, findings, err := load.Load(context.Background(), []string{"-"}, load.Options{Stdin: strings.NewReader(strings.Join(texts, "\n---\n"))})
	if err != nil || findings.HasErrors() {
		t.Fatal(err, findings)
	}
	objects, findings := schema.Check(res.Documents, schema.Options{Workers: 1})
	if findings.HasErrors() {
		t.Fatal(findings)
	}
	return Link(objects)
}

// codes lists the findings as "CODE Kind/name field".
func codes(findings diag.List) (out []string) {
	for _, d := range findings {
		out = append(out, d.Code+" "+d.Object.Kind+"/"+d.Object.Name+" "+d.Field)
	}
	slices.Sort(out)
	return out
}

func wantCodes(t *testing.T, findings diag.List, want ...string) {
	t.Helper()
	slices.Sort(want)
	if got := codes(findings); !slices.Equal(got, want) {
		t.Errorf("findings:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// object writes one manifest; body holds the lines below metadata.
func object(apiVersion, kind, namespace, name, body string) string {
	return "apiVersion: " + apiVersion + "\nkind: " + kind + "\nmetadata: {name: \"" + name + "\", namespace: " + namespace + "}\n" + body + "\n"
}

func istio(kind, namespace, name, spec string) string {
	group := "networking"
	if strings.HasSuffix(kind, "Authentication") || strings.HasSuffix(kind, "Policy") {
		group = "security"
	}
	return object(group+".istio.io/v1", kind, namespace, name, "spec: "+spec)
}

// service is a Kubernetes service of one HTTP port that selects app: NAME.
func service(namespace, name string) string {
	return object("v1", "Service", namespace, name, "spec: {clusterIP: 10.96.0.1, selector: {app: "+name+"}, ports: [{name: http, port: 80, targetPort: 8080}]}")
}

// pod is an injected pod with an address and labels as written.
func podOf(namespace, name, ip, labels string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: " + namespace + ", labels: {" + labels + "}}\n" +
		"spec: {serviceAccountName: " + name + ", containers: [{name: istio-proxy}, {name: app, ports: [{name: web, containerPort: 8080}]}]}\n" +
		"status: {podIP: " + ip + "}\n"
}

func (m *Mesh) serviceNamed(t testing.TB, host string) *Service {
	t.Helper()
	if list := m.index.services[host]; len(list) > 0 {
		return list[0]
	}
	t.Fatalf("no service %s", host)
	return nil
}

func classNamed(t testing.TB, m *Mesh, id string) *Class {
	t.Helper()
	classes, _, _ := Classes(m)
	var ids []string
	for _, c := range classes {
		if c.ID == id {
			return c
		}
		ids = append(ids, c.ID)
	}
	t.Fatalf("no class %s among %v", id, ids)
	return nil
}
