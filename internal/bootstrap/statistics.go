package bootstrap

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Envoy takes the names of clusters and listeners out of the names of statistics, and makes labels of them, at the next dot.
// Those of a mesh have dots: web of namespace shop and web of namespace test would be one cluster in two statistics each.
// These expressions know where a name ends. Their first group is what leaves the name of the statistic, the second the value.
const (
	// clusterTag ends a name where one of Envoy's statistics of clusters begins.
	clusterTag = `^cluster\.((.+?)\.)(?:` + clusterStatistic + `)$`

	clusterStatistic = `[a-z0-9]+_[a-z0-9_]+(?:\..+)?` + // upstream_rq_2xx, circuit_breakers.default.cx_open
		`|version` +
		`|(?:internal|external|canary)\.upstream_rq[a-z0-9_]*` +
		`|zone\.[^.]*\.[^.]*\.upstream_rq[a-z0-9_]*` +
		`|http[123]\.[a-z0-9_]+` +
		`|ssl\.(?:[a-z]+_[a-z_]+|handshake|(?:certificate|ciphers|curves|sigalgs|versions)\..+)` +
		`|grpc\.(?:.+\.)?(?:success|failure|total|[0-9]+|(?:request|response)_message_count)` +
		`|(?:default|tlsMode-[a-z]+)\.total_match_count`

	// listenerTag takes an address whole.
	listenerTag = `^(?:listener\..*?\.)?http\.(((?:(?:in|out)bound_)?[0-9a-fA-F.:\[\]]+_[0-9]+|[^.]+)\.)`

	// tcpTag takes the name of a cluster, which TCP proxies have as their prefix.
	tcpTag = `^tcp\.((.+)\.)[a-z_]+$`
)

// otherTags are the labels that Envoy makes as it always does. They have to be named when one is made otherwise; each of
// them is known to every Envoy that a bundle may be for.
var otherTags = []string{
	"cipher_suite", "envoy.clientssl_prefix", "envoy.dynamo_operation", "envoy.dynamo_partition_id", "envoy.dynamo_table", "envoy.ext_authz_prefix",
	"envoy.fault_downstream_cluster", "envoy.grpc_bridge_method", "envoy.grpc_bridge_service", "envoy.http_user_agent", "envoy.listener_address",
	"envoy.local_http_ratelimit_prefix", "envoy.local_network_ratelimit_prefix", "envoy.mongo_callsite", "envoy.mongo_cmd", "envoy.mongo_collection",
	"envoy.mongo_prefix", "envoy.ratelimit_prefix", "envoy.rds_route_config", "envoy.redis_prefix", "envoy.response_code", "envoy.response_code_class",
	"envoy.route", "envoy.ssl_cipher", "envoy.thrift_prefix", "envoy.udp_prefix", "envoy.virtual_cluster", "envoy.virtual_host", "envoy.worker_id",
}

// statistics says how Envoy makes labels of the names of statistics.
func statistics() *metricsv3.StatsConfig {
	own := func(name, expression string) *metricsv3.TagSpecifier {
		return &metricsv3.TagSpecifier{TagName: name, TagValue: &metricsv3.TagSpecifier_Regex{Regex: expression}}
	}
	s := &metricsv3.StatsConfig{
		UseAllDefaultTags: wrapperspb.Bool(false),
		StatsTags: []*metricsv3.TagSpecifier{
			own("envoy.cluster_name", clusterTag), own("envoy.http_conn_manager_prefix", listenerTag), own("envoy.tcp_prefix", tcpTag),
		},
	}
	for _, name := range otherTags {
		s.StatsTags = append(s.StatsTags, &metricsv3.TagSpecifier{TagName: name})
	}
	return s
}
