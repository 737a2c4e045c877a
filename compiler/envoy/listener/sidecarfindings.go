package listener

import (
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// codeDynamicDNS is reported for the outbound traffic policy that resolves any host.
const codeDynamicDNS = "MESHC1449"

// ServerFindings reports, once for each Gateway and Sidecar, fields that have no effect where they stand.
func ServerFindings(m *mesh.Mesh) diag.List {
	var out diag.List
	if m.Config.GetOutboundTrafficPolicy().GetMode() == meshconfig.MeshConfig_OutboundTrafficPolicy_ALLOW_ANY_DYNAMIC_DNS {
		out.Add(diag.Diagnostic{Code: codeDynamicDNS, Severity: diag.Error, Field: "mesh: outboundTrafficPolicy.mode",
			Message: "outboundTrafficPolicy mode ALLOW_ANY_DYNAMIC_DNS is not supported: hosts that no service declares are called at the address their name resolved to for the client, as under ALLOW_ANY",
			Help:    "use ALLOW_ANY, or a ServiceEntry with a wildcard host and resolution DYNAMIC_DNS"})
	}
	for _, g := range m.Gateways {
		for i, s := range g.Spec.GetServers() {
			out.Add(security.ServerTLSFindings(g.Object, s.GetTls(), "spec", "servers", i, "tls")...)
		}
	}
	for _, s := range m.Sidecars {
		out.Add(inboundPoolFindings(s.Object, s.Spec.GetInboundConnectionPool(), nil, "spec", "inboundConnectionPool")...)
		for i, l := range s.Spec.GetIngress() {
			p := mesh.ParseProtocol(l.GetPort().GetProtocol())
			out.Add(inboundPoolFindings(s.Object, l.GetConnectionPool(), &p, "spec", "ingress", i, "connectionPool")...)
			out.Add(security.ServerTLSFindings(s.Object, l.GetTls(), "spec", "ingress", i, "tls")...)
		}
	}
	return out
}

// inboundPoolFindings is about a connection pool towards the application. The protocol is nil where it holds for ports of
// several.
func inboundPoolFindings(o *schema.Object, pool *networking.ConnectionPoolSettings, protocol *mesh.Protocol, path ...any) diag.List {
	var out diag.List
	http := pool.GetHttp()
	unread := func(field, why, help string) {
		out.Add(o.Finding(diag.Warning, cluster.CodePolicyNoEffect, "http."+field+" has no effect: "+why, help, append(append([]any{}, path...), "http", field)...))
	}
	if http.GetH2UpgradePolicy() == networking.ConnectionPoolSettings_HTTPSettings_UPGRADE {
		unread("h2UpgradePolicy", "connections to the application are never upgraded to HTTP/2", "Declare the port as HTTP2 or GRPC, or set useClientProtocol.")
	}
	if protocol == nil || protocol.IsHTTP2() && !http.GetUseClientProtocol() {
		return out
	}
	why, help := "the port does not speak HTTP/2 by declaration", "Declare the port as HTTP2 or GRPC."
	if http.GetMaxConcurrentStreams() != 0 {
		unread("maxConcurrentStreams", why, help)
	}
	if http.GetHttp2KeepAlive() != nil {
		unread("http2KeepAlive", why, help)
	}
	return out
}
