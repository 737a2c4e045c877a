package mesh

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// Classes groups all workloads, declared and implied, by what they receive, and settles the scope and the inbound side
// of each group once. Classes and selectors are sorted by id.
func Classes(m *Mesh) ([]*Class, []*Selector, diag.List) {
	var findings diag.List
	selectors := m.collectSelectors()
	scopes := newScopeTable(m)
	byKey := map[string]*Class{}
	for _, w := range append(slices.Clone(m.Workloads), m.impliedWorkloads(selectors)...) {
		if err := m.settleProxyConfig(w); err != nil {
			findings.Add(w.Object.Finding(diag.Error, "MESHC1250", "the annotations of the pod give no ProxyConfig: "+err.Error(), "correct the ProxyConfig", "metadata", "annotations", annotationProxyConfig))
			w.ProxyConfig = m.Config.DefaultConfig
		}
		signature := selectors.match(w)
		gateway := m.servesGateway(w)
		for _, kind := range []bool{true, false} {
			if kind && !gateway || !kind && gateway && !w.Injected && !w.Implied {
				continue
			}
			key := strconv.FormatBool(kind) + "|" + w.Namespace + "|" + strings.Join(signature, ";")
			c := byKey[key]
			if c == nil {
				c = &Class{Gateway: kind, Selectors: signature}
				byKey[key] = c
			}
			c.Workloads = append(c.Workloads, w)
		}
	}
	var out []*Class
	for _, key := range sortedKeys(byKey) {
		c := byKey[key]
		observedFirst(c.Workloads)
		w := c.Workload()
		var sidecar *Sidecar
		if !c.Gateway {
			sidecar = m.sidecarFor(w.Namespace, w.Labels)
		}
		targets := m.targetsOf(w)
		c.Scope = scopes.get(w, c.Gateway, sidecar)
		c.Inbound = m.inboundOf(w, c.Gateway, sidecar, targets)
		if c.Gateway {
			var f diag.List
			c.Servers, f = m.mergeServers(w.Namespace, w.Labels, targets)
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

// observedFirst puts Pods before the templates they come from: what runs decides where the two disagree.
func observedFirst(list []*Workload) {
	isPod := func(w *Workload) bool { _, ok := w.Object.Spec.(*corev1.Pod); return ok }
	slices.SortStableFunc(list, func(a, b *Workload) int { return boolOrder(isPod(b), isPod(a)) })
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

// servesGateway tells whether any Gateway selects the workload, or injection makes a gateway of it.
func (m *Mesh) servesGateway(w *Workload) bool {
	if w.Router {
		return true
	}
	return slices.ContainsFunc(m.Gateways, func(g *Gateway) bool {
		if g.Object.Annotations[annotationGatewayService] != "" {
			_, ok := gatewayTargets(g, w.Labels, m.targetsOf(w))
			return ok
		}
		return subset(g.Spec.Selector, w.Labels) && (len(g.Spec.Selector) > 0 || !w.Injected)
	})
}
