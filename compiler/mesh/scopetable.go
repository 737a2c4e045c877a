package mesh

import (
	"fmt"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// scopeTable makes each scope once.
type scopeTable struct {
	mesh      *Mesh
	scopes    map[string]*Scope
	sources   []map[string]string
	rules     []*DestinationRule
	failover  []string
	locality  bool
	selection map[*Sidecar]int
}

func newScopeTable(m *Mesh) *scopeTable {
	t := &scopeTable{mesh: m, scopes: map[string]*Scope{}, sources: m.sourceLabels(), locality: m.localitySensitive(), selection: map[*Sidecar]int{}}
	for i, s := range m.Sidecars {
		t.selection[s] = i + 1
	}
	keys := map[string]bool{}
	for _, r := range m.DestinationRules {
		if r.Spec.WorkloadSelector != nil {
			t.rules = append(t.rules, r)
		}
		forEachPolicy(r.Spec, func(lb *networking.LoadBalancerSettings) {
			for _, p := range lb.GetLocalityLbSetting().GetFailoverPriority() {
				k, _, _ := strings.Cut(p, "=")
				keys[k] = true
			}
		})
	}
	for _, p := range m.Config.GetLocalityLbSetting().GetFailoverPriority() {
		k, _, _ := strings.Cut(p, "=")
		keys[k] = true
	}
	t.failover = sortedKeys(keys)
	return t
}

func forEachPolicy(r *networking.DestinationRule, visit func(*networking.LoadBalancerSettings)) {
	policy := func(p *networking.TrafficPolicy) {
		visit(p.GetLoadBalancer())
		for _, x := range p.GetPortLevelSettings() {
			visit(x.GetLoadBalancer())
		}
	}
	policy(r.TrafficPolicy)
	for _, s := range r.Subsets {
		policy(s.TrafficPolicy)
	}
}

func (t *scopeTable) get(w *Workload, gateway bool, sidecar *Sidecar) *Scope {
	var b strings.Builder
	fmt.Fprintf(&b, "%t|%s|%d|%s|%s|%p", gateway, w.Namespace, t.selection[sidecar], w.Network, w.Cluster, w.ProxyConfig)
	if t.locality {
		b.WriteString("|" + w.Locality)
	}
	for _, l := range t.sources {
		fmt.Fprintf(&b, "|%t", subset(l, w.Labels))
	}
	for _, r := range t.rules {
		fmt.Fprintf(&b, "|%t", r.Object.Namespace == w.Namespace && subset(r.Spec.WorkloadSelector.MatchLabels, w.Labels))
	}
	for _, k := range t.failover {
		b.WriteString("|" + w.Labels[k])
	}
	telemetries := t.mesh.telemetriesFor(w.Namespace, w.Labels)
	for _, x := range telemetries {
		b.WriteString("|" + x.Object.Namespace + "/" + x.Object.Name)
	}
	filters := t.mesh.envoyFiltersFor(w.Namespace, w.Labels)
	for _, x := range filters {
		b.WriteString("|filter " + x.Object.Namespace + "/" + x.Object.Name)
	}
	key := b.String()
	if s := t.scopes[key]; s != nil {
		return s
	}
	s := t.mesh.newScope(w, gateway, sidecar)
	s.Telemetries, s.EnvoyFilters = telemetries, filters
	t.scopes[key] = s
	return s
}
