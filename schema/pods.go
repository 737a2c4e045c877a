package schema

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshc/meshc/internal/diag"
)

// Pods is what the pods of an object are like.
type Pods struct {
	Labels, Annotations map[string]string
	Spec                *corev1.PodSpec

	path     []any // of the template in the object; empty: the object is a Pod itself
	selector *metav1.LabelSelector
}

// At is a path inside the template, or the Pod.
func (p *Pods) At(path ...any) []any { return append(slices.Clone(p.path), path...) }

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

// Pods returns what the pods of a workload are like; nil for all other kinds, and for a workload that leaves it to another.
func (o *Object) Pods() *Pods {
	path := templatePath(o.Kind)
	switch k := o.Spec.(type) {
	case *corev1.Pod:
		return &Pods{Labels: o.Labels, Annotations: o.Annotations, Spec: &k.Spec}
	case *appsv1.Deployment:
		return pods(path, k.Spec.Selector, &k.Spec.Template)
	case *appsv1.StatefulSet:
		return pods(path, k.Spec.Selector, &k.Spec.Template)
	case *appsv1.DaemonSet:
		return pods(path, k.Spec.Selector, &k.Spec.Template)
	case *appsv1.ReplicaSet:
		return pods(path, k.Spec.Selector, &k.Spec.Template)
	case *corev1.ReplicationController:
		return pods(path, &metav1.LabelSelector{MatchLabels: k.Spec.Selector}, k.Spec.Template)
	case *batchv1.Job:
		return pods(path, nil, &k.Spec.Template)
	case *batchv1.CronJob:
		return pods(path, nil, &k.Spec.JobTemplate.Spec.Template)
	case *Rollout:
		return pods(path, k.Spec.Selector, k.Spec.Template)
	}
	return nil
}

// templatePath is where a kind of workload has the template of its pods.
func templatePath(kind string) []any {
	if kind == "CronJob" {
		return []any{"spec", "jobTemplate", "spec", "template"}
	}
	return []any{"spec", "template"}
}

func pods(path []any, selector *metav1.LabelSelector, t *corev1.PodTemplateSpec) *Pods {
	if t == nil {
		return nil
	}
	return &Pods{Labels: t.Labels, Annotations: t.Annotations, Spec: &t.Spec, path: path, selector: selector}
}

// ownPods holds the selector of a workload to the labels of its own template, as an API server does.
func ownPods(o *Object, sev diag.Severity) diag.List {
	p := o.Pods()
	if p == nil || p.selector == nil {
		return nil
	}
	at := []any{"spec", "selector"}
	s, err := metav1.LabelSelectorAsSelector(p.selector)
	if err != nil {
		return diag.List{o.Finding(sev, shapeCode, "the selector cannot be read: "+err.Error(), "Compare it with the LabelSelector reference.", at...)}
	}
	if s.Empty() || s.Matches(labels.Set(p.Labels)) {
		return nil
	}
	return diag.List{o.Finding(sev, shapeCode, fmt.Sprintf("the selector (%s) does not match the labels of the pods that the %s itself makes (%s): an API server refuses it", s, o.Kind, cmp.Or(labels.Set(p.Labels).String(), "none")),
		"Give the template the labels of the selector.", at...)}
}
