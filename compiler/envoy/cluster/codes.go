package cluster

import "github.com/meshc/meshc/internal/diag"

// Codes declares the findings of the lowering of clusters.
var Codes = []diag.Code{
	{
		ID: "MESHC1440", Severity: diag.Warning,
		Means:   "a traffic policy field has no effect beside another or on this port",
		Example: "`warmup` with RANDOM",
		Remedy:  "as the help says",
	},
	{
		ID: "MESHC1442", Severity: diag.Error,
		Means:   "`credentialName` where sidecars may not read it: connections would go without TLS",
		Example: "a DestinationRule without `workloadSelector`",
		Remedy:  "add one that selects the clients which may read the Secret, such as the egress gateway; or use files",
	},
	{
		ID: "MESHC1443", Severity: diag.Error,
		Means:   "`defaultEndpoint` of a Sidecar that cannot be reached",
		Example: "an address of another pod",
		Remedy:  "`127.0.0.1:PORT`, `0.0.0.0:PORT` or a socket",
	},
	{
		ID: "MESHC1444", Severity: diag.Warning,
		Means:   "a gateway in `meshNetworks` without a usable address: endpoints behind it stay unreachable",
		Example: "a host name",
		Remedy:  "write the IP address",
	},
	{
		ID: "MESHC1445", Severity: diag.Warning,
		Means:   "an ExternalName leads out of the mesh",
		Example: "`externalName: example.com`",
		Remedy:  "declare the host by a ServiceEntry",
	},
	{
		ID: "MESHC1446", Severity: diag.Warning,
		Means:   "`internalTrafficPolicy: Local` is not applied: the caller's node is not known when compiling",
		Example: "`internalTrafficPolicy: Local`",
		Remedy:  "`trafficDistribution: PreferSameNode`",
	},
	{
		ID: "MESHC1447", Severity: diag.Warning,
		Means:   "a setting lacks its other half and is not applied",
		Example: "`http2KeepAlive` without `timeout`",
		Remedy:  "set both",
	},
	{
		ID: "MESHC1448", Severity: diag.Error,
		Means:   "an address of ProxyConfig that cannot be reached",
		Example: "`tracing: {zipkin: {address: \"$(HOST_IP):9411\"}}`",
		Remedy:  "HOST:PORT, without placeholders",
	},
	{
		ID: "MESHC1450", Severity: diag.Warning,
		Means:   "a server certificate for any name is accepted",
		Example: "SIMPLE with `sni` and without `subjectAltNames`",
		Remedy:  "set `subjectAltNames`",
	},
}
