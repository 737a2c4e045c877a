package schema

import (
	"cmp"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/kinds"
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
	case *kinds.Rollout:
		return pods(path, k.Spec.Selector, k.Spec.Template)
	}
	return nil
}

// RunsPods tells whether objects of a kind are pods, or make them.
func RunsPods(kind string) bool {
	switch kind {
	case "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Rollout":
		return true
	}
	return false
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
