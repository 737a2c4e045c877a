package transport_test

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/change/transport"
	"github.com/meshc/meshc/compiler/names"
)

// TestServerName: at the gateway of another network the name of a subset is none of the protection; that of a service is, and any name
// that the input asks for.
func TestServerName(t *testing.T) {
	at := func(sni string) string {
		any, err := anypb.New(&tlsv3.UpstreamTlsContext{Sni: sni})
		if err != nil {
			t.Fatal(err)
		}
		return transport.Text(&corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: any}}, false)
	}
	of := func(subset, host string) string {
		return at(names.ServerName(80, subset, host+".shop.svc.cluster.local"))
	}
	if of("v1", "web") != of("", "web") {
		t.Errorf("%q and %q", of("v1", "web"), of("", "web"))
	}
	if of("v1", "web") == of("v1", "api") {
		t.Errorf("two services: %q", of("v1", "web"))
	}
	if at("v1.example.com") == at("v2.example.com") {
		t.Errorf("two names: %q", at("v1.example.com"))
	}
}
