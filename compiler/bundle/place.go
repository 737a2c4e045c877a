package bundle

import (
	"cmp"
	"strings"

	"github.com/meshc/meshc/compiler/endpoint"
)

// places are the workloads of the input by their names and addresses, for proxies that do not say where they run. A registry knows
// it of its pods, and a stock agent says neither the locality nor the network.
type places struct {
	byName    map[string][]*Workload // NAMESPACE/NAME
	byAddress map[string][]*Workload
}

func (p *places) build(b *Bundle) {
	*p = places{byName: map[string][]*Workload{}, byAddress: map[string][]*Workload{}}
	for i := range b.Workloads {
		w := &b.Workloads[i]
		if w.Locality == "" && w.Network == "" {
			continue
		}
		p.byName[w.Namespace+"/"+w.Name] = append(p.byName[w.Namespace+"/"+w.Name], w)
		for _, a := range w.Addresses {
			p.byAddress[a] = append(p.byAddress[a], w)
		}
	}
}

// complete adds to a node the locality and network of its workload in the input, where it says none itself.
func (p *places) complete(n Node) Node {
	n.Network = cmp.Or(n.Network, n.Labels[endpoint.LabelNetwork])
	if n.Network != "" && n.Locality != "" {
		return n
	}
	found := p.find(&n)
	n.Network = cmp.Or(n.Network, agreed(found, func(w *Workload) string { return w.Network }))
	n.Locality = cmp.Or(n.Locality, agreed(found, func(w *Workload) string { return w.Locality }))
	return n
}

// find finds the workload of a node: what is at one of its addresses, or else what has its name or runs pods of such a name, which
// may be in several places.
func (p *places) find(n *Node) []*Workload {
	for _, a := range n.Addresses {
		if found := n.among(p.byAddress[a]); len(found) > 0 {
			return found
		}
	}
	for name := n.Namespace + "/" + n.Name; ; {
		if found := n.among(p.byName[name]); len(found) > 0 {
			return found
		}
		i := strings.LastIndexByte(name, '-')
		if i <= len(n.Namespace) {
			return nil
		}
		name = name[:i]
	}
}

// among picks the workloads of the cluster and namespace that a node is in.
func (n *Node) among(list []*Workload) (out []*Workload) {
	for _, w := range list {
		if w.Namespace == n.Namespace && (w.Cluster == "" || n.Cluster == "" || w.Cluster == n.Cluster) {
			out = append(out, w)
		}
	}
	return out
}

// agreed is what all of some workloads have; "": they have none, or differ.
func agreed(list []*Workload, of func(*Workload) string) string {
	value := ""
	for i, w := range list {
		if i > 0 && of(w) != value {
			return ""
		}
		value = of(w)
	}
	return value
}
