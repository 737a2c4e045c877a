package compiler

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
)

// hashedWeights says which endpoints a cluster would refuse that hashes, where they are a resource of their own.
func (out *loweredSets) hashedWeights() diag.List {
	resources := out.resources()
	hashes := map[string]bool{}
	for _, r := range resources {
		c, is := r.Message.(*clusterv3.Cluster)
		if p := c.GetLbPolicy(); is && c.GetType() == clusterv3.Cluster_EDS && (p == clusterv3.Cluster_RING_HASH || p == clusterv3.Cluster_MAGLEV) {
			hashes[r.Name] = true
		}
	}
	var findings diag.List
	for _, r := range resources {
		if a, is := r.Message.(*endpointv3.ClusterLoadAssignment); is && r.Type == xds.Endpoints && hashes[r.Name] {
			for _, p := range validate.HashedWeights(a) {
				findings.Add(refusal(r, p, false))
			}
		}
	}
	return findings
}
