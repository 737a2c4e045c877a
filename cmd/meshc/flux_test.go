package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/clustertest"
	"github.com/meshc/meshc/internal/registrytest"
)

// flux is Flux's controller of sources on an API server.
type flux struct {
	t   *testing.T
	api *clustertest.Cluster
}

func startFlux(t *testing.T) *flux {
	t.Helper()
	f := &flux{t: t, api: clustertest.Start(t)}
	program, crds := f.api.SourceController()
	f.api.PutFiles(crds)
	f.api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "flux-system"}})
	storage := clustertest.Free(f.t)
	f.api.Run(program, []string{"KUBECONFIG=" + f.api.Kubeconfig(clustertest.AdminToken, ""), "RUNTIME_NAMESPACE=flux-system"},
		"--storage-path", t.TempDir(), "--storage-addr", storage, "--storage-adv-addr", storage, "--metrics-addr", clustertest.Free(f.t), "--health-addr", clustertest.Free(f.t),
		"--enable-leader-election=false", "--events-addr", "")
	return f
}

// repository is an OCIRepository that follows a tag, if the key in the Secret has signed what it names.
func (f *flux) repository(host string) map[string]any {
	return map[string]any{"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": map[string]any{"name": "mesh", "namespace": "flux-system"},
		"spec": map[string]any{"url": "oci://" + host + "/mesh", "ref": map[string]any{"tag": "main"}, "interval": "5s", "insecure": true,
			"verify": map[string]any{"provider": "cosign", "secretRef": map[string]any{"name": "mesh-key"}}}}
}

// condition is a condition of the OCIRepository, its message, and the artifact that Flux has.
func (f *flux) condition(host, kind string) (status, message string, artifact map[string]any) {
	o, _ := f.api.Get(f.repository(host))["status"].(map[string]any)
	list, _ := o["conditions"].([]any)
	for _, c := range list {
		if c := c.(map[string]any); c["type"] == kind {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
		}
	}
	artifact, _ = o["artifact"].(map[string]any)
	return status, message, artifact
}

func (f *flux) until(host, kind, want string) (message string, artifact map[string]any) {
	f.t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		status, message, artifact := f.condition(host, kind)
		stored := artifact["url"] != nil // which comes after the word that it is ready
		if status == want && (stored || kind != "Ready" || want != "True") {
			return message, artifact
		}
		if time.Now().After(end) {
			f.t.Fatalf("%s is never %s: it is %q, %s", kind, want, status, message)
		}
	}
}

// TestFlux: Flux's own source-controller, on an API server of Kubernetes, follows the tag that the server follows, takes the signature
// that meshc made, and has the bundle that the server serves; what is not signed neither takes.
func TestFlux(t *testing.T) {
	f := startFlux(t)
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("DOCKER_CONFIG", dir)
	reg := registrytest.Start(t, true)
	meshc := func(args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &out, &errs); code != 0 {
			t.Fatalf("meshc %v: %d %s", args, code, errs.String())
		}
		return out.String()
	}
	tag := "oci://" + reg.Host + "/mesh:main"
	push := func(services int) *bundle.Bundle {
		t.Helper()
		b := registrytest.Compile(t, registrytest.Mesh(t, services))
		if err := os.RemoveAll("mesh.bundle"); err != nil {
			t.Fatal(err)
		}
		if err := b.WriteDir("mesh.bundle"); err != nil {
			t.Fatal(err)
		}
		meshc("bundle", "push", "mesh.bundle", tag, "--whole")
		return b
	}
	public := writeKey(t, "release")
	if err := os.WriteFile("trust.yaml", []byte("keys:\n- name: release\n  file: release.pub\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := push(3)
	meshc("bundle", "sign", tag, "--key", "release.pem")
	f.api.Put(map[string]any{"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "mesh-key", "namespace": "flux-system"},
		"data": map[string]any{"mesh.pub": base64.StdEncoding.EncodeToString(public)}})
	f.api.Put(f.repository(reg.Host))
	f.until(reg.Host, "SourceVerified", "True")
	_, artifact := f.until(reg.Host, "Ready", "True")
	if got := download(t, artifact["url"].(string)); got.Digest != first.Digest {
		t.Errorf("Flux has %s, pushed was %s", got.Digest, first.Digest)
	}
	c := &compiling{t: t, dir: dir, log: &record{}}
	c.life = startLife(t, exec.Command("meshc", "serve", tag, "--trust", "trust.yaml", "--poll", "200ms", "--xds-address", "127.0.0.1:0", "--admin-address", "127.0.0.1:0"), c.log)
	t.Cleanup(c.kill)
	c.until("serves what Flux has", func(digest string) bool { return digest == first.Digest.String() })
	second := push(4)
	if message, artifact := f.until(reg.Host, "SourceVerified", "False"); artifact == nil || !strings.Contains(message, "verif") {
		t.Errorf("what is not signed: %s, %v", message, artifact)
	}
	c.heard("is not signed")
	c.until("serves what it did", func(digest string) bool { return digest == first.Digest.String() })
	meshc("bundle", "sign", tag, "--key", "release.pem")
	f.until(reg.Host, "SourceVerified", "True")
	_, artifact = f.until(reg.Host, "Ready", "True")
	if got := download(t, artifact["url"].(string)); got.Digest != second.Digest {
		t.Errorf("Flux has %s, pushed was %s", got.Digest, second.Digest)
	}
	c.until("serves what is signed", func(digest string) bool { return digest == second.Digest.String() })
}

// writeKey writes a key as NAME.pem and its public part as NAME.pub, and returns that.
func writeKey(t *testing.T, name string) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	if err := errors.Join(os.WriteFile(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600), os.WriteFile(name+".pub", text, 0o600)); err != nil {
		t.Fatal(err)
	}
	return text
}

// download reads the bundle in an artifact as Flux hands it to its other controllers: an archive of the files.
func download(t *testing.T, url string) *bundle.Bundle {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status, err)
	}
	file := filepath.Join(t.TempDir(), "artifact.tar.gz")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Read(file)
	if err != nil {
		out, _ := exec.Command("tar", "tzf", file).CombinedOutput()
		t.Fatalf("%v\n%s", err, out)
	}
	return b
}
