package validate

import (
	_ "embed"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// stock are the extensions that the release of Envoy 1.40 announces, by category: what a node message lists under
// extensions. A test with a real Envoy holds it to that.
//
//go:embed extensions.txt
var stock string

// extensions reads the list: one category a line, then the messages that configure its extensions.
func extensions() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	for line := range strings.Lines(stock) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		set := map[string]bool{}
		for _, w := range words[1:] {
			set[w] = true
		}
		out[words[0]] = set
	}
	return out
}

// extension checks that stock Envoy has the extension that a message configures, in one of the categories of the place, and
// notes that the message needs it.
func (v *visit) extension(name string) {
	if v.categories == nil {
		return
	}
	if slices.ContainsFunc(v.categories, func(c string) bool { return v.checker.extensions[c][name] }) {
		v.Extensions = append(v.Extensions, name)
		return
	}
	v.bad("", "Use an extension that the release of Envoy has, and the place that it is for.", "stock Envoy has no extension of %s that takes %s", strings.Join(v.categories, " or "), name)
}

// Filters of HTTP for requests that come and for those that go to a cluster: one message holds both, and what is around it tells.
const (
	filtersHTTP     = "envoy.filters.http"
	upstreamFilters = "envoy.filters.http.upstream"
)

// perRoute is the category of what configures a filter for a virtual host or route. Envoy has no name for it: the list holds
// what it takes there.
const perRoute = "per-route"

