package route

import (
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/memo"
)

// OutboundInputs is everything that the routes of the outbound side of sidecars depend on, but for the names by which a
// namespace calls its own services. It is comparable: equal inputs lower to equal resources.
type OutboundInputs struct {
	Mesh      *mesh.Mesh
	View      *mesh.View // services, and the rule in effect for each
	Listeners memo.List[*mesh.EgressListener]
	Sidecar   *mesh.Sidecar // nil: the built-in default
	Policy    mesh.OutboundPolicy
	Proxy     *meshconfig.ProxyConfig
	Holds     *matchSet // of the matches in VirtualServices of the listeners
}
