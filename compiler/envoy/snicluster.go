package envoy

import "github.com/meshc/meshc/compiler/mesh"

// SNIClusterInputsFor is ClusterInputsFor for clusters behind a gateway with an AUTO_PASSTHROUGH server: one per port and
// subset of a service, named like the SNI that a client's Istio mutual TLS carries. The gateway forwards the TLS unopened,
// so the clusters have no TLS of their own and only endpoints that accept mutual TLS. Services outside the mesh have none.
func SNIClusterInputsFor(env *ClusterEnv, s *mesh.Scope, svc *mesh.Service) ClusterInputs {
	in := ClusterInputsFor(env, s, svc)
	in.SNI = true
	return in
}
