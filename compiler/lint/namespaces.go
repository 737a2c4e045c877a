package lint

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

const labelDataplane = "istio.io/dataplane-mode"

// namespaceLabels: a namespace is injected, or ambient, or neither, by one label.
func (l *linter) namespaceLabels() {
	for _, o := range l.objects {
		if _, ok := o.Spec.(*corev1.Namespace); !ok {
			continue
		}
		var have []string
		for _, k := range []string{mesh.LabelInjection, mesh.LabelRevision, labelDataplane} {
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
		pods := o.Pods()
		if pods == nil || pods.Labels["istio"] != "" || pods.Labels["app"] == "istiod" || l.keptOut(o) {
			continue
		}
		l.podUser(o, pods)
	}
}

// keptOut tells whether something says that no pod of a workload gets a proxy.
func (l *linter) keptOut(o *schema.Object) bool {
	of := l.byObject[o]
	return len(of) > 0 && !slices.ContainsFunc(of, func(w *mesh.Workload) bool { return w.HasProxy() || w.Injection != mesh.NotInjected })
}

// podUser looks at the containers of the application alone: the proxy is meant to run as this user.
func (l *linter) podUser(o *schema.Object, pods *schema.Pods) {
	const uid = 1337
	report := func(at ...any) {
		l.add(o, diag.Warning, "IST0144", "an application that runs as user 1337 bypasses its proxy: traffic of this user is the proxy's own and is not redirected",
			"Use another user.", pods.At(append([]any{"spec"}, at...)...)...)
	}
	inherits := false
	for i, c := range pods.Spec.Containers {
		switch s := c.SecurityContext; {
		case c.Name == mesh.ProxyContainer:
		case s == nil || s.RunAsUser == nil:
			inherits = true
		case *s.RunAsUser == uid:
			report("containers", i, "securityContext", "runAsUser")
		}
	}
	if s := pods.Spec.SecurityContext; inherits && s != nil && s.RunAsUser != nil && *s.RunAsUser == uid {
		report("securityContext", "runAsUser")
	}
}
