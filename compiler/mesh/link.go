// Package mesh links checked objects into one closed graph and resolves, for every group of proxies, what that group sees.
//
// Link goes once over all objects, in the order of Istio's precedence (age, then name, then namespace):
//
//  1. read (link.go) builds what needs no other cluster: the configuration, namespaces, gateways and policies; services by their host,
//     of Services, ServiceEntries and Ingresses (service.go), with addresses where the source has none (allocate.go); workloads of
//     pod templates, Pods and WorkloadEntries, and whether they get a proxy (workload.go, injection.go); endpoints (endpoint.go).
//  2. LinkClusters gives the mesh of each cluster the services that the others offer it (cluster.go).
//  3. resolve qualifies the hosts in routes and rules, joins delegates (package delegate) and DestinationRules of one host, and checks
//     that what is named exists (check.go).
//
// Then Classes groups the proxies, which decides what is lowered:
//
//  1. Whatever chooses proxies is a selector: labels, an address, a locality, a network (selectorkinds.go). Workloads that only
//     selectors know of are implied (implied.go). Proxies of one kind and namespace that the same selectors match are a group (group.go).
//  2. The facts of each member, all that the lowering may read of a proxy, are compared (facts.go). Members that differ are parted by
//     one more selector, or reported. What is left is a class, and its facts are those of all.
//  3. A class has an Inbound (inbound.go), and a Scope, which is made once for all classes with equal scopeInputs (scope.go): which
//     services and routes are imported, by exportTo and Sidecar, and which rule holds for each host. Scopes that see the same share a
//     View and the listeners of their Sidecars by pointer (view.go), so that what hangs on these is lowered once.
//
// Which objects hold for which workload is asked of package attach alone (attach.go).
//
// The graph resolves and never restates: it holds who, where, which and in what order, and points at Istio's own
// messages for everything that can be read off one object.
package mesh

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/meshc/meshc/compiler/ingress"
	"github.com/meshc/meshc/compiler/settings"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Link builds the graph of a mesh in one cluster. Findings say what is undefined, conflicting or without effect.
func Link(objects []*schema.Object) (*Mesh, diag.List) {
	meshes, findings := LinkClusters([]Cluster{{Objects: objects}})
	return meshes[0], findings
}

// read builds what needs no other cluster: the configuration, and the services with their endpoints. It returns the
// objects by age, with those that Ingresses stand for.
func (m *Mesh) read(objects []*schema.Object) ([]*schema.Object, diag.List) {
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, byAge)
	var findings, f diag.List
	m.Config, m.Networks, m.Settings, f = settings.Read(objects)
	findings.Add(f...)
	findings.Add(checkIdentitySource(m.Settings, m.Config)...)
	findings.Add(checkMeshMetadata(m.Settings, m.Config)...)
	findings.Add(checkDefaultExports(m.Settings, m.Config)...)
	objects, f = discovered(objects, m.Config, m.Settings)
	findings.Add(f...)
	findings.Add(checkVisibility(m.Config, m.Settings)...)
	m.RootNamespace = cmp.Or(m.Config.RootNamespace, schema.SystemNamespace)
	m.TrustDomain = cmp.Or(m.Config.TrustDomain, "cluster.local")
	derived, f := ingress.Objects(objects, m.Config, m.RootNamespace, m.Domain)
	findings.Add(f...)
	objects = append(objects, derived...)
	m.linkNamespaces(objects)
	m.linkGateways(objects)
	m.linkSidecars(objects)
	m.linkProxyConfigs(objects)
	findings.Add(m.linkPolicies(objects)...)
	m.linkSite()
	m.linkServices(objects)
	findings.Add(m.allocate()...)
	findings.Add(m.linkInjectors(objects)...)
	m.linkWorkloads(objects)
	m.linkEndpoints(objects)
	return objects, findings
}

// resolve qualifies and merges what refers to services, and reports what refers to nothing.
func (m *Mesh) resolve(objects []*schema.Object) diag.List {
	var findings diag.List
	findings.Add(m.linkVirtualServices(objects)...)
	findings.Add(m.linkDestinationRules(objects)...)
	m.closeIndex()
	findings.Add(m.check()...)
	findings.Add(notCompiled(objects)...)
	return findings
}

func (m *Mesh) linkNamespaces(objects []*schema.Object) {
	for _, o := range objects {
		if _, ok := o.Spec.(*corev1.Namespace); ok {
			m.Namespaces[o.Name] = &Namespace{Name: o.Name, Labels: o.Labels, Annotations: o.Annotations, Network: o.Labels[labelNetwork], Object: o}
		}
	}
	for _, o := range objects {
		if m.index.first == nil {
			m.index.first = o
		}
		if o.Namespace == "" {
			continue
		}
		if m.Namespaces[o.Namespace] == nil {
			m.Namespaces[o.Namespace] = &Namespace{Name: o.Namespace}
		}
		if m.index.anyObject[o.Namespace] == nil {
			m.index.anyObject[o.Namespace] = o
		}
	}
}

func (m *Mesh) closeIndex() {
	for _, v := range m.VirtualServices {
		for _, g := range v.Spec.Gateways {
			m.index.byGateway[g] = append(m.index.byGateway[g], v)
		}
	}
	for _, s := range m.Services {
		if len(s.Selector) > 0 {
			m.index.selecting.Add(s.Namespace, s.Selector, s)
		}
	}
	m.index.addresses = m.linkAddresses()
	ipv6 := func(s string) bool { return strings.Contains(s, ":") }
	m.IPv6 = slices.ContainsFunc(m.Services, func(s *Service) bool { return s.Kubernetes && slices.ContainsFunc(s.Addresses, ipv6) }) ||
		slices.ContainsFunc(m.Workloads, func(w *Workload) bool { return slices.ContainsFunc(w.Addresses, ipv6) })
}
