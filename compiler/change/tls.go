package change

import (
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/change/transport"
)

// tlsDetails are the fields of a TLS context that its text leaves out.
func tlsDetails(prefix string, socket *corev3.TransportSocket) []setting {
	var out []setting
	var common *tlsv3.CommonTlsContext
	_, socket = transport.AfterHeader(socket)
	if u, ok := unpack(socket.GetTypedConfig(), &tlsv3.UpstreamTlsContext{}); ok {
		out, common = fieldSettings(prefix+"TLS ", u, topics.Upstream), u.GetCommonTlsContext()
	}
	if d, ok := unpack(socket.GetTypedConfig(), &tlsv3.DownstreamTlsContext{}); ok {
		out, common = fieldSettings(prefix+"TLS ", d, topics.Downstream), d.GetCommonTlsContext()
	}
	if common == nil {
		return out
	}
	out = append(out, fieldSettings(prefix+"TLS ", common, topics.Common)...)
	out = append(out, fieldSettings(prefix+"TLS ", common.GetTlsParams(), topics.Parameter)...)
	out = append(out, fieldSettings(prefix+"TLS verification ", transport.Validation(common), topics.Validation)...)
	for _, c := range common.GetTlsCertificates() {
		out = append(out, setting{topic: Encryption, name: prefix + "TLS certificate", value: text.Message(c)})
	}
	secrets := append(slices.Clone(common.GetTlsCertificateSdsSecretConfigs()), common.GetValidationContextSdsSecretConfig(), common.GetCombinedValidationContext().GetValidationContextSdsSecretConfig())
	for _, s := range secrets {
		if s.GetSdsConfig() != nil {
			out = append(out, setting{topic: Encryption, name: prefix + "TLS where " + s.GetName() + " comes from", value: text.Message(s.GetSdsConfig())})
		}
	}
	return out
}
