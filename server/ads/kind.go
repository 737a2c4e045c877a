package ads

import "github.com/meshc/meshc/compiler/bundle"

// Kind is a type of resource as streams see it, in the order in which a proxy takes a change.
type Kind int

const (
	Clusters Kind = iota
	Endpoints
	Secrets
	Runtimes // layers of the runtime that the server sets, which are in no bundle
	Listeners
	Routes // route configurations without their virtual hosts
	VirtualHosts
	InlinedRoutes // route configurations with their virtual hosts, for proxies without delta xDS
	NameTables    // what Istio's agent answers name look-ups from, which is in no bundle
	Kinds         // how many there are
)

// SecretType is the type of secrets, which are in no bundle.
const SecretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// RuntimeType is the type of runtime layers, which are in no bundle.
const RuntimeType = "type.googleapis.com/envoy.service.runtime.v3.Runtime"

// NameTableType is the type of the tables that Istio's agent answers name look-ups from, which are in no bundle.
const NameTableType = "type.googleapis.com/istio.networking.nds.v1.NameTable"

// URL is the type of the resources.
func (k Kind) URL() string {
	switch k {
	case NameTables:
		return NameTableType
	case Clusters:
		return bundle.ClusterType
	case Endpoints:
		return bundle.EndpointsType
	case Secrets:
		return SecretType
	case Runtimes:
		return RuntimeType
	case Listeners:
		return bundle.ListenerType
	case VirtualHosts:
		return bundle.VirtualHostType
	default:
		return bundle.RouteConfigurationType
	}
}

// String is the short name of metrics and status.
func (k Kind) String() string {
	return [...]string{"cds", "eds", "sds", "rtds", "lds", "rds", "vhds", "rds", "nds"}[k]
}

// KindOf is the kind of a resource of a bundle.
func KindOf(url string) Kind {
	k, _ := kindOf(url, true)
	return k
}

func kindOf(url string, delta bool) (Kind, bool) {
	switch url {
	case bundle.ClusterType:
		return Clusters, true
	case bundle.EndpointsType:
		return Endpoints, true
	case SecretType:
		return Secrets, true
	case RuntimeType:
		return Runtimes, true
	case bundle.ListenerType:
		return Listeners, true
	case bundle.RouteConfigurationType:
		if delta {
			return Routes, true
		}
		return InlinedRoutes, true
	case bundle.VirtualHostType:
		return VirtualHosts, delta
	case NameTableType:
		return NameTables, true
	}
	return 0, false
}
