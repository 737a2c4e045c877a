//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/internal/kubetest"
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
	ld.only(t, "one pod", "v1")
	before := len(l.Pushes())
	f.tell("web-v1=10.9.1.1", "web-v2=10.9.1.2")
	ld.only(t, "another comes", "v1", "v2")
	f.tell("~web-v1=10.9.1.1", "web-v2=10.9.1.2")
	ld.only(t, "the first drains", "v2")
	f.tell("web-v2=10.9.1.2")
	ld.only(t, "the first is gone", "v2")
	if err := l.Stop("web-v1"); err != nil {
		t.Fatal(err)
	}
	ld.only(t, "and its proxy with it", "v2")
	if err := os.WriteFile(f.path, []byte("items:\n- {kind: Po"), 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if log := l.Log("server"); !strings.Contains(log, "endpoints rejected") {
			return fmt.Errorf("half a file was not noticed: %s", log)
		}
		return nil
	})
	ld.only(t, "half a file", "v2")
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
				return fmt.Errorf("want %d, got %+v, %w", want, r, err)
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

// The same from an API server. A server that starts again lets proxies in when it knows the endpoints of the cluster: those
// of the bundle, where both pods are, name the pod that is gone.
func TestEndpointsOfAPI(t *testing.T) {
	require(t)
	m := meshOf("enableTracing: false")
	m.backends()
	m.serves("web", "web", "10.96.9.1", "http:80:8080")
	var api *kubetest.API
	tell := func(endpoints ...string) {
		name, port := "http", int32(8080)
		e := &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{Kind: "EndpointSlice", APIVersion: "discovery.k8s.io/v1"}, AddressType: discoveryv1.AddressTypeIPv4,
			ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "web-live", Labels: map[string]string{"kubernetes.io/service-name": "web"}},
			Ports:      []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
		for _, s := range endpoints {
			pod, address, _ := strings.Cut(s, "=")
			e.Endpoints = append(e.Endpoints, discoveryv1.Endpoint{Addresses: []string{address}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "lab", Name: pod}})
		}
		api.Put("endpointslices", e)
	}
	l := run(t, Spec{Source: m.write(t), Beside: func(listen func(string) (net.Listener, error)) ([]string, error) {
		at, err := listen("127.0.0.1:16443")
		if err != nil {
			return nil, err
		}
		api = kubetest.On(t, at)
		for _, doc := range strings.Split(m["observed.yaml"], "\n---") {
			p := &corev1.Pod{}
			if err := yaml.Unmarshal([]byte(doc), p); err != nil {
				return nil, err
			}
			if p.Kind == "Pod" {
				api.Put("pods", p)
			}
		}
		tell("web-v1=10.9.1.1")
		return []string{"--kubernetes-endpoints", "--kubeconfig", api.Kubeconfig()}, nil
	}})
	ld := startLoad(t, l, "client", Request{URL: "http://web/"}, 4)
	ld.only(t, "one pod", "v1")
	tell("web-v1=10.9.1.1", "web-v2=10.9.1.2")
	ld.only(t, "another comes", "v1", "v2")
	tell("web-v2=10.9.1.2")
	ld.only(t, "the first is gone", "v2")
	api.Down(true)
	api.HangUp()
	if err := l.Stop("web-v1"); err != nil {
		t.Fatal(err)
	}
	ld.only(t, "the API server, too", "v2")
	before := len(l.Pushes())
	if err := l.RestartServer(context.Background(), func() error {
		time.AfterFunc(3*time.Second, func() { api.Down(false) }) // the server is up before it knows anything
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if log := l.Log("server"); !strings.Contains(log, "proxy connected") {
			return fmt.Errorf("no proxy has come back: %s", log)
		}
		return nil
	})
	ld.only(t, "another server", "v2")
	for _, p := range l.Pushes()[before:] {
		if p.Type == "ClusterLoadAssignment" && len(p.Names) > 0 {
			t.Errorf("sent to %s again: %q", p.Node, p.Names)
		}
	}
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed, the first: %s", len(failures), failures[0])
	}
}
