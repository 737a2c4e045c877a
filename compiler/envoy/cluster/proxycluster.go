package cluster

import (
	"fmt"
	"net"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// codeProxyAddress is reported for an address of ProxyConfig that cannot be reached.
const codeProxyAddress = "MESHC1448"

// ProxyClusters are the clusters of ProxyConfig.tracing and, where the mesh logs to it, ProxyConfig.envoyAccessLogService.
func ProxyClusters(in *mesh.Inbound) ([]*xds.Resource, diag.List) {
	p := in.Proxy
	var out []*xds.Resource
	var ds diag.List
	add := func(name, address, field string, tls *networking.ClientTLSSettings, http2 bool, keep *networking.ConnectionPoolSettings_TCPSettings_TcpKeepalive) {
		host, port, err := splitAddress(address)
		if err != nil {
			ds.Add(diag.Diagnostic{Code: codeProxyAddress, Severity: diag.Error, Field: field,
				Message: fmt.Sprintf("%s of ProxyConfig is %q: %v", field, address, err), Help: "write HOST:PORT, without placeholders"})
			// Without endpoints, so that what sends to it has a cluster, and the address alone is reported.
			out = append(out, &xds.Resource{Type: xds.Cluster, Name: name, Message: &clusterv3.Cluster{Name: name, ConnectTimeout: xds.Seconds(1),
				ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}, LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name}}})
			return
		}
		c := proxyCluster(in.Mesh, name, host, port, http2)
		if ctx := proxyTLS(in.Mesh, tls, http2); ctx != nil {
			c.TransportSocket = tlsSocket(ctx)
		}
		if k := keepalive(in.Mesh.Config.GetTcpKeepalive(), keep); k != nil {
			c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: k}
		}
		out = append(out, &xds.Resource{Type: xds.Cluster, Name: name, Message: c})
	}
	if t := p.GetTracing(); t != nil {
		if z := t.GetZipkin(); z != nil {
			add(telemetry.ZipkinCluster, z.GetAddress(), "tracing.zipkin.address", t.GetTlsSettings(), false, nil)
		}
		if d := t.GetDatadog(); d != nil {
			add(telemetry.DatadogCluster, d.GetAddress(), "tracing.datadog.address", t.GetTlsSettings(), false, nil)
		}
	}
	if in.Mesh.Config.GetEnableEnvoyAccessLogService() {
		s := p.GetEnvoyAccessLogService()
		add(telemetry.BootstrapLogCluster, s.GetAddress(), "envoyAccessLogService.address", s.GetTlsSettings(), true, s.GetTcpKeepalive())
	}
	return out, ds
}

func splitAddress(address string) (host string, port uint32, err error) {
	if address == "" {
		return "", 0, fmt.Errorf("it is needed and not set")
	}
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("it is not HOST:PORT")
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%q is not a port", p)
	}
	for _, c := range host {
		if c == '$' {
			return "", 0, fmt.Errorf("it has a placeholder, which only the agent of istio-proxy replaces")
		}
	}
	return host, uint32(n), nil
}

// proxyCluster resolves a name by DNS, or takes an address as it is.
func proxyCluster(m *mesh.Mesh, name, host string, port uint32, http2 bool) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       xds.Seconds(1),
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: endpoint.Address(host, port)}}}}}}},
	}
	if !xds.IsIP(host) {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STRICT_DNS}
		c.DnsRefreshRate, c.RespectDnsTtl = m.Config.GetDnsRefreshRate(), true //nolint:staticcheck // the fields of Cluster are what EnvoyFilters patch
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
		c.TypedDnsResolverConfig = DNSResolver()
	}
	h := upstreamHTTP{kind: upstreamHTTP1}
	if http2 {
		h.kind = upstreamHTTP2
	}
	h.attach(c)
	return c
}

// proxyTLS is TLS to a service that ProxyConfig names; nil: plain text.
func proxyTLS(m *mesh.Mesh, t *networking.ClientTLSSettings, http2 bool) *tlsv3.UpstreamTlsContext {
	var alpn []string
	if http2 {
		alpn = []string{"h2"}
	}
	switch t.GetMode() {
	case networking.ClientTLSSettings_ISTIO_MUTUAL:
		return meshTLS(m, t.GetSni(), t.GetSubjectAltNames(), alpn)
	case networking.ClientTLSSettings_SIMPLE, networking.ClientTLSSettings_MUTUAL:
	default:
		return nil
	}
	cert, root := originationSecrets(t, true)
	common := &tlsv3.CommonTlsContext{TlsParams: upstreamTLSParams(), AlpnProtocols: alpn}
	if t.Mode == networking.ClientTLSSettings_MUTUAL && cert != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{xds.SDSSecret(cert)}
	}
	if t.GetInsecureSkipVerify().GetValue() {
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{}}
	} else {
		common.ValidationContextType = upstreamValidation(xds.SDSSecret(root), t.SubjectAltNames, t.CaCrl)
	}
	return &tlsv3.UpstreamTlsContext{Sni: t.Sni, CommonTlsContext: common}
}
