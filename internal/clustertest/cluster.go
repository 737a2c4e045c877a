// Package clustertest runs the API server of Kubernetes with its etcd for tests, on loopback, as .ci/cluster builds them. There is
// no scheduler, no controller and no kubelet: tests play those.
package clustertest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// Cluster is an API server that runs.
type Cluster struct {
	Address string // host:port

	t      testing.TB
	dir    string
	roots  []byte // PEM
	client *http.Client
	server *exec.Cmd
	flags  []string
}

// Versions of what .ci/cluster builds.
const (
	etcdVersion      = "3.6.5"
	apiserverVersion = "1.34.3"
	fluxVersion      = "1.9.1" // of its source-controller
	istioVersion     = "0.0.0-20260827124520-eed52ebb66ad"
	helmVersion      = "4.3.1"
	spireVersion     = "1.13.3"
)

// AdminToken is that of system:masters, ReaderToken that of the user meshc, who may do nothing before a role says so.
const AdminToken, ReaderToken = "admin-token", "reader-token"

// Start starts both until the test ends. Without them the test is skipped.
func Start(t testing.TB) *Cluster {
	t.Helper()
	etcd, apiserver := find(t, "etcd", etcdVersion), find(t, "kube-apiserver", apiserverVersion)
	c := &Cluster{t: t, dir: t.TempDir(), Address: Free(t)}
	store, peers := Free(t), Free(t)
	c.start(etcd, nil, "--data-dir", filepath.Join(c.dir, "etcd"), "--listen-client-urls", "http://"+store, "--advertise-client-urls", "http://"+store,
		"--listen-peer-urls", "http://"+peers, "--initial-advertise-peer-urls", "http://"+peers, "--initial-cluster", "default=http://"+peers, "--log-level", "error")
	c.identify()
	c.write("tokens.csv", []byte(AdminToken+`,admin,1,"system:masters"`+"\n"+ReaderToken+`,meshc,2,""`+"\n"))
	_, port, _ := net.SplitHostPort(c.Address)
	c.flags = []string{apiserver, "--etcd-servers", "http://" + store, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", port, "--cert-dir", c.dir,
		"--tls-cert-file", c.path("server.crt"), "--tls-private-key-file", c.path("server.key"), "--token-auth-file", c.path("tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", c.path("accounts.pub"), "--service-account-signing-key-file", c.path("server.key"),
		"--service-cluster-ip-range", "10.96.0.0/16", "--disable-admission-plugins", "ServiceAccount", "--allow-privileged", "--v", "0"}
	c.Up()
	return c
}

// find is a program that .ci/cluster builds.
func find(t testing.TB, name, version string) string {
	t.Helper()
	path := filepath.Join(cache(), name+"-"+version, name)
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no %s: .ci/cluster builds it (%v)", name, err)
	}
	return path
}

// cache is the folder of what .ci/cluster builds and copies.
func cache() string {
	_, here, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(here), "../../.cache")
}

// Free is an address on loopback that nobody listens at. Its port is none of those that the kernel gives to connections, so that it is still
// free when a program begins to listen there.
func Free(t testing.TB) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 20000+mathrand.IntN(12000)))
		if err == nil {
			_ = l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("of a hundred ports none is free")
	return ""
}

// SourceController is Flux's source-controller, and the files of the kinds that it has.
func (c *Cluster) SourceController() (program string, crds []string) {
	c.t.Helper()
	program = find(c.t, "source-controller", fluxVersion)
	return program, kinds(c.t, filepath.Join(filepath.Dir(program), "crds", "*.yaml"))
}

// Kinds are files of the kinds that charts have objects of: those of cert-manager's certificates and issuers, and of Prometheus' operator.
func (c *Cluster) Kinds() []string {
	c.t.Helper()
	return slices.Concat(
		kinds(c.t, filepath.Join(cache(), "cert-manager-*", "cert-manager.io_certificates.yaml")),
		kinds(c.t, filepath.Join(cache(), "cert-manager-*", "cert-manager.io_issuers.yaml")),
		kinds(c.t, filepath.Join(cache(), "prometheus-operator-*", "*_servicemonitors.yaml")),
		kinds(c.t, filepath.Join(cache(), "prometheus-operator-*", "*_prometheusrules.yaml")))
}

// IstioKinds is the file of the kinds of Istio.
func (c *Cluster) IstioKinds() string {
	c.t.Helper()
	return kinds(c.t, filepath.Join(cache(), "istio-*", "crd-all.gen.yaml"))[0]
}

// Kubectl is the program that people type. Without it the test is skipped.
func Kubectl(t testing.TB) string {
	t.Helper()
	return find(t, "kubectl", apiserverVersion)
}

