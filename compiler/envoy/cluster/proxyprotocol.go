package cluster

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	proxyprotocolv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/proxy_protocol/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// rawBuffer is the transport socket without TLS.
func rawBuffer() *corev3.TransportSocket {
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.raw_buffer",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: xds.Any(&rawbufferv3.RawBuffer{})},
	}
}

// proxyProtocol lowers TrafficPolicy.proxyProtocol: every transport socket of the cluster sends the PROXY header first.
func (b *clusterBuild) proxyProtocol() {
	p := b.policy.GetProxyProtocol()
	if p == nil {
		return
	}
	version := corev3.ProxyProtocolConfig_V1
	if p.Version == networking.TrafficPolicy_ProxyProtocol_V2 {
		version = corev3.ProxyProtocolConfig_V2
	}
	wrap := func(inner *corev3.TransportSocket) *corev3.TransportSocket {
		return &corev3.TransportSocket{
			Name: "envoy.transport_sockets.upstream_proxy_protocol",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: xds.Any(&proxyprotocolv3.ProxyProtocolUpstreamTransport{
				Config: &corev3.ProxyProtocolConfig{Version: version}, TransportSocket: inner,
			})},
		}
	}
	for _, m := range b.c.TransportSocketMatches {
		m.TransportSocket = wrap(m.TransportSocket)
	}
	switch {
	case b.c.TransportSocket != nil:
		b.c.TransportSocket = wrap(b.c.TransportSocket)
	case len(b.c.TransportSocketMatches) == 0:
		b.c.TransportSocket = wrap(rawBuffer())
	}
}
