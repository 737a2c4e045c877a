package envoy

import (
	"github.com/meshc/meshc/compiler/mesh"
)

// RouteKey asks for one route configuration of a sidecar's outbound side. Listeners produce the keys: one for each HTTP
// connection manager that fetches its routes.
type RouteKey struct {
	Name     string               // of the route configuration: "9080", "reviews.default.svc.cluster.local:9080", a socket path
	Listener *mesh.EgressListener // what the listener may see
	Port     uint32               // service port; 0 for a forward proxy or Unix socket, whose domains keep host:port
	Host     string               // not empty: only the virtual host of this service, for any authority (a listener of its own address)
}
