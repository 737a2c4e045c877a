//go:build linux

package lab

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	istioca "istio.io/api/security/v1alpha1"

	"github.com/meshc/meshc/internal/clustertest"
	"github.com/meshc/meshc/server"
	"github.com/meshc/meshc/server/token"
)

// istioCA signs keys of workloads as istiod does: for the service account whose token comes along, whatever the request
// says that it is for.
type istioCA struct {
	istioca.UnimplementedIstioCertificateServiceServer
	by    *authority
	keys  *token.Keys
	trust string
}

// CreateCertificate implements IstioCertificateServiceServer.
func (c *istioCA) CreateCertificate(ctx context.Context, r *istioca.IstioCertificateRequest) (*istioca.IstioCertificateResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	a, err := c.keys.Verify(ctx, strings.TrimPrefix(strings.Join(md.Get("authorization"), " "), "Bearer "))
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	block, _ := pem.Decode([]byte(r.GetCsr()))
	if block == nil {
		return nil, status.Error(codes.InvalidArgument, "no PEM")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = csr.CheckSignature()
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	id := &url.URL{Scheme: "spiffe", Host: c.trust, Path: "/ns/" + a.Namespace + "/sa/" + a.Name}
	form := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), URIs: []*url.URL{id},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, form, c.by.cert, csr.PublicKey, c.by.key)
	if err != nil {
		return nil, err
	}
	return &istioca.IstioCertificateResponse{CertChain: []string{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(c.by.pem)}}, nil
}

// guide is what docs/guides/adopt.md says to do, so that its reader does what the test does.
type guide struct {
	settings string // of MeshConfig
	serve    string // the command
	openssl  string // the commands
	port     string // of discoveryAddress
}

func readGuide(t *testing.T) guide {
	t.Helper()
	text, err := os.ReadFile("../../docs/guides/adopt.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(with string) string {
		for _, b := range regexp.MustCompile("(?s)\n```[a-z]*\n(.*?)\n```").FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(b[1], with) {
				return b[1] + "\n"
			}
		}
		t.Fatalf("the guide has no block with %s", with)
		return ""
	}
	g := guide{settings: block("MESHC_IDENTITY"), serve: block("meshc serve"), openssl: block("openssl x509")}
	at := regexp.MustCompile(`"proxy.istio.io/config":"discoveryAddress: meshc.istio-system.svc:(\d+)"`).FindStringSubmatch(block("kubectl patch"))
	if at == nil || !strings.Contains(g.serve, ":"+at[1]+" ") {
		t.Fatal("the guide has no discoveryAddress at which its server listens")
	}
	g.port = at[1]
	return g
}

// certify makes the certificate of the server. At an address on its own host the agent expects the name of istiod.
func (g guide) certify(t *testing.T, folder string, ca *authority) {
	t.Helper()
	key, err := x509.MarshalECPrivateKey(ca.key)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"ca-cert.pem": ca.pem, "ca-key.pem": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: key})} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(g.openssl, "meshc.istio-system.svc", "istiod.istio-system.svc"))
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// flags are those of the server, but for its addresses, with its files in a folder.
func (g guide) flags(folder string) (out []string) {
	words := strings.Fields(strings.ReplaceAll(g.serve, "/etc/meshc/", folder+"/"))
	for i := 3; i+1 < len(words); i += 2 { // behind meshc serve BUNDLE
		if words[i] != "--xds-address" {
			out = append(out, words[i], words[i+1])
		}
	}
	return out
}

