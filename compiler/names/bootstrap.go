package names

// The clusters that the bootstrap of a proxy has, and that no bundle brings.
const (
	XDSCluster   = "xds-grpc"         // the ADS server
	AdminCluster = "prometheus_stats" // Envoy's admin interface
	AgentCluster = "sds-grpc"         // the agent, SPIRE's or Istio's, that hands out secrets, where there is one
)

// DNSListener answers the name look-ups of the application.
const DNSListener = "dns"