// Helm is the program that renders charts. Without it the test is skipped.
func Helm(t testing.TB) string {
	t.Helper()
	return find(t, "helm", helmVersion)
}

// kinds are files that .ci/cluster copies.
func kinds(t testing.TB, pattern string) []string {
	t.Helper()
	out, err := filepath.Glob(pattern)
	if err != nil || len(out) == 0 {
		t.Fatalf("nothing is at %s: .ci/cluster copies it (%v)", pattern, err)
	}
	return out
}

// PilotAgent is Istio's agent, and the form of the bootstrap that it writes for Envoy.
func PilotAgent(t testing.TB) (program, template string) {
	t.Helper()
	program = find(t, "pilot-agent", istioVersion)
	template = filepath.Join(filepath.Dir(program), "envoy_bootstrap.json")
	if _, err := os.Stat(template); err != nil {
		t.Fatal("no bootstrap of the agent: .ci/cluster copies it: ", err)
	}
	return program, template
}

// SPIRE is its server, which also is its client, and its agent. Without them the test is skipped.
func SPIRE(t testing.TB) (server, agent string) {
	t.Helper()
	return find(t, "spire-server", spireVersion), find(t, "spire-agent", spireVersion)
}

// Token requests a token of a service account that is bound to a pod, as kubelet does for a volume of the pod.
func (c *Cluster) Token(namespace, account, pod, audience string) string {
	c.t.Helper()
	out, err := c.ask(http.MethodPost, "/api/v1/namespaces/"+namespace+"/serviceaccounts/"+account+"/token", map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
		"spec": map[string]any{"audiences": []any{audience}, "expirationSeconds": 3600, "boundObjectRef": map[string]any{"apiVersion": "v1", "kind": "Pod", "name": pod}}})
	if err != nil {
		c.t.Fatal(err)
	}
	return out["status"].(map[string]any)["token"].(string)
}

// Keys are the public keys that the API server signs tokens with, as it publishes them.
func (c *Cluster) Keys() []byte {
	c.t.Helper()
	out, err := c.ask(http.MethodGet, "/openid/v1/jwks", nil)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := json.Marshal(out)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// File writes a file that goes with the cluster.
func (c *Cluster) File(name string, text []byte) string {
	c.t.Helper()
	c.write(name, text)
	return c.path(name)
}

// Run starts a program beside the API server until the test ends.
func (c *Cluster) Run(program string, env []string, args ...string) {
	c.t.Helper()
	c.start(program, env, args...)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Cluster) write(name string, text []byte) {
	c.t.Helper()
	if err := os.WriteFile(c.path(name), text, 0o600); err != nil {
		c.t.Fatal(err)
	}
}

// start starts a program, which ends with the test; what it says is shown if the test fails.
func (c *Cluster) start(name string, env []string, args ...string) *exec.Cmd {
	c.t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &log, &log
	dieWith(cmd)
	runtime.LockOSThread() // the death of a thread would count as that of its process; a test's goroutine ends with the test
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			text := log.Bytes()
			c.t.Logf("%s said at last:\n%s", filepath.Base(name), text[max(0, len(text)-2000):])
		}
	})
	return cmd
}

// identify makes the certificate of the API server, which is its own root.
func (c *Cluster) identify() {
	c.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	form := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, form, form, key.Public(), key)
	if err != nil {
		c.t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		c.t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		c.t.Fatal(err)
	}
	c.write("accounts.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	c.roots = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	c.write("server.crt", c.roots)
	c.write("server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.roots)
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, Timeout: 30 * time.Second}
	c.t.Cleanup(c.client.CloseIdleConnections)
}

// Up starts the API server and waits until it is ready.
func (c *Cluster) Up() {
	c.t.Helper()
	c.server = c.start(c.flags[0], nil, c.flags[1:]...)
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := c.ask(http.MethodGet, "/readyz", nil); err == nil {
			return
		} else if time.Now().After(end) {
			c.t.Fatal("the API server is not ready: ", err)
		}
	}
}

// Down kills the API server; what it has stays in etcd.
func (c *Cluster) Down() {
	_ = c.server.Process.Kill()
	_, _ = c.server.Process.Wait()
}

