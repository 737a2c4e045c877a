package server

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"

	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/server/ads"
)

// naming is a cluster whose TLS names the secrets.
func naming(t testing.TB, names ...string) *bundle.Resource {
	t.Helper()
	ctx := &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{}}
	for _, n := range names {
		ctx.CommonTlsContext.TlsCertificateSdsSecretConfigs = append(ctx.CommonTlsContext.TlsCertificateSdsSecretConfigs, &tlsv3.SdsSecretConfig{Name: n})
	}
	a, err := anypb.New(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return resource(bundle.ClusterType, "tls", &clusterv3.Cluster{Name: "tls", TransportSocket: &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: a}}})
}

func (p *proxy) ask(names ...string) {
	p.t.Helper()
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.SecretType, ResourceNamesSubscribe: names})
}

// secretsOf waits for the named secrets, in any order and with others among them, and acknowledges what comes.
func (p *proxy) secretsOf(names ...string) map[string]*tlsv3.Secret {
	p.t.Helper()
	got := map[string]*tlsv3.Secret{}
	for slices.ContainsFunc(names, func(n string) bool { return got[n] == nil }) {
		r, _ := p.recv()
		for _, x := range r.Resources {
			s := &tlsv3.Secret{}
			if err := x.Resource.UnmarshalTo(s); err != nil || s.Name != x.Name {
				p.t.Fatalf("%s: %v", x.Name, err)
			}
			got[x.Name] = s
		}
		p.ack(r)
	}
	return got
}

func TestSecrets(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	own := filepath.Join(dir, "default", "sa")
	crt, key := ca.issue("spiffe://td/ns/default/sa/sa", time.Hour)
	put(t, own, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	for _, name := range []string{"web", "other"} {
		put(t, filepath.Join(dir, "default", "kubernetes", name), map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	}
	put(t, filepath.Join(dir, "default", "kubernetes", "roots"), map[string][]byte{"ca.crt": ca.pem})
	put(t, filepath.Join(dir, "default", "configmap", "roots"), map[string][]byte{"ca.crt": ca.pem})
	srv, addr := startTLS(t, ca, dir, naming(t, "kubernetes://web", "kubernetes://web-cacert", "kubernetes://roots", "configmap://roots", "kubernetes://../sa", "kubernetes://x/web"))
	p := connect(t, dial(t, ca, addr, crt, key))
	p.ask("default", "ROOTCA", "kubernetes://web", "kubernetes://web-cacert", "kubernetes://roots", "configmap://roots")
	got := p.secretsOf("default", "ROOTCA", "kubernetes://web", "kubernetes://web-cacert", "kubernetes://roots", "configmap://roots")
	for name, s := range got {
		roots := name != "default" && name != "kubernetes://web"
		if roots != (string(s.GetValidationContext().GetTrustedCa().GetInlineBytes()) == string(ca.pem)) ||
			roots == (string(s.GetTlsCertificate().GetPrivateKey().GetInlineBytes()) == string(key)) {
			t.Errorf("%s is %v", name, s.Type)
		}
	}
	// What its configuration does not name, what lies in another folder and what leaves one is not there.
	p.ask("kubernetes://other", "kubernetes://../sa", "kubernetes://x/web", "../../default/sa", "default/../sa", "file-cert:/etc/passwd~x", "")
	p.quiet()
	// Half a rotation changes nothing; the whole one arrives; removal takes nothing away.
	crt2, key2 := ca.issue("spiffe://td/ns/default/sa/sa", 2*time.Hour)
	put(t, own, map[string][]byte{"tls.crt": crt2})
	srv.rotate()
	p.quiet()
	put(t, own, map[string][]byte{"tls.key": key2})
	srv.rotate()
	p.ack(p.want("sds +default"))
	if err := os.RemoveAll(own); err != nil {
		t.Fatal(err)
	}
	srv.rotate()
	p.quiet()
	// Keys that nobody is to have any more do not stay in memory; a proxy that comes back to one is served.
	srv.rotate()
	reg := srv.base().reg
	reg.Unused(ads.Secrets, nil).Each(func(id int32) {
		if reg.List(ads.Secrets)[id].Name == "default" {
			t.Error("a key is kept that nobody has any more")
		}
	})
	put(t, own, map[string][]byte{"tls.crt": crt, "tls.key": key, "ca.crt": ca.pem})
	srv.rotate()
	p.secretsOf("default", "ROOTCA")
	if err := Run(t.Context(), Options{SecretsDir: dir, BundlePath: "none"}); err == nil || !strings.Contains(err.Error(), "TLS only") {
		t.Errorf("%v", err)
	}
}

// Files on the proxy's own file system are named, not read: no directory of secrets is needed.
func TestFileSecrets(t *testing.T) {
	_, c := start(t, sealed(t, append(base(1), naming(t, "file-cert:/etc/certs/a.pem~/etc/certs/key.pem", "file-cert:/a/x~/b/y", "file-root:/etc/certs/ca.pem", "file-root:system"))...), Options{})
	p := connect(t, c)
	n := node(map[string]any{"app": "a"})
	for k, v := range map[string]string{"TLS_CLIENT_CERT_CHAIN": "/id/tls.crt", "TLS_CLIENT_KEY": "/id/tls.key", "TLS_CLIENT_ROOT_CERT": "/id/ca.crt"} {
		n.Metadata.Fields[k] = structpb.NewStringValue(v)
	}
	p.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: ads.SecretType, Node: n, ResourceNamesSubscribe: []string{"default", "ROOTCA"}})
	p.ask("file-cert:/etc/certs/a.pem~/etc/certs/key.pem", "file-cert:/a/x~/b/y", "file-root:/etc/certs/ca.pem", "file-root:system", "file-root:/not/named")
	got := p.secretsOf("default", "ROOTCA", "file-cert:/etc/certs/a.pem~/etc/certs/key.pem", "file-cert:/a/x~/b/y", "file-root:/etc/certs/ca.pem", "file-root:system")
	for name, want := range map[string][3]string{
		"default": {"/id/tls.crt", "/id/tls.key", "/id"}, "file-cert:/etc/certs/a.pem~/etc/certs/key.pem": {"/etc/certs/a.pem", "/etc/certs/key.pem", "/etc/certs"},
		"file-cert:/a/x~/b/y": {"/a/x", "/b/y", ""}, // no one folder to watch
	} {
		s := got[name].GetTlsCertificate()
		if is := [3]string{s.GetCertificateChain().GetFilename(), s.GetPrivateKey().GetFilename(), s.GetWatchedDirectory().GetPath()}; is != want {
			t.Errorf("%s: %q, want %q", name, is, want)
		}
	}
	for name, want := range map[string]string{"ROOTCA": "/id/ca.crt", "file-root:/etc/certs/ca.pem": "/etc/certs/ca.pem", "file-root:system": "/etc/ssl/certs/ca-certificates.crt"} {
		if is := got[name].GetValidationContext().GetTrustedCa().GetFilename(); is != want {
			t.Errorf("%s: %q, want %q", name, is, want)
		}
	}
	p.quiet()
}

