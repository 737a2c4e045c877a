package envoytest_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/internal/envoytest"
	"github.com/meshc/meshc/internal/luatest"
)

// TestLuaLoads: Envoy refuses the chunks that are said to raise an error when they are loaded, and takes the others.
func TestLuaLoads(t *testing.T) {
	proxy := envoytest.Start(t)
	chunks := luatest.Chunks()
	for _, chunk := range slices.Sorted(maps.Keys(chunks)) {
		err := proxy.Probe(withLua(t, chunk))
		if is := (*envoytest.Refusal)(nil); err != nil && !errors.As(err, &is) {
			t.Logf("%q: Envoy ends: %v", chunk, err) // as where what is raised is no text
			proxy.Close()
			proxy = envoytest.Start(t)
		}
		if refused := err != nil; refused != chunks[chunk] {
			t.Errorf("%q: %v", chunk, err)
		}
	}
}

// withLua is a listener with a script.
func withLua(t *testing.T, chunk string) *listenerv3.Listener {
	t.Helper()
	filter := func(name string, m proto.Message) *hcmv3.HttpFilter {
		return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: anyOf(t, m)}}
	}
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix:     "lua",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{Name: "lua"}},
		HttpFilters: []*hcmv3.HttpFilter{
			filter("lua", &luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: chunk}}}),
			filter("router", &routerv3.Router{}),
		},
	}
	return &listenerv3.Listener{
		Name:         "lua",
		Address:      &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 1}}}},
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: anyOf(t, manager)}}}}},
	}
}
