// Package endpoint joins what a cluster wants with the endpoints that are there: it makes the ClusterLoadAssignment of a
// cluster from a list of endpoints and from how the client sees them. The compiler does it with the endpoints of its
// input, a server with those it sees live; both call the same functions, so that the same endpoints give the same bytes.
//
// The way of an endpoint: an EndpointSlice or a Pod is read for each port of a service (Site.FromSlice, Site.FromPod),
// the lists are put in order and resolved (Site.Finish), and each cluster takes from the lists of its port what its
// client may use: those that carry the labels of the subset, grouped by locality, with other networks behind their
// gateways, weighed or ordered by the locality policy (Cluster.Localities).
//
// The package is pure: no clock, no files, no state.
package endpoint

import (
	"cmp"
	"slices"
)

// Endpoint is one address behind one port of a service, with all that decides whether and how a client uses it.
type Endpoint struct {
	Address        string            `json:"address"` // IP, DNS name, or "unix:///path"
	Port           uint32            `json:"port,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	Namespace      string            `json:"namespace,omitempty"`
	WorkloadName   string            `json:"-"`
	Hostname       string            `json:"-"`                  // pod hostname of a StatefulSet under a headless service
	Locality       string            `json:"locality,omitempty"` // region/zone/subzone
	Network        string            `json:"network,omitempty"`
	Cluster        string            `json:"cluster,omitempty"`
	NodeName       string            `json:"node,omitempty"`
	Weight         uint32            `json:"weight,omitempty"` // 0: unset
	ServiceAccount string            `json:"-"`                // SPIFFE identity, "" when unknown
	MTLS           bool              `json:"mtls,omitempty"`   // accepts Istio mutual TLS: injected workload and PeerAuthentication not DISABLE on the port
	Ready          bool              `json:"ready,omitempty"`
	Health         Health            `json:"health,omitempty"`
}

// Health of an endpoint as its object reports it.
type Health int

// The states; Draining endpoints only serve existing sessions.
const (
	Healthy Health = iota
	Unhealthy
	Draining
)

// Sort orders endpoints by address, port and cluster.
func Sort(list []*Endpoint) {
	slices.SortStableFunc(list, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Cluster, b.Cluster))
	})
}

// Subset tells whether every label of selector is in labels. An empty selector selects everything.
func Subset(selector, labels map[string]string) bool {
	for k, v := range selector {
		if w, ok := labels[k]; !ok || w != v {
			return false
		}
	}
	return true
}
