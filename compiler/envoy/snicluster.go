package envoy

import (
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// SNIClusters returns the clusters behind a gateway with an AUTO_PASSTHROUGH server: one per port and subset of every
// service of the mesh, named like the SNI that a client's Istio mutual TLS carries. The gateway forwards the TLS
// unopened, so the clusters have no TLS of their own and only endpoints that accept mutual TLS.
func SNIClusters(s *mesh.Scope) ([]*Resource, diag.List) {
	env, ds := NewClusterEnv(s.Mesh)
	var out []*Resource
	for _, svc := range s.Services {
		if svc.MeshExternal {
			continue
		}
		rs, more := OutboundClustersFor(SNIClusterInputsFor(env, s, svc))
		out = append(out, rs...)
		ds.Add(more...)
	}
	return out, ds
}

// SNIClusterInputsFor is ClusterInputsFor for clusters in SNI form. Services outside the mesh have none.
func SNIClusterInputsFor(env *ClusterEnv, s *mesh.Scope, svc *mesh.Service) ClusterInputs {
	in := ClusterInputsFor(env, s, svc)
	in.SNI = true
	return in
}
