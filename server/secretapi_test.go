package server

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/internal/kubetest"

	"github.com/meshc/meshc/server/ads"
)

func secretObj(ns, name string, kind corev1.SecretType, data map[string][]byte) *corev1.Secret {
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Type: kind, Data: data}
}

func configMapObj(ns, name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: data}
}

// cluster is a server that reads credentials from an API server, and the CA of its proxies.
type cluster struct {
	t        *testing.T
	api      *kubetest.API
	ca       *authority
	crt, key []byte
	srv      *Server
	addr     string
	log      logged
}

func startCluster(t *testing.T, api *kubetest.API, o Options, names ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, api: api, ca: newAuthority(t)}
	dir := t.TempDir()
	crt, key := c.ca.issue("spiffe://td/ns/meshc/sa/server", time.Hour)
	put(t, dir, map[string][]byte{"crt": crt, "key": key, "ca": c.ca.pem})
	c.crt, c.key = c.ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	o.TLSCert, o.TLSKey, o.TLSCA, o.TrustDomains = filepath.Join(dir, "crt"), filepath.Join(dir, "key"), filepath.Join(dir, "ca"), []string{"td"}
	o.KubernetesSecrets, o.Kubeconfig, o.kubeRetry, o.Poll = true, api.Kubeconfig(), time.Millisecond, 10*time.Millisecond
	o.Log = slog.New(slog.NewTextHandler(&c.log, nil))
	c.srv = New(sealed(t, append(base(1), naming(t, names...))...), o)
	end, err := c.srv.openSecrets()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	go c.srv.watchSecrets(t.Context())
	c.addr = serveADS(t, c.srv)
	return c
}

func (c *cluster) proxy() *proxy { return connect(c.t, dial(c.t, c.ca, c.addr, c.crt, c.key)) }

// missing is what the first proxy has not got, by the name of the secret.
func (c *cluster) missing(name string) string {
	for _, n := range c.srv.Status().Nodes {
		return n.MissingSecrets[name]
	}
	return ""
}

func (c *cluster) isMissing(name, why string) {
	c.t.Helper()
	eventually(c.t, name+" missing: "+why, func() bool { return strings.Contains(c.missing(name), why) })
}

func (c *cluster) pair() map[string][]byte {
	crt, key := c.ca.issue("spiffe://td/ns/default/sa/web", time.Hour)
	return map[string][]byte{"tls.crt": crt, "tls.key": key}
}

func (c *cluster) with(m map[string][]byte, k string, v []byte) map[string][]byte {
	m = maps.Clone(m)
	m[k] = v
	return m
}

// drop unsubscribes.
func (p *proxy) drop(names ...string) {
	p.t.Helper()
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.SecretType, ResourceNamesUnsubscribe: names})
}