// adopted is a mesh that Istio has injected: its proxies have Istio's agent as their parent, which captures DNS. web is
// what runs at version at; header is set on answers; settings are those of MeshConfig.
func adopted(settings, at, header string) manifests {
	m := identified(settings + `    ISTIO_META_DNS_CAPTURE: "true"
`)
	m.add("mesh.yaml", `
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: lab}
spec:
  clusterIP: 10.96.9.1
  selector: {app: web, version: %s}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front, namespace: lab}
spec:
  selector: {istio: ingress}
  servers:
  - port: {number: 8443, name: https, protocol: HTTPS}
    tls: {mode: SIMPLE, credentialName: shop}
    hosts: [shop.example.com]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: lab}
spec:
  hosts: [web, shop.example.com]
  gateways: [mesh, front]
  http:
  - headers: {response: {set: {x-config: %s}}}
    route: [{destination: {host: web}}]
`, at, header)
	for i, w := range []struct{ app, version string }{{"client", "v1"}, {"client", "v2"}, {"web", "v1"}, {"web", "v2"}} {
		m.add("observed.yaml", `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s-%[2]s, namespace: lab, labels: {app: %[1]s, version: %[2]s, security.istio.io/tlsMode: istio}}
spec:
  serviceAccountName: %[1]s
  containers:
  - {name: app, image: "registry.example.com/echo:1", ports: [{name: http, containerPort: 8080}]}
  - {name: istio-proxy, image: "docker.io/istio/proxyv2:1.32.0"}
status:
  phase: Running
  podIP: 10.9.1.%[3]d
  podIPs: [{ip: 10.9.1.%[3]d}]
  conditions: [{type: Ready, status: "True"}]
`, w.app, w.version, i+1)
	}
	m.pod("gateway", "ingress-v1", "istio: ingress, version: v1", "10.9.0.1")
	m.amend("spec:\n", "spec:\n  serviceAccountName: ingress\n")
	return m
}

// agents starts Istio's agents.
type agents struct {
	t         *testing.T
	api       *clustertest.Cluster
	program   string
	template  string
	root      []byte
	discovery string // the one setting: whom the proxies that start from now on get their configuration from
}

// start is how a pod starts its proxy that Istio has injected: a token of the API server for its own pod, the root of the
// mesh, its labels and its environment are all that the agent has.
func (a *agents) start(w *Workload, envoy, folder string) (*exec.Cmd, error) {
	labels := ""
	for k, v := range w.Labels {
		labels += fmt.Sprintf("%s=%q\n", k, v)
	}
	// A test that is killed leaves no Envoy behind.
	wrapper := "#!/bin/sh\nexec setpriv --pdeathsig KILL " + envoy + " \"$@\"\n"
	err := os.MkdirAll(filepath.Join(folder, "etc/istio/proxy"), 0o755)
	for name, text := range map[string]string{
		"var/run/secrets/tokens/istio-token":       a.api.Token(w.Namespace, w.ServiceAccount, w.Name, "istio-ca"),
		"var/run/secrets/istio/root-cert.pem":      string(a.root),
		"var/run/secrets/workload-spiffe-uds/keep": "",
		"etc/istio/pod/labels":                     labels,
		"etc/istio/pod/annotations":                "",
		"envoy":                                    wrapper,
	} {
		file := filepath.Join(folder, name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o755))
	}
	if err != nil {
		return nil, err
	}
	settings, err := json.Marshal(map[string]any{"discoveryAddress": a.discovery, "binaryPath": filepath.Join(folder, "envoy"), "proxyBootstrapTemplatePath": a.template, "concurrency": 1,
		"terminationDrainDuration": "2s", "proxyMetadata": map[string]any{"ISTIO_META_DNS_CAPTURE": "true"}})
	if err != nil {
		return nil, err
	}
	kind := "sidecar"
	if w.Gateway {
		kind = "router"
	}
	cmd := exec.Command(a.program, "proxy", kind, "--domain", w.Namespace+".svc.cluster.local", "--proxyLogLevel=warning", "--log_output_level=default:info")
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PROXY_CONFIG=" + string(settings), "POD_NAME=" + w.Name, "POD_NAMESPACE=" + w.Namespace, "SERVICE_ACCOUNT=" + w.ServiceAccount,
		"INSTANCE_IP=" + w.Addresses[0].String(), "CA_ADDR=localhost:15013", "TRUST_DOMAIN=mesh.test", "ISTIO_META_CLUSTER_ID=Kubernetes", "ISTIO_META_DNS_CAPTURE=true",
		"ISTIO_META_MESH_ID=mesh.test", "ISTIO_META_INTERCEPTION_MODE=REDIRECT", "MINIMUM_DRAIN_DURATION=2s", "PROXY_CONFIG_XDS_AGENT=true"}
	return cmd, nil
}

