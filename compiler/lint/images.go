package lint

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
)

// automaticImages: the image auto is a place that injection fills in.
func (l *linter) automaticImages() {
	for _, o := range l.objects {
		switch k := o.Spec.(type) {
		case *corev1.Pod:
			if i := automatic(&k.Spec); i >= 0 {
				l.add(o, diag.Warning, "IST0147", "the image of this Pod is auto, so it was never injected and cannot start", "Create it where injection is on.", "spec", "containers", i, "image")
			}
		case *appsv1.Deployment:
			t := &k.Spec.Template
			if i := automatic(&t.Spec); i >= 0 && !l.injected(o.Namespace, t.Labels, t.Annotations) {
				l.add(o, diag.Warning, "IST0146", "the image is auto, which injection would replace, and nothing asks for injection here", "Label the namespace or the template for injection, or name the image.",
					"spec", "template", "spec", "containers", i, "image")
			}
		}
	}
}

// automatic returns the index of the container of the proxy whose image injection has to name, -1 if there is none.
func automatic(p *corev1.PodSpec) int {
	for i, c := range p.Containers {
		if c.Name == "istio-proxy" && c.Image == "auto" {
			return i
		}
	}
	return -1
}

// injected tells whether labels ask for injection: the pod's own before those of the namespace.
func (l *linter) injected(namespace string, labels, annotations map[string]string) bool {
	if l.outside(namespace, labels, annotations) {
		return false
	}
	if labels["sidecar.istio.io/inject"] == "true" || labels[labelRevision] != "" {
		return true
	}
	n := l.namespaces[namespace]
	return n != nil && (n.Labels[labelInjection] == "enabled" || n.Labels[labelRevision] != "")
}