func TestKubernetesSecrets(t *testing.T) {
	api := kubetest.New(t)
	c := startCluster(t, api, Options{}, "kubernetes://web", "kubernetes://web-cacert", "kubernetes://generic", "kubernetes://generic-cacert", "kubernetes-gateway://default/web", "configmap://roots", "kubernetes://roots")
	web, generic := c.pair(), c.pair()
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, c.with(web, "ca.crt", c.ca.pem)))
	api.Put("secrets", secretObj("default", "generic", corev1.SecretTypeOpaque, map[string][]byte{"cert": generic["tls.crt"], "key": generic["tls.key"], "cacert": c.ca.pem, "crl": []byte("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")}))
	api.Put("secrets", secretObj("default", "roots", "", map[string][]byte{"ca.crt": c.ca.pem}))
	api.Put("configmaps", configMapObj("default", "roots", map[string]string{"cacert": string(c.ca.pem), "key": "of something else"}))
	p := c.proxy()
	names := []string{"kubernetes://web", "kubernetes://web-cacert", "kubernetes://generic", "kubernetes://generic-cacert", "kubernetes-gateway://default/web", "configmap://roots", "kubernetes://roots"}
	p.ask(names...)
	for name, s := range p.secretsOf(names...) {
		key := string(s.GetTlsCertificate().GetPrivateKey().GetInlineBytes())
		ca := string(s.GetValidationContext().GetTrustedCa().GetInlineBytes())
		want := map[string]string{"kubernetes://web": string(web["tls.key"]), "kubernetes-gateway://default/web": string(web["tls.key"]), "kubernetes://generic": string(generic["tls.key"])}[name]
		if key != want || (want == "") != (ca == string(c.ca.pem)) || (name == "kubernetes://generic-cacert") != (s.GetValidationContext().GetCrl() != nil) {
			t.Errorf("%s is %v", name, s.Type)
		}
	}
	// A rotation arrives, both at once; a pair that does not fit leaves the old one; so does removal; what comes back is sent.
	next := c.pair()
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, c.with(next, "ca.crt", c.ca.pem)))
	got := p.secretsOf("kubernetes://web", "kubernetes-gateway://default/web")["kubernetes://web"].GetTlsCertificate()
	if string(got.GetPrivateKey().GetInlineBytes()) != string(next["tls.key"]) || string(got.GetCertificateChain().GetInlineBytes()) != string(next["tls.crt"]) {
		t.Error("half a rotation")
	}
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, c.with(c.with(next, "ca.crt", c.ca.pem), "tls.crt", web["tls.crt"])))
	c.isMissing("kubernetes://web", "do not fit each other")
	second := c.proxy()
	second.ask("kubernetes://web")
	if s := second.secretsOf("kubernetes://web")["kubernetes://web"]; string(s.GetTlsCertificate().GetPrivateKey().GetInlineBytes()) != string(next["tls.key"]) {
		t.Error("the last good pair is not in use")
	}
	p.quiet()
	api.Remove("secrets", "default", "web")
	c.isMissing("kubernetes://web", "there is no Secret web of namespace default")
	p.quiet()
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, c.with(web, "ca.crt", c.ca.pem)))
	p.secretsOf("kubernetes://web", "kubernetes-gateway://default/web") // its roots, too, if they were forgotten in between
	// A Secret for the roots alone is before the ca.crt of the other.
	roots := newAuthority(t)
	api.Put("secrets", secretObj("default", "web-cacert", "", map[string][]byte{"cacert": roots.pem}))
	for !bytes.Equal(p.secretsOf("kubernetes://web-cacert")["kubernetes://web-cacert"].GetValidationContext().GetTrustedCa().GetInlineBytes(), roots.pem) {
	}
	if c.log.count("PRIVATE KEY") > 0 || c.log.count("do not fit each other") == 0 {
		t.Error("the log shows a key, or not why a pair is refused")
	}
}

// Nothing is asked of the API server but what the configuration of a proxy names and the proxy asks for, in its namespace.
func TestKubernetesSecretsAskedFor(t *testing.T) {
	api := kubetest.New(t)
	c := startCluster(t, api, Options{MaxSecretWatches: 2}, "kubernetes://web", "kubernetes://bank/web", "kubernetes-gateway://bank/web", "configmap://bank/web", "kubernetes://late", "kubernetes://one-more", "kubernetes://../x")
	for _, ns := range []string{"default", "bank"} {
		for _, n := range []string{"web", "other", "late", "one-more", "sa"} {
			api.Put("secrets", secretObj(ns, n, corev1.SecretTypeTLS, c.pair()))
		}
	}
	p := c.proxy()
	p.ask("default", "ROOTCA", "kubernetes://bank/web", "kubernetes-gateway://bank/web", "configmap://bank/web", "kubernetes://other", "kubernetes://other-cacert", "kubernetes://../x", "kubernetes://sa", "kubernetes://web")
	p.secretsOf("kubernetes://web")
	c.isMissing("default", "--secrets")
	c.isMissing("kubernetes://other", "does not name")
	for _, r := range api.Asked() {
		if r.Resource != "secrets" || r.Namespace != "default" || r.Name != "web" {
			t.Errorf("asked %+v", r)
		}
	}
	p.ask("kubernetes://late", "kubernetes://one-more")
	eventually(t, "bounded", func() bool {
		return strings.Contains(c.missing("kubernetes://late")+c.missing("kubernetes://one-more"), "--max-secret-watches") && len(c.srv.Status().Secrets) == 2 && api.Open() == 2
	})
}

