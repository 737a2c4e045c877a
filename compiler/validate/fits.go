package validate

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// fit says how fields of one message go together, where the constraints of Envoy's API do not say it and Envoy refuses the
// message when it builds something of it.
type fit struct {
	kind   fitKind
	fields []protoreflect.Name
}

type fitKind int

const (
	notBoth   fitKind = iota // at most one of the fields is set
	oneOf                    // exactly one is set
	someOf                   // at least one is set
	unused                   // none is set: Envoy does not implement them
	needs                    // the first is set only with the second
	ascending                // the duration of the first is not above that of the second, where both are set
)

// fits lists them by message, each with the place in Envoy's source that checks it.
func fits() map[protoreflect.FullName][]fit {
	const (
		core    = "envoy.config.core.v3."
		cluster = "envoy.config.cluster.v3."
		route   = "envoy.config.route.v3."
		manager = "envoy.extensions.filters.network.http_connection_manager.v3."
		http    = "envoy.extensions.filters.http."
	)
	packed := []fit{{someOf, []protoreflect.Name{"typed_config"}}}
	discovered := []fit{{someOf, []protoreflect.Name{"typed_config", "config_discovery"}}}
	metadata := []fit{{someOf, []protoreflect.Name{"on_present", "on_missing"}}}
	return map[protoreflect.FullName][]fit{
		// source/common/config/utility.h: extensions are looked up by the type of their configuration.
		core + "TransportSocket":                  packed,
		core + "HealthCheck.CustomHealthCheck":    packed,
		"envoy.config.accesslog.v3.AccessLog":     packed,
		"envoy.config.trace.v3.Tracing.Http":      packed,
		route + "RetryPolicy.RetryHostPredicate":  packed,
		route + "RetryPolicy.RetryPriority":       packed,
		cluster + "Filter":                        discovered,
		"envoy.config.listener.v3.Filter":         discovered,
		"envoy.config.listener.v3.ListenerFilter": discovered,
		manager + "HttpFilter":                    discovered,
		// source/extensions/filters/network/http_connection_manager/config.cc
		manager + "HttpConnectionManager": {
			{notBoth, []protoreflect.Name{"strip_matching_host_port", "strip_any_host_port"}},
			{notBoth, []protoreflect.Name{"access_log_flush_interval", "access_log_options"}},
			{notBoth, []protoreflect.Name{"flush_access_log_on_new_request", "access_log_options"}},
			{notBoth, []protoreflect.Name{"original_ip_detection_extensions", "use_remote_address"}},
			{notBoth, []protoreflect.Name{"original_ip_detection_extensions", "xff_num_trusted_hops"}},
			{unused, []protoreflect.Name{"typed_header_validation_config"}}, // not in the release
		},
		// source/extensions/http/original_ip_detection/xff/xff.cc
		"envoy.extensions.http.original_ip_detection.xff.v3.XffConfig": {{notBoth, []protoreflect.Name{"xff_num_trusted_hops", "xff_trusted_cidrs"}}},
		// source/extensions/tracers/opentelemetry/opentelemetry_tracer_impl.cc
		"envoy.config.trace.v3.OpenTelemetryConfig": {{oneOf, []protoreflect.Name{"grpc_service", "http_service", "exporter"}}},
		// source/common/listener_manager/filter_chain_manager_impl.cc
		"envoy.config.listener.v3.FilterChainMatch": {{unused, []protoreflect.Name{"address_suffix", "suffix_len"}}},
		// source/common/router/config_impl.cc and retry_policy_impl.cc
		route + "VirtualHost":                     {{notBoth, []protoreflect.Name{"routes", "matcher"}}},
		route + "VirtualCluster":                  {{someOf, []protoreflect.Name{"headers"}}},
		route + "RouteAction.RequestMirrorPolicy": {{oneOf, []protoreflect.Name{"cluster", "cluster_header"}}},
		route + "WeightedCluster.ClusterWeight":   {{oneOf, []protoreflect.Name{"name", "cluster_header"}}},
		route + "RetryPolicy.RetryBackOff":        {{ascending, []protoreflect.Name{"base_interval", "max_interval"}}},
		core + "BackoffStrategy":                  {{ascending, []protoreflect.Name{"base_interval", "max_interval"}}},
		// source/common/upstream and source/extensions/clusters
		cluster + "Cluster.RefreshRate":      {{ascending, []protoreflect.Name{"base_interval", "max_interval"}}},
		cluster + "LoadBalancingPolicy":      {{someOf, []protoreflect.Name{"policies"}}},
		cluster + "OutlierDetection":         {{ascending, []protoreflect.Name{"base_ejection_time", "max_ejection_time"}}},
		"envoy.config.tap.v3.TapConfig":      {{oneOf, []protoreflect.Name{"match", "match_config"}}},
		"envoy.config.trace.v3.ZipkinConfig": {{someOf, []protoreflect.Name{"collector_endpoint_version"}}},
		core + "KeyValueMutation":            {{notBoth, []protoreflect.Name{"append", "remove"}}},
		// the filters in source/extensions/filters/http
		http + "api_key_auth.v3.KeySource":                          {{oneOf, []protoreflect.Name{"header", "query", "cookie"}}},
		http + "health_check.v3.HealthCheck":                        {{needs, []protoreflect.Name{"cache_time", "pass_through_mode"}}},
		"envoy.extensions.geoip_providers.maxmind.v3.MaxMindConfig": {{someOf, []protoreflect.Name{"city_db_path", "isp_db_path", "asn_db_path", "anon_db_path", "country_db_path"}}},
		http + "cache.v3.CacheConfig":                               {{someOf, []protoreflect.Name{"typed_config", "disabled"}}},
		http + "ext_proc.v3.ExternalProcessor":                      {{oneOf, []protoreflect.Name{"grpc_service", "http_service"}}, {notBoth, []protoreflect.Name{"disable_clear_route_cache", "route_cache_action"}}},
		http + "header_to_metadata.v3.Config.Rule":                  {{notBoth, []protoreflect.Name{"header", "cookie"}}, {someOf, []protoreflect.Name{"on_header_present", "on_header_missing"}}},
		http + "header_to_metadata.v3.Config.KeyValuePair":          {{notBoth, []protoreflect.Name{"value", "regex_value_rewrite"}}},
		http + "json_to_metadata.v3.JsonToMetadata.Rule":            metadata,
		http + "thrift_to_metadata.v3.Rule":                         metadata,
		http + "local_ratelimit.v3.LocalRateLimit":                  {{unused, []protoreflect.Name{"local_cluster_rate_limit"}}},
	}
}

