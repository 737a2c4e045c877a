package bootstrap_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/re2"
	"github.com/meshc/meshc/internal/bootstrap"
	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/lab"
)

func options() bootstrap.Options {
	return bootstrap.Options{
		Name: "reviews-0", Namespace: "shop", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Labels: map[string]string{"app": "reviews"},
		ServiceAccount: "reviews", Workload: "reviews", XDSAddress: "127.0.0.1:18000", Region: "eu", Zone: "a",
	}
}

func TestNode(t *testing.T) {
	n, err := bootstrap.Node(options())
	if err != nil {
		t.Fatal(err)
	}
	if want := "sidecar~10.0.0.7~reviews-0.shop~shop.svc.cluster.local"; n.Id != want {
		t.Errorf("id %q, want %q", n.Id, want)
	}
	if got := n.Metadata.Fields["LABELS"].GetStructValue().Fields["app"].GetStringValue(); got != "reviews" {
		t.Errorf("label app is %q", got)
	}
	mark := bundle.NewRequirement(bundle.ProgramSize, 0, "").Mark()
	if got := n.Metadata.Fields[bundle.BootstrapMetadata].GetStructValue().GetFields()[mark].GetNumberValue(); got != re2.Bootstrap {
		t.Errorf("the node says %v of %s", got, mark)
	}
	o := options()
	o.Gateway = true
	if n, _ = bootstrap.Node(o); !strings.HasPrefix(n.Id, "router~") {
		t.Errorf("id of a gateway is %q", n.Id)
	}
}

func TestRefusals(t *testing.T) {
	for name, spoil := range map[string]func(*bootstrap.Options){
		"no name":          func(o *bootstrap.Options) { o.Name = "" },
		"no address":       func(o *bootstrap.Options) { o.Addresses = nil },
		"server sans port": func(o *bootstrap.Options) { o.XDSAddress = "mesh.example.com" },
		"port of nonsense": func(o *bootstrap.Options) { o.XDSAddress = "mesh.example.com:many" },
	} {
		o := options()
		spoil(&o)
		if b, err := bootstrap.New(o); err == nil {
			t.Errorf("%s: no error but %v", name, b)
		}
	}
}

// Every form of bootstrap is one that Envoy starts with.
func TestEnvoyTakesIt(t *testing.T) {
	envoy, err := lab.FindEnvoy()
	if err != nil {
		if os.Getenv("MESHC_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	cert, key, err := envoytest.Certificate("validate")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"cert.pem": cert, "key.pem": key, "roots.pem": cert} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, change := range map[string]func(*bootstrap.Options){
		"plain":   func(*bootstrap.Options) {},
		"gateway": func(o *bootstrap.Options) { o.Gateway = true },
		"sotw":    func(o *bootstrap.Options) { o.StateOfTheWorld = true },
		"dns":     func(o *bootstrap.Options) { o.XDSAddress = "mesh.example.com:18000" },
		"gzip":    func(o *bootstrap.Options) { o.Statistics.Compression = "gzip" },
		"brotli":  func(o *bootstrap.Options) { o.Statistics.Compression = "brotli" },
		"zstd":    func(o *bootstrap.Options) { o.Statistics.Compression = "zstd" },
		"tls": func(o *bootstrap.Options) {
			o.TLS = &bootstrap.TLS{CertificateFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem"), RootsFile: filepath.Join(dir, "roots.pem"), ServerSPIFFE: "spiffe://cluster.local/ns/mesh/sa/meshc"}
		},
	} {
		o := options()
		change(&o)
		b, err := bootstrap.New(o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := envoytest.Run(envoy, dir, b); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestServerNames: a certificate has names of servers as DNS names, addresses as addresses, and identities as URIs.
func TestServerNames(t *testing.T) {
	for _, c := range []struct{ server, name, spiffe, kind, want, sni string }{
		{"mesh.example.com:18000", "", "", "DNS", "mesh.example.com", "mesh.example.com"},
		{"mesh.example.com.:18000", "", "", "DNS", "mesh.example.com", "mesh.example.com"},
		{"127.0.0.1:18000", "", "", "IP_ADDRESS", "127.0.0.1", ""},
		{"[fd00:0::1]:18000", "", "", "IP_ADDRESS", "fd00::1", ""},
		{"[::ffff:10.0.0.1]:18000", "", "", "IP_ADDRESS", "10.0.0.1", ""},
		{"mesh.example.com:18000", "10.0.0.2", "", "IP_ADDRESS", "10.0.0.2", ""},
		{"10.0.0.1:18000", "mesh.example.com", "", "DNS", "mesh.example.com", "mesh.example.com"},
		{"10.0.0.1:18000", "", "spiffe://a/b", "URI", "spiffe://a/b", ""},
	} {
		o := options()
		o.XDSAddress = c.server
		o.TLS = &bootstrap.TLS{CertificateFile: "/c.pem", KeyFile: "/k.pem", RootsFile: "/r.pem", ServerName: c.name, ServerSPIFFE: c.spiffe}
		b, err := bootstrap.New(o)
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		tls := &tlsv3.UpstreamTlsContext{}
		for _, s := range b.StaticResources.Clusters {
			if s.TransportSocket != nil {
				if err := s.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
					t.Fatal(err)
				}
			}
		}
		san := tls.GetCommonTlsContext().GetValidationContext().GetMatchTypedSubjectAltNames()[0]
		if san.SanType.String() != c.kind || san.Matcher.GetExact() != c.want || tls.Sni != c.sni {
			t.Errorf("%v: %s %s, SNI %q", c, san.SanType, san.Matcher.GetExact(), tls.Sni)
		}
	}
}
