package route

import (
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
)

// GatewayInputs is what the listeners and routes of a class of gateways look at.
type GatewayInputs struct {
	Mesh    *mesh.Mesh
	View    *mesh.View
	Proxy   *meshconfig.ProxyConfig
	Caller  Caller // without a Gateway
	Inbound *mesh.Inbound
	Servers []*mesh.MergedServer
}
