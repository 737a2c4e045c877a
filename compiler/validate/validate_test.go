package validate_test

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	_ "github.com/meshc/meshc/compiler/bundle" // registers what may be packed

	"github.com/meshc/meshc/compiler/validate"
)

// refused is a message and what Envoy 1.40 has against it: the path and a part of what is said. "" is nothing.
type refused struct {
	message proto.Message
	json    string
	want    string
}

// Each kind of rule finds what breaks it and nothing else. internal/envoytest holds the rules to a real Envoy.
func TestCheck(t *testing.T) {
	vh, cluster, listener := &routev3.VirtualHost{}, &clusterv3.Cluster{}, &listenerv3.Listener{}
	const filter = `{"filterChains":[{"filters":[{"name":"x","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
		"statPrefix":"x","routeConfig":{},"httpFilters":[{"name":"f","typedConfig":{"@type":"type.googleapis.com/%"}}]}}]}]}`
	for _, c := range []refused{
		{vh, `{"name":"a","domains":["a"]}`, ""},
		{vh, `{"name":"a"}`, "domains: value must contain at least 1 item(s)"},
		{vh, `{"name":"a","domains":["a"],"requestHeadersToAdd":[{"header":{"key":"k","value":"` + strings.Repeat("v", 16385) + `"}}]}`, "request_headers_to_add[0].header.value: value length must be at most 16384 bytes"},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"safeRegex":{"regex":"[a-z]{1,1000}"}},"directResponse":{"status":200}}]}`, ""},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"safeRegex":{"regex":"` + strings.Repeat("[a-z]{1,1000}", 17) + `"}},"directResponse":{"status":200}}]}`, "routes[0].match.safe_regex.regex: the regular expression has the RE2 program size"},
		{vh, `{"name":"a","domains":["a"],"routes":[{"match":{"prefix":"/"},"route":{"cluster":"c","timeout":"-1s"}}]}`, "routes[0].route.timeout: the duration is negative"},
		{vh, `{"name":"a","domains":["a"],"typedPerFilterConfig":{"x":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}}`, "typed_per_filter_config[x]: stock Envoy has no extension of per-route"},
		{vh, `{"name":"a","domains":["a"],"typedPerFilterConfig":{"x":{"@type":"type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute","disabled":true}}}`, ""},
		{cluster, `{"name":"c","connectTimeout":"0s"}`, "connect_timeout: value must be greater than 0s"},
		{cluster, `{"name":"c","transportSocket":{"name":"x","typedConfig":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"}}}`,
			"transport_socket.typed_config: stock Envoy has no extension of envoy.transport_sockets.upstream"},
		{listener, strings.Replace(filter, "%", "envoy.extensions.filters.http.router.v3.Router", 1), ""},
		{listener, strings.Replace(filter, "%", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", 1), "http_filters[0].typed_config: stock Envoy has no extension of envoy.filters.http"},
		{listener, strings.Replace(filter, "%", `udpa.type.v1.TypedStruct","type_url":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router","value":{"nosuch":1},"x":"`, 1), `http_filters[0].typed_config: (line 1:2): unknown field "nosuch"`},
	} {
		m := c.message.ProtoReflect().New().Interface()
		if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(c.json), m); err != nil {
			t.Fatalf("%s: %v", c.json, err)
		}
		var got []string
		for _, p := range validate.New().Pass().Check(m).Problems {
			got = append(got, p.String())
		}
		all := strings.Join(got, "\n")
		if c.want == "" && all != "" || !strings.Contains(all, c.want) {
			t.Errorf("%.300s: %q, want %q", c.json, all, c.want)
		}
	}
}
