package validate

import (
	"fmt"
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

// listenerRule is about the addresses of a listener and its filter chains (source/common/listener_manager).
func listenerRule(v *visit, m proto.Message) {
	l := m.(*listenerv3.Listener)
	if l.GetApiListener() != nil {
		return
	}
	if l.GetInternalListener() != nil {
		if l.GetAddress() != nil {
			v.bad("address", "Remove it.", "an internal listener has an address")
		}
		return
	}
	addresses := []*corev3.Address{l.GetAddress()}
	for _, a := range l.GetAdditionalAddresses() {
		addresses = append(addresses, a.GetAddress())
	}
	for i, a := range addresses {
		listenerAddress(v, l, a, i > 0)
	}
	datagrams := l.GetAddress().GetSocketAddress().GetProtocol() == corev3.SocketAddress_UDP
	chains := len(l.GetFilterChains()) > 0 || l.GetDefaultFilterChain() != nil
	switch {
	case datagrams && l.GetUdpListenerConfig().GetQuicOptions() != nil:
	case datagrams && chains:
		v.bad("filter_chains", "Remove them, and use listener filters.", "a listener for UDP has filter chains")
	case datagrams:
		udpFilters(v, l)
	case !chains && l.GetAddress().GetAddress() != nil:
		v.bad("filter_chains", "Add a filter chain.", "the listener has no filter chain")
	}
	if l.GetFilterChainMatcher() != nil {
		filterChainNames(v, l.GetFilterChains())
		return
	}
	filterChainMatches(v, l.GetFilterChains())
}

// listenerAddress is about one address of a listener.
func listenerAddress(v *visit, l *listenerv3.Listener, a *corev3.Address, additional bool) {
	field := "address"
	if additional {
		field = "additional_addresses"
	}
	socket := a.GetSocketAddress()
	switch {
	case a.GetAddress() == nil:
		v.bad(field, "Add an address.", "the listener has no address")
	case a.GetEnvoyInternalAddress() != nil:
		v.bad(field, "Write internal_listener: {} instead.", "the listener has an internal address")
	case socket != nil && socket.GetResolverName() == "" && !isIP(socket.GetAddress()):
		v.bad(field, "Write an IP address.", "%q is no IP address", socket.GetAddress())
	case socket.GetNamedPort() != "" && socket.GetResolverName() == "":
		v.bad(field, "Write port_value.", "the port is the name %q, which nothing resolves", socket.GetNamedPort())
	case socket == nil && l.GetEnableMptcp():
		v.bad("enable_mptcp", "Remove it.", "a listener at a socket of the file system has no TCP")
	case additional && socket.GetProtocol() != l.GetAddress().GetSocketAddress().GetProtocol():
		v.bad(field, "Use one protocol.", "the addresses of the listener are of TCP and of UDP")
	}
}

// udpFilters wants the filters that take datagrams.
func udpFilters(v *visit, l *listenerv3.Listener) {
	for i, f := range l.GetListenerFilters() {
		if url := f.GetTypedConfig().GetTypeUrl(); url != "" && !strings.HasPrefix(url, "type.googleapis.com/envoy.extensions.filters.udp.") {
			v.bad(fmt.Sprintf("listener_filters[%d]", i), "Use filters for UDP, or an address of TCP.", "the filter %s takes no datagrams, and the listener is for UDP", f.GetName())
		}
	}
}

// filterChainNames wants each chain to have a name of its own: a matcher chooses by it.
func filterChainNames(v *visit, chains []*listenerv3.FilterChain) {
	names := map[string]bool{}
	for _, c := range chains {
		switch {
		case c.GetName() == "":
			v.bad("filter_chains", "Give it one.", "a filter chain has no name, by which filter_chain_matcher could choose it")
		case names[c.GetName()]:
			v.bad("filter_chains", "Give each chain a name of its own; a matcher chooses by it.", "two filter chains have the name %q beside a filter_chain_matcher", c.GetName())
		}
		names[c.GetName()] = true
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
	terminal(v, "http_filters", httpFilters(h.GetHttpFilters()), httpFilterTypes, httpEnds()...)
	upgrades := map[string]bool{}
	for _, u := range h.GetUpgradeConfigs() {
		name := strings.ToLower(u.GetUpgradeType())
		if upgrades[name] {
			v.bad("upgrade_configs", "Name each upgrade once.", "the upgrade %q is named twice", u.GetUpgradeType())
		}
		upgrades[name] = true
		if len(u.GetFilters()) > 0 {
			terminal(v, "upgrade_configs", httpFilters(u.GetFilters()), httpFilterTypes, httpEnds()...)
		}
	}
}

const httpFilterTypes = "type.googleapis.com/envoy.extensions.filters.http."

// httpEnds are the filters of HTTP that answer a request.
func httpEnds() []string { return []string{"router.v3.Router", "mcp_router.v3.McpRouter"} }

func httpFilters(list []*hcmv3.HttpFilter) []filter {
	var out []filter
	for _, f := range list {
		out = append(out, filter{f.GetName(), f.GetTypedConfig(), f.GetConfigDiscovery() != nil})
	}
	return out
}