// fitRule holds a message to how its fields go together.
func fitRule(list []fit) rule {
	return func(v *visit, m proto.Message) {
		for _, f := range list {
			f.check(v, m.ProtoReflect())
		}
	}
}

func (f fit) check(v *visit, m protoreflect.Message) {
	var set []string
	for _, name := range f.fields {
		if given(m, name) {
			set = append(set, string(name))
		}
	}
	var all []string
	for _, name := range f.fields {
		all = append(all, string(name))
	}
	switch f.kind {
	case notBoth, oneOf:
		if len(set) > 1 {
			v.bad(set[1], "Keep one of them.", "%s exclude each other", strings.Join(set, " and "))
		}
		if f.kind == oneOf && len(set) == 0 {
			v.bad("", "Set one of them.", "none of %s is set", strings.Join(all, ", "))
		}
	case someOf:
		if len(set) == 0 {
			v.bad("", "Set it.", "%s is not set", strings.Join(all, " or "))
		}
	case unused:
		for _, name := range set {
			v.bad(name, "Remove it.", "%s cannot be used", name)
		}
	case needs:
		if len(set) == 1 && set[0] == all[0] {
			v.bad(all[0], "Set it, or remove "+all[0]+".", "%s needs %s", all[0], all[1])
		}
	case ascending:
		if len(set) == len(all) && nanoseconds(m, f.fields[0]) > nanoseconds(m, f.fields[1]) {
			v.bad(all[1], "Make it at least as long.", "%s is shorter than %s", all[1], all[0])
		}
	}
}

// given tells whether a field is set to something: a switch that is off counts as not set.
func given(m protoreflect.Message, name protoreflect.Name) bool {
	f := m.Descriptor().Fields().ByName(name)
	if !m.Has(f) {
		return false
	}
	if b, ok := m.Get(f).Interface().(protoreflect.Message); ok {
		if b, ok := b.Interface().(*wrapperspb.BoolValue); ok {
			return b.GetValue()
		}
	}
	return true
}

// nanoseconds is the duration in a field.
func nanoseconds(m protoreflect.Message, name protoreflect.Name) int64 {
	d, ok := m.Get(m.Descriptor().Fields().ByName(name)).Message().Interface().(*durationpb.Duration)
	if !ok {
		return 0
	}
	return d.AsDuration().Nanoseconds()
}

// joined are two rules for one message.
func joined(a, b rule) rule {
	if a == nil {
		return b
	}
	return func(v *visit, m proto.Message) {
		a(v, m)
		b(v, m)
	}
}
