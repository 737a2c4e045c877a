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
