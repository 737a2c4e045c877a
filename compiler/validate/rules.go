package validate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rules lists what Envoy checks when it builds something of a message, by the type of the message.
func rules() map[protoreflect.FullName]rule {
	const http = "envoy.extensions.filters.http."
	all := map[protoreflect.FullName]rule{
		"google.protobuf.Any":      anyRule,
		"google.protobuf.Duration": durationRule,

		"envoy.config.cluster.v3.Cluster":                                                clusterRule,
		"envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter":                expressionRule,
		"envoy.config.core.v3.HeaderValueOption":                                         headerRule,
		"envoy.config.core.v3.SubstitutionFormatString":                                  formatRule,
		"envoy.extensions.access_loggers.file.v3.FileAccessLog":                          fileLogRule,
		"envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig": otelLogRule,
		"envoy.config.core.v3.CidrRange":                                                 cidrRule,
		"envoy.config.core.v3.HealthCheck":                                               healthCheckRule,
		"envoy.config.listener.v3.FilterChain":                                           filterChainRule,
		"envoy.config.listener.v3.Listener":                                              listenerRule,
		"envoy.config.rbac.v3.Policy":                                                    rbacPolicyRule,
		"envoy.config.route.v3.Route":                                                    headersRule,
		"envoy.config.route.v3.RouteAction":                                              routeActionRule,
		"envoy.config.route.v3.RouteConfiguration":                                       routeConfigurationRule,
		"envoy.config.route.v3.VirtualHost":                                              virtualHostRule,
		"envoy.config.core.v3.Http2ProtocolOptions":                                      http2Rule,
		"envoy.config.core.v3.Pipe":                                                      pipeRule,
		"envoy.config.endpoint.v3.LocalityLbEndpoints":                                   localityRule,
		"envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector":                subsetSelectorRule,
		"envoy.extensions.load_balancing_policies.maglev.v3.Maglev":                      maglevRule,
		"envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash":                 ringRule,
		"envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig":                    specifierRule,
		"envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig":             templateRule,
		"envoy.extensions.transport_sockets.tls.v3.CommonTlsContext":                     commonTLSRule,
		"envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext":                 downstreamTLSRule,
		"envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit":             bucketRule,
		"envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit":            bucketRule,
		"envoy.type.matcher.v3.StringMatcher":                                            stringRule,
		"envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper":     addedRule(func(m proto.Message) []*corev3.HeaderValueOption { return m.(*hcmv3.ResponseMapper).GetHeadersToAdd() }, "headers_to_add"),
		"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig": addedRule(func(m proto.Message) []*corev3.HeaderValueOption {
			return m.(*tcpproxyv3.TcpProxy_TunnelingConfig).GetHeadersToAdd()
		}, "headers_to_add"),
		"envoy.config.core.v3.HealthCheck.GrpcHealthCheck": addedRule(func(m proto.Message) []*corev3.HeaderValueOption {
			return m.(*corev3.HealthCheck_GrpcHealthCheck).GetInitialMetadata()
		}, "initial_metadata"),
		"envoy.config.route.v3.WeightedCluster.ClusterWeight":                               headersRule,
		"envoy.type.matcher.v3.RegexMatcher":                                                regexRule,
		http + "ext_authz.v3.HttpService":                                                   authzServiceRule,
		http + "jwt_authn.v3.JwtAuthentication":                                             jwtRule,
		http + "local_ratelimit.v3.LocalRateLimit":                                          rateLimitRule,
		http + "lua.v3.Lua":                                                                 luaRule,
		http + "lua.v3.LuaPerRoute":                                                         luaRouteRule,
		http + "wasm.v3.Wasm":                                                               wasmFilterRule,
		"envoy.extensions.filters.network.wasm.v3.Wasm":                                     wasmFilterRule,
		"envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext":            trustRule,
		"envoy.extensions.wasm.v3.PluginConfig":                                             wasmRule,
		"envoy.extensions.transport_sockets.tls.v3.TlsParameters":                           tlsParametersRule,
		"envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext":                      upstreamTLSRule,
		"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": connectionManagerRule,
	}
	for name, list := range fits() {
		all[name] = joined(all[name], fitRule(list))
	}
	return all
}
