package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	preservecasev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/header_formatters/preserve_case/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
)

// KeepsCase is ProxyConfig.proxyHeaders.preserveHttp1HeaderCase.
func KeepsCase(p *meshconfig.ProxyConfig) bool {
	return p.GetProxyHeaders().GetPreserveHttp1HeaderCase().GetValue()
}

// PreserveCase writes header names of HTTP/1 the way they came.
func PreserveCase() *corev3.Http1ProtocolOptions_HeaderKeyFormat {
	return &corev3.Http1ProtocolOptions_HeaderKeyFormat{
		HeaderFormat: &corev3.Http1ProtocolOptions_HeaderKeyFormat_StatefulFormatter{StatefulFormatter: &corev3.TypedExtensionConfig{
			Name: "envoy.http.stateful_header_formatters.preserve_case", TypedConfig: Any(&preservecasev3.PreserveCaseFormatterConfig{}),
		}},
	}
}
