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
	if w := p.find(&n); w != nil {
		n.Network, n.Locality = cmp.Or(n.Network, w.Network), cmp.Or(n.Locality, w.Locality)
	}
	return n
}

// find finds the workload of a node: the pod of its name, what is at one of its addresses, or what runs pods of such a name.
func (p *places) find(n *Node) *Workload {
	name := n.Namespace + "/" + n.Name
	if w := n.among(p.byName[name]); w != nil {
		return w
	}
	for _, a := range n.Addresses {
		if w := n.among(p.byAddress[a]); w != nil {
			return w
		}
	}
	for i := strings.LastIndexByte(name, '-'); i > len(n.Namespace); i = strings.LastIndexByte(name, '-') {
		name = name[:i]
		if w := n.among(p.byName[name]); w != nil {
			return w
		}
	}
	return nil
}

// among picks the workload of the cluster and namespace that a node is in.
func (n *Node) among(list []*Workload) *Workload {
	for _, w := range list {
		if w.Namespace == n.Namespace && (w.Cluster == "" || n.Cluster == "" || w.Cluster == n.Cluster) {
			return w
		}
	}
	return nil
}
