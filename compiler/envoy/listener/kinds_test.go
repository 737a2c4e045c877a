package listener

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

func TestInboundKinds(t *testing.T) {
	describe := func(ks []kind) string {
		var out []string
		for _, k := range ks {
			s := k.transport + "(" + strings.Join(k.alpn, " ") + ")"
			if k.terminate {
				s += " mtls"
			}
			if k.http {
				s += " http"
			} else {
				s += " tcp"
			}
			out = append(out, s)
		}
		return strings.Join(out, "; ")
	}
	const marks, httpMarks = "istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2", "istio-http/1.0 istio-http/1.1 istio-h2"
	for _, c := range []struct {
		family family
		mode   mesh.MTLSMode
		want   string
	}{
		{httpFamily, mesh.Strict, "tls() mtls http"},
		{httpFamily, mesh.Permissive, "tls(" + marks + ") mtls http; raw_buffer() http"},
		{httpFamily, mesh.Disable, "raw_buffer() http"},
		{tcpFamily, mesh.Strict, "tls() mtls tcp"},
		{tcpFamily, mesh.Permissive, "tls(" + marks + ") mtls tcp; tls() tcp; raw_buffer() tcp"},
		{tcpFamily, mesh.Disable, "() tcp"},
		{autoFamily, mesh.Strict, "tls(" + httpMarks + ") mtls http; tls() mtls tcp"},
		{autoFamily, mesh.Permissive, "tls(" + httpMarks + ") mtls http; raw_buffer(http/1.1 h2c) http; tls(istio-peer-exchange istio) mtls tcp; raw_buffer() tcp; tls() tcp"},
		{autoFamily, mesh.Disable, "raw_buffer(http/1.1 h2c) http; raw_buffer() tcp"},
	} {
		if got := describe(kinds(c.family, c.mode)); got != c.want {
			t.Errorf("family %d mode %d:\n got %s\nwant %s", c.family, c.mode, got, c.want)
		}
	}
}

func TestDisabledPorts(t *testing.T) {
	if p := disabledPorts(map[uint32]bool{0: true, 80: true}); p != nil {
		t.Errorf("no port differs, but %v", p)
	}
	if p := disabledPorts(map[uint32]bool{0: true, 80: false, 81: true}); p.GetDestinationPortRange().GetStart() != 80 || p.GetDestinationPortRange().GetEnd() != 81 {
		t.Errorf("want port 80, got %v", p)
	}
	if p := disabledPorts(map[uint32]bool{0: false, 80: true, 81: true}); len(p.GetNotMatch().GetOrMatch().GetRules()) != 2 {
		t.Errorf("want all but two ports, got %v", p)
	}
}

func TestPlainAndTLSOnOnePort(t *testing.T) {
	chains := []*xds.Chain{{Name: "plain"}, {Name: "tls", TLS: &xds.DownstreamTLS{}}}
	tellTLS(chains)
	if sameMatch(chains[0].Match, chains[1].Match) || chains[1].Match.TransportProtocol != "tls" {
		t.Errorf("a TLS server for any host and plain HTTP match the same connections: %v, %v", chains[0].Match, chains[1].Match)
	}
}
