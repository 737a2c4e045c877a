package envoy

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	grpcwebv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_web/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	mongov3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/mongo_proxy/v3"
	tcpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/mesh"
)

// This file is the one place that says in which order filters run. A filter that is nil in a list is left out.

// httpFilters is the order of HTTP filters in every connection manager. auth holds what security asks for, in its own
// order: external authorization, JWT, RBAC; outbound has none.
// dynamic is what looks up the host of a request, nil where no route needs it.
func httpFilters(auth []*hcmv3.HttpFilter, protocol mesh.Protocol, dynamic *hcmv3.HttpFilter, router *routerv3.Router) []*hcmv3.HttpFilter {
	return append(auth[:len(auth):len(auth)], present([]*hcmv3.HttpFilter{
		when(protocol == mesh.GRPCWeb, httpFilter("envoy.filters.http.grpc_web", &grpcwebv3.GrpcWeb{})),
		httpFilter("envoy.filters.http.grpc_stats", &grpcstatsv3.FilterConfig{
			EmitFilterState:        true,
			PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{StatsForAllMethods: boolean(false)},
		}),
		httpFilter("envoy.filters.http.fault", &faultv3.HTTPFault{}),
		httpFilter("envoy.filters.http.cors", &corsv3.Cors{}),
		dynamic,
		httpFilter("envoy.filters.http.router", router),
	})...)
}

// tcpFilters is the order of network filters in a chain that does not parse HTTP. Mongo is the only protocol whose
// filter Istio switches on by default and stock Envoy has.
func tcpFilters(auth []*listenerv3.Filter, protocol mesh.Protocol, proxy *tcpv3.TcpProxy) []*listenerv3.Filter {
	return append(auth[:len(auth):len(auth)], present([]*listenerv3.Filter{
		when(protocol == mesh.Mongo, networkFilter("envoy.filters.network.mongo_proxy", &mongov3.MongoProxy{StatPrefix: proxy.StatPrefix})),
		networkFilter("envoy.filters.network.tcp_proxy", proxy),
	})...)
}

// httpChainFilters is the order of network filters in a chain that parses HTTP.
func httpChainFilters(manager *hcmv3.HttpConnectionManager) []*listenerv3.Filter {
	return []*listenerv3.Filter{networkFilter("envoy.filters.network.http_connection_manager", manager)}
}

func httpFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: Any(config)}}
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: Any(config)}}
}

func when[T any](condition bool, v *T) *T {
	if condition {
		return v
	}
	return nil
}

func present[T any](list []*T) []*T {
	var out []*T
	for _, v := range list {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}

// Logs are the access loggers of one proxy, settled from Telemetry and MeshConfig.
type Logs struct {
	HTTP     []*accesslogv3.AccessLog // on connection managers
	TCP      []*accesslogv3.AccessLog // on TCP proxies
	Listener []*accesslogv3.AccessLog // on listeners, for connections that match no chain
}
