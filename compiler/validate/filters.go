package validate

import (
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	apikeyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/api_key_auth/v3"
	basicauthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/basic_auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/proxy_protocol/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	caresv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/network/dns_resolver/cares/v3"
	upstreamhttpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
)

// versionRule: services of the API before v3 are gone (source/common/config/utility.cc).
func versionRule(v *visit, m proto.Message) {
	if m.(interface{ GetTransportApiVersion() corev3.ApiVersion }).GetTransportApiVersion() == corev3.ApiVersion_V2 { //nolint:staticcheck // Envoy refuses it
		v.bad("transport_api_version", "Write V3.", "Envoy speaks the API V2 no more")
	}
}

// permissionRule: source/extensions/filters/common/rbac/matchers.cc.
func permissionRule(v *visit, m proto.Message) {
	r := m.(*rbacv3.Permission).GetDestinationPortRange()
	if r != nil && r.GetStart() >= r.GetEnd() {
		v.bad("destination_port_range", "Write start, and the end behind it.", "no port is from %d to below %d", r.GetStart(), r.GetEnd())
	}
}

// connectionRBACRule: connections have no headers (source/extensions/filters/network/rbac/config.cc).
func connectionRBACRule(v *visit, m proto.Message) {
	for _, rules := range []*rbacv3.RBAC{m.(*networkrbacv3.RBAC).GetRules(), m.(*networkrbacv3.RBAC).GetShadowRules()} {
		for _, name := range keys(rules.GetPolicies()) {
			for _, p := range rules.GetPolicies()[name].GetPermissions() {
				if asksHeaders(p) {
					v.bad("rules", "Use the filter for HTTP.", "the policy %q asks for headers, which connections do not have", name)
				}
			}
		}
	}
}

func asksHeaders(p *rbacv3.Permission) bool {
	for _, x := range append(p.GetAndRules().GetRules(), p.GetOrRules().GetRules()...) {
		if asksHeaders(x) {
			return true
		}
	}
	return p.GetHeader() != nil || p.GetNotRule() != nil && asksHeaders(p.GetNotRule())
}

// processorRule: source/extensions/filters/http/ext_proc/config.cc.
func processorRule(v *visit, m proto.Message) {
	mode := m.(*extprocv3.ExternalProcessor).GetProcessingMode()
	const duplex = extprocv3.ProcessingMode_FULL_DUPLEX_STREAMED
	if mode.GetRequestBodyMode() == duplex && mode.GetRequestTrailerMode() != extprocv3.ProcessingMode_SEND {
		v.bad("processing_mode.request_trailer_mode", "Write SEND.", "request_body_mode FULL_DUPLEX_STREAMED needs the trailers")
	}
	if mode.GetResponseBodyMode() == duplex && mode.GetResponseTrailerMode() != extprocv3.ProcessingMode_SEND {
		v.bad("processing_mode.response_trailer_mode", "Write SEND.", "response_body_mode FULL_DUPLEX_STREAMED needs the trailers")
	}
}

