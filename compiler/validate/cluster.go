package validate

import (
	"net/netip"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/proto"
)

// clusterRule is about the parts of a cluster that have to fit one another (source/common/upstream/upstream_impl.cc and the
// cluster types in source/extensions/clusters).
func clusterRule(v *visit, m proto.Message) {
	c := m.(*clusterv3.Cluster)
	clusterBalancer(v, c)
	clusterProtocols(v, c)
	bindRule(v, c)
	for _, t := range c.GetCircuitBreakers().GetPerHostThresholds() {
		if only := (&clusterv3.CircuitBreakers_Thresholds{Priority: t.GetPriority(), MaxConnections: t.GetMaxConnections()}); !proto.Equal(t, only) {
			v.bad("circuit_breakers.per_host_thresholds", "Keep max_connections, and put the rest under thresholds.", "a threshold of each host has more than max_connections")
		}
	}
	if t := c.GetClusterType(); t != nil {
		if t.GetTypedConfig() == nil && !slices.Contains(plainClusters(), t.GetName()) {
			v.bad("cluster_type", "Use a type of cluster that Envoy has, with its typed_config.", "stock Envoy has no type of cluster %q", t.GetName())
		}
		return
	}
	clusterEndpoints(v, c)
}

// plainClusters are the types of clusters that need no configuration of their own.
func plainClusters() []string {
	return []string{"envoy.cluster.static", "envoy.cluster.strict_dns", "envoy.cluster.logical_dns", "envoy.cluster.eds", "envoy.cluster.original_dst"}
}

// clusterEndpoints is about where the endpoints of a cluster come from.
func clusterEndpoints(v *visit, c *clusterv3.Cluster) {
	list := c.GetLoadAssignment().GetEndpoints()
	switch c.GetType() {
	case clusterv3.Cluster_EDS:
		if c.GetEdsClusterConfig() == nil {
			v.bad("eds_cluster_config", "Add eds_cluster_config: {eds_config: {ads: {}}}.", "a cluster of type EDS does not say where its endpoints come from")
		}
	case clusterv3.Cluster_LOGICAL_DNS:
		if len(list) != 1 || len(list[0].GetLbEndpoints()) != 1 {
			v.bad("load_assignment", "Give it one endpoint, or use STRICT_DNS.", "a cluster of type LOGICAL_DNS does not have exactly one endpoint")
		}
	case clusterv3.Cluster_ORIGINAL_DST:
		if c.GetLoadAssignment() != nil {
			v.bad("load_assignment", "Remove it, or use STATIC.", "a cluster of type ORIGINAL_DST has endpoints of its own")
		}
	}
	for _, l := range list {
		for _, e := range l.GetLbEndpoints() {
			if e.GetEndpointName() != "" {
				v.bad("load_assignment", "Write the endpoint itself.", "an endpoint is named, which only the EDS of a server can do")
				continue
			}
			if endpoint := e.GetEndpoint(); endpoint != nil {
				clusterEndpoint(v, c, endpoint)
			}
			for _, a := range e.GetEndpoint().GetAdditionalAddresses() {
				clusterEndpoint(v, c, &endpointv3.Endpoint{Address: a.GetAddress()})
			}
		}
	}
}

