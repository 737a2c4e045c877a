package mesh

import (
	"slices"

	"github.com/meshc/meshc/schema"
)

// impliedWorkloads stands in for workloads that the input does not declare: mesh configuration is often kept apart from
// the Deployments it is about. Each selector that no declared workload of its namespace matches implies one with just
// those labels, each namespace without workloads one without labels, each Gateway without selector one in its namespace,
// each static endpoint address of the mesh one VM.
func (m *Mesh) impliedWorkloads(selectors *selectorSet) []*Workload {
	declared := map[string]bool{} // namespaces
	byLabels := labelled[*Workload]{}
	known := map[string]bool{}
	for _, w := range m.Workloads {
		declared[w.Namespace] = true
		byLabels.add(w.Namespace, w.Labels, w)
		for _, a := range w.Addresses {
			known[a] = true
		}
	}
	var out []*Workload
	byNamespace := map[string][]map[string]string{}
	add := func(namespace string, labels map[string]string, address string) {
		w := &Workload{Object: m.namespaceObject(namespace), Namespace: namespace, Name: "implied", Labels: map[string]string{}, Implied: true, Injected: true, Ports: map[string]uint32{}, ServiceAccount: ""}
		for k, v := range labels {
			w.Labels[k] = v
		}
		if len(labels) > 0 {
			w.Name = "implied:" + labelKey(labels)
		}
		if address != "" {
			w.Addresses = []string{address}
			w.Name += "@" + address
		}
		w.Cluster = m.ClusterName()
		out = append(out, w)
	}
	for _, id := range sortedKeys(selectors.all) {
		x := selectors.all[id]
		if len(x.Labels) == 0 {
			continue
		}
		for _, ns := range m.selectorNamespaces(x) {
			if len(byLabels.matching(ns, x.Labels)) == 0 {
				byNamespace[ns] = append(byNamespace[ns], x.Labels)
				add(ns, x.Labels, "")
			}
		}
	}
	routers := map[string]bool{}
	for _, g := range m.Gateways {
		// Without a selector a Gateway does not say what its proxies look like, only where they may be.
		ns := g.Object.Namespace
		if len(g.Spec.Selector) == 0 && !routers[ns] && !slices.ContainsFunc(m.Workloads, func(w *Workload) bool { return w.Namespace == ns && m.ServesGateway(w) }) {
			routers[ns] = true
			add(ns, nil, "")
			w := out[len(out)-1]
			w.Name, w.Router = "implied:router", true
		}
	}
	for _, ns := range sortedKeys(m.Namespaces) {
		if declared[ns] {
			continue
		}
		byNamespace[ns] = append(byNamespace[ns], nil)
		add(ns, nil, "")
		for _, g := range m.Gateways { // a Gateway selects proxies of any namespace
			l := g.Spec.Selector
			if len(l) > 0 && !slices.ContainsFunc(byNamespace[ns], func(have map[string]string) bool { return labelKey(have) == labelKey(l) }) {
				byNamespace[ns] = append(byNamespace[ns], l)
				add(ns, l, "")
			}
		}
	}
	for _, a := range sortedKeys(m.index.addresses) {
		if known[a] {
			continue
		}
		done := map[string]bool{}
		for _, t := range m.index.addresses[a] {
			ns := t.service.Namespace
			if t.service.Kubernetes || done[ns] {
				continue
			}
			done[ns] = true
			for _, e := range t.port.Endpoints {
				if e.Address == a && len(e.Labels) > 0 {
					add(ns, e.Labels, a)
				}
			}
			for _, l := range append(byNamespace[ns], nil) {
				add(ns, l, a)
			}
		}
	}
	return out
}

// selectorNamespaces returns where a selector may match: its own namespace, or for a mesh-wide one the namespaces with
// a Service of just these labels, the Gateways' own and the root namespace.
func (m *Mesh) selectorNamespaces(x *Selector) []string {
	if x.Namespace != "" {
		return []string{x.Namespace}
	}
	set := map[string]bool{m.RootNamespace: true}
	for _, s := range m.Services {
		if len(s.Selector) > 0 && subset(s.Selector, x.Labels) {
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