// usersRule: source/extensions/filters/http/basic_auth/config.cc.
func usersRule(v *visit, m proto.Message) {
	const prefix, length = "{SHA}", 28
	users := m.(*basicauthv3.BasicAuth).GetUsers()
	seen := map[string]bool{}
	for line := range strings.Lines(users.GetInlineString() + string(users.GetInlineBytes())) {
		line = strings.TrimRight(line, "\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		name, hash, _ := strings.Cut(line, ":")
		sum, sha := strings.CutPrefix(hash, prefix)
		switch {
		case name == "" || !sha || len(sum) != length:
			v.bad("users", "Write USER:{SHA}HASH, as htpasswd -s makes it.", "a user has no hash that Envoy reads")
		case seen[name]:
			v.bad("users", "Keep one of them.", "a user is there twice")
		}
		seen[name] = true
	}
}

// apiKeyRule: source/extensions/filters/http/api_key_auth/api_key_auth.cc.
func apiKeyRule(v *visit, m proto.Message) {
	seen := map[string]bool{}
	for _, c := range m.(*apikeyv3.ApiKeyAuth).GetCredentials() {
		if seen[c.GetKey()] {
			v.bad("credentials", "Keep one of them.", "two clients have one key")
		}
		seen[c.GetKey()] = true
	}
}

// proxyProtocolRule: source/extensions/filters/listener/proxy_protocol/config.cc.
func proxyProtocolRule(v *visit, m proto.Message) {
	versions := map[corev3.ProxyProtocolConfig_Version]bool{}
	for _, x := range m.(*proxyprotocolv3.ProxyProtocol).GetDisallowedVersions() {
		versions[x] = true
	}
	if len(versions) == len(corev3.ProxyProtocolConfig_Version_name) {
		v.bad("disallowed_versions", "Leave one version.", "all versions of the PROXY protocol are refused")
	}
}

// tunnelRule: source/common/tcp_proxy/tcp_proxy.cc.
func tunnelRule(v *visit, m proto.Message) {
	v.format("hostname", m.(*tcpproxyv3.TcpProxy_TunnelingConfig).GetHostname(), nil)
}

// resolversRule: source/extensions/network/dns_resolver/cares/dns_impl.cc.
func resolversRule(v *visit, m proto.Message) {
	for _, a := range m.(*caresv3.CaresDnsResolverConfig).GetResolvers() {
		if s := a.GetSocketAddress(); s != nil && !isIP(s.GetAddress()) {
			v.bad("resolvers", "Write IP addresses.", "%q is no IP address", s.GetAddress())
		}
	}
}

// dropRule: source/common/upstream/upstream_impl.cc.
func dropRule(v *visit, m proto.Message) {
	list := m.(*endpointv3.ClusterLoadAssignment_Policy).GetDropOverloads()
	if len(list) > 1 {
		v.bad("drop_overloads", "Keep one.", "there are %d categories of requests to drop", len(list))
	}
	for _, d := range list {
		if p := d.GetDropPercentage(); uint64(p.GetNumerator()) > denominator(p) {
			v.bad("drop_overloads", "Drop 100% at most.", "%d of %d requests are dropped", p.GetNumerator(), denominator(p))
		}
	}
}

func denominator(p *typev3.FractionalPercent) uint64 {
	switch p.GetDenominator() {
	case typev3.FractionalPercent_TEN_THOUSAND:
		return 10_000
	case typev3.FractionalPercent_MILLION:
		return 1_000_000
	}
	return 100
}

// upstreamOptionsRule: requests to a cluster end in the codec (source/extensions/upstreams/http/config.cc).
func upstreamOptionsRule(v *visit, m proto.Message) {
	o := m.(*upstreamhttpv3.HttpProtocolOptions)
	if auto := o.GetAutoConfig(); auto.GetHttp3ProtocolOptions() != nil && auto.GetAlternateProtocolsCacheOptions() == nil {
		v.bad("auto_config", "Add alternate_protocols_cache_options.", "HTTP/3 in auto_config needs a cache of what servers offer")
	}
	list := o.GetHttpFilters()
	if len(list) == 0 {
		return
	}
	const codec = "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec"
	if last := list[len(list)-1]; last.GetConfigDiscovery() == nil && last.GetTypedConfig().GetTypeUrl() != codec {
		v.bad("http_filters", "Add UpstreamCodec at the end.", "the last filter of a cluster, %s, is not the codec", last.GetName())
	}
}

// bindRule: the addresses that connections come from (source/common/upstream/upstream_impl.cc).
func bindRule(v *visit, c *clusterv3.Cluster) {
	b := c.GetUpstreamBindConfig()
	var addresses []*corev3.SocketAddress
	if b.GetSourceAddress() != nil {
		addresses = append(addresses, b.GetSourceAddress())
	}
	for _, a := range b.GetExtraSourceAddresses() {
		addresses = append(addresses, a.GetAddress())
	}
	for _, a := range b.GetAdditionalSourceAddresses() { //nolint:staticcheck // Envoy reads it
		addresses = append(addresses, a)
	}
	six := map[bool]bool{}
	for _, a := range addresses {
		if !isIP(a.GetAddress()) {
			v.bad("upstream_bind_config", "Write an IP address.", "%q is no IP address", a.GetAddress())
			continue
		}
		is := strings.Contains(a.GetAddress(), ":")
		if six[is] && b.GetLocalAddressSelector() == nil {
			v.bad("upstream_bind_config", "Keep one of IPv4 and one of IPv6.", "two addresses are of one version of IP")
		}
		six[is] = true
	}
}
