package mesh

import (
	"cmp"
	"slices"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// attached is how every kind with a workload selector reaches workloads: an object of the root namespace reaches all
// namespaces, any other its own; a selector narrows it to the workloads whose labels it matches.
func (m *Mesh) attached(o *schema.Object, selector map[string]string, namespace string, labels map[string]string) bool {
	return (o.Namespace == namespace || o.Namespace == m.RootNamespace) && subset(selector, labels)
}

// envoyFiltersFor returns the EnvoyFilters of a workload, in the order in which they apply.
func (m *Mesh) envoyFiltersFor(namespace string, labels map[string]string) []*EnvoyFilter {
	var out []*EnvoyFilter
	for _, f := range m.index.filters.in(m, namespace, m.EnvoyFilters, func(f *EnvoyFilter) *schema.Object { return f.Object }) {
		if len(f.Spec.GetTargetRefs()) == 0 && m.attached(f.Object, f.Spec.GetWorkloadSelector().GetLabels(), namespace, labels) {
			out = append(out, f)
		}
	}
	return out
}

// authorizationsFor returns the AuthorizationPolicies of a workload, those of the root namespace first.
func (m *Mesh) authorizationsFor(namespace string, labels map[string]string) []*AuthorizationPolicy {
	all := m.index.authorizations.in(m, namespace, m.AuthorizationPolicies, func(p *AuthorizationPolicy) *schema.Object { return p.Object })
	root, own := policiesFor(m, all, namespace, labels, func(p *AuthorizationPolicy) (*schema.Object, policySpec) { return p.Object, p.Spec })
	return append(root, own...)
}

// tokensFor returns the RequestAuthentications of a workload, those of the root namespace last.
func (m *Mesh) tokensFor(namespace string, labels map[string]string) []*RequestAuthentication {
	all := m.index.tokens.in(m, namespace, m.RequestAuthentications, func(p *RequestAuthentication) *schema.Object { return p.Object })
	root, own := policiesFor(m, all, namespace, labels, func(p *RequestAuthentication) (*schema.Object, policySpec) { return p.Object, p.Spec })
	return append(own, root...)
}

// policySpec is what a policy says of whom it is for.
type policySpec interface {
	GetSelector() *typev1beta1.WorkloadSelector
	GetTargetRef() *typev1beta1.PolicyTargetReference
	GetTargetRefs() []*typev1beta1.PolicyTargetReference
}

// policiesFor parts the policies of a workload, those with targetRefs aside, into those of the root namespace and its own.
func policiesFor[P any](m *Mesh, all []P, namespace string, labels map[string]string, of func(P) (*schema.Object, policySpec)) (root, own []P) {
	for _, p := range all {
		o, spec := of(p)
		switch {
		case len(spec.GetTargetRefs()) > 0 || spec.GetTargetRef() != nil || !m.attached(o, spec.GetSelector().GetMatchLabels(), namespace, labels):
		case o.Namespace == m.RootNamespace:
			root = append(root, p)
		default:
			own = append(own, p)
		}
	}
	return root, own
}

// peerModes is the outcome of all PeerAuthentications for one workload.
type peerModes struct {
	mode    MTLSMode
	ports   map[uint32]MTLSMode
	origins []*schema.Object
}

// ModeFor returns the mode on a workload port.
func (p *peerModes) ModeFor(port uint32) MTLSMode {
	if m, ok := p.ports[port]; ok {
		return m
	}
	return p.mode
}

func modeOf(t *security.PeerAuthentication_MutualTLS, inherited MTLSMode) MTLSMode {
	switch t.GetMode() {
	case security.PeerAuthentication_MutualTLS_STRICT:
		return Strict
	case security.PeerAuthentication_MutualTLS_PERMISSIVE:
		return Permissive
	case security.PeerAuthentication_MutualTLS_DISABLE:
		return Disable
	}
	return inherited
}

// peerMode settles the mode of a workload: workload over namespace over mesh, the oldest object in each class, UNSET
// inherits. Port modes come from the workload's object only. An object with a selector in the root namespace has no
// effect, not even there.
func (m *Mesh) peerMode(namespace string, labels map[string]string) *peerModes {
	var mesh, ns, workload *PeerAuthentication
	for _, p := range m.index.peers.in(m, namespace, m.PeerAuthentications, func(p *PeerAuthentication) *schema.Object { return p.Object }) {
		selector := p.Spec.GetSelector().GetMatchLabels()
		switch {
		case len(selector) == 0 && p.Object.Namespace == m.RootNamespace:
			mesh = firstPA(mesh, p)
		case len(selector) == 0 && p.Object.Namespace == namespace:
			ns = firstPA(ns, p)
		case len(selector) > 0 && p.Object.Namespace == namespace && namespace != m.RootNamespace && subset(selector, labels):
			workload = firstPA(workload, p)
		}
	}
	return settlePeers(mesh, ns, workload)
}

func settlePeers(mesh, ns, workload *PeerAuthentication) *peerModes {
	out := &peerModes{mode: Permissive, ports: map[uint32]MTLSMode{}}
	for _, p := range []*PeerAuthentication{mesh, ns, workload} {
		if p != nil {
			out.mode = modeOf(p.Spec.GetMtls(), out.mode)
			out.origins = append(out.origins, p.Object)
		}
	}
	for port, t := range workload.ports() {
		out.ports[port] = modeOf(t, out.mode)
	}
	return out
}

// plaintext lists the workload ports that peerMode finds DISABLE, for all labels that a workload may have.
func (m *Mesh) plaintext() endpoint.Plaintext {
	if !slices.ContainsFunc(m.PeerAuthentications, (*PeerAuthentication).disables) {
		return nil
	}
	var mesh *PeerAuthentication
	byNamespace := map[string]*PeerAuthentication{}
	out := endpoint.Plaintext{}
	for _, p := range m.PeerAuthentications {
		switch namespace, all := p.Object.Namespace, len(p.Spec.GetSelector().GetMatchLabels()) == 0; {
		case namespace == m.RootNamespace:
			if all {
				mesh = firstPA(mesh, p)
			}
		default:
			out[namespace] = nil
			if all {
				byNamespace[namespace] = firstPA(byNamespace[namespace], p)
			}
		}
	}
	rule := func(ns, workload *PeerAuthentication) endpoint.PlainRule {
		modes := settlePeers(mesh, ns, workload)
		r := endpoint.PlainRule{Labels: workload.selector(), All: modes.mode == Disable}
		for port, mode := range modes.ports {
			if r.Ports == nil {
				r.Ports = map[uint32]bool{}
			}
			r.Ports[port] = mode == Disable
		}
		return r
	}
	for _, p := range m.PeerAuthentications {
		if ns := p.Object.Namespace; ns != m.RootNamespace && len(p.selector()) > 0 {
			out[ns] = append(out[ns], rule(byNamespace[ns], p))
		}
	}
	for ns := range out {
		out[ns] = append(out[ns], rule(byNamespace[ns], nil))
	}
	out[""] = []endpoint.PlainRule{rule(nil, nil)}
	return out
}

// disables tells whether the object takes mutual TLS from any port.
func (p *PeerAuthentication) disables() bool {
	off := p.Spec.GetMtls().GetMode() == security.PeerAuthentication_MutualTLS_DISABLE
	for _, t := range p.ports() {
		off = off || t.GetMode() == security.PeerAuthentication_MutualTLS_DISABLE
	}
	return off
}

func (p *PeerAuthentication) selector() map[string]string {
	if p == nil {
		return nil
	}
	return p.Spec.GetSelector().GetMatchLabels()
}

func (p *PeerAuthentication) ports() map[uint32]*security.PeerAuthentication_MutualTLS {
	if p == nil {
		return nil
	}
	return p.Spec.GetPortLevelMtls()
}

func firstPA(have, next *PeerAuthentication) *PeerAuthentication {
	if have != nil {
		return have
	}
	return next
}

// dryRun tells whether a policy is only tried out: the annotation is a boolean in any spelling of Go's.
func dryRun(o *schema.Object) bool {
	on, err := strconv.ParseBool(o.Annotations["istio.io/dry-run"])
	return err == nil && on
}

// linkPolicies sorts the objects that attach by selector into the mesh.
func (m *Mesh) linkPolicies(objects []*schema.Object) diag.List {
	var findings diag.List
	for _, o := range objects {
		switch s := o.Spec.(type) {
		case *security.PeerAuthentication:
			m.PeerAuthentications = append(m.PeerAuthentications, &PeerAuthentication{o, s})
			if o.Namespace == m.RootNamespace && len(s.GetSelector().GetMatchLabels()) > 0 {
				findings.Add(o.Finding(diag.Error, "MESHC1224", "a PeerAuthentication with a selector has no effect in the root namespace "+m.RootNamespace+": it protects nothing",
					"remove the selector to set the mode of the mesh, or move the object to the namespace of the workload", "spec", "selector"))
			}
		case *security.RequestAuthentication:
			m.RequestAuthentications = append(m.RequestAuthentications, &RequestAuthentication{o, s})
		case *security.AuthorizationPolicy:
			m.AuthorizationPolicies = append(m.AuthorizationPolicies, &AuthorizationPolicy{o, s, dryRun(o)})
		case *networking.EnvoyFilter:
			m.EnvoyFilters = append(m.EnvoyFilters, &EnvoyFilter{o, s})
		}
	}
	m.linkTelemetry(objects)
	sortByAge(m.PeerAuthentications, func(p *PeerAuthentication) *schema.Object { return p.Object })
	sortByAge(m.RequestAuthentications, func(p *RequestAuthentication) *schema.Object { return p.Object })
	sortByAge(m.AuthorizationPolicies, func(p *AuthorizationPolicy) *schema.Object { return p.Object })
	sortByAge(m.EnvoyFilters, func(p *EnvoyFilter) *schema.Object { return p.Object })
	slices.SortStableFunc(m.EnvoyFilters, func(a, b *EnvoyFilter) int {
		return cmp.Or(cmp.Compare(a.Spec.GetPriority(), b.Spec.GetPriority()), boolOrder(b.Object.Namespace == m.RootNamespace, a.Object.Namespace == m.RootNamespace))
	})
	return findings
}