func TestSecretNames(t *testing.T) {
	n := bundle.Node{Namespace: "shop"}
	for name, want := range map[string]string{
		"default": "shop/sa", "ROOTCA": "shop/sa", "kubernetes://web": "shop/kubernetes/web", "kubernetes://web-cacert": "shop/kubernetes/web-cacert shop/kubernetes/web",
		"kubernetes-gateway://shop/web": "shop/kubernetes/web", "kubernetes-gateway://bank/web": "", "configmap://ca-cacert": "shop/configmap/ca",
		"kubernetes://": "", "kubernetes://a/b/c": "", "kubernetes://..": "", "kubernetes://a/../b": "", "builtin://x": "", "": "", "tls": "", "kubernetes://-cacert": "",
		"file-cert:/a": "", "file-cert:~/a": "", "file-cert:/a~": "", "file-cert:/a~b~c": "", "kubernetes://WEB": "", "kubernetes://w%2eb": "",
	} {
		ref, err := credential.Refer(n, "sa", name)
		if got := strings.Join(ref.Folders(), " "); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: folders %q, %v, want %q", name, got, err, want)
		}
	}
	for _, account := range []string{"", "..", "kubernetes", "configmap", "a/b", "../x"} {
		if ref, err := credential.Refer(n, account, "default"); err == nil {
			t.Errorf("service account %q has %v", account, ref)
		}
	}
	if ref, err := credential.Refer(bundle.Node{Namespace: ".."}, "sa", "default"); err == nil {
		t.Errorf("a namespace leaves the folder: %v", ref)
	}
}
