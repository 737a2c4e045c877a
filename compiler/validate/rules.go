package validate

import (
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rules lists what Envoy checks when it builds something of a message, by the type of the message.
func rules() map[protoreflect.FullName]rule {
	const http = "envoy.extensions.filters.http."
	return map[protoreflect.FullName]rule{
		"google.protobuf.Any":      anyRule,
		"google.protobuf.Duration": durationRule,

		"envoy.config.cluster.v3.Cluster":                                                   clusterRule,
		"envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter":                   expressionRule,
		"envoy.config.core.v3.HeaderValueOption":                                            headerRule,
		"envoy.config.core.v3.SubstitutionFormatString":                                     formatRule,
		"envoy.extensions.access_loggers.file.v3.FileAccessLog":                             fileLogRule,
		"envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig":    otelLogRule,
		"envoy.config.core.v3.CidrRange":                                                    cidrRule,
		"envoy.config.core.v3.HealthCheck":                                                  healthCheckRule,
		"envoy.config.listener.v3.FilterChain":                                              filterChainRule,
		"envoy.config.listener.v3.Listener":                                                 listenerRule,
		"envoy.config.rbac.v3.Policy":                                                       rbacPolicyRule,
		"envoy.config.route.v3.Route":                                                       headersRule,
		"envoy.config.route.v3.RouteAction":                                                 routeActionRule,
		"envoy.config.route.v3.RouteConfiguration":                                          routeConfigurationRule,
		"envoy.config.route.v3.VirtualHost":                                                 headersRule,
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
}
