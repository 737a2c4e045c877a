package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/gittest"
	"github.com/meshc/meshc/internal/kubetest"
)

// compiling is a server that compiles what it serves.
type compiling struct {
	t *testing.T
	*life
	dir string
	log *record
}

func startCompiling(t *testing.T, args ...string) *compiling {
	t.Helper()
	c := &compiling{t: t, dir: t.TempDir(), log: &record{}}
	all := append([]string{"serve", "--compile", "--poll", "100ms", "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"}, args...)
	c.life = startLife(t, exec.Command("meshc", all...), c.log)
	t.Cleanup(c.kill)
	return c
}

// record is what a process prints, while it prints.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// until waits for a status.
func (c *compiling) until(what string, holds func(digest string) bool) string {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		st, err := c.status()
		if err == nil && holds(st.Bundle) {
			return st.Bundle
		}
		if time.Now().After(end) {
			c.kill()
			c.t.Fatalf("never %s: %+v, %v\n%s", what, st.Bundle, err, c.log)
		}
	}
}

func other(than string) func(string) bool {
	return func(digest string) bool { return digest != "" && digest != than }
}

const compiledMesh = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    istio-injection: enabled
---
apiVersion: v1
kind: Service
metadata:
  name: db
  namespace: shop
spec:
  selector:
    app: db
  ports:
  - name: tcp
    port: 5432
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: db
  namespace: shop
spec:
  selector:
    matchLabels:
      app: db
  template:
    metadata:
      labels:
        app: db
    spec:
      containers:
      - name: db
        image: db
