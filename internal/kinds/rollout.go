package kinds

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/meshc/meshc/compiler/rollout"
)

// OwnGroup is the group of meshc's own kinds.
const OwnGroup = "meshc.dev"

// MeshRollout says how servers take the bundle of its source into service.
type MeshRollout struct {
	Spec rollout.Plan `json:"spec"`
}

// Rollout is what stands for a Deployment under Argo Rollouts, as far as it says who runs.
type Rollout struct {
	Spec struct {
		Selector *metav1.LabelSelector   `json:"selector"`
		Template *corev1.PodTemplateSpec `json:"template"`
		Strategy struct {
			Canary struct {
				Stable PodMetadata `json:"stableMetadata"`
				Canary PodMetadata `json:"canaryMetadata"`
			} `json:"canary"`
			BlueGreen struct {
				Active  PodMetadata `json:"activeMetadata"`
				Preview PodMetadata `json:"previewMetadata"`
			} `json:"blueGreen"`
		} `json:"strategy"`
	} `json:"spec"`
}

// PodMetadata is what the pods of one version of a Rollout have besides the metadata of its template.
type PodMetadata struct {
	Labels map[string]string `json:"labels"`
}

// Versions are the labels of the pods that a Rollout runs, by the name of the version; those of its template under "" where
// it gives versions none.
func (r *Rollout) Versions() map[string]map[string]string {
	out := map[string]map[string]string{}
	s := &r.Spec.Strategy
	for name, of := range map[string]PodMetadata{"stable": s.Canary.Stable, "canary": s.Canary.Canary, "active": s.BlueGreen.Active, "preview": s.BlueGreen.Preview} {
		if len(of.Labels) > 0 {
			out[name] = maps.Clone(r.Spec.Template.Labels)
			if out[name] == nil {
				out[name] = map[string]string{}
			}
			maps.Copy(out[name], of.Labels)
		}
	}
	if len(out) < 2 { // those of the other version are as the template says
		out[""] = r.Spec.Template.Labels
	}
	return out
}