// pods are the objects that tokens are bound to.
func pods(api *clustertest.Cluster, m manifests, t *testing.T) {
	t.Helper()
	api.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "lab"}})
	for _, account := range []string{"client", "web", "ingress"} {
		api.Put(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": account, "namespace": "lab"}})
	}
	for _, o := range m.documents(t) {
		api.Put(o)
	}
}

// Istio's own agent starts a stock Envoy with the configuration of meshc, by nothing but its discoveryAddress: with a token of
// the API server, a certificate of the mesh's CA, an answer for DNS and ready at 15021. It follows another digest, goes back
// to another server by the same setting, pod by pod, and no request fails meanwhile.
func TestIstioAgent(t *testing.T) {
	require(t)
	program, template := clustertest.PilotAgent(t)
	api := clustertest.Start(t)
	g, p := readGuide(t), newPKI(t)
	p.issueTo("lab/kubernetes/shop", "shop.example.com")
	m := adopted(g.settings, "v1", "one")
	pods(api, m, t)
	folder := t.TempDir()
	ca, err := newAuthority("mesh.test")
	if err != nil {
		t.Fatal(err)
	}
	g.certify(t, folder, ca)
	if err := os.WriteFile(filepath.Join(folder, "jwks.json"), api.Keys(), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &agents{t: t, api: api, program: shareable(t, program), template: shareable(t, template), root: ca.pem, discovery: "localhost:" + g.port}
	source := m.write(t)
	spec := built(t, Spec{Source: source, Proxy: a.start,
		Doors:      map[string]string{"127.0.0.1:" + g.port: serverADS, "127.0.0.1:15013": "127.0.0.1:15013", "127.0.0.1:15014": "127.0.0.1:18010"},
		ServeFlags: append(g.flags(folder), "--secrets", p.dir),
		Visitors:   map[string]netip.Addr{"visitor": netip.MustParseAddr("203.0.113.9")},
		Beside: func(listen func(string) (net.Listener, error)) ([]string, error) {
			return nil, serveCA(t, ca, listen, folder)
		}})
	spec.hold = func(w *Workload) bool { return w.Labels["version"] == "v2" }
	l := run(t, spec)
	ctx := context.Background()

	synced := func(admin string, want ...string) {
		t.Helper()
		eventually(t, func() error {
			c := clientIn(l.net.hub, nil)
			defer c.CloseIdleConnections()
			r, err := Do(ctx, c, Request{URL: "http://" + admin + "/status"})
			if err != nil {
				return err
			}
			var st server.Status
			if err := json.Unmarshal([]byte(r.Body), &st); err != nil {
				return err
			}
			var got []string
			for _, n := range st.Nodes {
				if n.Synced && n.Bundle == st.Bundle && len(n.NACKs) == 0 {
					got = append(got, strings.Split(n.ID, "~")[2])
				}
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				return fmt.Errorf("synced with %s: %v, want %v\n%s", admin, got, want, r.Body)
			}
			return nil
		})
	}
	ready := func(pods ...string) {
		t.Helper()
		for _, pod := range pods {
			if err := l.waitReady(ctx, pod+".envoy", l.members[pod].ns, "127.0.0.1:15021", "/healthz/ready"); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := func(from, want string) {
		t.Helper()
		eventually(t, func() error {
			r, err := l.Get(ctx, from, "http://web/")
			if err == nil && (r.Status != 200 || r.Header.Get("x-config") != want || !strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], "URI=spiffe://mesh.test/ns/lab/sa/client")) {
				err = fmt.Errorf("%d %s %v %v", r.Status, r.Body, r.Header, r.Echo.Headers)
			}
			return err
		})
	}
	ready("client-v1", "ingress-v1", "web-v1")
	synced(serverAdmin, "client-v1.lab", "ingress-v1.lab", "web-v1.lab")
	config("client-v1", "one")
	if r, err := over(l, p.client("shop.example.com", "")); err != nil || r.Status != 200 || !strings.Contains(r.Echo.Headers["x-forwarded-client-cert"], "URI=spiffe://mesh.test/ns/lab/sa/ingress") {
		t.Errorf("through the gateway: %+v, %v", r, err)
	}
	for _, name := range []string{"web.lab.svc.cluster.local", "web.lab.svc", "web"} {
		if got, err := lookUp(l.members["client-v1"].ns, name); err != nil || !slices.Equal(got, []string{"10.96.9.1"}) {
			t.Errorf("the agent says that %s is %v, %v", name, got, err)
		}
	}

	ld := startLoad(t, l, "client-v1", Request{URL: "http://web/"}, 4)
	if err := l.Apply(ctx, adopted(g.settings, "v1", "two").write(t)); err != nil {
		t.Fatal(err)
	}
	config("client-v1", "two")
	synced(serverAdmin, "client-v1.lab", "ingress-v1.lab", "web-v1.lab")

	// Back by the same setting: the pods that start from now on have another discoveryAddress.
	if err := l.startServer(ctx, l.net.hub, "127.0.0.1:18010", "127.0.0.1:18011"); err != nil {
		t.Fatal(err)
	}
	a.discovery = "localhost:15014"
	for _, w := range l.repo.workloads {
		if spec.hold(w) {
			if err := l.startWorkload(w); err != nil {
				t.Fatal(err)
			}
		}
	}
	ready("client-v2", "web-v2")
	synced("127.0.0.1:18011", "client-v2.lab", "web-v2.lab")
	if err := l.Apply(ctx, adopted(g.settings, "v2", "two").write(t)); err != nil {
		t.Fatal(err)
	}
	ld.only(t, "with web at the other server", "v2")
	if err := l.terminate("web-v1.envoy"); err != nil {
		t.Fatal(err)
	}
	if failures := ld.end(); len(failures) > 0 {
		t.Errorf("%d requests failed: %s", len(failures), failures[0])
	}
	for _, pod := range []string{"client-v1", "ingress-v1"} {
		if err := l.terminate(pod + ".envoy"); err != nil {
			t.Fatal(err)
		}
	}
	synced(serverAdmin)
	if err := l.kill("server"); err != nil {
		t.Fatal(err)
	}
	config("client-v2", "two")
	for _, log := range []string{"server", "replica"} {
		if text, err := os.ReadFile(filepath.Join(l.dir, log+".log")); err != nil || strings.Contains(string(text), "refused") || strings.Contains(string(text), "eyJ") {
			t.Errorf("the log of the %s, %v:\n%s", log, err, text)
		}
	}
}

// serveCA has the CA of the mesh listen.
func serveCA(t *testing.T, ca *authority, listen func(string) (net.Listener, error), folder string) error {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return err
	}
	at, err := listen("127.0.0.1:15013")
	if err != nil {
		return err
	}
	k := token.NewKeys(filepath.Join(folder, "jwks.json"), token.Wants{Audiences: []string{"istio-ca"}})
	if err := k.Follow(t.Context(), time.Hour); err != nil {
		return err
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})))
	istioca.RegisterIstioCertificateServiceServer(g, &istioCA{by: ca, keys: k, trust: "mesh.test"})
	go func() { _ = g.Serve(at) }()
	t.Cleanup(g.Stop)
	return nil
}

// shareable is a file that every user can read.
func shareable(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(openFolder(t), filepath.Base(file))
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return to
}

// openFolder is a folder that every user can read, with a name that leaves room for those of sockets.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "meshc-open-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// lookUp asks the agent of a namespace for a name, as the redirected look-ups of an application do.
func lookUp(ns *namespace, name string) ([]string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return ns.dial(ctx, "udp", "127.0.0.1:15053")
	}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	addresses, err := r.LookupNetIP(ctx, "ip4", name+".")
	var out []string
	for _, a := range addresses {
		out = append(out, a.Unmap().String())
	}
	return out, err
}

// terminate asks a process to end, as kubelet does, and waits until it has.
func (l *Lab) terminate(name string) error {
	for _, p := range l.processes {
		if p.name != name {
			continue
		}
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case <-p.done:
			return nil
		case <-time.After(time.Minute):
			return fmt.Errorf("%s does not end", name)
		}
	}
	return fmt.Errorf("there is no process %s", name)
}
