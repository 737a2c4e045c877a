package files_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/delivery/files"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/lab"
)

const manifest = `
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: shop, labels: {istio: ingress}}
spec:
  serviceAccountName: gw
  containers: [{name: istio-proxy, image: envoy, args: [proxy, router]}]
status: {podIP: 127.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  selector: {istio: ingress}
  servers:
  - {port: {number: %[1]s, name: http, protocol: HTTP}, hosts: [shop.example.com]}
  - {port: {number: %[2]s, name: https, protocol: HTTPS}, hosts: [shop.example.com], tls: {mode: SIMPLE, credentialName: web}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[3]s, namespace: shop}
spec:
  hosts: [%[3]s.example.org]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %[4]s}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http: [{route: [{destination: {host: %[3]s.example.org, port: {number: 80}}}]}]
`

// site is a folder with files for one gateway.
type site struct {
	dir, secrets, http, https string
}

// compile makes the bundle whose gateway leads to the one service.
func (s *site) compile(t *testing.T, service, port string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mesh.yaml"), []byte(fmt.Sprintf(manifest, s.http, s.https, service, port)), 0o644); err != nil {
		t.Fatal(err)
	}
	r, found, err := compiler.Compile(context.Background(), []string{dir}, compiler.Options{})
	if err != nil || r == nil || r.Bundle == nil {
		t.Fatalf("compile: %v\n%v", err, found)
	}
	return r.Bundle
}

func (s *site) options() bootstrap.Options {
	return bootstrap.Options{Name: "gw", Namespace: "shop", Gateway: true, ServiceAccount: "gw", Labels: map[string]string{"istio": "ingress"},
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, NoServing: true}
}

// set makes the files of the gateway.
func (s *site) set(t *testing.T, b *bundle.Bundle) (files.Set, files.Place, error) {
	t.Helper()
	n, err := bootstrap.Node(s.options())
	if err != nil {
		t.Fatal(err)
	}
	node, err := bundle.NodeFromProto(n)
	if err != nil {
		t.Fatal(err)
	}
	class, err := b.ClassOf(node)
	if err != nil {
		t.Fatal(err)
	}
	at := files.Place{Directory: s.dir, Secrets: s.secrets, Node: node, Account: "gw"}
	set, err := files.New(b, class, at)
	return set, at, err
}

func newSite(t *testing.T) (*site, *x509.CertPool) {
	t.Helper()
	ports, err := lab.FreePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: t.TempDir(), secrets: t.TempDir(), http: ports[0], https: ports[1]}
	folder := filepath.Join(s.secrets, "shop", "kubernetes", "web")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	cert, key, err := envoytest.Certificate("shop.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"tls.crt": cert, "tls.key": key} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	return s, roots
}

// backend answers with its name.
func backend(t *testing.T, name string) (port string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// An Envoy that has never seen a server answers by the files it started with, and by those that are put in their place while
// it runs, and no request fails.
func TestEnvoyReadsFiles(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	s, roots := newSite(t)
	set, at, err := s.set(t, s.compile(t, "first", backend(t, "first")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := files.Put(t.Context(), s.dir, set, 0); err != nil {
		t.Fatal(err)
	}
	start(t, envoy, s, at)
	plain, secure := s.client(nil), s.client(&tls.Config{RootCAs: roots, ServerName: "shop.example.com"})
	until(t, func() string { return get(plain, "http", s.http) }, "first")
	until(t, func() string { return get(secure, "https", s.https) }, "first")

	next, _, err := s.set(t, s.compile(t, "second", backend(t, "second")))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		steps, err := files.Put(t.Context(), s.dir, next, time.Second)
		if err == nil && steps != 3 {
			err = fmt.Errorf("%d steps, not 3", steps)
		}
		done <- err
	}()
	seen := map[string]int{}
	for changing := true; changing; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			changing = false
		default:
		}
		seen[get(plain, "http", s.http)]++
	}
	if len(seen) != 2 || seen["first"] == 0 || seen["second"] == 0 {
		t.Errorf("while it changed: %v", seen)
	}
	until(t, func() string { return get(secure, "https", s.https) }, "second")
	if got := get(plain, "http", s.http); got != "second" {
		t.Errorf("afterwards: %s", got)
	}
	if list, err := os.ReadDir(filepath.Join(s.dir, "sets")); err != nil || len(list) != 1 {
		t.Errorf("left in sets: %v, %v", list, err)
	}
	if steps, err := files.Put(t.Context(), s.dir, next, 0); steps != 0 || err != nil {
		t.Errorf("the same again: %d steps, %v", steps, err)
	}
}