func clusterEndpoint(v *visit, c *clusterv3.Cluster, e *endpointv3.Endpoint) {
	const field = "load_assignment"
	socket := e.GetAddress().GetSocketAddress()
	switch {
	case e.GetAddress().GetAddress() == nil:
		v.bad(field, "Give each endpoint an address.", "an endpoint has no address")
	case socket.GetNamedPort() != "" && socket.GetResolverName() == "":
		v.bad(field, "Write port_value.", "the port of an endpoint is the name %q, which nothing resolves", socket.GetNamedPort())
	case c.GetType() == clusterv3.Cluster_STATIC && socket != nil && socket.GetResolverName() == "" && !isIP(socket.GetAddress()):
		v.bad(field, "Write an IP address, or use the type STRICT_DNS.", "%q is no IP address, as a cluster of type STATIC needs", socket.GetAddress())
	}
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// clusterBalancer is about the load balancer: one that fits the type of the cluster, and its settings.
func clusterBalancer(v *visit, c *clusterv3.Cluster) {
	policy, custom := c.GetLbPolicy(), c.GetClusterType() != nil
	original := !custom && c.GetType() == clusterv3.Cluster_ORIGINAL_DST
	provided := policy == clusterv3.Cluster_CLUSTER_PROVIDED
	switch {
	case c.GetLoadBalancingPolicy() != nil:
		own := false
		for _, p := range c.GetLoadBalancingPolicy().GetPolicies() {
			own = own || strings.HasSuffix(p.GetTypedExtensionConfig().GetTypedConfig().GetTypeUrl(), ".ClusterProvided")
		}
		if own && !original && !custom {
			v.bad("load_balancing_policy", "Use another policy.", "a cluster of type %s provides no load balancer of its own", c.GetType())
		}
		return
	case policy == clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG:
		v.bad("load_balancing_policy", "Add load_balancing_policy, or use another lb_policy.", "lb_policy LOAD_BALANCING_POLICY_CONFIG needs a load_balancing_policy")
	case original && !provided:
		v.bad("lb_policy", "Write lb_policy: CLUSTER_PROVIDED.", "a cluster of type ORIGINAL_DST has lb_policy %s", policy)
	case provided && !original && !custom:
		v.bad("lb_policy", "Use another policy.", "a cluster of type %s provides no load balancer of its own", c.GetType())
	case provided && c.GetLbSubsetConfig() != nil:
		v.bad("lb_subset_config", "Remove it.", "subsets cannot be combined with lb_policy CLUSTER_PROVIDED")
	}
	ownBalancer(v, c)
	hashing(v, c)
}

// ownBalancer wants the types of clusters that balance by themselves to be let.
func ownBalancer(v *visit, c *clusterv3.Cluster) {
	const balancing = "type.googleapis.com/envoy.extensions.clusters."
	switch c.GetClusterType().GetTypedConfig().GetTypeUrl() {
	case balancing + "dynamic_forward_proxy.v3.ClusterConfig", balancing + "aggregate.v3.ClusterConfig":
		if c.GetLbPolicy() != clusterv3.Cluster_CLUSTER_PROVIDED {
			v.bad("lb_policy", "Write lb_policy: CLUSTER_PROVIDED.", "the cluster balances itself, and has lb_policy %s", c.GetLbPolicy())
		}
	}
}

// hashing is about the settings of balancers that hash.
func hashing(v *visit, c *clusterv3.Cluster) {
	switch c.GetLbPolicy() {
	case clusterv3.Cluster_MAGLEV:
		tableSize(v, "maglev_lb_config.table_size", c.GetMaglevLbConfig().GetTableSize())
	case clusterv3.Cluster_RING_HASH:
		ring := c.GetRingHashLbConfig()
		ringSizes(v, "ring_hash_lb_config", ring.GetMinimumRingSize(), ring.GetMaximumRingSize())
	default:
		return
	}
	for _, x := range HashedWeights(c.GetLoadAssignment()) {
		v.bad("load_assignment."+x.Path, x.Help, "%s", x.Says)
	}
}

// httpOptions is the name under which a cluster has its options for HTTP.
const httpOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// clusterProtocols is about options that go to protocols and filters by name.
func clusterProtocols(v *visit, c *clusterv3.Cluster) {
	known := []string{httpOptions, "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions", "envoy.filters.network.redis_proxy", "envoy.filters.network.thrift_proxy"}
	for _, name := range keys(c.GetTypedExtensionProtocolOptions()) {
		if !slices.Contains(known, name) {
			v.bad("typed_extension_protocol_options["+name+"]", "Use the name "+httpOptions+".", "Envoy has no options of a protocol under this name")
		}
	}
	_, options := c.GetTypedExtensionProtocolOptions()[httpOptions]
	for _, h := range c.GetHealthChecks() {
		if h.GetGrpcHealthCheck() != nil && !options && c.GetHttp2ProtocolOptions() == nil { //nolint:staticcheck // Envoy reads it
			v.bad("health_checks", "Add HttpProtocolOptions with http2_protocol_options.", "a health check by gRPC needs a cluster that speaks HTTP/2")
		}
	}
}

// maxSocketPath is the longest path of a socket that Linux takes, without the zero at its end.
const maxSocketPath = 107

// pipeRule: source/common/network/address_impl.cc.
func pipeRule(v *visit, m proto.Message) {
	if n := len(m.(*corev3.Pipe).GetPath()); n > maxSocketPath {
		v.bad("path", "Use a shorter path.", "the path of the socket has %d bytes, and %d is the most", n, maxSocketPath)
	}
}

// cidrRule: an address range has an IP address (source/common/network/cidr_range.cc).
func cidrRule(v *visit, m proto.Message) {
	if a := m.(*corev3.CidrRange).GetAddressPrefix(); !isIP(a) {
		v.bad("address_prefix", "Write an IP address.", "%q is no IP address", a)
	}
}
