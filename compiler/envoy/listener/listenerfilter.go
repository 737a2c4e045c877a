package listener

import (
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"
	originaldstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"
	originalsrcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	tlsinspectorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// The application protocols that the HTTP inspector reports for plain text.
func plainHTTP() []string { return []string{"http/1.1", "h2c"} }

// inspection says which inspectors a listener needs. Ports maps a destination port, 0 for all others, to its need.
type inspection struct {
	tls, http map[uint32]bool
}

// inspect derives from the matches of the chains what has to be known about a connection before a chain is chosen.
func inspect(chains []*listenerv3.FilterChain) inspection {
	in := inspection{tls: map[uint32]bool{}, http: map[uint32]bool{}}
	for _, c := range chains {
		m := c.GetFilterChainMatch()
		port := m.GetDestinationPort().GetValue()
		http := slices.Contains(m.GetApplicationProtocols(), "http/1.1") && m.GetTransportProtocol() == "raw_buffer"
		tls := c.GetTransportSocket() != nil || m.GetTransportProtocol() == "tls" || len(m.GetServerNames()) > 0 ||
			len(m.GetApplicationProtocols()) > 0 && !http
		in.tls[port] = in.tls[port] || tls
		in.http[port] = in.http[port] || http
	}
	return in
}

func anyOf(need map[uint32]bool) bool {
	for _, v := range need {
		if v {
			return true
		}
	}
	return false
}

// outboundInspectors returns the listener filters of an outbound listener. An HTTP inspector always has a TLS inspector
// in front of it, so that TLS is told from plain text.
func outboundInspectors(chains []*listenerv3.FilterChain) []*listenerv3.ListenerFilter {
	in := inspect(chains)
	http := anyOf(in.http)
	return xds.Present([]*listenerv3.ListenerFilter{
		xds.When(http || anyOf(in.tls), listenerFilter("envoy.filters.listener.tls_inspector", &tlsinspectorv3.TlsInspector{})),
		xds.When(http, listenerFilter("envoy.filters.listener.http_inspector", &httpinspectorv3.HttpInspector{})),
	})
}

// inboundFilters returns the listener filters of virtualInbound. Ports that need no inspection must not wait for the
// first bytes of the client, since the server may speak first, so the inspectors are disabled there.
func inboundFilters(chains []*listenerv3.FilterChain, originalDst, transparent bool) []*listenerv3.ListenerFilter {
	in := inspect(chains)
	tls := listenerFilter("envoy.filters.listener.tls_inspector", &tlsinspectorv3.TlsInspector{})
	tls.FilterDisabled = disabledPorts(in.tls)
	http := listenerFilter("envoy.filters.listener.http_inspector", &httpinspectorv3.HttpInspector{})
	http.FilterDisabled = disabledPorts(in.http)
	return xds.Present([]*listenerv3.ListenerFilter{
		xds.When(originalDst, listenerFilter("envoy.filters.listener.original_dst", &originaldstv3.OriginalDst{})),
		xds.When(originalDst && transparent, listenerFilter("envoy.filters.listener.original_src", &originalsrcv3.OriginalSrc{Mark: 1337})),
		xds.When(anyOf(in.tls), tls),
		xds.When(anyOf(in.http), http),
	})
}

// gatewayFilters returns the listener filters of a gateway listener.
func gatewayFilters(chains []*listenerv3.FilterChain, proxyProtocol bool) []*listenerv3.ListenerFilter {
	return xds.Present([]*listenerv3.ListenerFilter{
		xds.When(proxyProtocol, listenerFilter("envoy.filters.listener.proxy_protocol", &proxyprotocolv3.ProxyProtocol{})),
		xds.When(anyOf(inspect(chains).tls), listenerFilter("envoy.filters.listener.tls_inspector", &tlsinspectorv3.TlsInspector{})),
	})
}

// disabledPorts builds the predicate under which an inspector is skipped. With inspection by default, the ports that do
// not need it are listed; else all but the ports that need it.
func disabledPorts(need map[uint32]bool) *listenerv3.ListenerFilterChainMatchPredicate {
	byDefault := need[0]
	var ports []uint32
	for p, n := range need {
		if p != 0 && n != byDefault {
			ports = append(ports, p)
		}
	}
	if len(ports) == 0 {
		return nil
	}
	slices.Sort(ports)
	var rules []*listenerv3.ListenerFilterChainMatchPredicate
	for _, p := range ports {
		rules = append(rules, &listenerv3.ListenerFilterChainMatchPredicate{
			Rule: &listenerv3.ListenerFilterChainMatchPredicate_DestinationPortRange{
				DestinationPortRange: &typev3.Int32Range{Start: int32(p), End: int32(p) + 1},
			},
		})
	}
	listed := rules[0]
	if len(rules) > 1 {
		listed = &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_OrMatch{
			OrMatch: &listenerv3.ListenerFilterChainMatchPredicate_MatchSet{Rules: rules},
		}}
	}
	if byDefault {
		return listed
	}
	return &listenerv3.ListenerFilterChainMatchPredicate{Rule: &listenerv3.ListenerFilterChainMatchPredicate_NotMatch{NotMatch: listed}}
}

func listenerFilter(name string, config proto.Message) *listenerv3.ListenerFilter {
	return &listenerv3.ListenerFilter{Name: name, ConfigType: &listenerv3.ListenerFilter_TypedConfig{TypedConfig: xds.Any(config)}}
}
