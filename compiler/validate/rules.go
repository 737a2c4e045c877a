package validate

import (
	"maps"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rules lists what Envoy checks when it builds something of a message, by the type of the message.
func rules() map[protoreflect.FullName]rule {
	all := map[protoreflect.FullName]rule{
		"google.protobuf.Any":      anyRule,
		"google.protobuf.Duration": durationRule,

		"envoy.config.cluster.v3.Cluster":                                 clusterRule,
		"envoy.config.cluster.v3.Cluster.LbSubsetConfig.LbSubsetSelector": subsetSelectorRule,
		"envoy.config.core.v3.CidrRange":                                  cidrRule,
		"envoy.config.core.v3.HeaderValueOption":                          headerRule,
		"envoy.config.core.v3.HealthCheck":                                healthCheckRule,
		"envoy.config.core.v3.HealthCheck.GrpcHealthCheck":                addedRule((*corev3.HealthCheck_GrpcHealthCheck).GetInitialMetadata, "initial_metadata"),
		"envoy.config.core.v3.Http2ProtocolOptions":                       http2Rule,
		"envoy.config.core.v3.Pipe":                                       pipeRule,
		"envoy.config.core.v3.SubstitutionFormatString":                   formatRule,
		"envoy.config.endpoint.v3.ClusterLoadAssignment.Policy":           dropRule,
		"envoy.config.listener.v3.FilterChain":                            filterChainRule,
		"envoy.config.listener.v3.Listener":                               listenerRule,
		"envoy.config.ratelimit.v3.RateLimitServiceConfig":                versionRule,
		"envoy.config.rbac.v3.Permission":                                 permissionRule,
		"envoy.config.rbac.v3.Policy":                                     rbacPolicyRule,
		"envoy.config.route.v3.Route":                                     headersRule,
		"envoy.config.route.v3.RouteAction":                               routeActionRule,
		"envoy.config.route.v3.RouteConfiguration":                        routeConfigurationRule,
		"envoy.config.route.v3.VirtualHost":                               virtualHostRule,
		"envoy.config.route.v3.WeightedCluster.ClusterWeight":             headersRule,
		"envoy.type.matcher.v3.RegexMatcher":                              regexRule,
		"envoy.type.matcher.v3.StringMatcher":                             stringRule,
	}
	maps.Copy(all, extensionRules())
	for name, list := range fits() {
		all[name] = joined(all[name], fitRule(list))
	}
	return all
}

// extensionRules are those about extensions.
func extensionRules() map[protoreflect.FullName]rule {
	const (
		log     = "envoy.extensions.access_loggers."
		http    = "envoy.extensions.filters.http."
		manager = "envoy.extensions.filters.network.http_connection_manager.v3."
		tls     = "envoy.extensions.transport_sockets.tls.v3."
	)
	return map[protoreflect.FullName]rule{
		log + "file.v3.FileAccessLog":                          fileLogRule,
		log + "filters.cel.v3.ExpressionFilter":                expressionRule,
		log + "open_telemetry.v3.OpenTelemetryAccessLogConfig": otelLogRule,
		http + "api_key_auth.v3.ApiKeyAuth":                    apiKeyRule,
		http + "basic_auth.v3.BasicAuth":                       usersRule,
		http + "ext_authz.v3.ExtAuthz":                         versionRule,
		http + "ext_authz.v3.HttpService":                      authzServiceRule,
		http + "ext_proc.v3.ExternalProcessor":                 processorRule,
		http + "jwt_authn.v3.JwtAuthentication":                jwtRule,
		http + "local_ratelimit.v3.LocalRateLimit":             rateLimitRule,
		http + "lua.v3.Lua":                                    luaRule,
		http + "lua.v3.LuaPerRoute":                            luaRouteRule,
		http + "wasm.v3.Wasm":                                  wasmFilterRule,
		manager + "HttpConnectionManager":                      connectionManagerRule,
		manager + "ResponseMapper":                             addedRule((*hcmv3.ResponseMapper).GetHeadersToAdd, "headers_to_add"),
		tls + "CertificateValidationContext":                   trustRule,
		tls + "CommonTlsContext":                               commonTLSRule,
		tls + "DownstreamTlsContext":                           downstreamTLSRule,
		tls + "TlsParameters":                                  tlsParametersRule,
		tls + "UpstreamTlsContext":                             upstreamTLSRule,

		"envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit":    bucketRule,
		"envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol":      proxyProtocolRule,
		"envoy.extensions.filters.network.ext_authz.v3.ExtAuthz":                 versionRule,
		"envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit":     bucketRule,
		"envoy.extensions.filters.network.rbac.v3.RBAC":                          connectionRBACRule,
		"envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig": joined(tunnelRule, addedRule((*tcpproxyv3.TcpProxy_TunnelingConfig).GetHeadersToAdd, "headers_to_add")),
		"envoy.extensions.filters.network.wasm.v3.Wasm":                          wasmFilterRule,
		"envoy.extensions.load_balancing_policies.maglev.v3.Maglev":              maglevRule,
		"envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash":         ringRule,
		"envoy.extensions.network.dns_resolver.cares.v3.CaresDnsResolverConfig":  resolversRule,
		"envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig":     templateRule,
		"envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig":            specifierRule,
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":                 upstreamOptionsRule,
		"envoy.extensions.wasm.v3.PluginConfig":                                  wasmRule,
	}
}
