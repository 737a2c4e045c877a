package lint

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// automaticImages: the image auto is a place that injection fills in.
func (l *linter) automaticImages() {
	for _, o := range l.objects {
		pods := o.Pods()
		if pods == nil {
			continue
		}
		i := automatic(pods.Spec)
		switch {
		case i < 0:
		case o.Kind == "Pod":
			l.add(o, diag.Warning, "IST0147", "the image of this Pod is auto, so it was never injected and cannot start", "Create it where injection is on.", "spec", "containers", i, "image")
		case !slices.ContainsFunc(l.byObject[o], func(w *mesh.Workload) bool { return w.Injection == mesh.Injected }):
			l.add(o, diag.Warning, "IST0146", "the image is auto, which injection would replace, and nothing asks for injection here", "Label the namespace or the template for injection, or name the image.",
				pods.At("spec", "containers", i, "image")...)
		}
	}
}

// automatic returns the index of the container of the proxy whose image injection has to name, -1 if there is none.
func automatic(p *corev1.PodSpec) int {
	return slices.IndexFunc(p.Containers, func(c corev1.Container) bool { return c.Name == mesh.ProxyContainer && c.Image == "auto" })
}