// categories are those of the extensions that a field can hold, packed in it or one message below: what the reference of
// Envoy's API says under extension-category.
func categories() map[protoreflect.FullName][]string {
	out := map[protoreflect.FullName][]string{}
	add := func(category string, fields ...protoreflect.FullName) {
		for _, f := range fields {
			out[f] = append(out[f], category)
		}
	}
	const (
		hcm  = "envoy.extensions.filters.network.http_connection_manager.v3."
		core = "envoy.config.core.v3."
	)
	add("envoy.access_loggers", "envoy.config.accesslog.v3.AccessLog.typed_config")
	add("envoy.access_loggers.extension_filters", "envoy.config.accesslog.v3.AccessLogFilter.extension_filter")
	add("envoy.clusters", "envoy.config.cluster.v3.Cluster.cluster_type")
	add("envoy.compression.compressor", "envoy.extensions.filters.http.compressor.v3.Compressor.compressor_library")
	add("envoy.compression.decompressor", "envoy.extensions.filters.http.decompressor.v3.Decompressor.decompressor_library")
	add("envoy.content_parsers", "envoy.extensions.filters.http.sse_to_metadata.v3.SseToMetadata.ProcessingRules.content_parser")
	add(filtersHTTP, hcm+"HttpFilter.typed_config", "envoy.extensions.filters.http.composite.v3.ExecuteFilterAction.typed_config", "envoy.extensions.filters.http.filter_chain.v3.FilterChain.filters")
	add(upstreamFilters, "envoy.extensions.filters.http.router.v3.Router.upstream_http_filters", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.http_filters")
	add("envoy.filters.listener", "envoy.config.listener.v3.ListenerFilter.typed_config")
	add("envoy.filters.network", "envoy.config.listener.v3.Filter.typed_config")
	add("envoy.filters.udp_listener", "envoy.config.listener.v3.ListenerFilter.typed_config")
	add("envoy.filters.udp.session", "envoy.extensions.filters.udp.udp_proxy.v3.UdpProxyConfig.session_filters")
	add("envoy.filters.upstream_network", "envoy.config.cluster.v3.Filter.typed_config")
	add("envoy.formatter", core+"SubstitutionFormatString.formatters", core+"HttpService.formatters",
		"envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig.formatters", "envoy.extensions.access_loggers.fluentd.v3.FluentdAccessLogConfig.formatters",
		"envoy.extensions.filters.http.header_mutation.v3.Mutations.formatters", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig.formatters")
	add("envoy.health_check.event_sinks", core+"HealthCheck.event_logger")
	add("envoy.health_checkers", core+"HealthCheck.CustomHealthCheck.typed_config")
	add("envoy.http.custom_response", "envoy.extensions.filters.http.custom_response.v3.CustomResponse.custom_response_matcher")
	add("envoy.http.early_header_mutation", hcm+"HttpConnectionManager.early_header_mutation_extensions")
	add("envoy.http.header_validators", hcm+"HttpConnectionManager.typed_header_validation_config", "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.header_validation_config")
	add("envoy.http.injected_credentials", "envoy.extensions.filters.http.credential_injector.v3.CredentialInjector.credential")
	add("envoy.http.original_ip_detection", hcm+"HttpConnectionManager.original_ip_detection_extensions")
	add("envoy.http.stateful_header_formatters", core+"Http1ProtocolOptions.HeaderKeyFormat.stateful_formatter")
	add("envoy.http.stateful_session", "envoy.extensions.filters.http.stateful_session.v3.StatefulSession.session_state")
	add("envoy.internal_redirect_predicates", "envoy.config.route.v3.InternalRedirectPolicy.predicates")
	add("envoy.load_balancing_policies", "envoy.config.cluster.v3.LoadBalancingPolicy.Policy.typed_extension_config")
	add("envoy.network.dns_resolver", "envoy.config.cluster.v3.Cluster.typed_dns_resolver_config", "envoy.extensions.clusters.dns.v3.DnsCluster.typed_dns_resolver_config",
		"envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig.typed_dns_resolver_config", "envoy.extensions.filters.udp.dns_filter.v3.DnsFilterConfig.ClientContextConfig.typed_dns_resolver_config")
	add("envoy.path.match", "envoy.config.route.v3.RouteMatch.path_match_policy", "envoy.config.rbac.v3.Permission.uri_template")
	add("envoy.path.rewrite", "envoy.config.route.v3.RouteAction.path_rewrite_policy")
	add("envoy.rate_limit_descriptors", "envoy.config.route.v3.RateLimit.Action.extension")
	add("envoy.rbac.matchers", "envoy.config.rbac.v3.Permission.matcher")
	add("envoy.rbac.principals", "envoy.config.rbac.v3.Principal.custom")
	add("envoy.rbac.audit_loggers", "envoy.config.rbac.v3.RBAC.AuditLoggingOptions.AuditLoggerConfig.audit_logger")
	add("envoy.request_id", hcm+"HttpConnectionManager.request_id_extension")
	add("envoy.retry_host_predicates", "envoy.config.route.v3.RetryPolicy.RetryHostPredicate.typed_config")
	add("envoy.retry_options_predicates", "envoy.config.route.v3.RetryPolicy.retry_options_predicates")
	add("envoy.retry_priorities", "envoy.config.route.v3.RetryPolicy.RetryPriority.typed_config")
	add("envoy.route.early_data_policy", "envoy.config.route.v3.RouteAction.early_data_policy")
	add("envoy.router.cluster_specifier_plugin", "envoy.config.route.v3.ClusterSpecifierPlugin.extension")
	add("envoy.router.route_specifiers", "envoy.config.route.v3.RouteConfiguration.route_specifiers")
	add("envoy.string_matcher", "envoy.type.matcher.v3.StringMatcher.custom")
	add("envoy.tls.cert_validator", "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext.custom_validator_config")
	add("envoy.tracers", "envoy.config.trace.v3.Tracing.Http.typed_config")
	add("envoy.tracers.opentelemetry.resource_detectors", "envoy.config.trace.v3.OpenTelemetryConfig.resource_detectors",
		"envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig.resource_detectors")
	add("envoy.tracers.opentelemetry.samplers", "envoy.config.trace.v3.OpenTelemetryConfig.sampler", "envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig.wrapped_sampler")
	add("envoy.transport_sockets.downstream", "envoy.config.listener.v3.FilterChain.transport_socket")
	add("envoy.transport_sockets.upstream", "envoy.config.cluster.v3.Cluster.transport_socket", "envoy.config.cluster.v3.Cluster.TransportSocketMatch.transport_socket")
	add("envoy.udp_packet_writer", "envoy.config.listener.v3.UdpListenerConfig.udp_packet_packet_writer_config")
	add("envoy.upstream.local_address_selector", core+"BindConfig.local_address_selector")
	add("envoy.upstream_options", "envoy.config.cluster.v3.Cluster.typed_extension_protocol_options")
	add("envoy.upstreams", "envoy.config.cluster.v3.Cluster.upstream_config")
	add(perRoute, "envoy.config.route.v3.VirtualHost.typed_per_filter_config", "envoy.config.route.v3.Route.typed_per_filter_config", "envoy.config.route.v3.RouteConfiguration.typed_per_filter_config",
		"envoy.config.route.v3.WeightedCluster.ClusterWeight.typed_per_filter_config")
	return out
}
