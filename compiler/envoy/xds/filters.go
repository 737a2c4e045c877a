package xds

import (
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

// HTTPFilters is the order of HTTP filters in every connection manager. auth holds what security asks for, in its own
// order: external authorization, JWT, RBAC; outbound has none.
// dynamic is what looks up the host of a request, nil where no route needs it.
func HTTPFilters(auth []*hcmv3.HttpFilter, protocol mesh.Protocol, dynamic *hcmv3.HttpFilter, router *routerv3.Router) []*hcmv3.HttpFilter {
	return append(auth[:len(auth):len(auth)], Present([]*hcmv3.HttpFilter{
		When(protocol == mesh.GRPCWeb, HTTPFilter("envoy.filters.http.grpc_web", &grpcwebv3.GrpcWeb{})),
		HTTPFilter("envoy.filters.http.grpc_stats", &grpcstatsv3.FilterConfig{
			EmitFilterState:        true,
			PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{StatsForAllMethods: Bool(false)},
		}),
		HTTPFilter("envoy.filters.http.fault", &faultv3.HTTPFault{}),
		HTTPFilter("envoy.filters.http.cors", &corsv3.Cors{}),
		dynamic,
		HTTPFilter("envoy.filters.http.router", router),
	})...)
}

// TCPFilters is the order of network filters in a chain that does not parse HTTP. Mongo is the only protocol whose
// filter Istio switches on by default and stock Envoy has.
func TCPFilters(auth []*listenerv3.Filter, protocol mesh.Protocol, proxy *tcpv3.TcpProxy) []*listenerv3.Filter {
	return append(auth[:len(auth):len(auth)], Present([]*listenerv3.Filter{
		When(protocol == mesh.Mongo, NetworkFilter("envoy.filters.network.mongo_proxy", &mongov3.MongoProxy{StatPrefix: proxy.StatPrefix})),
		NetworkFilter("envoy.filters.network.tcp_proxy", proxy),
	})...)
}

// HTTPChainFilters is the order of network filters in a chain that parses HTTP.
func HTTPChainFilters(manager *hcmv3.HttpConnectionManager) []*listenerv3.Filter {
	return []*listenerv3.Filter{NetworkFilter("envoy.filters.network.http_connection_manager", manager)}
}

func HTTPFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: Any(config)}}
}

func NetworkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: Any(config)}}
}

func When[T any](condition bool, v *T) *T {
	if condition {
		return v
	}
	return nil
}

func Present[T any](list []*T) []*T {
	var out []*T
	for _, v := range list {
		if v != nil {
			out = append(out, v)
		}
	}
	return out
}