`

func write1(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestServeCompilesFiles: what changes is served when it compiles, and what was served before is when it does not.
func TestServeCompilesFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mesh.yaml")
	write1(t, file, compiledMesh)
	c := startCompiling(t, dir)
	first := c.until("serves", other(""))
	write1(t, file, strings.ReplaceAll(compiledMesh, "5432", "5433"))
	second := c.until("serves what has changed", other(first))
	write1(t, file, compiledMesh+"---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: shop}\nspec: {egres: []}\n")
	c.heard("IST0106")
	c.until("keeps the bundle", func(digest string) bool { return digest == second })
	write1(t, file, compiledMesh)
	c.until("serves what is mended", func(digest string) bool { return digest == first })
}

// heard waits for a word in the log.
func (c *compiling) heard(word string) {
	c.t.Helper()
	for end := time.Now().Add(time.Minute); !strings.Contains(c.log.String(), word); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("the log never has %q:\n%s", word, c.log.String())
		}
	}
}

// TestServeFollowsGit: a push is served at its webhook, not before, a bad one is not, and a restart begins with the last good one
// while the remote is away.
func TestServeFollowsGit(t *testing.T) {
	repo := gittest.Serve(t, "")
	repo.Commit(map[string]string{"prod/mesh.yaml": compiledMesh})
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	write1(t, secret, "a-secret-of-some-length\n")
	args := []string{repo.URL + "#ref=main,subdir=prod", "--poll", "1h", "--keep", filepath.Join(dir, "keep"), "--webhook-address", "127.0.0.1:0", "--webhook-secret", secret}
	c := startCompiling(t, args...)
	first := c.until("serves", other(""))
	commit := repo.Commit(map[string]string{"prod/mesh.yaml": strings.ReplaceAll(compiledMesh, "5432", "5433")})
	if code := c.push([]byte(`{"after":"x"}`), "another-secret-of-some-length"); code != http.StatusUnauthorized {
		t.Errorf("a webhook that anybody can send is answered %d", code)
	}
	body := fmt.Appendf(nil, `{"after":%q}`, commit)
	if code := c.push(body, "a-secret-of-some-length"); code != http.StatusAccepted {
		t.Errorf("a webhook is answered %d", code)
	}
	second := c.until("serves the push", other(first))
	if code := c.push(body, "a-secret-of-some-length"); code != http.StatusOK {
		t.Errorf("a webhook that comes again is answered %d", code)
	}
	if st, err := c.status(); err != nil || st.Revision != commit {
		t.Errorf("the revision is %q, %v; want %q", st.Revision, err, commit)
	}
	c.kill()
	repo.Down(true)
	again := startCompiling(t, args...)
	again.until("begins with what was kept", func(digest string) bool { return digest == second })
	again.heard("cannot be asked")
}

func (c *compiling) push(body []byte, secret string) int {
	c.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write(body)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+c.webhook, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// playShop is a cluster with a database: its Service, its Namespace, one Pod on a Node, and where that listens.
func playShop(t *testing.T, address, pod string) (*kubetest.API, *corev1.Service) {
	t.Helper()
	api := kubetest.New(t)
	service := &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: "db", Namespace: "shop"},
		Spec: corev1.ServiceSpec{ClusterIP: address, ClusterIPs: []string{address}, Selector: map[string]string{"app": "db"}, Ports: []corev1.ServicePort{{Name: "tcp", Port: 5432, Protocol: corev1.ProtocolTCP}}}}
	api.Put("services", service)
	api.Put("namespaces", &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "shop", Labels: map[string]string{"istio-injection": "enabled"}}})
	api.Put("nodes", &corev1.Node{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"}, ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"topology.kubernetes.io/region": "r"}}})
	api.Put("pods", &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "db-1", Namespace: "shop", Labels: map[string]string{"app": "db"}, UID: "1"},
		Spec:   corev1.PodSpec{NodeName: "n", Containers: []corev1.Container{{Name: "db", Image: "db", Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "not-for-others"}}}, {Name: "istio-proxy", Image: "envoy"}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: pod, PodIPs: []corev1.PodIP{{IP: pod}}}})
	port, name, ready := int32(5432), "tcp", true
	api.Put("endpointslices", &discoveryv1.EndpointSlice{TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSlice"}, ObjectMeta: metav1.ObjectMeta{Name: "db-x", Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "db"}},
		AddressType: discoveryv1.AddressTypeIPv4, Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}},
		Endpoints: []discoveryv1.Endpoint{{Addresses: []string{pod}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "db-1"}}}})
	return api, service
}

// TestServeSeesACluster: a TCP Service without an address in Git has the one that the API server gave it, and what is compiled is
// what the same objects are when they stand in files.
func TestServeSeesACluster(t *testing.T) {
	api, service := playShop(t, "10.96.0.7", "10.0.0.1")
	dir, work := t.TempDir(), t.TempDir()
	file := filepath.Join(dir, "mesh.yaml")
	write1(t, file, compiledMesh)
	c := startCompiling(t, dir, "--kubernetes", "--kubeconfig", api.Kubeconfig(), "--work", work)
	digest := c.until("serves", other(""))
	observed := filepath.Join(work, "compile", "observed-0.json")
	text, err := os.ReadFile(observed)
	if err != nil || !bytes.Contains(text, []byte("10.96.0.7")) || bytes.Contains(text, []byte("not-for-others")) {
		t.Fatalf("what was observed is %s, %v", text, err)
	}
	out, err := exec.Command("meshc", "compile", dir, "--observed", observed, "-o", filepath.Join(t.TempDir(), "b")).Output()
	if err != nil || !strings.HasPrefix(string(out), digest) {
		t.Errorf("files compile to %s, %v; the server has %s", out, err, digest)
	}
	service.Spec.ClusterIP, service.Spec.ClusterIPs = "10.96.0.8", []string{"10.96.0.8"}
	api.Put("services", service)
	c.until("has the new address", other(digest))
	lists := map[string]int{}
	for _, r := range api.Asked() {
		if r.Verb == "list" {
			lists[r.Resource]++
		}
	}
	if len(lists) != 5 || lists["pods"] != 1 || lists["nodes"] != 1 || lists["endpointslices"] != 1 {
		t.Errorf("compiles and endpoints ask for what there is by watches of their own: %v", lists)
	}
}

// TestServeSeesClusters: of several clusters each gives what it has to its own proxies, and what is compiled is what the same objects
// are when they stand in files. Nothing is compiled before all were heard.
func TestServeSeesClusters(t *testing.T) {
	east, _ := playShop(t, "10.96.0.7", "10.0.0.1")
	west, service := playShop(t, "10.97.0.7", "10.1.0.1")
	base, work := t.TempDir(), t.TempDir()
	write1(t, filepath.Join(base, "mesh.yaml"), compiledMesh)
	c := startCompiling(t, "--cluster", "east="+base, "--cluster", "west="+base, "--kubernetes-cluster", "east="+east.Kubeconfig(), "--kubernetes-cluster", "west="+west.Kubeconfig(), "--work", work)
	digest := c.until("serves", other(""))
	args := []string{"compile", "-o", filepath.Join(t.TempDir(), "b")}
	for i, name := range []string{"east", "west"} {
		args = append(args, "--cluster", name+"="+base, "--observed", fmt.Sprintf("%s=%s/compile/observed-%d.json", name, work, i))
	}
	if out, err := exec.Command("meshc", args...).Output(); err != nil || !strings.HasPrefix(string(out), digest) {
		t.Errorf("files compile to %s, %v; the server has %s", out, err, digest)
	}
	service.Spec.ClusterIP, service.Spec.ClusterIPs = "10.97.0.8", []string{"10.97.0.8"}
	west.Put("services", service)
	c.until("has the new address", other(digest))
}

// TestServeCompileFlags: what would do nothing, or not what it says, is refused.
func TestServeCompileFlags(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"counts with --compile only":              {"x", "--lenient"},
		"--kubernetes is about compiling":         {"x", "--kubernetes"},
		"--trust is about bundles":                {"--compile", dir, "--trust", "t"},
		"standard input does not change":          {"--compile", "-"},
		"without TLS":                             {"--compile", "http://example.com/x.git"},
		"a password in an address":                {"--compile", "https://a:b@example.com/x.git"},
		"is not a way to fetch from":              {"--compile", "file://localhost/tmp/x"},
		"want both":                               {"--compile", dir, "--webhook-address", "127.0.0.1:0"},
		"where the mesh has several":              {"--compile", "--kubernetes", "--cluster", "a=" + dir},
		"write NAME=KUBECONFIG":                   {"--compile", dir, "--kubernetes-cluster", "east"},
		"two are called east":                     {"--compile", dir, "--kubernetes-cluster", "east=a", "--kubernetes-cluster", "east=b"},
		"--kubernetes-cluster east":               {"--compile", "--cluster", "east=" + dir, "--kubernetes-cluster", "east=" + filepath.Join(dir, "none")},
		"--kubernetes-cluster is about compiling": {"x", "--kubernetes-cluster", "east=a"},
		"no such file":                            {"--compile", filepath.Join(dir, "none")},
		"webhook-address is for bundles of a reg": {"x", "--webhook-address", "127.0.0.1:0", "--webhook-secret", "x"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		out, err := exec.CommandContext(ctx, "meshc", append([]string{"serve"}, args...)...).CombinedOutput()
		cancel()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("serve %q: %v\n%s\nwant %q", args, err, out, want)
		}
	}
}
