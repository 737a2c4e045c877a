package patch

import networking "istio.io/api/networking/v1alpha3"

// formerFilterNames are the names that filters had before Envoy 1.14, with those that they have had since. Istio matches
// by the newer ones only.
var formerFilterNames = map[string]string{
	"envoy.buffer":                  "envoy.filters.http.buffer",
	"envoy.cors":                    "envoy.filters.http.cors",
	"envoy.csrf":                    "envoy.filters.http.csrf",
	"envoy.ext_authz":               "envoy.filters.http.ext_authz",
	"envoy.fault":                   "envoy.filters.http.fault",
	"envoy.grpc_http1_bridge":       "envoy.filters.http.grpc_http1_bridge",
	"envoy.grpc_json_transcoder":    "envoy.filters.http.grpc_json_transcoder",
	"envoy.grpc_web":                "envoy.filters.http.grpc_web",
	"envoy.gzip":                    "envoy.filters.http.compressor",
	"envoy.health_check":            "envoy.filters.http.health_check",
	"envoy.http_connection_manager": "envoy.filters.network.http_connection_manager",
	"envoy.ip_tagging":              "envoy.filters.http.ip_tagging",
	"envoy.listener.http_inspector": "envoy.filters.listener.http_inspector",
	"envoy.listener.original_dst":   "envoy.filters.listener.original_dst",
	"envoy.listener.original_src":   "envoy.filters.listener.original_src",
	"envoy.listener.proxy_protocol": "envoy.filters.listener.proxy_protocol",
	"envoy.listener.tls_inspector":  "envoy.filters.listener.tls_inspector",
	"envoy.lua":                     "envoy.filters.http.lua",
	"envoy.mongo_proxy":             "envoy.filters.network.mongo_proxy",
	"envoy.rate_limit":              "envoy.filters.http.ratelimit",
	"envoy.ratelimit":               "envoy.filters.network.ratelimit",
	"envoy.redis_proxy":             "envoy.filters.network.redis_proxy",
	"envoy.router":                  "envoy.filters.http.router",
	"envoy.tcp_proxy":               "envoy.filters.network.tcp_proxy",
}

// formerNames returns the former names of filters that a match is by, with the present ones; none: it has present names.
func formerNames(m *networking.EnvoyFilter_EnvoyConfigObjectMatch) (former [][2]string) {
	l := m.GetListener()
	f := l.GetFilterChain().GetFilter()
	for _, name := range []string{l.GetListenerFilter(), f.GetName(), f.GetSubFilter().GetName()} {
		if now, ok := formerFilterNames[name]; ok {
			former = append(former, [2]string{name, now})
		}
	}
	return former
}