// While the API server is away, what was read is handed out, also to new proxies, and what was not makes its proxy wait.
func TestKubernetesAway(t *testing.T) {
	api := kubetest.New(t)
	c := startCluster(t, api, Options{open: openers{idle: 2 * time.Second}}, "kubernetes://web", "kubernetes://late", "kubernetes://closed")
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, c.pair()))
	api.Put("secrets", secretObj("default", "closed", corev1.SecretTypeTLS, c.pair()))
	api.Forbid(func(r kubetest.Request) bool { return r.Name == "closed" })
	p := c.proxy()
	p.ask("kubernetes://web", "kubernetes://closed")
	p.secretsOf("kubernetes://web")
	c.isMissing("kubernetes://closed", `resourceNames: ["closed"]`)
	if n := c.log.count("resourceNames"); n != 1 {
		t.Errorf("the rule that is missing is logged %d times", n)
	}
	api.Forbid(func(kubetest.Request) bool { return false })
	p.secretsOf("kubernetes://closed")
	api.Down(true)
	p.ask("kubernetes://late")
	c.isMissing("kubernetes://late", "cannot be reached")
	second := c.proxy()
	second.ask("kubernetes://web")
	second.secretsOf("kubernetes://web")
	api.Put("secrets", secretObj("default", "late", corev1.SecretTypeTLS, c.pair()))
	var metrics []string
	eventually(t, "counted", func() bool {
		families, err := c.srv.metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		metrics = nil
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if strings.HasPrefix(f.GetName(), "meshc_kubernetes") && m.GetGauge().GetValue()+m.GetCounter().GetValue() > 0 {
					metrics = append(metrics, f.GetName()+" "+m.GetLabel()[0].GetValue())
				}
			}
		}
		return slices.Contains(metrics, "meshc_kubernetes_errors_total unreachable") && slices.Contains(metrics, "meshc_kubernetes_errors_total forbidden") &&
			slices.Contains(metrics, "meshc_kubernetes_secrets waiting") && slices.Contains(metrics, "meshc_kubernetes_secrets failing")
	})
	api.Down(false)
	p.secretsOf("kubernetes://late")
	// Watches end when nobody needs them, and those of others go on.
	second.drop("kubernetes://web")
	p.drop("kubernetes://web", "kubernetes://late")
	eventually(t, "one watch", func() bool {
		s := c.srv.Status().Secrets
		return len(s) == 1 && s[0].Name == "closed" && api.Open() == 1
	})
}

// With both, identities are the directory's and credentials the API server's, whatever else the directory has.
func TestDirectoryAndKubernetes(t *testing.T) {
	api, dir := kubetest.New(t), t.TempDir()
	c := startCluster(t, api, Options{SecretsDir: dir}, "kubernetes://web", "kubernetes://old")
	here, there := c.pair(), c.pair()
	put(t, filepath.Join(dir, "default", "sa"), c.with(here, "ca.crt", c.ca.pem))
	for _, n := range []string{"web", "old"} {
		put(t, filepath.Join(dir, "default", "kubernetes", n), here)
	}
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, there))
	p := c.proxy()
	p.ask("default", "ROOTCA", "kubernetes://web", "kubernetes://old")
	got := p.secretsOf("default", "ROOTCA", "kubernetes://web")
	if string(got["default"].GetTlsCertificate().GetPrivateKey().GetInlineBytes()) != string(here["tls.key"]) || string(got["kubernetes://web"].GetTlsCertificate().GetPrivateKey().GetInlineBytes()) != string(there["tls.key"]) {
		t.Error("from the wrong place")
	}
	c.isMissing("kubernetes://old", "there is no Secret old")
	p.quiet()
}

// A server that ends leaves nothing behind, and says what it cannot begin with.
func TestKubernetesRun(t *testing.T) {
	api := kubetest.New(t)
	api.Put("secrets", secretObj("default", "web", corev1.SecretTypeTLS, map[string][]byte{"tls.crt": {1}}))
	b := filepath.Join(t.TempDir(), "bundle")
	if err := sealed(t, append(base(1), naming(t, "kubernetes://web"))...).WriteDir(b); err != nil {
		t.Fatal(err)
	}
	o := Options{BundlePath: b, XDSAddress: "127.0.0.1:0", AdminAddress: "-", KubernetesSecrets: true, Kubeconfig: api.Kubeconfig(), InsecureSecretsWithoutTLS: true, Drain: time.Millisecond}
	done, addr := make(chan error, 1), make(chan net.Addr, 1)
	o.Ready = func(xds, _ net.Addr) { addr <- xds }
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { done <- Run(ctx, o) }()
	conn, err := grpc.NewClient((<-addr).String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	p := connect(t, discoveryv3.NewAggregatedDiscoveryServiceClient(conn))
	p.ask("kubernetes://web")
	eventually(t, "watched", func() bool { return api.Open() == 1 })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "hung up", func() bool { return api.Open() == 0 })
	eventually(t, "without goroutines", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("tools/cache.")) && !bytes.Contains(stacks, []byte("meshc/server/kube.")) && !bytes.Contains(stacks, []byte(".watchSecrets("))
	})
	o.InsecureSecretsWithoutTLS = false
	if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "TLS only") {
		t.Errorf("%v", err)
	}
	if err := Run(t.Context(), Options{BundlePath: b, Kubeconfig: "x"}); err == nil || !strings.Contains(err.Error(), "--kubernetes-secrets") {
		t.Errorf("%v", err)
	}
}
