package xds

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// Type is the kind of an xDS resource, in the order in which a proxy takes a change: clusters, their endpoints,
// listeners, route configurations, virtual hosts.
type Type int

// The types of xDS that a bundle holds.
const (
	Cluster Type = iota
	Endpoints
	Listener
	RouteConfiguration
	VirtualHost
)

// URL returns the type URL of the resource type.
func (t Type) URL() string {
	const p = "type.googleapis.com/envoy.config."
	switch t {
	case Cluster:
		return p + "cluster.v3.Cluster"
	case Endpoints:
		return p + "endpoint.v3.ClusterLoadAssignment"
	case Listener:
		return p + "listener.v3.Listener"
	case RouteConfiguration:
		return p + "route.v3.RouteConfiguration"
	default:
		return p + "route.v3.VirtualHost"
	}
}

// String returns the name of the message.
func (t Type) String() string { return t.URL()[strings.LastIndexByte(t.URL(), '.')+1:] }

// Resource is one xDS resource with the places in the input that made it.
type Resource struct {
	Type    Type
	Name    string // a VirtualHost is named <route configuration>/<virtual host>, as VHDS wants it
	Message proto.Message
	Origins []Origin
	// Selector says which endpoints belong to a Cluster of discovery type EDS, for people and for tracing.
	Selector *endpoint.Selector
	// Recipe says how Endpoints that can come from a Kubernetes cluster are made, for a server that sees live ones.
	Recipe *endpoint.Recipe
	// Before is the resource without the patches of EnvoyFilters; nil: none changed it.
	Before *Resource
}

// Origin is one place in the input behind a resource or a part of it.
type Origin struct {
	At     names.Part // what it is behind
	Pos    diag.Pos
	Object diag.Ref
	Field  string // path in the object, as spec.http[0]
}

// Sort orders resources by type and name.
func Sort(rs []*Resource) {
	slices.SortStableFunc(rs, func(a, b *Resource) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name))
	})
}
