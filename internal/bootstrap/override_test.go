package bootstrap_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/bootstrap"
)

// TestOverride: fields of a part count, lists get its entries, what the part does not name stays; what Envoy would refuse is refused.
func TestOverride(t *testing.T) {
	over := func(text string) (string, error) {
		t.Helper()
		b, err := bootstrap.New(bootstrap.Options{Name: "web-0", Namespace: "shop", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, XDSAddress: "127.0.0.1:18000"})
		if err != nil {
			t.Fatal(err)
		}
		if err := bootstrap.Override(b, []byte(text)); err != nil {
			return "", err
		}
		out, err := bootstrap.JSON(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(out), nil
	}
	got, err := over(`{"stats_flush_interval": "7s", "static_resources": {"clusters": [{"name": "collector", "type": "STATIC", "connect_timeout": "1s",
		"typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions", "explicit_http_config": {"http2_protocol_options": {}}}}}]}}`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"statsFlushInterval": "7s"`, `"name": "collector"`, `"name": "xds-grpc"`, `"cluster": "web-0.shop"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if _, err := over("stats_flush_interval: 8s\n"); err != nil {
		t.Errorf("YAML: %v", err)
	}
	for text, want := range map[string]string{
		`{"stats_flush": "7s"}`: "stats_flush",
		`[]`:                    "no part of a bootstrap",
		"a: [":                  "yaml",
		`{"static_resources": {"clusters": [{"name": "xds-grpc", "connect_timeout": "1s"}]}}`:                                   "a cluster xds-grpc already",
		`{"static_resources": {"clusters": [{"name": "a", "connect_timeout": "-1s"}]}}`:                                         "not valid",
		`{"static_resources": {"clusters": [{"name": "a", "metadata": {"typed_filter_metadata": {"x": {"@type": "a/b.C"}}}}]}}`: "b.C",
	} {
		if _, err := over(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
