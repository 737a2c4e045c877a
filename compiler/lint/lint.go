// Package lint looks at a linked mesh for what resolves and is still hardly meant: two objects that claim one thing, a
// selector that selects nobody, a setting in a place where nobody reads it. Codes are those of istioctl analyze, whose
// messages these are in meaning.
//
// Each check is a method of linter over the mesh and its objects, and none sees what another found; Mesh lists them all. A check
// asks the graph, which is closed, and package attach for what an object holds for, so that what it takes for
// idle or overlapping is what the lowering takes for it. One file has the checks of one subject:
//
//   - services, workloads and endpoints: services.go, selectors.go, images.go, proxyimages.go, injection.go, namespaces.go
//   - routes and rules: routes.go, matches.go, destinationrules.go
//   - who may call whom: access.go
//   - several clusters and rollouts: rollouts.go; what an installation of Istio says: installation.go
//
// Checks that need to know what runs are silent when the source holds no workloads at all, because configuration is often kept apart from
// what it configures. A check of an order (which of two matches comes first) says only what holds whatever else is matched.
package lint

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Mesh checks a mesh and the objects it was linked from.
func Mesh(m *mesh.Mesh, objects []*schema.Object) diag.List {
	l := &linter{m: m, objects: objects, byNamespace: map[string][]*mesh.Workload{}, byObject: map[*schema.Object][]*mesh.Workload{}, namespaces: map[string]*schema.Object{}}
	for _, w := range m.Workloads {
		l.byNamespace[w.Namespace] = append(l.byNamespace[w.Namespace], w)
		l.byObject[w.Object] = append(l.byObject[w.Object], w)
	}
	for _, o := range objects {
		if _, ok := o.Spec.(*corev1.Namespace); ok {
			l.namespaces[o.Name] = o
		}
	}
	l.namespaceLabels()
	l.injection()
	l.workloadUsers()
	l.automaticImages()
	l.proxyImages()
	l.registries()
	l.servicePorts()
	l.targetPorts()
	l.sharedWorkloads()
	l.serviceEntries()
	l.gatewayHosts()
	l.repeatedMatches()
	l.subsetsBehindGateways()
	l.claimsWithoutTokens()
	l.rewrites()
	l.deprecatedFields()
	l.destinationRules()
	l.gatewayPorts()
	l.gatewayCertificates()
	l.sidecars()
	l.telemetries()
	l.attached()
	l.authorizationPolicies()
	l.access()
	l.unenforced()
	l.kubernetesGateways()
	l.envoyFilters()
	return l.found
}

type linter struct {
	m           *mesh.Mesh
	objects     []*schema.Object
	byNamespace map[string][]*mesh.Workload
	byObject    map[*schema.Object][]*mesh.Workload // a Rollout may have several
	namespaces  map[string]*schema.Object
	found       diag.List
}

func (l *linter) add(o *schema.Object, sev diag.Severity, code, message, help string, path ...any) {
	l.found.Add(o.Finding(sev, code, message, help, path...))
}

// conflict reports each of several objects that claim one thing, with the others as related places.
func (l *linter) conflict(list []*schema.Object, sev diag.Severity, code, message, help string, path ...any) {
	for _, o := range list {
		d := o.Finding(sev, code, message, help, path...)
		for _, other := range list {
			if other != o {
				d.Related = append(d.Related, diag.Related{Pos: other.Pos(path...), Object: other.Ref(), Message: "the other one"})
			}
		}
		l.found.Add(d)
	}
}

func text(labels map[string]string) string {
	var out []string
	for k, v := range labels {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func objectNames(list []*schema.Object) string {
	var out []string
	for _, o := range list {
		out = append(out, o.Ref().String())
	}
	return strings.Join(out, ", ")
}

// declared are the workloads of a namespace that the source holds, without those it only implies.
func (l *linter) declared(namespace string) []*mesh.Workload { return l.byNamespace[namespace] }

// gatewayProxies are the workloads that a Gateway selects, in any namespace.
func (l *linter) gatewayProxies(selector map[string]string) []*mesh.Workload {
	var out []*mesh.Workload
	for _, w := range l.m.Workloads {
		if endpoint.Subset(selector, w.Labels) {
			out = append(out, w)
		}
	}
	return out
}

// defaultGateway tells whether a selector is that of the ingress gateway which an installation of Istio brings, so that
// it needs no workload in the source.
func defaultGateway(selector map[string]string) bool {
	return len(selector) == 1 && selector["istio"] == "ingressgateway"
}
