package mesh

import (
	"cmp"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// linkDestinationRules qualifies hosts and merges rules of one namespace for one host: with the same visibility and the
// same selector their subsets add up (the first of a name stays) and the oldest trafficPolicy holds as a whole. A rule
// that reaches more namespaces than one before it adds to that one too, and stands alone for the others. Rules with a
// workloadSelector come first and reach only their own namespace; a rule for all workloads of just that namespace fills
// them up.
func (m *Mesh) linkDestinationRules(objects []*schema.Object) diag.List {
	var findings diag.List
	for _, o := range objects {
		s, ok := o.Spec.(*networking.DestinationRule)
		if !ok {
			continue
		}
		spec := proto.Clone(s).(*networking.DestinationRule)
		spec.Host = m.qualify(spec.Host, o.Namespace)
		r := &DestinationRule{Object: o, Objects: []*schema.Object{o}, Spec: spec, Visibility: ruleVisibility(spec.ExportTo, m.Config.DefaultDestinationRuleExportTo, o.Namespace)}
		if spec.WorkloadSelector != nil {
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
		gone, found := r.mergeInto(m.index.rules[key])
		findings.Add(found...)
		if !gone {
			merged = append(merged, r)
			m.index.rules[key] = append(m.index.rules[key], r)
			m.index.ruleHosts[r.Object.Namespace] = appendNew(m.index.ruleHosts[r.Object.Namespace], r.Spec.Host)
		}
	}
	m.DestinationRules = merged
	for ns := range m.index.ruleHosts {
		slices.SortFunc(m.index.ruleHosts[ns], func(a, b string) int {
			if a == b {
				return 0
			}
			if hosts.MoreSpecific(a, b) {
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

func appendNew[T comparable](list []T, s T) []T {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// ruleVisibility is visibility for DestinationRules, whose mesh-wide default is everybody or the own namespace, no other.
func ruleVisibility(exportTo, def []string, namespace string) Visibility {
	if len(exportTo) == 0 && !slices.Contains(def, ".") {
		return Visibility{Public: true}
	}
	return visibility(exportTo, def, namespace)
}

// mergeInto adds the rule to those before it of the same host that are for the same clients, or for fewer. gone: for all
// of its clients one of them holds.
func (r *DestinationRule) mergeInto(before []*DestinationRule) (gone bool, findings diag.List) {
	for _, have := range before {
		same := have.Visibility.Public == r.Visibility.Public && maps.Equal(have.Visibility.Namespaces, r.Visibility.Namespaces)
		if !same && !have.Visibility.narrower(r.Visibility) {
			continue
		}
		switch mine, its := r.Spec.WorkloadSelector, have.Spec.WorkloadSelector; {
		case mine == nil && its != nil:
			have.merge(r) // it holds for other workloads on its own
		case mine != nil && !maps.Equal(mine.MatchLabels, its.GetMatchLabels()):
		case same:
			return true, have.merge(r)
		default:
			have.merge(r)
			rest := maps.Clone(r.Visibility.Namespaces)
			for ns := range have.Visibility.Namespaces {
				delete(rest, ns)
			}
			r.Visibility = Visibility{Namespaces: rest}
		}
	}
	return false, nil
}

// narrower tells whether somebody, but fewer, see the object: namespaces that are all among those of w.
func (v Visibility) narrower(w Visibility) bool {
	if v.Public || w.Public || len(v.Namespaces) == 0 || len(v.Namespaces) >= len(w.Namespaces) {
		return false
	}
	for ns := range v.Namespaces {
		if !w.Namespaces[ns] {
			return false
		}
	}
	return true
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
// decides, with its most specific host. A rule of another namespace takes part in this choice also where it is exported
// to others only; the search then goes on in the root namespace.
func (m *Mesh) ruleFor(namespace string, labels map[string]string, svc *Service) *DestinationRule {
	own := func(r *DestinationRule) bool { return r.Visibility.In(namespace) }
	if namespace == m.RootNamespace {
		own = (*DestinationRule).private
	}
	if list, found := m.ruleIn(namespace, svc.Hostname, own); found {
		return choose(list, labels, own)
	}
	exported := func(r *DestinationRule) bool { return r.Visibility.In(namespace) }
	return m.exportedRule(svc, exported)
}

// exportedRule finds the rule of the service's namespace, else of the root namespace, that is visible.
func (m *Mesh) exportedRule(svc *Service, visible func(*DestinationRule) bool) *DestinationRule {
	public := func(r *DestinationRule) bool { return !r.private() }
	for _, namespace := range []string{svc.Namespace, m.RootNamespace} {
		list, _ := m.ruleIn(namespace, svc.Hostname, public)
		if r := choose(list, nil, visible); r != nil {
			return r
		}
	}
	return nil
}

// private tells whether only the rule's own namespace sees it.
func (r *DestinationRule) private() bool {
	return !r.Visibility.Public && len(r.Visibility.Namespaces) == 1 && r.Visibility.Namespaces[r.Object.Namespace]
}

// ruleIn returns the rules of one namespace for the most specific host that has any of those that count.
func (m *Mesh) ruleIn(namespace, host string, counts func(*DestinationRule) bool) ([]*DestinationRule, bool) {
	if list := m.index.rules[namespace+"/"+host]; slices.ContainsFunc(list, counts) {
		return list, true
	}
	for _, h := range m.index.ruleHosts[namespace] {
		if h != host && hosts.Within(host, h) {
			if list := m.index.rules[namespace+"/"+h]; slices.ContainsFunc(list, counts) {
				return list, true
			}
		}
	}
	return nil, false
}

// choose takes the first rule whose workloadSelector matches the client, else the last of those without one.
func choose(list []*DestinationRule, labels map[string]string, visible func(*DestinationRule) bool) *DestinationRule {
	var last *DestinationRule
	for _, r := range list {
		a, _ := attach.With(r.Object, r.Spec)
		switch {
		case !visible(r):
		case !a.Selects:
			last = r
		case labels != nil && endpoint.Subset(a.Labels, labels):
			return r
		}
	}
	return last
}

// InboundRule finds the DestinationRule for a service as its own namespace sees it, which says how its servers are
// called locally: nil where the service is exported to others only, or their Sidecar does not import it. Rules with a workloadSelector are for clients and
// do not count.
func (m *Mesh) InboundRule(svc *Service, sidecar *Sidecar) *DestinationRule {
	if !svc.Visibility.In(svc.Namespace) || !m.imported(svc, sidecar) {
		return nil
	}
	return m.ruleFor(svc.Namespace, nil, svc)
}
