package mesh

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// linkDestinationRules qualifies hosts and merges rules of one namespace for one host: with the same visibility and the
// same selector their subsets add up (the first of a name stays) and the oldest trafficPolicy holds as a whole. Rules
// with a workloadSelector come first and reach only their own namespace.
func (m *Mesh) linkDestinationRules(objects []*schema.Object) diag.List {
	var findings diag.List
	for _, o := range objects {
		s, ok := o.Spec.(*networking.DestinationRule)
		if !ok {
			continue
		}
		spec := proto.Clone(s).(*networking.DestinationRule)
		spec.Host = m.qualify(spec.Host, o.Namespace)
		r := &DestinationRule{Object: o, Objects: []*schema.Object{o}, Spec: spec, Visibility: visibility(spec.ExportTo, m.Config.DefaultDestinationRuleExportTo, o.Namespace)}
		if len(spec.GetWorkloadSelector().GetMatchLabels()) > 0 {
			r.Visibility = Visibility{Namespaces: map[string]bool{o.Namespace: true}}
		}
		for i := range spec.Subsets {
			r.Subsets = append(r.Subsets, SubsetOrigin{o, i})
		}
		m.DestinationRules = append(m.DestinationRules, r)
	}
	slices.SortStableFunc(m.DestinationRules, func(a, b *DestinationRule) int {
		return cmp.Or(-boolOrder(a.Spec.WorkloadSelector != nil, b.Spec.WorkloadSelector != nil), byAge(a.Object, b.Object))
	})
	merged := m.DestinationRules[:0:0]
	for _, r := range m.DestinationRules {
		key := r.Object.Namespace + "/" + r.Spec.Host
		into := m.mergeTarget(r, key)
		if into == nil {
			merged = append(merged, r)
			m.index.rules[key] = append(m.index.rules[key], r)
			m.index.ruleHosts[r.Object.Namespace] = appendNew(m.index.ruleHosts[r.Object.Namespace], r.Spec.Host)
			continue
		}
		findings.Add(into.merge(r)...)
	}
	m.DestinationRules = merged
	for ns := range m.index.ruleHosts {
		slices.SortFunc(m.index.ruleHosts[ns], func(a, b string) int {
			if a == b {
				return 0
			}
			if MoreSpecific(a, b) {
				return -1
			}
			return 1
		})
	}
	return findings
}

func boolOrder(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

func (m *Mesh) mergeTarget(r *DestinationRule, key string) *DestinationRule {
	for _, have := range m.index.rules[key] {
		sameSelector := maps.Equal(have.Spec.GetWorkloadSelector().GetMatchLabels(), r.Spec.GetWorkloadSelector().GetMatchLabels()) &&
			(have.Spec.WorkloadSelector == nil) == (r.Spec.WorkloadSelector == nil)
		if sameSelector && have.Visibility.Public == r.Visibility.Public && maps.Equal(have.Visibility.Namespaces, r.Visibility.Namespaces) {
			return have
		}
	}
	return nil
}

func (r *DestinationRule) merge(o *DestinationRule) diag.List {
	var findings diag.List
	r.Objects = append(r.Objects, o.Object)
	for i, s := range o.Spec.Subsets {
		at := slices.IndexFunc(r.Spec.Subsets, func(h *networking.Subset) bool { return h.Name == s.Name })
		if at < 0 {
			r.Spec.Subsets, r.Subsets = append(r.Spec.Subsets, s), append(r.Subsets, SubsetOrigin{o.Object, i})
			continue
		}
		f := o.Object.Finding(diag.Warning, "MESHC1241", "subset "+s.Name+" is defined by an older DestinationRule for the same host, which wins", "remove one of the two", "spec", "subsets", i)
		f.Related = []diag.Related{{Pos: r.Subsets[at].Object.Pos("spec", "subsets", r.Subsets[at].Index), Object: r.Subsets[at].Object.Ref(), Message: "the definition in effect"}}
		findings.Add(f)
	}
	switch {
	case r.Spec.TrafficPolicy == nil:
		r.Spec.TrafficPolicy = o.Spec.TrafficPolicy
	case o.Spec.TrafficPolicy != nil:
		f := o.Object.Finding(diag.Warning, "MESHC1240", "another DestinationRule for the same host already sets trafficPolicy; this one has no effect", "put the policy in one DestinationRule", "spec", "trafficPolicy")
		f.Related = []diag.Related{{Pos: r.Object.Pos("spec", "trafficPolicy"), Object: r.Object.Ref(), Message: "the policy in effect"}}
		findings.Add(f)
	}
	return findings
}

// ruleFor finds the DestinationRule for a service as clients in a namespace with the labels see it. The client's own
// namespace comes first, then the service's, then the root namespace; the first namespace in which any host matches
// decides, with its most specific host.
func (m *Mesh) ruleFor(namespace string, labels map[string]string, svc *Service) *DestinationRule {
	own := func(r *DestinationRule) bool {
		if namespace == m.RootNamespace {
			return !r.Visibility.Public && r.Visibility.Namespaces[namespace]
		}
		return r.Visibility.In(namespace)
	}
	exported := func(r *DestinationRule) bool { return r.Visibility.In(namespace) }
	if r, found := m.ruleIn(namespace, svc.Hostname, labels, true, own); found {
		return r
	}
	if r, _ := m.ruleIn(svc.Namespace, svc.Hostname, labels, false, exported); r != nil {
		return r
	}
	if svc.Namespace != m.RootNamespace {
		r, _ := m.ruleIn(m.RootNamespace, svc.Hostname, labels, false, exported)
		return r
	}
	return nil
}

// ruleIn looks in one namespace. Among rules for one host that differ in exportTo the first visible one holds, or the
// last where Istio takes it: in the client's own namespace. found tells that a visible host matched, even if only a rule for other workloads.
func (m *Mesh) ruleIn(namespace, host string, labels map[string]string, last bool, visible func(*DestinationRule) bool) (rule *DestinationRule, found bool) {
	pick := func(key string) bool {
		var fallback *DestinationRule
		for _, r := range m.index.rules[namespace+"/"+key] {
			if !visible(r) {
				continue
			}
			found = true
			selector := r.Spec.GetWorkloadSelector()
			switch {
			case len(selector.GetMatchLabels()) == 0:
				if fallback == nil || last {
					fallback = r
				}
			case subset(selector.MatchLabels, labels):
				rule = r
				return true
			}
		}
		rule = fallback
		return found
	}
	if pick(host) {
		return rule, found
	}
	for _, h := range m.index.ruleHosts[namespace] {
		if h != host && HostWithin(host, h) && pick(h) {
			return rule, found
		}
	}
	return nil, false
}

// InboundRule finds the DestinationRule for a service as its own namespace sees it, which says how its servers are
// called locally. Rules with a workloadSelector are for clients and do not count.
func (m *Mesh) InboundRule(svc *Service) *DestinationRule {
	return m.ruleFor(svc.Namespace, nil, svc)
}
