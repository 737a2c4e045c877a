package mesh

import (
	"cmp"
	"slices"
	"strconv"
	"sync"

	networking "istio.io/api/networking/v1alpha3"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// attachments are the objects that hold for workloads, indexed when they are first asked for: the lists must be complete then.
type attachments struct {
	peers          func() *attach.Table[*PeerAuthentication]
	authorizations func() *attach.Table[*AuthorizationPolicy]
	tokens         func() *attach.Table[*RequestAuthentication]
	filters        func() *attach.Table[*EnvoyFilter]
	telemetries    func() *attach.Table[*Telemetry]
	sidecars       func() *attach.Table[*Sidecar]
	proxyConfigs   func() *attach.Table[*ProxyConfig]
}

func newAttachments(m *Mesh) attachments {
	return attachments{
		peers:          attachmentTable(m, &m.PeerAuthentications, func(p *PeerAuthentication) *schema.Object { return p.Object }),
		authorizations: attachmentTable(m, &m.AuthorizationPolicies, func(p *AuthorizationPolicy) *schema.Object { return p.Object }),
		tokens:         attachmentTable(m, &m.RequestAuthentications, func(p *RequestAuthentication) *schema.Object { return p.Object }),
		filters:        attachmentTable(m, &m.EnvoyFilters, func(f *EnvoyFilter) *schema.Object { return f.Object }),
		telemetries:    attachmentTable(m, &m.Telemetries, func(t *Telemetry) *schema.Object { return t.Object }),
		sidecars:       attachmentTable(m, &m.Sidecars, func(s *Sidecar) *schema.Object { return s.Object }),
		proxyConfigs:   attachmentTable(m, &m.ProxyConfigs, func(p *ProxyConfig) *schema.Object { return p.Object }),
	}
}

func attachmentTable[T comparable](m *Mesh, list *[]T, object func(T) *schema.Object) func() *attach.Table[T] {
	return sync.OnceValue(func() *attach.Table[T] {
		return attach.NewTable(m.RootNamespace, *list, func(x T) attach.Attachment { return attachmentOf(object(x)) })
	})
}

// attachmentOf returns how an object of a kind that chooses workloads does.
func attachmentOf(o *schema.Object) attach.Attachment {
	a, _ := attach.Of(o)
	return a
}

// authorizationsFor returns the AuthorizationPolicies of a workload, those of the root namespace first.
func (m *Mesh) authorizationsFor(namespace string, labels map[string]string) []*AuthorizationPolicy {
	root, own := m.index.authorizations().Parted(namespace, labels)
	return append(root, own...)
}

// tokensFor returns the RequestAuthentications of a workload, those of the root namespace last.
func (m *Mesh) tokensFor(namespace string, labels map[string]string) []*RequestAuthentication {
	root, own := m.index.tokens().Parted(namespace, labels)
	return append(own, root...)
}

// telemetriesFor returns the layers in effect for a workload: that of the mesh, that of the namespace, then all that select it.
func (m *Mesh) telemetriesFor(namespace string, labels map[string]string) (out []*Telemetry) {
	l := m.index.telemetries().Layers(namespace, labels)
	for _, t := range []*Telemetry{l.Mesh, l.Namespace} {
		if t != nil {
			out = append(out, t)
		}
	}
	return append(out, l.Workload...)
}

// sidecarFor picks the Sidecar for a workload: the first that selects it, else that of its namespace, else that of the mesh;
// nil for the built-in default.
func (m *Mesh) sidecarFor(namespace string, labels map[string]string) *Sidecar {
	l := m.index.sidecars().Layers(namespace, labels)
	return cmp.Or(l.First(), l.Namespace, l.Mesh)
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

// peerMode resolves the mode of a workload: workload over namespace over mesh, the oldest object of each, UNSET inherits. Port
// modes come from the workload's object only.
func (m *Mesh) peerMode(namespace string, labels map[string]string) *peerModes {
	l := m.index.peers().Layers(namespace, labels)
	return mergePeers(l.Mesh, l.Namespace, l.First())
}

// NamespaceMode is the mode of the workloads of a namespace that no PeerAuthentication selects.
func (m *Mesh) NamespaceMode(namespace string) MTLSMode {
	if len(m.PeerAuthentications) == 0 {
		return Permissive
	}
	l := m.index.peers().Layers(namespace, nil)
	return mergePeers(l.Mesh, l.Namespace, nil).mode
}

func mergePeers(mesh, ns, workload *PeerAuthentication) *peerModes {
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
	rule := func(namespace string, workload *PeerAuthentication) endpoint.PlainRule {
		l := m.index.peers().Layers(namespace, nil)
		modes := mergePeers(l.Mesh, l.Namespace, workload)
		r := endpoint.PlainRule{All: modes.mode == Disable}
		if workload != nil {
			r.Labels = attachmentOf(workload.Object).Labels
		}
		for port, mode := range modes.ports {
			if r.Ports == nil {
				r.Ports = map[uint32]bool{}
			}
			r.Ports[port] = mode == Disable
		}
		return r
	}
	out := endpoint.Plaintext{}
	for _, p := range m.PeerAuthentications {
		switch ns := p.Object.Namespace; {
		case ns == m.RootNamespace:
		case attachmentOf(p.Object).Selects:
			out[ns] = append(out[ns], rule(ns, p))
		case out[ns] == nil:
			out[ns] = nil
		}
	}
	for ns := range out {
		out[ns] = append(out[ns], rule(ns, nil))
	}
	out[""] = []endpoint.PlainRule{rule("", nil)}
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

func (p *PeerAuthentication) ports() map[uint32]*security.PeerAuthentication_MutualTLS {
	if p == nil {
		return nil
	}
	return p.Spec.GetPortLevelMtls()
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
			if attachmentOf(o).Idle(m.RootNamespace) {
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
