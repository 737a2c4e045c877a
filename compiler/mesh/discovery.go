package mesh

import (
	"fmt"
	"maps"

	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// labelNamespaceName is the label that the API server gives every namespace; files lack it.
const labelNamespaceName = "kubernetes.io/metadata.name"

// namespaceLabels reads the labels of all declared namespaces, with the one that the API server adds.
func namespaceLabels(objects []*schema.Object) map[string]labels.Set {
	out := map[string]labels.Set{}
	for _, o := range objects {
		if _, ok := o.Spec.(*corev1.Namespace); ok {
			out[o.Name] = labels.Set(maps.Clone(o.Labels))
			if out[o.Name] == nil {
				out[o.Name] = labels.Set{}
			}
			setDefault(out[o.Name], labelNamespaceName, o.Name)
		}
	}
	return out
}

func labelsOf(all map[string]labels.Set, namespace string) labels.Set {
	if l, ok := all[namespace]; ok {
		return l
	}
	return labels.Set{labelNamespaceName: namespace}
}

// discovered leaves out what lies in namespaces that no selector of MeshConfig.discoverySelectors takes, and says so once
// for each. Without selectors everything is read. The mesh configuration itself is always read.
func discovered(objects []*schema.Object, c *meshconfig.MeshConfig, from *schema.Object) ([]*schema.Object, diag.List) {
	if len(c.GetDiscoverySelectors()) == 0 {
		return objects, nil
	}
	var findings diag.List
	var selectors []labels.Selector
	for _, l := range c.DiscoverySelectors {
		s, err := labelSelector(l)
		if err != nil {
			findings.Add(from.Finding(diag.Error, "MESHC1202", "a selector of discoverySelectors cannot be read: "+err.Error(), "compare it with the LabelSelector reference", "data", "mesh"))
			continue
		}
		selectors = append(selectors, s)
	}
	known, taken, reported := namespaceLabels(objects), map[string]bool{}, map[string]bool{}
	take := func(namespace string) bool {
		ok, seen := taken[namespace]
		if !seen {
			for _, s := range selectors {
				ok = ok || s.Matches(labelsOf(known, namespace))
			}
			taken[namespace] = ok
		}
		return ok
	}
	out := make([]*schema.Object, 0, len(objects))
	for _, o := range objects {
		if o.Namespace == "" || o == from || take(o.Namespace) {
			out = append(out, o)
			continue
		}
		if !reported[o.Namespace] {
			reported[o.Namespace] = true
			findings.Add(o.Finding(diag.Info, "MESHC1203", fmt.Sprintf("namespace %s is left out: discoverySelectors of the mesh configuration do not take it", o.Namespace),
				"label the Namespace as a selector asks, if it belongs to the mesh", "metadata", "namespace"))
		}
	}
	return out, findings
}

// labelSelector reads a selector of the mesh configuration, which is one of Kubernetes.
func labelSelector(l *meshconfig.LabelSelector) (labels.Selector, error) {
	s := &metav1.LabelSelector{MatchLabels: l.GetMatchLabels()}
	for _, e := range l.GetMatchExpressions() {
		s.MatchExpressions = append(s.MatchExpressions, metav1.LabelSelectorRequirement{Key: e.GetKey(), Operator: metav1.LabelSelectorOperator(e.GetOperator()), Values: e.GetValues()})
	}
	return metav1.LabelSelectorAsSelector(s)
}

// entryVisibility narrows who sees a ServiceEntry by MeshConfig.serviceEntryVisibility: the first policy whose rules all
// take the entry's namespace decides, else the default. It never widens exportTo.
func (m *Mesh) entryVisibility(o *schema.Object, v Visibility) Visibility {
	c := m.Config.GetServiceEntryVisibility()
	if !c.GetApplyToSidecars() {
		return v
	}
	decided := c.GetDefaultVisibility()
	for _, p := range c.GetPolicies() {
		if m.policyTakes(p, o.Namespace) {
			decided = p.GetVisibility()
			break
		}
	}
	switch decided {
	case meshconfig.ServiceEntryVisibility_NONE:
		return Visibility{}
	case meshconfig.ServiceEntryVisibility_NAMESPACE:
		return Visibility{Namespaces: map[string]bool{o.Namespace: v.In(o.Namespace)}}
	}
	return v
}

// policyTakes tells whether all rules of a policy take a namespace. No rules take any, a rule without selector none.
func (m *Mesh) policyTakes(p *meshconfig.ServiceEntryVisibility_Policy, namespace string) bool {
	set := labels.Set{}
	if ns := m.Namespaces[namespace]; ns != nil {
		maps.Copy(set, ns.Labels)
	}
	setDefault(set, labelNamespaceName, namespace)
	for _, r := range p.GetMatchingRules() {
		if r.GetNamespaceSelector() == nil {
			return false
		}
		s, err := labelSelector(r.GetNamespaceSelector())
		if err != nil || !s.Matches(set) {
			return false
		}
	}
	return true
}

// checkVisibility reports selectors of serviceEntryVisibility that cannot be read.
func checkVisibility(c *meshconfig.MeshConfig, from *schema.Object) diag.List {
	var findings diag.List
	for _, p := range c.GetServiceEntryVisibility().GetPolicies() {
		for _, r := range p.GetMatchingRules() {
			if r.GetNamespaceSelector() == nil || proto.Size(r.GetNamespaceSelector()) == 0 {
				continue
			}
			if _, err := labelSelector(r.GetNamespaceSelector()); err != nil {
				findings.Add(from.Finding(diag.Error, "MESHC1202", "a selector of serviceEntryVisibility cannot be read: "+err.Error(), "compare it with the LabelSelector reference", "data", "mesh"))
			}
		}
	}
	return findings
}
