package mesh

import (
	telemetry "istio.io/api/telemetry/v1alpha1"

	"github.com/meshc/meshc/schema"
)

func (m *Mesh) linkTelemetry(objects []*schema.Object) {
	for _, o := range objects {
		if s, ok := o.Spec.(*telemetry.Telemetry); ok {
			m.Telemetries = append(m.Telemetries, &Telemetry{o, s})
		}
	}
	sortByAge(m.Telemetries, func(t *Telemetry) *schema.Object { return t.Object })
}

// telemetriesFor returns the layers in effect for a workload: the oldest without selector of the root namespace, the
// oldest without selector of the workload's namespace, then all of that namespace that select it.
func (m *Mesh) telemetriesFor(namespace string, labels map[string]string) []*Telemetry {
	var root, ns *Telemetry
	var workload []*Telemetry
	for _, t := range m.index.telemetries.in(m, namespace, m.Telemetries, func(t *Telemetry) *schema.Object { return t.Object }) {
		selector := t.Spec.GetSelector().GetMatchLabels()
		switch {
		case len(t.Spec.GetTargetRefs()) > 0 || t.Spec.GetTargetRef() != nil:
		case len(selector) == 0 && t.Object.Namespace == m.RootNamespace && root == nil:
			root = t
		case len(selector) == 0 && t.Object.Namespace == namespace && ns == nil && namespace != m.RootNamespace:
			ns = t
		case len(selector) > 0 && t.Object.Namespace == namespace && subset(selector, labels):
			workload = append(workload, t)
		}
	}
	var out []*Telemetry
	if root != nil {
		out = append(out, root)
	}
	if ns != nil {
		out = append(out, ns)
	}
	return append(out, workload...)
}
