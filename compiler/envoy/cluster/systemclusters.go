package cluster

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// passthroughIdle closes pooled connections to destinations nobody declared.
const passthroughIdle = 300

// System are the clusters behind an outbound catch-all: BlackHoleCluster refuses, and on sidecars
// PassthroughCluster sends a connection where it was going.
func System(m *mesh.Mesh, gateway bool) []*xds.Resource {
	hole := &clusterv3.Cluster{
		Name:                 names.BlackHoleCluster,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       connectTimeout(m),
		LbPolicy:             clusterv3.Cluster_ROUND_ROBIN,
	}
	out := []*xds.Resource{{Type: xds.Cluster, Name: hole.Name, Message: hole}}
	if !gateway {
		c := passthrough(names.PassthroughCluster, m)
		out = append(out, &xds.Resource{Type: xds.Cluster, Name: c.Name, Message: c})
	}
	return out
}

// passthrough is an ORIGINAL_DST cluster that speaks what the client speaks, under the mesh's default connection pool.
func passthrough(name string, m *mesh.Mesh) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		ConnectTimeout:       connectTimeout(m),
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
	}
	// HTTP settings of the default pool do not reach it: Istio replaces them by its own.
	applyPool(c, &upstreamHTTP{}, m.Config.GetDefaultTrafficPolicy().GetConnectionPool(), m)
	h := upstreamHTTP{kind: upstreamDownstream}
	h.common().IdleTimeout = xds.Seconds(passthroughIdle)
	h.attach(c)
	return c
}
