package lint

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

const (
	labelInjection = "istio-injection"
	labelRevision  = "istio.io/rev"
	labelDataplane = "istio.io/dataplane-mode"
)

// namespaceLabels: a namespace is injected, or ambient, or neither, by one label.
func (l *linter) namespaceLabels() {
	for _, o := range l.objects {
		if _, ok := o.Spec.(*corev1.Namespace); !ok {
			continue
		}
		var have []string
		for _, k := range []string{labelInjection, labelRevision, labelDataplane} {
			if v := o.Labels[k]; v != "" && v != "disabled" && v != "none" {
				have = append(have, k+"="+v)
			}
		}
		if len(have) > 1 {
			l.add(o, diag.Warning, "IST0123", "the labels "+strings.Join(have, " and ")+" each say how pods of this namespace join the mesh; which of them counts is undefined",
				"Keep one of them.", "metadata", "labels")
		}
	}
}

// workloadUsers: the redirect rules leave packets of user 1337 alone, because that is the proxy.
func (l *linter) workloadUsers() {
	for _, o := range l.objects {
		var spec *corev1.PodSpec
		var labels map[string]string
		path := []any{"spec"}
		switch k := o.Spec.(type) {
		case *corev1.Pod:
			spec, labels = &k.Spec, o.Labels
		case *appsv1.Deployment:
			spec, labels = &k.Spec.Template.Spec, k.Spec.Template.Labels
		case *appsv1.StatefulSet:
			spec, labels = &k.Spec.Template.Spec, k.Spec.Template.Labels
		case *appsv1.DaemonSet:
			spec, labels = &k.Spec.Template.Spec, k.Spec.Template.Labels
		default:
			continue
		}
		if o.Kind != "Pod" {
			path = append(path, "template", "spec")
		}
		if labels["istio"] != "pilot" && labels["app"] != "istiod" {
			l.podUser(o, spec, path)
		}
	}
}

func (l *linter) podUser(o *schema.Object, spec *corev1.PodSpec, path []any) {
	const uid = 1337
	report := func(at ...any) {
		l.add(o, diag.Warning, "IST0144", "an application that runs as user 1337 bypasses its proxy: traffic of this user is the proxy's own and is not redirected",
			"Use another user.", append(slices.Clone(path), at...)...)
	}
	if s := spec.SecurityContext; s != nil && s.RunAsUser != nil && *s.RunAsUser == uid {
		report("securityContext", "runAsUser")
	}
	for i, c := range spec.Containers {
		if s := c.SecurityContext; c.Name != "istio-proxy" && s != nil && s.RunAsUser != nil && *s.RunAsUser == uid {
			report("containers", i, "securityContext", "runAsUser")
		}
	}
}
