package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// ADS is the one place every resource that refers to another gets it from: the aggregated stream of the proxy. An
// initial_fetch_timeout of 0s makes Envoy wait for the resource, so that nothing is ever served half configured.
func ADS() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		InitialFetchTimeout:   &durationpb.Duration{},
	}
}

// SDSSecret refers to a secret by its SDS name, delivered over ADS. The names are Istio's: "default" and "ROOTCA" for
// the workload identity, "kubernetes://NAME" for Secrets, "file-cert:CERT~KEY" and "file-root:CA" for files on the
// proxy's own disk, which a server answers with data sources that name those files.
func SDSSecret(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ADS()}
}

// IdentitySecret refers to the workload's own certificate or to the roots it trusts: over ADS like any secret, or, where
// the mesh says so, from SPIRE's agent on the node or Istio's beside the proxy, which have them under the same names.
func IdentitySecret(m *mesh.Mesh, name string) *tlsv3.SdsSecretConfig {
	if !m.IdentityFromAgent() {
		return SDSSecret(name)
	}
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: &corev3.ConfigSource{
		ResourceApiVersion:  corev3.ApiVersion_V3,
		InitialFetchTimeout: &durationpb.Duration{},
		ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_GRPC, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
			GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: names.AgentCluster}}}},
		}},
	}}
}
