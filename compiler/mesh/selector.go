package mesh

import (
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/attach"
)

// Selector is one thing about a proxy that the configuration may depend on: labels it has (in a namespace, or in any
// when Namespace is ""), an address, a locality, a network, or the cluster alone. A proxy belongs to the class whose set of matching
// selectors is exactly its own.
type Selector struct {
	ID        string
	Cluster   string // only proxies of this cluster; "": any
	Namespace string
	Labels    map[string]string
	Address   string
	Locality  string
	Network   string
}

// selectorSet collects the distinct selectors of the mesh and matches workloads against them.
type selectorSet struct {
	cluster    string
	all        map[string]*Selector
	byLabels   attach.BySelector[*Selector]
	addresses  map[string]*Selector
	localities map[string]*Selector
	networks   map[string]*Selector
}

func labelKey(labels map[string]string) string {
	var b strings.Builder
	for i, k := range sortedKeys(labels) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "=" + labels[k])
	}
	return b.String()
}

// prefix keeps the selectors of several clusters apart.
func (s *selectorSet) prefix() string {
	if s.cluster == "" {
		return ""
	}
	return s.cluster + ":"
}

func (s *selectorSet) labels(namespace string, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	id := s.prefix() + namespace + "/" + labelKey(labels)
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Labels: labels}
		s.all[id] = x
		s.byLabels.Add(namespace, labels, x)
	}
}

func (s *selectorSet) address(namespace, address string) {
	id := s.prefix() + namespace + "/address/" + address
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Address: address}
		s.all[id], s.addresses[namespace+"/"+address] = x, x
	}
}

func (s *selectorSet) locality(locality string) {
	if id := s.prefix() + "locality/" + locality; locality != "" && s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Locality: locality}
		s.all[id], s.localities[locality] = x, x
	}
}

func (s *selectorSet) network(network string) {
	if id := s.prefix() + "network/" + network; network != "" && s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Network: network}
		s.all[id], s.networks[network] = x, x
	}
}

func (s *selectorSet) match(w *Workload) []string {
	var out []string
	for _, ns := range [2]string{w.Namespace, ""} {
		for _, x := range s.byLabels.Matching(ns, w.Labels) {
			out = append(out, x.ID)
		}
	}
	for _, a := range w.Addresses {
		if x := s.addresses[w.Namespace+"/"+a]; x != nil {
			out = append(out, x.ID)
		}
	}
	for l, x := range s.localities {
		if w.Locality == l || strings.HasPrefix(w.Locality, l+"/") {
			out = append(out, x.ID)
		}
	}
	if x := s.networks[w.Network]; x != nil && w.Network != "" {
		out = append(out, x.ID)
	}
	if s.cluster != "" {
		out = append(out, clusterSelector+s.cluster)
	}
	slices.Sort(out)
	return out
}

// clusterSelector begins the id of the selector that all proxies of a cluster match.
const clusterSelector = "cluster/"
