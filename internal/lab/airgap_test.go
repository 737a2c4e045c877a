//go:build linux

package lab

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const airGapMesh = `
apiVersion: v1
kind: Pod
metadata: {name: gw, namespace: shop, labels: {istio: ingress}}
spec:
  containers: [{name: istio-proxy, image: envoy, args: [proxy, router]}]
status: {podIP: 127.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec:
  selector: {istio: ingress}
  servers: [{port: {number: 8080, name: http, protocol: HTTP}, hosts: [shop.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.internal]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: 9000}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [gw]
  http: [{route: [{destination: {host: shop.internal, port: {number: 80}}}]}]
`

// What is signed and packed outside is verified, taken in and served to real requests where there is no interface but
// loopback: once by a server, once by files alone.
func TestAirGap(t *testing.T) {
	require(t)
	outside, site := t.TempDir(), t.TempDir()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"mesh.yaml": []byte(airGapMesh), "release.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"release.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}), "trust.yaml": []byte("keys:\n- {name: release, file: release.pub}\n"),
	} {
		if err := os.WriteFile(filepath.Join(outside, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	meshc, err := Build(t.Context(), "cmd/meshc", outside)
	if err != nil {
		t.Fatal(err)
	}
	out := func(name string) string { return filepath.Join(outside, name) }
	in := func(name string) string { return filepath.Join(site, name) }
	trust := in("trust.yaml")
	for _, args := range [][]string{
		{meshc, "compile", out("mesh.yaml"), "-o", out("mesh.tar.gz")},
		{meshc, "bundle", "sign", out("mesh.tar.gz"), "--key", out("release.pem")},
		{meshc, "bundle", "export", out("mesh.tar.gz"), "--trust", out("trust.yaml"), "-o", in("site.tar")},
		{"cp", out("trust.yaml"), out("release.pub"), site},
	} {
		if text, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, text)
		}
	}
	ns, err := newNamespace("site")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.close()
	l, err := ns.listen("127.0.0.1:9000")
	if err != nil {
		t.Fatal(err)
	}
	app := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "shop") })}
	go app.Serve(l)
	defer app.Close()
	inside := func(args ...string) {
		t.Helper()
		if err := ns.run(args...); err != nil {
			t.Fatal(err)
		}
	}
	inside(meshc, "bundle", "import", in("site.tar"), "--trust", trust, "-o", in("bundle.tar.gz"))
	proxy := []string{"--workload", "shop/gw", "--ip", "127.0.0.1", "--no-status-ports"}

	inside(append([]string{meshc, "export", "envoy", in("bundle.tar.gz"), "-o", in("files"), "--admin-address", "127.0.0.1:15000"}, proxy...)...)
	answeredBy(t, ns, func() {}, in("files/envoy.json"))

	inside(append([]string{meshc, "bootstrap", in("bundle.tar.gz"), "-o", in("served.json"), "--admin-address", "127.0.0.1:15001"}, proxy...)...)
	server := exec.Command(meshc, "serve", in("bundle.tar.gz"), "--trust", trust)
	if err := ns.start(server); err != nil {
		t.Fatal(err)
	}
	answeredBy(t, ns, func() { server.Process.Kill(); server.Wait() }, in("served.json"))
}

// answeredBy starts an Envoy in the namespace, wants a request through it answered, and stops it.
func answeredBy(t *testing.T, ns *namespace, after func(), bootstrap string) {
	t.Helper()
	defer after()
	envoy, err := FindEnvoy()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	cmd := exec.Command(envoy, "--config-path", bootstrap, "--log-level", "warning", "--log-path", log, "--disable-hot-restart", "--concurrency", "1")
	if err := ns.start(cmd); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return ns.dial(ctx, network, "127.0.0.1:8080")
	}}}
	err = poll(t.Context(), func() error {
		r, err := client.Get("http://shop.example.com/")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err == nil && string(body) != "shop" {
			err = fmt.Errorf("%s: %s", r.Status, body)
		}
		return err
	})
	if err != nil {
		t.Errorf("%v\n%s", err, tail(log))
	}
}
