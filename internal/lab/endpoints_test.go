//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// observedFile is a file of endpoints that the server follows.
type observedFile struct {
	t    *testing.T
	path string
	pods string
}

func newObservedFile(t *testing.T, m manifests) *observedFile {
	return &observedFile{t, filepath.Join(t.TempDir(), "endpoints.yaml"), m["observed.yaml"]}
}

// tell replaces the file: endpoints of the service web, as NAME=ADDRESS, with ~ before those that drain.
func (f *observedFile) tell(endpoints ...string) {
	f.t.Helper()
	text := `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-live, namespace: lab, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
`
	for _, e := range endpoints {
		name, address, _ := strings.Cut(e, "=")
		state := "ready: true"
		if rest, ok := strings.CutPrefix(name, "~"); ok {
			name, state = rest, "ready: false, serving: true, terminating: true"
		}
		text += fmt.Sprintf("- {addresses: [%s], conditions: {%s}, targetRef: {kind: Pod, name: %s, namespace: lab}}\n", address, state, name)
	}
	next := f.path + ".next"
	if err := os.WriteFile(next, []byte(f.pods+"---"+text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(next, f.path); err != nil {
		f.t.Fatal(err)
	}
}

// A pod takes another's place under load: the bundle stays as it is, no request fails, and all that is sent is the
// endpoints of its service, to the proxies that see it.
func TestPodReplacedUnderLoad(t *testing.T) {
	require(t)
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprint("state of the world ", sotw), func(t *testing.T) { podReplaced(t, sotw) })
	}
}

func podReplaced(t *testing.T, sotw bool) {
	m := meshOf("enableTracing: false")
	m.backends()
	f := newObservedFile(t, m)
	m.service("other", "web", "10.96.9.2", "http:80:8080")
	m.serves("web", "web", "10.96.9.1", "http:80:8080") // the input has no EndpointSlice of it, but both pods
	f.tell("web-v1=10.9.1.1")
	l := run(t, Spec{Source: m.write(t), StateOfTheWorld: sotw, ServeFlags: []string{"--endpoints", f.path}})
	ld := startLoad(t, l, "client", Request{URL: "http://web/"}, 4)
	only := func(what string, want ...string) {
		t.Helper()
		eventually(t, func() error {
			n := ld.seen()
			for _, v := range want {
				if n[v] == 0 {
					return fmt.Errorf("%s: %v", what, n)
				}
				delete(n, v)
			}
			if len(n) > 0 {
				return fmt.Errorf("%s: %v besides %v", what, n, want)
			}
			return nil
		})
	}
	only("one pod", "v1")
	before := len(l.Pushes())
	f.tell("web-v1=10.9.1.1", "web-v2=10.9.1.2")
	only("another comes", "v1", "v2")
	f.tell("~web-v1=10.9.1.1", "web-v2=10.9.1.2")
	only("the first drains", "v2")
	f.tell("web-v2=10.9.1.2")
	only("the first is gone", "v2")
	if err := l.Stop("web-v1"); err != nil {
		t.Fatal(err)
	}
	only("and its proxy with it", "v2")
	if err := os.WriteFile(f.path, []byte("items:\n- {kind: Po"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if log := l.Log("server"); !strings.Contains(log, "endpoints rejected") {
			return fmt.Errorf("half a file was not noticed: %s", log)
		}
		return nil
	})
	only("half a file", "v2")
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
	}
	pushes := 0
	for _, p := range l.Pushes()[before:] {
		if len(p.Names) == 0 && len(p.Removed) == 0 {
			continue
		}
		pushes++
		if p.Type != "ClusterLoadAssignment" || len(p.Removed) > 0 || strings.Join(p.Names, " ") != "outbound|80||web.lab.svc.cluster.local" {
			t.Errorf("sent to %s: %s %q, removed %q", p.Node, p.Type, p.Names, p.Removed)
		}
	}
	if pushes == 0 && !sotw { // the relay does not read the names in a response of the whole state
		t.Error("nothing was sent")
	}
}

// From an input of Deployments alone a mesh with strict mutual TLS works by the pods that are seen: clients reach them, and
// take none for a service whose pod template has another service account.
func TestDeploymentsAlone(t *testing.T) {
	require(t)
	m := identified("enableTracing: false")
	m.add("strict.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: lab}
spec: {mtls: {mode: STRICT}}
`)
	declared := manifests{"mesh.yaml": m["mesh.yaml"], "strict.yaml": m["strict.yaml"]}
	for name, ip := range map[string]string{"client": "10.9.0.9", "web": "10.9.1.1", "thief": "10.9.1.2"} {
		m.workload("sidecar", name, ip, "", "http:80:8080")
		declared.add("deployments.yaml", `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: lab}
spec:
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec: {serviceAccountName: %[1]s, containers: [{name: app, image: registry.example.com/echo:1, ports: [{name: http, containerPort: 8080}]}]}
`, name)
	}
	m.serves("web", "web", "10.96.9.1", "http:80:8080")
	declared.serves("web", "web", "10.96.9.1", "http:80:8080")
	f := newObservedFile(t, m)
	f.tell("web=10.9.1.1")
	l := runSecured(t, m, Spec{ServeFlags: []string{"--endpoints", f.path}})
	if err := l.Apply(context.Background(), declared.write(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if log := l.Log("server"); !strings.Contains(log, "bundle in service") {
			return fmt.Errorf("the bundle without pods is not in service: %s", log)
		}
		return nil
	})
	answers := func(want int) {
		t.Helper()
		eventually(t, func() error {
			r, err := l.Get(context.Background(), "client", "http://web/")
			if err != nil || r.Status != want {
				return fmt.Errorf("want %d, got %+v, %v", want, r, err)
			}
			return nil
		})
	}
	answers(200)
	f.tell("thief=10.9.1.2")
	answers(503)
	f.tell("web=10.9.1.1")
	answers(200)
}
