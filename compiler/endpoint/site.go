package endpoint

import (
	"cmp"
	"net/netip"
	"strings"
)

// Labels that decide how a workload takes part in the mesh.
const (
	LabelTLSMode           = "security.istio.io/tlsMode"
	LabelCanonicalName     = "service.istio.io/canonical-name"
	LabelCanonicalRevision = "service.istio.io/canonical-revision"
	LabelService           = "kubernetes.io/service-name" // of an EndpointSlice

	labelLocality         = "istio-locality"
	labelTopologyLocality = "topology.istio.io/locality"
)

// Site is what a mesh says about all endpoints of one Kubernetes cluster.
type Site struct {
	Cluster   string               `json:"cluster"`             // its name
	Network   string               `json:"network,omitempty"`   // of pods without a label: that of the root namespace
	Registry  string               `json:"registry,omitempty"`  // of pods, by MeshNetworks fromRegistry
	CIDRs     []CIDR               `json:"cidrs,omitempty"`     // networks by address, by MeshNetworks fromCidr
	Gateways  map[string][]Gateway `json:"gateways,omitempty"`  // by network, sorted
	Plaintext Plaintext            `json:"plaintext,omitempty"` // ports that do not take mutual TLS
}

// CIDR says which network addresses are in.
type CIDR struct {
	Prefix  netip.Prefix `json:"prefix"`
	Network string       `json:"network"`
}

// Place returns where a workload is by its labels: network, cluster and locality.
func (s *Site) Place(labels map[string]string) (network, cluster, locality string) {
	return cmp.Or(labels[LabelNetwork], s.Network), cmp.Or(labels[LabelCluster], s.Cluster), LocalityLabel(labels)
}

// LocalityLabel reads the locality a workload is labelled with; dots stand for slashes where there is no slash.
func LocalityLabel(labels map[string]string) string {
	l := cmp.Or(labels[labelTopologyLocality], labels[labelLocality])
	if !strings.Contains(l, "/") {
		l = strings.ReplaceAll(l, ".", "/")
	}
	return l
}

// NodeLocality is the locality of a node by its labels.
func NodeLocality(labels map[string]string) string {
	region := cmp.Or(labels[LabelRegion], labels["failure-domain.beta.kubernetes.io/region"])
	zone := cmp.Or(labels[LabelZone], labels["failure-domain.beta.kubernetes.io/zone"])
	return strings.TrimRight(region+"/"+zone+"/"+labels[LabelSubzone], "/")
}

// NetworkOf finds the network of an address; "" if it is in none.
func (s *Site) NetworkOf(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	for _, c := range s.CIDRs {
		if c.Prefix.Contains(a) {
			return c.Network
		}
	}
	return ""
}

// networkOfPod finds the network of a pod that has none by its labels: that of its cluster, else by its address.
func (s *Site) networkOfPod(address string) string { return cmp.Or(s.Registry, s.NetworkOf(address)) }

// Plaintext says which workload ports are declared not to speak mutual TLS (PeerAuthentication DISABLE): the rules of a
// namespace in their order, and under "" those of the namespaces that have none of their own.
type Plaintext map[string][]PlainRule

// PlainRule is what holds for the workloads with the labels. The first rule that matches decides.
type PlainRule struct {
	Labels map[string]string `json:"labels,omitempty"`
	All    bool              `json:"all,omitempty"`   // ports that Ports does not name
	Ports  map[uint32]bool   `json:"ports,omitempty"` // by number of the workload port
}

// Is tells whether a port of the workloads with these labels takes plain text only.
func (p Plaintext) Is(namespace string, labels map[string]string, port uint32) bool {
	if len(p) == 0 {
		return false
	}
	rules, ok := p[namespace]
	if !ok {
		rules = p[""]
	}
	for _, r := range rules {
		if Subset(r.Labels, labels) {
			if plain, ok := r.Ports[port]; ok {
				return plain
			}
			return r.All
		}
	}
	return false
}
