package mesh

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Classes groups all workloads, declared and implied, by what they receive, and resolves the scope and the inbound side
// of each group once. Classes and selectors are sorted by id.
func Classes(m *Mesh) ([]*Class, []*Selector, diag.List) {
	findings := m.checkProxyMetadata()
	selectors := m.collectSelectors()
	workloads := append(slices.Clone(m.Workloads), m.impliedWorkloads(selectors)...)
	for _, w := range workloads {
		if err := m.setProxyConfig(w); err != nil {
			findings.Add(w.Object.Finding(diag.Error, "MESHC1250", "the annotations of the pod give no ProxyConfig: "+err.Error(), "correct the ProxyConfig", w.AnnotationPath(AnnotationProxyConfig)...))
			w.ProxyConfig = m.Config.DefaultConfig
		}
	}
	groups, f := selectors.agree(m.members(workloads))
	findings.Add(f...)
	scopes := memo.Plain(m.newScope)
	var out []*Class
	for _, g := range groups {
		c := &Class{Gateway: g.gateway, Selectors: g.signature, Workloads: g.workloads(), Scope: scopes.Get(g.facts.scope), Inbound: m.newInbound(g.facts)}
		if c.Gateway {
			c.Servers, f = m.mergeServers(g.facts)
			findings.Add(f...)
		}
		out = append(out, c)
	}
	nameClasses(out, m.Cluster)
	var list []*Selector
	for _, k := range sortedKeys(selectors.all) {
		list = append(list, selectors.all[k])
	}
	return out, list, findings
}

// declared returns the workload a class is called after: a template before a Pod of it.
func (c *Class) declared() *Workload {
	if i := slices.IndexFunc(c.Workloads, func(w *Workload) bool { return w.Object.Kind != "Pod" }); i >= 0 {
		return c.Workloads[i]
	}
	return c.Workload()
}

// nameClasses gives each class a readable id, unique in the bundle.
func nameClasses(classes []*Class, cluster string) {
	used := map[string]int{}
	for _, c := range classes {
		id := names.Class(c.Gateway, c.declared().Namespace, c.declared().Name, cluster)
		used[id]++
		if n := used[id]; n > 1 {
			id += "." + strconv.Itoa(n)
		}
		c.ID = id
	}
	slices.SortFunc(classes, func(a, b *Class) int { return cmp.Compare(a.ID, b.ID) })
}

// ServesGateway tells whether any Gateway selects the workload, or injection makes a gateway of it. One without selector
// does not select those with a sidecar.
func (m *Mesh) ServesGateway(w *Workload) bool {
	return w.Router || slices.ContainsFunc(m.Gateways, func(g *Gateway) bool {
		switch {
		case g.Object.Annotations[annotationGatewayService] != "":
			return len(gatewayTargets(g, m.targetsOf(w))) > 0
		case len(g.Spec.GetSelector()) == 0:
			return !w.Injected
		}
		return endpoint.Subset(g.Spec.Selector, w.Labels)
	})
}
