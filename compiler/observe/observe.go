// Package observe joins what files say of a mesh with what a cluster has. It is one pass over the observed objects, which keeps
// those that the mesh needs and that no file has, and gives Services their addresses.
package observe

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Join joins what files say, the intent, with what a cluster has. Git holds neither addresses nor pods; a cluster has these,
// and much that is none of the mesh's business. So of what is observed counts
//
//   - the clusterIP of a Service that files have without one, see mesh.GiveAddresses;
//   - EndpointSlices of Services that files have;
//   - Pods that the cluster has let in, and Nodes, by which pods are somewhere;
//   - Namespaces, whose labels say who has a proxy.
//
// What files have of the same kind and name goes before. The rest of what is observed is not the mesh's: a Service that no file
// has, and what else was printed. joined is what is linked: intent, and behind it what is added. The same objects give the
// same mesh whether they stand in files or were observed. file is what the observed objects were read from.
func Join(intent, observed []*schema.Object, file string) (joined []*schema.Object, findings diag.List) {
	type key struct{ kind, namespace, name string }
	has := map[key]bool{}
	for _, o := range intent {
		has[key{o.Kind, o.Namespace, o.Name}] = true
	}
	joined = slices.Clone(intent)
	for _, o := range observed {
		k := key{o.Kind, o.Namespace, o.Name}
		if has[k] {
			continue
		}
		switch spec := o.Spec.(type) {
		case *corev1.Namespace, *corev1.Node:
		case *corev1.Pod:
			if !endpoint.Observed(spec) {
				continue
			}
		case *discoveryv1.EndpointSlice:
			if !has[key{"Service", o.Namespace, o.Labels[endpoint.LabelService]}] {
				continue
			}
		default:
			continue
		}
		has[k] = true
		joined = append(joined, o)
	}
	service := func(o *schema.Object) bool { _, ok := o.Spec.(*corev1.Service); return ok }
	if slices.ContainsFunc(observed, service) {
		findings = mesh.GiveAddresses(intent, observed, file)
	}
	return joined, findings
}
