package coverage

import (
	"fmt"
	"slices"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// Codes of findings about DestinationRules.
const (
	codeNoReader     = "MESHC1272" // no proxy reads the rule
	codeUnusedSubset = "MESHC1273" // a policy of a subset that no route names
)

// rules reports the DestinationRules that are in effect for no caller.
func (c *checker) rules() {
	for _, r := range c.mesh.DestinationRules {
		for _, o := range r.Objects {
			if c.traced(o.Ref(), "spec") || c.said(o.Ref(), "spec.host", "IST0174") {
				continue
			}
			if why, help, related := c.whyIdle(r); why != "" {
				d := o.Finding(diag.Warning, codeNoReader, "this rule is in effect for no proxy: "+why, help, "spec", "host")
				d.Related = related
				c.findings.Add(d)
			}
		}
	}
}

// whyIdle asks the rules of the look-up: who has the service, the labels of the caller, the three namespaces, exportTo, and
// which other rule is chosen.
func (c *checker) whyIdle(r *mesh.DestinationRule) (why, help string, related []diag.Related) {
	var callers []*mesh.Class
	var chosen *mesh.DestinationRule
	owner := r.Object.Namespace
	var service *mesh.Service
	for _, p := range c.proxies {
		for _, s := range p.Class.Scope.Services {
			if s.Resolution == mesh.Alias || !hosts.Within(s.Hostname, r.Spec.Host) {
				continue
			}
			callers = append(callers, p.Class)
			if service == nil || owner == s.Namespace {
				service = s
			}
			if x := p.Class.Scope.View().Rule(s); x != nil && x != r {
				chosen = x
			}
			break
		}
	}
	in := func(ns string) bool {
		return slices.ContainsFunc(callers, func(k *mesh.Class) bool { return k.Scope.Namespace == ns })
	}
	switch {
	case len(callers) == 0:
		return "", "", nil // nobody sees the service, or it has no cluster: not the rule's fault
	case r.Spec.WorkloadSelector != nil:
		return "no workload of namespace " + owner + " that calls the service has the labels of its workloadSelector", "Correct the labels, or add the workload.", nil
	case owner != service.Namespace && owner != c.mesh.RootNamespace && !in(owner):
		if c.expects(owner) || !slices.ContainsFunc(callers, func(k *mesh.Class) bool { return !behind(k, service) }) {
			return "", "", nil // who calls may be kept elsewhere
		}
		return fmt.Sprintf("callers of %s look for rules in their own namespace, that of the service (%s) and the root namespace (%s); this one is in %s, where the source has no workload",
			service.Hostname, service.Namespace, c.mesh.RootNamespace, owner), "Move it to namespace " + service.Namespace + ".", nil
	case !slices.ContainsFunc(callers, func(k *mesh.Class) bool { return r.Visibility.In(k.Scope.Namespace) }):
		return "its exportTo reaches no namespace that has workloads in the source", "Widen exportTo.", nil
	case chosen != nil:
		return fmt.Sprintf("%s is chosen for %s, as the one of a nearer namespace or a more specific host", chosen.Object.Ref(), service.Hostname),
			"Join the two: one rule is chosen as a whole.", []diag.Related{{Pos: chosen.Object.Pos("spec", "host"), Object: chosen.Object.Ref(), Message: "the rule in effect"}}
	}
	return "", "", nil
}

// subsets reports policies of subsets that no route names: a request that no route sends to a subset gets the policy of
// the rule alone.
func (c *checker) subsets() {
	routed := map[string][]string{} // hosts by subset
	for cluster := range c.used {
		if n, ok := names.ParseCluster(cluster); ok && n.Subset != "" {
			routed[n.Subset] = append(routed[n.Subset], n.Host)
		}
	}
	for _, r := range c.mesh.DestinationRules {
		for i, s := range r.Spec.Subsets {
			o := r.Subsets[i]
			if s.GetTrafficPolicy() == nil || !c.traced(o.Object.Ref(), "spec") ||
				slices.ContainsFunc(routed[s.Name], func(h string) bool { return hosts.Within(h, r.Spec.Host) }) {
				continue
			}
			c.findings.Add(o.Object.Finding(diag.Warning, codeUnusedSubset, fmt.Sprintf("no route names the subset %s of %s, so this policy is never used", s.Name, r.Spec.Host),
				"Route to the subset by a VirtualService, or set the policy for the whole host.", "spec", "subsets", o.Index, "trafficPolicy"))
		}
	}
}

// behind tells whether all workloads of a class are among those that a service leads to.
func behind(k *mesh.Class, s *mesh.Service) bool {
	return k.Scope.Namespace == s.Namespace && len(s.Selector) > 0 && !slices.ContainsFunc(k.Workloads, func(w *mesh.Workload) bool { return !endpoint.Subset(s.Selector, w.Labels) })
}

// expects tells whether other objects of a namespace are about workloads in it, wherever these are kept.
func (c *checker) expects(namespace string) bool {
	in := func(o *schema.Object) bool { return o.Namespace == namespace }
	return slices.ContainsFunc(c.mesh.Telemetries, func(x *mesh.Telemetry) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.Sidecars, func(x *mesh.Sidecar) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.EnvoyFilters, func(x *mesh.EnvoyFilter) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.Gateways, func(x *mesh.Gateway) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.PeerAuthentications, func(x *mesh.PeerAuthentication) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.RequestAuthentications, func(x *mesh.RequestAuthentication) bool { return in(x.Object) }) ||
		slices.ContainsFunc(c.mesh.AuthorizationPolicies, func(x *mesh.AuthorizationPolicy) bool { return in(x.Object) })
}