// Whatever step a process is killed after, a whole set is in force, and the next process ends with the new one.
func TestEveryStepIsWhole(t *testing.T) {
	s, _ := newSite(t)
	before, _, err := s.set(t, s.compile(t, "first", "8001"))
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := s.set(t, s.compile(t, "second", "8002"))
	if err != nil {
		t.Fatal(err)
	}
	steps, err := files.Steps(before, after)
	if err != nil || len(steps) != 3 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	for i, step := range steps {
		clusters, routes := string(step["clusters.json"]), ""
		for name, data := range step {
			if strings.HasPrefix(name, "routes/") {
				routes += string(data)
			}
		}
		for _, service := range []string{"first", "second"} {
			name := "outbound|80||" + service + ".example.org"
			if strings.Contains(routes, name) && !strings.Contains(clusters, name) {
				t.Errorf("step %d: a route leads to %s, which is not there", i, name)
			}
		}
		dir := t.TempDir()
		for _, set := range []files.Set{before, step, after} {
			if _, err := files.Put(t.Context(), dir, set, 0); err != nil {
				t.Fatal(err)
			}
		}
		if now, err := files.Current(dir); err != nil || now.ID() != after.ID() {
			t.Errorf("after a kill at step %d: %v, %v", i, now.ID(), err)
		}
	}
}

func TestStopped(t *testing.T) {
	s, _ := newSite(t)
	before, _, _ := s.set(t, s.compile(t, "first", "8001"))
	after, _, _ := s.set(t, s.compile(t, "second", "8002"))
	dir := t.TempDir()
	if _, err := files.Put(t.Context(), dir, before, 0); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if steps, err := files.Put(ctx, dir, after, time.Hour); err == nil || steps != 1 {
		t.Errorf("%d steps, %v", steps, err)
	}
	steps, _ := files.Steps(before, after)
	if now, err := files.Current(dir); err != nil || now.ID() != steps[0].ID() {
		t.Errorf("in force: %v, %v", now.ID(), err)
	}
}

func TestRefused(t *testing.T) {
	s, _ := newSite(t)
	b := s.compile(t, "first", "8001")
	if err := os.Remove(filepath.Join(s.secrets, "shop", "kubernetes", "web", "tls.key")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.set(t, b); err == nil || !strings.Contains(err.Error(), "tls.key is not there") {
		t.Errorf("without a key: %v", err)
	}
	s.secrets = ""
	if _, _, err := s.set(t, b); err == nil || !strings.Contains(err.Error(), "--secrets DIR") {
		t.Errorf("without a directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "current"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := files.Put(t.Context(), dir, files.Set{}, 0); err == nil || !strings.Contains(err.Error(), "not the link") {
		t.Errorf("a folder of somebody else: %v", err)
	}
}

func start(t *testing.T, envoy string, s *site, at files.Place) {
	t.Helper()
	ports, err := lab.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	o := s.options()
	o.Files, o.AdminAddress = at.Bootstrap(), "127.0.0.1:"+ports[0]
	boot, err := bootstrap.New(o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := bootstrap.JSON(boot)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(s.dir, files.BootstrapFile)
	if err := os.WriteFile(config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(envoy, "--config-path", config, "--log-level", "warning", "--log-path", log, "--disable-hot-restart", "--concurrency", "1")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s", text)
		}
	})
}

func (s *site) client(c *tls.Config) *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

// get is what a request is answered with.
func get(c *http.Client, scheme, port string) string {
	r, err := http.NewRequest(http.MethodGet, scheme+"://"+net.JoinHostPort("127.0.0.1", port)+"/", nil)
	if err != nil {
		return err.Error()
	}
	r.Host = "shop.example.com"
	resp, err := c.Do(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("%d %s %v", resp.StatusCode, body, err)
	}
	return string(body)
}

func until(t *testing.T, got func() string, want string) {
	t.Helper()
	var last string
	for range 600 {
		if last = got(); last == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("got %s, want %s", last, want)
}

// A proxy may have more files than an archive of a bundle has entries; what one export writes the next one reads.
func TestManyFiles(t *testing.T) {
	set := func(version string) files.Set {
		s := files.Set{"clusters.json": []byte(`{"versionInfo":"` + version + `","resources":[]}`), "listeners.json": []byte(`{"resources":[]}`)}
		for i := range 10_100 {
			s[fmt.Sprintf("endpoints/%d.json", i)] = []byte("{}")
		}
		return s
	}
	dir := t.TempDir()
	for i, version := range []string{"1", "2"} {
		if _, err := files.Put(t.Context(), dir, set(version), 0); err != nil {
			t.Fatalf("export %d: %v", i, err)
		}
	}
}
