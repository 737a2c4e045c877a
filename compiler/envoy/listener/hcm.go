package listener

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// role is the side of a proxy that a connection manager serves.
type role int

const (
	outboundRole role = iota
	inboundRole
	gatewayRole
)

// manager describes one HTTP connection manager.
type manager struct {
	role     role
	mesh     *mesh.Mesh
	proxy    *meshconfig.ProxyConfig
	stat     string
	protocol mesh.Protocol // of the port, for protocol specific filters
	rds      string        // name of the route configuration, or
	routes   *routev3.RouteConfiguration
	auth     []*hcmv3.HttpFilter
	dynamic  *hcmv3.HttpFilter // looks up hosts of resolution DYNAMIC_DNS; nil: no route needs it
	logs     *telemetry.Logs
	tracing  *telemetry.Tracing
}

// build lowers to envoy HttpConnectionManager: MeshConfig.pathNormalization, ProxyConfig.proxyHeaders, gatewayTopology
// and connectionSettings land here.
func (m manager) build() *hcmv3.HttpConnectionManager {
	h := &hcmv3.HttpConnectionManager{
		StatPrefix:        m.stat,
		CodecType:         hcmv3.HttpConnectionManager_AUTO,
		HttpFilters:       xds.HTTPFilters(m.auth, m.protocol, m.dynamic, m.router()),
		StreamIdleTimeout: xds.Seconds(0),
		NormalizePath:     xds.Bool(true),
		UseRemoteAddress:  xds.Bool(m.role == gatewayRole),
		UpgradeConfigs:    []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
	}
	m.tracing.Apply(h)
	if m.logs != nil {
		h.AccessLog = m.logs.HTTP
	}
	if m.routes != nil {
		h.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: m.routes}
	} else {
		h.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{ConfigSource: xds.ADS(), RouteConfigName: m.rds}}
	}
	m.paths(h)
	m.headers(h)
	m.clientCert(h)
	m.connection(h)
	return h
}

// router applies ProxyConfig.proxyHeaders.envoyDebugHeaders: without them no X-Envoy-* headers are added.
func (m manager) router() *routerv3.Router {
	return &routerv3.Router{SuppressEnvoyHeaders: m.proxy.GetProxyHeaders().GetEnvoyDebugHeaders().GetDisabled().GetValue()}
}

// paths applies MeshConfig.pathNormalization.
func (m manager) paths(h *hcmv3.HttpConnectionManager) {
	switch m.mesh.Config.GetPathNormalization().GetNormalization() {
	case meshconfig.MeshConfig_ProxyPathNormalization_NONE:
		h.NormalizePath = xds.Bool(false)
	case meshconfig.MeshConfig_ProxyPathNormalization_MERGE_SLASHES:
		h.MergeSlashes = true
	case meshconfig.MeshConfig_ProxyPathNormalization_DECODE_AND_MERGE_SLASHES:
		h.MergeSlashes = true
		h.PathWithEscapedSlashesAction = hcmv3.HttpConnectionManager_UNESCAPE_AND_FORWARD
	}
}

// headers applies ProxyConfig.proxyHeaders and the HTTP10 switch of proxyMetadata.
func (m manager) headers(h *hcmv3.HttpConnectionManager) {
	p := m.proxy.GetProxyHeaders()
	h.ServerName = "istio-envoy"
	if m.role == outboundRole {
		h.ServerName = "envoy"
	}
	if v := p.GetServer().GetValue(); v != "" {
		h.ServerName = v
	}
	if p.GetServer().GetDisabled().GetValue() {
		h.ServerName = ""
		h.ServerHeaderTransformation = hcmv3.HttpConnectionManager_PASS_THROUGH
	}
	if p.GetRequestId().GetDisabled().GetValue() {
		h.GenerateRequestId = xds.Bool(false)
	}
	if p.GetXForwardedPort().GetEnabled().GetValue() {
		h.AppendXForwardedPort = true
	}
	if xds.KeepsCase(m.proxy) {
		http1(h).HeaderKeyFormat = xds.PreserveCase()
	}
	if mesh.TakesHTTP10(m.proxy) {
		http1(h).AcceptHttp_10 = true
	}
}

func http1(h *hcmv3.HttpConnectionManager) *corev3.Http1ProtocolOptions {
	if h.HttpProtocolOptions == nil {
		h.HttpProtocolOptions = &corev3.Http1ProtocolOptions{}
	}
	return h.HttpProtocolOptions
}

// clientCert resolves X-Forwarded-Client-Cert: gateways take gatewayTopology, the inbound side takes proxyHeaders.
func (m manager) clientCert(h *hcmv3.HttpConnectionManager) {
	switch m.role {
	case gatewayRole:
		t := m.proxy.GetGatewayTopology()
		h.XffNumTrustedHops = t.GetNumTrustedProxies()
		h.ForwardClientCertDetails = forwardCert(t.GetForwardClientCertDetails(), hcmv3.HttpConnectionManager_SANITIZE_SET)
		switch h.ForwardClientCertDetails {
		case hcmv3.HttpConnectionManager_APPEND_FORWARD, hcmv3.HttpConnectionManager_SANITIZE_SET:
			h.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Subject: xds.Bool(true), Cert: true, Dns: true, Uri: true}
		}
	case inboundRole:
		p := m.proxy.GetProxyHeaders()
		h.ForwardClientCertDetails = forwardCert(p.GetForwardedClientCert(), hcmv3.HttpConnectionManager_APPEND_FORWARD)
		d := p.GetSetCurrentClientCertDetails()
		h.SetCurrentClientCertDetails = &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
			Subject: xds.Bool(d.GetSubject() == nil || d.Subject.Value),
			Cert:    d.GetCert().GetValue(),
			Chain:   d.GetChain().GetValue(),
			Dns:     d.GetDns() == nil || d.Dns.Value,
			Uri:     d.GetUri() == nil || d.Uri.Value,
		}
	case outboundRole: // Envoy takes the header away unless told otherwise
	}
}

func forwardCert(d meshconfig.ForwardClientCertDetails, unset hcmv3.HttpConnectionManager_ForwardClientCertDetails) hcmv3.HttpConnectionManager_ForwardClientCertDetails {
	switch d {
	case meshconfig.ForwardClientCertDetails_SANITIZE:
		return hcmv3.HttpConnectionManager_SANITIZE
	case meshconfig.ForwardClientCertDetails_FORWARD_ONLY:
		return hcmv3.HttpConnectionManager_FORWARD_ONLY
	case meshconfig.ForwardClientCertDetails_APPEND_FORWARD:
		return hcmv3.HttpConnectionManager_APPEND_FORWARD
	case meshconfig.ForwardClientCertDetails_SANITIZE_SET:
		return hcmv3.HttpConnectionManager_SANITIZE_SET
	case meshconfig.ForwardClientCertDetails_ALWAYS_FORWARD_ONLY:
		return hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY
	default:
		return unset
	}
}
