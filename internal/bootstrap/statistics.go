package bootstrap

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
	brotliv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/brotli/compressor/v3"
	gzipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/gzip/compressor/v3"
	zstdv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/compression/zstd/compressor/v3"
	compressorv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/compressor/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/statistics"
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

	// statPrefix is the name of an HTTP connection manager: an address whole, or a word.
	statPrefix = `(((?:(?:in|out)bound_)?[0-9a-fA-F.:_\[\]]+_[0-9]+;?|[^.]+)\.)`

	// listenerAddress is how Envoy writes the address of a listener in names.
	listenerAddress = `^listener\.(([0-9a-fA-F_.\[\]]+_[0-9]+)\.)`

	// tcpTag takes the name of a cluster, which TCP proxies have as their prefix.
	tcpTag = `^tcp\.((.+)\.)[a-z_]+$`
)

// meshTags are the labels that Istio's proxies have, by the names and the meaning that they have there, by which dashboards and
// rules know them.
var meshTags = [][2]string{
	{"cluster_name", clusterTag},
	{"tcp_prefix", tcpTag},
	{"response_code", `_rq(_(\d{3}))$`},
	{"response_code_class", `_rq(_(\dxx))$`},
	{"http_conn_manager_listener_prefix", `^listener\..*?\.http\.` + statPrefix},
	{"http_conn_manager_prefix", `^http\.` + statPrefix},
	{"listener_address", listenerAddress},
	{"mongo_prefix", `^mongo\.((.+?)\.)(?:collection|cmd|cx_|op_|delays_|decoding_)`},
	{"authz_enforce_result", `rbac(\.(allowed|denied))$`},
	{"authz_dry_run_action", `(\.istio_dry_run_(allow|deny)_)`},
	{"authz_dry_run_result", `(shadow_(allowed|denied))$`},
}

// otherTags are the labels that Envoy makes as it always does. They have to be named when one is made otherwise; each of
// them is known to every Envoy that a bundle may be for.
var otherTags = []string{
	"cipher_suite", "envoy.clientssl_prefix", "envoy.dynamo_operation", "envoy.dynamo_partition_id", "envoy.dynamo_table", "envoy.ext_authz_prefix",
	"envoy.fault_downstream_cluster", "envoy.grpc_bridge_method", "envoy.grpc_bridge_service", "envoy.http_user_agent",
	"envoy.local_http_ratelimit_prefix", "envoy.local_network_ratelimit_prefix", "envoy.mongo_callsite", "envoy.mongo_cmd", "envoy.mongo_collection",
	"envoy.ratelimit_prefix", "envoy.rds_route_config", "envoy.redis_prefix",
	"envoy.route", "envoy.ssl_cipher", "envoy.thrift_prefix", "envoy.udp_prefix", "envoy.virtual_cluster", "envoy.virtual_host", "envoy.worker_id",
}

// What a proxy keeps: what Istio's keep, and the answers of its listeners by class of status. Rollouts are judged by these.
var (
	keptPrefixes = []string{"reporter=", "component", "istio", "cluster_manager", "listener_manager", "server", "cluster." + names.XDSCluster, "wasm"}
	keptSuffixes = []string{"rbac.allowed", "rbac.denied", "shadow_allowed", "shadow_denied", "downstream_cx_active"}
	keptRegexps  = []string{`vhost\..*\.route\..*`, `http\..*\.downstream_rq_[1-5]xx`}
)

// statisticsOf says which statistics a proxy keeps, and how Envoy makes labels of their names.
func statisticsOf(o Options) *metricsv3.StatsConfig {
	s := &metricsv3.StatsConfig{UseAllDefaultTags: wrapperspb.Bool(false)}
	for _, t := range meshTags {
		s.StatsTags = append(s.StatsTags, &metricsv3.TagSpecifier{TagName: t[0], TagValue: &metricsv3.TagSpecifier_Regex{Regex: t[1]}})
	}
	for _, name := range otherTags {
		s.StatsTags = append(s.StatsTags, &metricsv3.TagSpecifier{TagName: name})
	}
	for _, b := range o.Statistics.Buckets {
		s.HistogramBucketSettings = append(s.HistogramBucketSettings, &metricsv3.HistogramBucketSettings{Buckets: b.Bounds,
			Match: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: b.Prefix}}})
	}
	if !o.Statistics.All {
		s.StatsMatcher = &metricsv3.StatsMatcher{StatsMatcher: &metricsv3.StatsMatcher_InclusionList{InclusionList: kept(o)}}
	}
	return s
}

// kept lists what a proxy keeps.
func kept(o Options) *matcherv3.ListStringMatcher {
	out := &matcherv3.ListStringMatcher{}
	plain := func(s string) string { return s }
	add := func(standard, own []string, write func(string) string, pattern func(string) *matcherv3.StringMatcher) {
		for _, p := range slices.Concat(standard, ofAddresses(own, o.Addresses, write)) {
			out.Patterns = append(out.Patterns, pattern(p))
		}
	}
	// By these Envoy tells whether a cluster is healthy that it checks: where they are not kept, none is.
	add(append(slices.Clip(keptPrefixes), "cluster."+probeCluster("")), o.Statistics.Prefixes, plain, func(p string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: p}}
	})
	add(keptSuffixes, o.Statistics.Suffixes, plain, func(p string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: p}}
	})
	add(keptRegexps, o.Statistics.Regexps, regexp.QuoteMeta, func(p string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: p}}}
	})
	return out
}

// ofAddresses are patterns with each address of the proxy where they have statistics.PodIP.
func ofAddresses(patterns []string, addresses []netip.Addr, write func(string) string) (out []string) {
	for _, p := range patterns {
		if !strings.Contains(p, statistics.PodIP) {
			out = append(out, p)
			continue
		}
		for _, a := range addresses {
			out = append(out, strings.ReplaceAll(p, statistics.PodIP, write(a.String())))
		}
	}
	return out
}

// compressor compresses what Prometheus is shown; nil: nothing does.
func compressor(how string) []*hcmv3.HttpFilter {
	library := map[string]proto.Message{"gzip": &gzipv3.Gzip{}, "brotli": &brotliv3.Brotli{}, "zstd": &zstdv3.Zstd{}}[how]
	if library == nil {
		return nil
	}
	c := &compressorv3.Compressor{CompressorLibrary: &corev3.TypedExtensionConfig{Name: how, TypedConfig: pack(library)}}
	return []*hcmv3.HttpFilter{{Name: "envoy.filters.http.compressor", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: pack(c)}}}
}
