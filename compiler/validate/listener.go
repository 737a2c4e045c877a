package validate

import (
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// listenerRule is about the address of a listener and its filter chains (source/common/listener_manager).
func listenerRule(v *visit, m proto.Message) {
	l := m.(*listenerv3.Listener)
	if l.GetInternalListener() != nil || l.GetApiListener() != nil {
		return
	}
	socket := l.GetAddress().GetSocketAddress()
	switch {
	case l.GetAddress().GetAddress() == nil:
		v.bad("address", "Add an address.", "the listener has no address")
	case socket != nil && socket.GetResolverName() == "" && !isIP(socket.GetAddress()):
		v.bad("address", "Write an IP address.", "%q is no IP address", socket.GetAddress())
	case socket.GetProtocol() == corev3.SocketAddress_UDP:
		return
	case len(l.GetFilterChains()) == 0 && l.GetDefaultFilterChain() == nil:
		v.bad("filter_chains", "Add a filter chain.", "the listener has no filter chain")
	}
	if l.GetFilterChainMatcher() == nil {
		filterChainMatches(v, l.GetFilterChains())
	}
}

// filterChainMatches wants each match once: Envoy takes no listener that has two chains for a connection.
func filterChainMatches(v *visit, chains []*listenerv3.FilterChain) {
	seen := map[string]string{}
	for _, c := range chains {
		match := c.GetFilterChainMatch()
		if match == nil {
			match = &listenerv3.FilterChainMatch{}
		}
		text, err := proto.MarshalOptions{Deterministic: true}.Marshal(match)
		if err != nil {
			continue
		}
		if other, ok := seen[string(text)]; ok {
			v.bad("filter_chains", "Give each chain a match of its own.", "the filter chains %q and %q match the same connections", other, c.GetName())
		}
		seen[string(text)] = c.GetName()
	}
}

// filterChainRule is about the names and the filters of a chain.
func filterChainRule(v *visit, m proto.Message) {
	c := m.(*listenerv3.FilterChain)
	for _, name := range c.GetFilterChainMatch().GetServerNames() {
		if strings.Contains(strings.TrimPrefix(name, "*."), "*") || name == "*." {
			v.bad("filter_chain_match.server_names", "Write a name, or *. and the end of names.", "%q has a star that does not stand for whole labels at the front", name)
		}
	}
	var filters []filter
	for _, f := range c.GetFilters() {
		filters = append(filters, filter{f.GetName(), f.GetTypedConfig(), f.GetConfigDiscovery() != nil})
	}
	terminal(v, "filters", filters, "type.googleapis.com/envoy.extensions.filters.network.",
		"http_connection_manager.v3.HttpConnectionManager", "tcp_proxy.v3.TcpProxy", "redis_proxy.v3.RedisProxy", "thrift_proxy.v3.ThriftProxy",
		"dubbo_proxy.v3.DubboProxy", "generic_proxy.v3.GenericProxy", "echo.v3.Echo", "direct_response.v3.Config",
		"reverse_tunnel.v3.ReverseTunnel", "reverse_tunnel.v3.DrainAwareHttpConnectionManager")
}

// filter is one of a list of filters.
type filter struct {
	name    string
	config  *anypb.Any
	unknown bool // its type comes from elsewhere
}

// terminal wants a filter that ends the chain at its end, and nowhere else.
func terminal(v *visit, field string, filters []filter, prefix string, ends ...string) {
	for i, f := range filters {
		url := f.config.GetTypeUrl()
		short, ours := strings.CutPrefix(url, prefix)
		last, is := i == len(filters)-1, ours && slices.Contains(ends, short)
		switch {
		case f.unknown, url == "", strings.HasSuffix(url, ".TypedStruct"), strings.Contains(url, ".dynamic_modules."), strings.Contains(url, ".matching."):
		case is && !last:
			v.bad(field, "Put it at the end.", "the filter %s answers itself, so no other can follow it", f.name)
		case !is && last:
			v.bad(field, "Put a filter behind it that answers, as the router or the proxy for TCP.", "the filter %s is the last one, and passes on what comes", f.name)
		}
	}
}

// connectionManagerRule is about the filters and settings of HTTP (source/extensions/filters/network/http_connection_manager).
func connectionManagerRule(v *visit, m proto.Message) {
	h := m.(*hcmv3.HttpConnectionManager)
	var filters []filter
	for _, f := range h.GetHttpFilters() {
		filters = append(filters, filter{f.GetName(), f.GetTypedConfig(), f.GetConfigDiscovery() != nil})
	}
	terminal(v, "http_filters", filters, "type.googleapis.com/envoy.extensions.filters.http.", "router.v3.Router", "mcp_router.v3.McpRouter")
	upgrades := map[string]bool{}
	for _, u := range h.GetUpgradeConfigs() {
		name := strings.ToLower(u.GetUpgradeType())
		if upgrades[name] {
			v.bad("upgrade_configs", "Name each upgrade once.", "the upgrade %q is named twice", u.GetUpgradeType())
		}
		upgrades[name] = true
	}
	const enablePush = 2
	for _, p := range h.GetHttp2ProtocolOptions().GetCustomSettingsParameters() {
		if p.GetIdentifier().GetValue() == enablePush && p.GetValue().GetValue() != 0 {
			v.bad("http2_protocol_options.custom_settings_parameters", "Remove it.", "Envoy does not push")
		}
	}
}
