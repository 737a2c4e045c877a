//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/clustertest"
)

// intent is what Git holds of a mesh: no address, and no Pod. web speaks HTTP, store is a database behind a Service, ledger one
// that is a StatefulSet behind a headless Service. Nothing speaks plaintext.
func intent() manifests {
	m := identified("enableTracing: false")
	m.add("mesh.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
`)
	for name, kind := range map[string]string{"client": "Deployment", "web": "Deployment", "store": "Deployment", "ledger": "StatefulSet"} {
		more := ""
		if kind == "StatefulSet" {
			more = "\n  serviceName: ledger"
		}
		m.add("workloads.yaml", `
apiVersion: apps/v1
kind: %[2]s
metadata: {name: %[1]s, namespace: lab}
spec:%[3]s
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {serviceAccountName: %[1]s, containers: [{name: app, image: registry.example.com/echo:1}]}
`, name, kind, more)
	}
	m.add("services.yaml", `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: lab}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: store, namespace: lab}
spec:
  selector: {app: store}
  ports: [{name: tcp, port: 9000, targetPort: 9000}]
---
apiVersion: v1
kind: Service
metadata: {name: ledger, namespace: lab}
spec:
  clusterIP: None
  selector: {app: ledger}
  ports: [{name: tcp, port: 9000, targetPort: 9000}]
`)
	return m
}

// running is what a cluster has of it: pods with addresses, Services with theirs.
func running(storeVIP string) manifests {
	m := manifests{}
	m.add("observed.yaml", `
apiVersion: v1
kind: Namespace
metadata: {name: lab, labels: {istio-injection: enabled}}
`)
	for _, w := range [][3]string{{"client", "10.9.0.9", " http:80:8080"}, {"web", "10.9.1.1", "10.96.9.1 http:80:8080"}, {"store", "10.9.1.2", storeVIP + " tcp-echo:9000:9000"}, {"ledger", "10.9.1.3", "None tcp-echo:9000:9000"}} {
		vip, port, _ := strings.Cut(w[2], " ")
		m.workload("sidecar", w[0], w[1], vip, port)
	}
	for _, file := range []string{"services.yaml", "observed.yaml"} { // the lab's application wants tcp-echo, the Service of Git says tcp
		m[file] = strings.ReplaceAll(m[file], "{name: tcp-echo, port:", "{name: tcp, port:")
	}
	return m
}

// documents are the objects of manifests.
func (m manifests) documents(t *testing.T) (out []map[string]any) {
	t.Helper()
	for _, file := range []string{"observed.yaml", "services.yaml"} {
		for _, doc := range strings.Split(m[file], "---\n") {
			var o map[string]any
			if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
				t.Fatal(err)
			}
			if o["kind"] != nil && o["kind"] != "ServiceAccount" {
				out = append(out, o)
			}
		}
	}
	return out
}

// passing carries connections to another address until the listener is closed.
func passing(l net.Listener, to string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			d, err := net.Dial("tcp", to)
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(d, c); _ = d.Close() }()
			_, _ = io.Copy(c, d)
		}()
	}
}

// From a Git tree without an address and without a Pod, a server that follows the API server of Kubernetes has proxies route HTTP, a
// database port, headless and StatefulSet traffic under STRICT, and takes no connection that goes elsewhere. What changes in the
// cluster changes that; an API server that is away, and comes back, changes nothing.
func TestAddressesOfACluster(t *testing.T) {
	require(t)
	api := clustertest.Start(t)
	api.Put(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": "meshc-observe"},
		"rules": []any{map[string]any{"apiGroups": []any{""}, "resources": []any{"namespaces", "nodes", "services", "pods"}, "verbs": []any{"list", "watch"}},
			map[string]any{"apiGroups": []any{"discovery.k8s.io"}, "resources": []any{"endpointslices"}, "verbs": []any{"list", "watch"}}}})
	api.Put(map[string]any{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "meshc-observe"},
		"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "meshc-observe"},
		"subjects": []any{map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "meshc"}}})
	for _, o := range running("10.96.9.2").documents(t) {
		api.Put(o)
	}
	source := intent()
	runs := running("10.96.9.2")
	runs["observed.yaml"] = strings.ReplaceAll(runs["observed.yaml"], "{name: tcp, containerPort", "{name: tcp-echo, containerPort")
	for file, text := range source {
		if file != "services.yaml" {
			runs[file] = text
		}
	}
	l := runSecured(t, runs, Spec{Compiled: source.write(t), Visitors: map[string]netip.Addr{"stranger": netip.MustParseAddr("10.9.8.8")},
		Beside: func(listen func(string) (net.Listener, error)) ([]string, error) {
			at, err := listen("127.0.0.1:16443")
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { _ = at.Close() })
			go passing(at, api.Address)
			return []string{"--kubernetes", "--kubeconfig", api.Kubeconfig(clustertest.ReaderToken, "127.0.0.1:16443")}, nil
		}})
	ctx := context.Background()
	works := func(when, store string) {
		t.Helper()
		eventually(t, func() error {
			r, err := l.Get(ctx, "client", "http://web/")
			if err == nil && (r.Status != 200 || !strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], clientID)) {
				err = fmt.Errorf("%d %s", r.Status, r.Body)
			}
			for name, address := range map[string]string{"store": store + ":9000", "ledger": "10.9.1.3:9000"} {
				got, e := speak(l, "client", address)
				if e == nil && got != name+" v1 hello" {
					e = errors.New(got)
				}
				err = errors.Join(err, e)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", when, err)
			}
			return nil
		})
	}
	works("at first", "10.96.9.2")
	for _, pod := range []string{"10.9.1.1:8080", "10.9.1.2:9000", "10.9.1.3:9000"} {
		if got, err := speak(l, "stranger", pod); err == nil {
			t.Errorf("%s takes plaintext: %q", pod, got)
		}
	}
	// The database port at an address that is nobody's of the mesh goes there, not to the database.
	stop := serveAt(t, l, "stranger", "10.9.8.8:9000", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "elsewhere") }))
	defer stop()
	if r, err := l.Get(ctx, "client", "http://10.9.8.8:9000/"); err != nil || r.Body != "elsewhere" {
		t.Errorf("a connection to another address: %+v, %v", r, err)
	}
	// Another address of the Service.
	for _, o := range running("10.96.9.2").documents(t) {
		if meta := o["metadata"].(map[string]any); o["kind"] == "Service" && meta["name"] == "store" {
			api.Delete(o)
		}
	}
	for _, o := range running("10.96.9.3").documents(t) {
		if meta := o["metadata"].(map[string]any); o["kind"] == "Service" && meta["name"] == "store" {
			api.Put(o)
		}
	}
	works("with another address", "10.96.9.3")
	api.Down()
	works("with the API server away", "10.96.9.3")
	api.Up()
	works("with the API server back", "10.96.9.3")
}
