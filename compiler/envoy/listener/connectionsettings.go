package listener

import (
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

type settings = meshconfig.ProxyConfig_ConnectionSettings

// connectionSettings returns ProxyConfig.connectionSettings with the values that its EDGE profile stands for filled in
// where a field is unset. The profile means something on gateways only. The result may be nil.
func connectionSettings(p *meshconfig.ProxyConfig, gateway bool) *settings {
	s := p.GetConnectionSettings()
	if !gateway || s.GetProfile() != meshconfig.ProxyConfig_ConnectionSettings_EDGE {
		return s
	}
	out := &settings{
		ListenerPerConnectionBufferLimitBytes: orInt(s.ListenerPerConnectionBufferLimitBytes, 32<<10),
		ClusterPerConnectionBufferLimitBytes:  s.ClusterPerConnectionBufferLimitBytes,
		HttpIdleTimeout:                       orDuration(s.HttpIdleTimeout, time.Hour),
		HttpMaxConnectionDuration:             s.HttpMaxConnectionDuration,
		HttpDrainTimeout:                      s.HttpDrainTimeout,
		HttpRequestTimeout:                    orDuration(s.HttpRequestTimeout, 5*time.Minute),
		HttpRequestHeadersTimeout:             orDuration(s.HttpRequestHeadersTimeout, time.Minute),
		HttpStreamIdleTimeout:                 orDuration(s.HttpStreamIdleTimeout, 5*time.Minute),
		HttpMaxStreamDuration:                 s.HttpMaxStreamDuration,
		HttpMaxConcurrentStreams:              orInt(s.HttpMaxConcurrentStreams, 100),
		Http2InitialStreamWindowSize:          orInt(s.Http2InitialStreamWindowSize, 64<<10),
		Http2InitialConnectionWindowSize:      orInt(s.Http2InitialConnectionWindowSize, 1<<20),
		HttpHeadersWithUnderscoresAction:      s.HttpHeadersWithUnderscoresAction,
		HttpMergeSlashes:                      s.HttpMergeSlashes,
		HttpPathWithEscapedSlashesAction:      s.HttpPathWithEscapedSlashesAction,
		ListenerConnectionLimit:               s.ListenerConnectionLimit,
	}
	if out.HttpHeadersWithUnderscoresAction == meshconfig.ProxyConfig_ConnectionSettings_HEADERS_WITH_UNDERSCORES_UNSPECIFIED {
		out.HttpHeadersWithUnderscoresAction = meshconfig.ProxyConfig_ConnectionSettings_HEADERS_WITH_UNDERSCORES_REJECT_REQUEST
	}
	if out.HttpMergeSlashes == nil {
		out.HttpMergeSlashes = xds.Bool(true)
	}
	if out.HttpPathWithEscapedSlashesAction == meshconfig.ProxyConfig_ConnectionSettings_PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED {
		out.HttpPathWithEscapedSlashesAction = meshconfig.ProxyConfig_ConnectionSettings_UNESCAPE_AND_REDIRECT
	}
	return out
}

func orDuration(d *durationpb.Duration, or time.Duration) *durationpb.Duration {
	if d != nil {
		return d
	}
	return durationpb.New(or)
}

func orInt(v *wrapperspb.Int32Value, or int32) *wrapperspb.Int32Value {
	if v != nil {
		return v
	}
	return wrapperspb.Int32(or)
}

// connection applies ProxyConfig.connectionSettings to a connection manager; httpIdleTimeout falls back to the
// ISTIO_META_IDLE_TIMEOUT entry of proxyMetadata.
func (m manager) connection(h *hcmv3.HttpConnectionManager) {
	s := connectionSettings(m.proxy, m.role == gatewayRole)
	common := &corev3.HttpProtocolOptions{
		IdleTimeout:                  s.GetHttpIdleTimeout(),
		MaxConnectionDuration:        s.GetHttpMaxConnectionDuration(),
		MaxStreamDuration:            s.GetHttpMaxStreamDuration(),
		HeadersWithUnderscoresAction: underscores(s.GetHttpHeadersWithUnderscoresAction()),
	}
	if common.IdleTimeout == nil {
		common.IdleTimeout = metadataIdleTimeout(m.proxy)
	}
	if common.IdleTimeout != nil || common.MaxConnectionDuration != nil || common.MaxStreamDuration != nil || common.HeadersWithUnderscoresAction != 0 {
		h.CommonHttpProtocolOptions = common
	}
	if s == nil {
		return
	}
	h.DrainTimeout, h.RequestTimeout, h.RequestHeadersTimeout = s.HttpDrainTimeout, s.HttpRequestTimeout, s.HttpRequestHeadersTimeout
	if s.HttpStreamIdleTimeout != nil {
		h.StreamIdleTimeout = s.HttpStreamIdleTimeout
	}
	if s.HttpMergeSlashes != nil {
		h.MergeSlashes = s.HttpMergeSlashes.Value
	}
	switch s.HttpPathWithEscapedSlashesAction {
	case meshconfig.ProxyConfig_ConnectionSettings_KEEP_UNCHANGED:
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_KEEP_UNCHANGED
	case meshconfig.ProxyConfig_ConnectionSettings_REJECT_REQUEST:
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_REJECT_REQUEST
	case meshconfig.ProxyConfig_ConnectionSettings_UNESCAPE_AND_REDIRECT:
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT
	case meshconfig.ProxyConfig_ConnectionSettings_UNESCAPE_AND_FORWARD:
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD
	}
	h2 := &corev3.Http2ProtocolOptions{
		MaxConcurrentStreams:        unsigned(s.HttpMaxConcurrentStreams),
		InitialStreamWindowSize:     unsigned(s.Http2InitialStreamWindowSize),
		InitialConnectionWindowSize: unsigned(s.Http2InitialConnectionWindowSize),
	}
	if h2.MaxConcurrentStreams != nil || h2.InitialStreamWindowSize != nil || h2.InitialConnectionWindowSize != nil {
		h.Http2ProtocolOptions = h2
	}
}

// unsigned drops negative values, as Istio does.
func unsigned(v *wrapperspb.Int32Value) *wrapperspb.UInt32Value {
	if v == nil || v.Value < 0 {
		return nil
	}
	return xds.UInt32(uint32(v.Value))
}

func underscores(a meshconfig.ProxyConfig_ConnectionSettings_HeadersWithUnderscoresAction) corev3.HttpProtocolOptions_HeadersWithUnderscoresAction {
	switch a {
	case meshconfig.ProxyConfig_ConnectionSettings_HEADERS_WITH_UNDERSCORES_REJECT_REQUEST:
		return corev3.HttpProtocolOptions_REJECT_REQUEST
	case meshconfig.ProxyConfig_ConnectionSettings_HEADERS_WITH_UNDERSCORES_DROP_HEADER:
		return corev3.HttpProtocolOptions_DROP_HEADER
	default:
		return corev3.HttpProtocolOptions_ALLOW
	}
}

// metadataIdleTimeout is the time of proxyMetadata, nil where it has none.
func metadataIdleTimeout(p *meshconfig.ProxyConfig) *durationpb.Duration {
	d, ok := mesh.IdleTimeout(p)
	if !ok {
		return nil
	}
	return durationpb.New(d)
}