// Kubeconfig writes a kubeconfig for a token. address is where the API server is reached, "" where it listens.
func (c *Cluster) Kubeconfig(token, address string) string {
	c.t.Helper()
	if address == "" {
		address = c.Address
	}
	name := "kubeconfig-" + token
	c.write(name, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: test, clusters: [{name: test, cluster: {server: "https://%s", certificate-authority-data: %q}}],
contexts: [{name: test, context: {cluster: test, user: test}}], users: [{name: test, user: {token: %s}}]}`, address, base64.StdEncoding.EncodeToString(c.roots), token))
	return c.path(name)
}

// errStatus is an answer of the API server other than that it did what was asked.
type errStatus struct {
	code int
	text string
}

func (e *errStatus) Error() string { return fmt.Sprintf("%d %s", e.code, e.text) }

func (c *Cluster) ask(method, path string, body any) (map[string]any, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "https://"+c.Address+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+AdminToken)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= http.StatusMultipleChoices {
		err = &errStatus{resp.StatusCode, string(answer)}
	}
	out := map[string]any{}
	_ = json.Unmarshal(answer, &out) // /readyz answers a word
	return out, err
}

// collection is where the objects of a kind are.
func collection(doc map[string]any) string {
	version, _ := doc["apiVersion"].(string)
	kind, _ := doc["kind"].(string)
	meta, _ := doc["metadata"].(map[string]any)
	at := "/apis/" + version
	if version == "v1" {
		at = "/api/v1"
	}
	if namespace, _ := meta["namespace"].(string); namespace != "" {
		at += "/namespaces/" + namespace
	}
	plural := strings.ToLower(kind) + "s"
	if strings.HasSuffix(kind, "y") {
		plural = strings.ToLower(strings.TrimSuffix(kind, "y")) + "ies"
	}
	return at + "/" + plural
}

// Put makes an object or replaces the one of its name, with its status, as a controller or a kubelet does.
func (c *Cluster) Put(doc map[string]any) {
	c.t.Helper()
	at := collection(doc)
	name := doc["metadata"].(map[string]any)["name"].(string)
	made, err := c.ask(http.MethodPost, at, doc)
	var status *errStatus
	if errors.As(err, &status) && status.code == http.StatusConflict {
		old, gone := c.ask(http.MethodGet, at+"/"+name, nil)
		if gone != nil {
			c.t.Fatal(gone)
		}
		next := clone(doc)
		next["metadata"].(map[string]any)["resourceVersion"] = old["metadata"].(map[string]any)["resourceVersion"]
		made, err = c.ask(http.MethodPut, at+"/"+name, next)
	}
	if err != nil {
		c.t.Fatalf("%s/%s: %v", at, name, err)
	}
	if doc["status"] == nil {
		return
	}
	made["status"] = doc["status"]
	if _, err := c.ask(http.MethodPut, at+"/"+name+"/status", made); err != nil {
		c.t.Fatalf("%s/%s/status: %v", at, name, err)
	}
}

// PutFiles puts what files hold, each a document.
func (c *Cluster) PutFiles(names []string) {
	c.t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(name)
		var doc map[string]any
		if err == nil {
			err = yaml.Unmarshal(text, &doc)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		c.Put(doc)
	}
}

// Delete removes an object at once.
func (c *Cluster) Delete(doc map[string]any) {
	c.t.Helper()
	at := collection(doc) + "/" + doc["metadata"].(map[string]any)["name"].(string)
	if _, err := c.ask(http.MethodDelete, at+"?gracePeriodSeconds=0", nil); err != nil {
		c.t.Fatalf("%s: %v", at, err)
	}
}

// Get reads an object as the API server has it.
func (c *Cluster) Get(doc map[string]any) map[string]any {
	c.t.Helper()
	out, err := c.ask(http.MethodGet, collection(doc)+"/"+doc["metadata"].(map[string]any)["name"].(string), nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// Accepts tells whether the API server would take an object, by its own defaults, validation and admission; nothing is kept.
func (c *Cluster) Accepts(doc map[string]any) error {
	_, err := c.ask(http.MethodPost, collection(doc)+"?dryRun=All&fieldValidation=Strict", doc)
	return err
}

// Create makes an object, strictly, and removes it again: another one of its name can be made.
func (c *Cluster) Create(doc map[string]any) error {
	c.t.Helper()
	made, err := c.ask(http.MethodPost, collection(doc)+"?fieldValidation=Strict", doc)
	if err == nil {
		made["apiVersion"], made["kind"] = doc["apiVersion"], doc["kind"]
		c.Delete(made)
	}
	return err
}

// Namespace makes a namespace, if it is not there.
func (c *Cluster) Namespace(name string) error {
	_, err := c.ask(http.MethodPost, "/api/v1/namespaces", map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name}})
	var status *errStatus
	if errors.As(err, &status) && status.code == http.StatusConflict {
		return nil
	}
	return err
}

func clone(doc map[string]any) map[string]any {
	text, _ := json.Marshal(doc)
	out := map[string]any{}
	_ = json.Unmarshal(text, &out)
	return out
}
