package cluster

import (
	"math"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	matcherconfigv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// httpProtocolOptions is the key of envoy.extensions.upstreams.http.v3.HttpProtocolOptions in a cluster.
const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// upstreamKind is the HTTP version spoken to an upstream.
type upstreamKind int

const (
	upstreamHTTP1      upstreamKind = iota // Envoy's default
	upstreamHTTP2                          // by declaration
	upstreamDownstream                     // whatever the client speaks
)

// maxStreams lifts Envoy's default limit of concurrent streams, which is low for traffic between proxies.
const maxStreams = math.MaxInt32

// upstreamHTTP collects what a cluster's HttpProtocolOptions will hold; nothing is attached while it is all default.
type upstreamHTTP struct {
	kind      upstreamKind
	streams   uint32 // http2 max_concurrent_streams; 0: maxStreams
	keepalive *corev3.KeepaliveSettings
	http      *corev3.HttpProtocolOptions
	upstream  *corev3.UpstreamHttpProtocolOptions
	errors    *matcherconfigv3.MatchPredicate // what outlier detection counts as an error
	keepCase  bool                            // of HTTP/1 headers
}

func (h *upstreamHTTP) common() *corev3.HttpProtocolOptions {
	if h.http == nil {
		h.http = &corev3.HttpProtocolOptions{}
	}
	return h.http
}

// protocol chooses the HTTP version by the declared protocol of the port, DestinationRule h2UpgradePolicy and
// useClientProtocol, and MeshConfig.h2UpgradePolicy.
func (b *clusterBuild) protocol() {
	http := b.policy.GetConnectionPool().GetHttp()
	b.http.kind = portProtocol(b.port.Protocol, b.in.Gateway)
	b.http.keepCase = b.in.KeepCase && casePreserved(b.port.Protocol)
	if b.http.kind == upstreamHTTP1 && !b.http.keepCase && upgrades(b.port.Protocol, http.GetH2UpgradePolicy(), b.in.Env.Mesh.Config.GetH2UpgradePolicy()) {
		b.http.kind = upstreamHTTP2
	}
	if http.GetUseClientProtocol() {
		b.http.kind = upstreamDownstream
	}
}

// casePreserved tells whether HTTP/1 may be spoken on a port. Both sides of a proxy have to keep the case of a header.
func casePreserved(p mesh.Protocol) bool { return p.IsHTTP() && !p.IsHTTP2() || p.IsAuto() }

// portProtocol: HTTP/2 ports speak it, sniffed ports follow the client on a sidecar (a gateway terminates the client's
// protocol and speaks HTTP/1.1), the rest is HTTP/1.1 where it is HTTP at all.
func portProtocol(p mesh.Protocol, gateway bool) upstreamKind {
	switch {
	case p.IsHTTP2():
		return upstreamHTTP2
	case p.IsAuto() && !gateway:
		return upstreamDownstream
	}
	return upstreamHTTP1
}

// upgrades tells whether the connection is upgraded to HTTP/2. A rule's UPGRADE holds for any port, the mesh's only for
// ports that are HTTP by declaration.
func upgrades(p mesh.Protocol, rule networking.ConnectionPoolSettings_HTTPSettings_H2UpgradePolicy, m meshconfig.MeshConfig_H2UpgradePolicy) bool {
	switch rule {
	case networking.ConnectionPoolSettings_HTTPSettings_UPGRADE:
		return true
	case networking.ConnectionPoolSettings_HTTPSettings_DO_NOT_UPGRADE:
		return false
	}
	return m == meshconfig.MeshConfig_UPGRADE && p.IsHTTP()
}

// set tells whether anything is other than the default.
func (h *upstreamHTTP) set() bool {
	return h.kind != upstreamHTTP1 || h.http != nil || h.upstream != nil || h.errors != nil || h.keepCase
}

// attach writes the collected options into the cluster.
func (h *upstreamHTTP) attach(c *clusterv3.Cluster) {
	if !h.set() {
		return
	}
	opts := &httpv3.HttpProtocolOptions{CommonHttpProtocolOptions: h.http, UpstreamHttpProtocolOptions: h.upstream}
	h2 := &corev3.Http2ProtocolOptions{MaxConcurrentStreams: xds.UInt32(maxStreams), ConnectionKeepalive: h.keepalive}
	if h.streams > 0 {
		h2.MaxConcurrentStreams = xds.UInt32(h.streams)
	}
	h1 := &corev3.Http1ProtocolOptions{}
	if h.keepCase {
		h1.HeaderKeyFormat = xds.PreserveCase()
	}
	switch h.kind {
	case upstreamHTTP2:
		opts.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: h2}}}
	case upstreamDownstream:
		opts.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_UseDownstreamProtocolConfig{UseDownstreamProtocolConfig: &httpv3.HttpProtocolOptions_UseDownstreamHttpConfig{
			HttpProtocolOptions: h1, Http2ProtocolOptions: h2}}
	default:
		opts.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: h1}}}
	}
	if h.errors != nil {
		opts.OutlierDetection = &httpv3.HttpProtocolOptions_OutlierDetection{ErrorMatcher: h.errors}
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: xds.Any(opts)}
}

// statusMatch matches responses with any of the status codes, and those alone.
func statusMatch(codes []uint32) *matcherconfigv3.MatchPredicate {
	var rules []*matcherconfigv3.MatchPredicate
	for _, code := range codes {
		rules = append(rules, &matcherconfigv3.MatchPredicate{Rule: &matcherconfigv3.MatchPredicate_HttpResponseHeadersMatch{
			HttpResponseHeadersMatch: &matcherconfigv3.HttpHeadersMatch{Headers: []*routev3.HeaderMatcher{{
				Name: ":status",
				HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
					MatchPattern: &matcherv3.StringMatcher_Exact{Exact: strconv.Itoa(int(code))}}},
			}}}}})
	}
	switch len(rules) {
	case 0:
		return nil
	case 1: // an OR needs two
		return rules[0]
	}
	return &matcherconfigv3.MatchPredicate{Rule: &matcherconfigv3.MatchPredicate_OrMatch{OrMatch: &matcherconfigv3.MatchPredicate_MatchSet{Rules: rules}}}
}
