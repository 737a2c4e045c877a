package names

// The clusters that the bootstrap of a proxy has, and that no bundle brings.
const (
	XDSCluster   = "xds-grpc"         // the ADS server
	AdminCluster = "prometheus_stats" // Envoy's admin interface
	AgentCluster = "sds-grpc"         // the agent on the node that hands out secrets, where there is one
)
