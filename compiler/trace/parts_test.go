package trace

import (
	"net/netip"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/trace/urlpath"
)

func TestNormalize(t *testing.T) {
	base := &hcmv3.HttpConnectionManager{NormalizePath: wrapperspb.Bool(true)}
	slashes := &hcmv3.HttpConnectionManager{NormalizePath: wrapperspb.Bool(true), MergeSlashes: true, PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD}
	for _, c := range []struct {
		m        *hcmv3.HttpConnectionManager
		in, want string
	}{
		{&hcmv3.HttpConnectionManager{}, "/a/../b//c", "/a/../b//c"},
		{base, "/a/../b//c?x=/../", "/b//c?x=/../"},
		{base, "/%61/%2f/%7e", "/a/%2f/~"},
		{base, "/a\"<>^`{|} b", "/a%22%3C%3E%5E%60%7B%7C%7D%20b"},
		{base, "/a/./b/.", "/a/b/"},
		{base, "/../..", "/"},
		{base, `/a\..\b`, "/b"},
		{base, "/100%", "/100%"},
		{slashes, "/a%2F/%5cb", "/a/b"},
		{slashes, "///", "//"},
		{slashes, "//a//", "/a/"},
		{slashes, "/%2F/a/..", "//"},
	} {
		if got := urlpath.Normalize(c.in, c.m); got != c.want {
			t.Errorf("%s becomes %s, want %s", c.in, got, c.want)
		}
	}
}

func TestPickHost(t *testing.T) {
	hosts := []located[*routev3.VirtualHost]{}
	for _, d := range []string{"*", "*.example.com", "*.shop.example.com", "shop.*", "a.example.com", "[2001:db8::1]"} {
		hosts = append(hosts, located[*routev3.VirtualHost]{msg: &routev3.VirtualHost{Name: d, Domains: []string{d}}})
	}
	for host, want := range map[string]string{
		"A.Example.com": "a.example.com", "b.example.com": "*.example.com", "x.shop.example.com": "*.shop.example.com", "example.com": "*",
		"shop.org": "shop.*", "a.example.com:80": "a.example.com", "[2001:db8::1]:80": "[2001:db8::1]",
	} {
		if got := newHostTable(hosts).pick(host, true); got == nil || got.msg.GetName() != want {
			t.Errorf("%s goes to %v, want %s", host, got, want)
		}
	}
	if got := newHostTable(hosts).pick("a.example.com:80", false); got.msg.GetName() != "*" {
		t.Errorf("a port that counts went to %s", got.msg.GetName())
	}
}

// Criteria narrow in Envoy's order, and nothing goes back to a chain that an earlier criterion has left out.
func TestPickChain(t *testing.T) {
	chain := func(name string, m *listenerv3.FilterChainMatch) *listenerv3.FilterChain {
		return &listenerv3.FilterChain{Name: name, FilterChainMatch: m}
	}
	l := &listenerv3.Listener{
		FilterChains: []*listenerv3.FilterChain{
			chain("port", &listenerv3.FilterChainMatch{DestinationPort: wrapperspb.UInt32(80), TransportProtocol: "tls"}),
			chain("net", &listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{{AddressPrefix: "10.0.0.0", PrefixLen: wrapperspb.UInt32(8)}}}),
			chain("host", &listenerv3.FilterChainMatch{PrefixRanges: []*corev3.CidrRange{{AddressPrefix: "10.1.1.1", PrefixLen: wrapperspb.UInt32(32)}}, ServerNames: []string{"a.example"}}),
			chain("suffix", &listenerv3.FilterChainMatch{ServerNames: []string{"*.example"}, TransportProtocol: "tls"}),
			chain("h2", &listenerv3.FilterChainMatch{ApplicationProtocols: []string{"h2c"}}),
		},
		DefaultFilterChain: chain("default", nil),
	}
	for _, c := range []struct {
		to   string
		seen seen
		want string
	}{
		{"10.2.2.2:81", seen{transport: "raw_buffer"}, "net"},
		{"10.1.1.1:81", seen{transport: "raw_buffer"}, "default"}, // the longest prefix wants a server name
		{"10.1.1.1:81", seen{transport: "tls", sni: "a.example"}, "host"},
		{"10.2.2.2:80", seen{transport: "raw_buffer"}, "default"}, // a chain for the port wants TLS
		{"192.0.2.1:81", seen{transport: "tls", sni: "x.y.example"}, "suffix"},
		{"192.0.2.1:81", seen{transport: "raw_buffer", alpn: []string{"h2c"}}, "h2"},
		{"192.0.2.1:81", seen{transport: "raw_buffer"}, "default"},
	} {
		got := pickChain(l, &conn{dest: netip.MustParseAddrPort(c.to), source: netip.MustParseAddr("192.0.2.9")}, c.seen)
		if got.GetName() != c.want {
			t.Errorf("%s %+v takes chain %s, want %s", c.to, c.seen, got.GetName(), c.want)
		}
	}
}

func TestTargets(t *testing.T) {
	for in, want := range map[string]target{
		"http://a":                 {scheme: "http", host: "a", port: 80, path: "/", wire: wireHTTP1},
		"https://A.example/x?y=1":  {scheme: "https", host: "a.example", port: 443, path: "/x?y=1", wire: wireHTTP1, tls: true},
		"http://a:8080/%2Fb/..":    {scheme: "http", host: "a", port: 8080, path: "/%2Fb/..", wire: wireHTTP1},
		"grpc://a:9000/s.S/M":      {scheme: "grpc", host: "a", port: 9000, path: "/s.S/M", wire: wireHTTP2},
		"tcp://10.0.0.1:3306":      {scheme: "tcp", host: "10.0.0.1", port: 3306, path: "/", wire: wireTCP},
		"http://[2001:db8::1]:1/a": {scheme: "http", host: "2001:db8::1", port: 1, path: "/a", wire: wireHTTP1},
	} {
		if got, err := parseTarget(in); err != nil || got != want {
			t.Errorf("%s is %+v (%v), want %+v", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "a", "ftp://a", "tcp://a", "http://a:0", "http://a:99999", "http:///x", "http://%zz"} {
		if got, err := parseTarget(bad); err == nil {
			t.Errorf("%q is taken as %+v", bad, got)
		}
	}
}
