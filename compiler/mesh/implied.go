package mesh

import (
	"maps"
	"slices"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/schema"
)

// impliedWorkloads stands in for workloads that the input does not declare: mesh configuration is often kept apart from
// the Deployments it is about. Each selector that no declared workload of its namespace matches implies one with just
// those labels, each namespace without workloads one without labels, each Gateway without selector one in its namespace,
// each static endpoint address of the mesh one VM.
func (m *Mesh) impliedWorkloads(selectors *selectorSet) []*Workload {
	s := &impliedWorkloads{mesh: m, byNamespace: map[string][]map[string]string{}}
	s.ofSelectors(selectors)
	s.ofGateways()
	s.ofNamespaces()
	s.ofAddresses()
	return s.workloads
}

// impliedWorkloads gathers implied workloads.
type impliedWorkloads struct {
	mesh        *Mesh
	workloads   []*Workload
	byNamespace map[string][]map[string]string // the labels of those without an address
}

func (s *impliedWorkloads) add(namespace string, labels map[string]string, address string) *Workload {
	w := &Workload{Object: s.mesh.namespaceObject(namespace), Namespace: namespace, Name: "implied", Labels: map[string]string{}, Implied: true, Injected: true, Ports: map[string]uint32{}, Cluster: s.mesh.ClusterName()}
	maps.Copy(w.Labels, labels)
	if len(labels) > 0 {
		w.Name = "implied:" + labelKey(labels)
	}
	if address != "" {
		w.Addresses = []string{address}
		w.Name += "@" + address
	}
	s.workloads = append(s.workloads, w)
	return w
}

// ofSelectors stands in for what selectors select, where no workload is declared that they do.
func (s *impliedWorkloads) ofSelectors(selectors *selectorSet) {
	byLabels := attach.ByLabels[*Workload]{}
	for _, w := range s.mesh.Workloads {
		byLabels.Add(w.Namespace, w.Labels, w)
	}
	for _, id := range sortedKeys(selectors.all) {
		x := selectors.all[id]
		if len(x.Labels) == 0 {
			continue
		}
		for _, ns := range s.mesh.selectorNamespaces(x) {
			if len(byLabels.Matching(ns, x.Labels)) == 0 {
				s.byNamespace[ns] = append(s.byNamespace[ns], x.Labels)
				s.add(ns, x.Labels, "")
			}
		}
	}
}

// ofGateways stands in for the proxies of Gateways without a selector, which do not say what their proxies look like, only
// where they may be.
func (s *impliedWorkloads) ofGateways() {
	routers := map[string]bool{}
	for _, g := range s.mesh.Gateways {
		ns := g.Object.Namespace
		serves := func(w *Workload) bool { return w.Namespace == ns && s.mesh.ServesGateway(w) }
		if len(g.Spec.Selector) == 0 && !routers[ns] && !slices.ContainsFunc(s.mesh.Workloads, serves) {
			routers[ns] = true
			w := s.add(ns, nil, "")
			w.Name, w.Router = "implied:router", true
		}
	}
}

// ofNamespaces stands in for the workloads of namespaces that declare none: one without labels, and one for each Gateway, which
// selects proxies of any namespace.
func (s *impliedWorkloads) ofNamespaces() {
	declared := map[string]bool{}
	for _, w := range s.mesh.Workloads {
		declared[w.Namespace] = true
	}
	for _, ns := range sortedKeys(s.mesh.Namespaces) {
		if declared[ns] {
			continue
		}
		s.byNamespace[ns] = append(s.byNamespace[ns], nil)
		s.add(ns, nil, "")
		for _, g := range s.mesh.Gateways {
			l := g.Spec.Selector
			if len(l) > 0 && !slices.ContainsFunc(s.byNamespace[ns], func(have map[string]string) bool { return maps.Equal(have, l) }) {
				s.byNamespace[ns] = append(s.byNamespace[ns], l)
				s.add(ns, l, "")
			}
		}
	}
}

// ofAddresses stands in for what static endpoints lead to, where no workload is known to have the address.
func (s *impliedWorkloads) ofAddresses() {
	known := map[string]bool{}
	for _, w := range s.mesh.Workloads {
		for _, a := range w.Addresses {
			known[a] = true
		}
	}
	for _, a := range sortedKeys(s.mesh.index.addresses) {
		if known[a] {
			continue
		}
		done := map[string]bool{}
		for _, t := range s.mesh.index.addresses[a] {
			ns := t.service.Namespace
			if t.service.Kubernetes || done[ns] {
				continue
			}
			done[ns] = true
			for _, e := range t.port.Endpoints {
				if e.Address == a && len(e.Labels) > 0 {
					s.add(ns, e.Labels, a)
				}
			}
			for _, l := range append(s.byNamespace[ns], nil) {
				s.add(ns, l, a)
			}
		}
	}
}

// selectorNamespaces returns where a selector may match: its own namespace, or for a mesh-wide one the namespaces with
// a Service of just these labels, the Gateways' own and the root namespace.
func (m *Mesh) selectorNamespaces(x *Selector) []string {
	if x.Namespace != "" {
		return []string{x.Namespace}
	}
	set := map[string]bool{m.RootNamespace: true}
	for _, s := range m.Services {
		if len(s.Selector) > 0 && endpoint.Subset(s.Selector, x.Labels) {
			set[s.Namespace] = true
		}
	}
	for _, g := range m.Gateways {
		if labelKey(g.Spec.Selector) == labelKey(x.Labels) {
			set[g.Object.Namespace] = true
		}
	}
	return sortedKeys(set)
}

func (m *Mesh) namespaceObject(name string) *schema.Object {
	if ns := m.Namespaces[name]; ns != nil && ns.Object != nil {
		return ns.Object
	}
	if o := m.index.anyObject[name]; o != nil {
		return o
	}
	return m.index.first
}
