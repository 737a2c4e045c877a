package mesh

import (
	"slices"
	"strings"
	"sync"

	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/internal/memo"
	"github.com/meshc/meshc/schema"
)

// index holds the look-up tables of link and scope. It is filled while linking and only read afterwards; what is made of it
// is remembered in tables.
type index struct {
	services      map[string][]*Service    // by hostname, oldest first
	pods          map[string]*endpoint.Pod // by namespace/name
	podsByLabel   attach.ByLabels[*endpoint.Pod]
	podsByAddress map[string]*endpoint.Pod      // by namespace/address, the first
	entries       attach.ByLabels[*Workload]    // of WorkloadEntries
	templates     attach.ByLabels[*Workload]    // of Deployments and the like
	injectors     map[string]*injector          // by revision
	rules         map[string][]*DestinationRule // by namespace/host
	ruleHosts     map[string][]string           // hosts with a rule, by namespace, most specific first
	gateways      map[string]*Gateway           // by namespace/name
	byGateway     map[string][]*VirtualService  // by gateway name, oldest first
	visible       *memo.Table[visibleInputs, []*VirtualService]
	seen          *memo.Table[string, memo.List[*Service]] // services that a namespace sees
	selecting     attach.BySelector[*Service]              // services with a selector
	addresses     map[string][]addressTarget               // by endpoint address
	proxies       *memo.Table[proxyLayers, proxyOutcome]
	allocated     map[string][]string             // virtual addresses, by namespace/host
	captured      *memo.Table[*Service, *Service] // as proxies see them that answer name look-ups
	first         *schema.Object                  // of the input, where a namespace has none
	anyObject     map[string]*schema.Object       // one object of each namespace, to point at
	sharing       *sharing
	contested     func() bool                           // any host is that of services of several namespaces
	hidden        func() map[string]map[string]*Service // services that their own namespace does not see, by namespace and host

	attachments
}

func newIndex(m *Mesh) *index {
	return &index{
		services: map[string][]*Service{}, pods: map[string]*endpoint.Pod{}, podsByLabel: attach.ByLabels[*endpoint.Pod]{}, podsByAddress: map[string]*endpoint.Pod{}, entries: attach.ByLabels[*Workload]{}, templates: attach.ByLabels[*Workload]{},
		rules: map[string][]*DestinationRule{}, ruleHosts: map[string][]string{}, gateways: map[string]*Gateway{},
		byGateway: map[string][]*VirtualService{}, visible: memo.Plain(m.visibleVirtualServices), seen: memo.Plain(m.servicesVisibleTo),
		proxies: memo.Plain(m.mergeLayers), allocated: map[string][]string{}, captured: memo.Plain(m.capture), anyObject: map[string]*schema.Object{},
		sharing: newSharing(m), contested: sync.OnceValue(m.contested),
		hidden: sync.OnceValue(m.hiddenServices), attachments: newAttachments(m),
	}
}

// servicesVisibleTo returns what a namespace sees: its private services, those exported to it, public ones; each oldest
// first.
func (m *Mesh) servicesVisibleTo(namespace string) memo.List[*Service] {
	var ranked [3][]*Service
	for _, s := range m.Services {
		if r := s.Visibility.rank(s.Namespace, namespace); r >= 0 {
			ranked[r] = append(ranked[r], s)
		}
	}
	return m.index.sharing.services.Of(slices.Concat(ranked[0], ranked[1], ranked[2])...)
}

func (m *Mesh) linkSidecars(objects []*schema.Object) {
	for _, o := range objects {
		if s, ok := o.Spec.(*networking.Sidecar); ok {
			m.Sidecars = append(m.Sidecars, &Sidecar{o, s})
		}
	}
	sortByAge(m.Sidecars, func(s *Sidecar) *schema.Object { return s.Object })
}

// newScope resolves what proxies see on their outbound side.
func (m *Mesh) newScope(in scopeInputs) *Scope {
	s := &Scope{
		Mesh: m, Gateway: in.gateway, Namespace: in.namespace, Sidecar: in.sidecar, Labels: labelMap(in.labels),
		Network: in.network, Locality: in.locality, Cluster: in.cluster, Proxy: in.proxy, Telemetries: in.telemetries.All(), EnvoyFilters: in.filters.All(),
	}
	s.Outbound.RegistryOnly = m.Config.GetOutboundTrafficPolicy().GetMode() == meshconfig.MeshConfig_OutboundTrafficPolicy_REGISTRY_ONLY
	if in.sidecar == nil || len(in.sidecar.Spec.Egress) == 0 {
		list := m.index.seen.Get(in.namespace)
		if !in.gateway && m.index.contested() {
			list = m.index.sharing.services.Of(oneNamespace(list.All(), in.namespace)...)
		}
		list = m.index.sharing.distinct.Get(list).list
		s.Listeners = []*EgressListener{{Index: -1, Services: list.All(), VirtualServices: m.index.visible.Get(visibleInputs{in.namespace, "mesh"})}}
	} else {
		for i, e := range in.sidecar.Spec.Egress {
			s.Listeners = append(s.Listeners, m.egressListener(in.namespace, i, e))
		}
	}
	if in.sidecar != nil {
		m.sidecarOutbound(s, in.sidecar)
	}
	for i, l := range s.Listeners {
		if CapturesDNS(in.proxy) {
			l.Services = m.captured(l.Services)
		}
		s.Listeners[i] = m.index.sharing.listener(l)
	}
	m.closeScope(s)
	return s
}

func (m *Mesh) sidecarOutbound(s *Scope, sidecar *Sidecar) {
	p := sidecar.Spec.OutboundTrafficPolicy
	if p == nil {
		return
	}
	s.Outbound.RegistryOnly = p.Mode == networking.OutboundTrafficPolicy_REGISTRY_ONLY
	if p.EgressProxy != nil && !s.Outbound.RegistryOnly {
		s.Outbound.EgressProxy = EgressProxy{Host: m.qualify(p.EgressProxy.Host, sidecar.Object.Namespace), Subset: p.EgressProxy.Subset, Port: p.EgressProxy.GetPort().GetNumber()}
	}
}

// closeScope adds the services that only routes lead to and resolves the DestinationRules.
func (m *Mesh) closeScope(s *Scope) {
	var all []*Service
	for _, l := range s.Listeners {
		all = append(all, l.Services...)
	}
	for _, l := range s.Listeners {
		if l.Spec == nil {
			all = append(all, m.pulledInHidden(s, l)...)
			continue
		}
		for _, v := range l.VirtualServices {
			for _, host := range calledHosts(v.Spec) {
				all = append(all, m.pulledIn(host, s.Namespace)...)
			}
		}
		if p := s.Outbound.EgressProxy; p.Host != "" {
			all = append(all, m.pulledIn(p.Host, s.Namespace)...)
		}
	}
	if CapturesDNS(s.Proxy) {
		all = m.captured(all)
	}
	s.view = m.viewOf(s, all)
	s.Services = s.view.Services
}

// pulledIn returns the service behind a route destination that a Sidecar does not list: that of the own namespace, else
// of the first namespace in the alphabet whose service is visible.
func (m *Mesh) pulledIn(host, namespace string) []*Service {
	list := m.index.services[host]
	if len(list) == 1 && list[0].Visibility.In(namespace) {
		return list
	}
	byNamespace := map[string]*Service{}
	for _, s := range list {
		if have := byNamespace[s.Namespace]; have == nil || s.Kubernetes && !have.Kubernetes {
			byNamespace[s.Namespace] = s
		}
	}
	if s := byNamespace[namespace]; s != nil {
		return []*Service{s}
	}
	for _, ns := range sortedKeys(byNamespace) {
		if s := byNamespace[ns]; s.Visibility.In(namespace) {
			return []*Service{s}
		}
	}
	return nil
}

// pulledInHidden returns what routes add to a scope that sees all there is to see: services of its own namespace that are
// exported to others only. A gateway is given none.
func (m *Mesh) pulledInHidden(s *Scope, l *EgressListener) []*Service {
	hidden := m.index.hidden()[s.Namespace]
	if s.Gateway || len(hidden) == 0 {
		return nil
	}
	var out []*Service
	for _, v := range l.VirtualServices {
		for _, host := range calledHosts(v.Spec) {
			if svc := hidden[host]; svc != nil {
				out = append(out, svc)
			}
		}
	}
	return out
}

// hiddenServices returns, by namespace and host, the services that their own namespace does not see.
func (m *Mesh) hiddenServices() map[string]map[string]*Service {
	out := map[string]map[string]*Service{}
	for _, s := range m.Services {
		if s.Visibility.In(s.Namespace) {
			continue
		}
		if out[s.Namespace] == nil {
			out[s.Namespace] = map[string]*Service{}
		}
		if out[s.Namespace][s.Hostname] == nil {
			out[s.Namespace][s.Hostname] = s
		}
	}
	return out
}

// calledHosts returns every host that a VirtualService sends requests to, mirrors included.
func calledHosts(v *networking.VirtualService) (out []string) {
	for _, d := range destinations(v) {
		if d.Host != "" {
			out = append(out, d.Host)
		}
	}
	return out
}

// imports is one egress hosts list: the host patterns by namespace.
type imports struct {
	include, exclude map[string][]string
}

func (m *Mesh) parseImports(list []string, namespace string) imports {
	im := imports{include: map[string][]string{}, exclude: map[string][]string{}}
	for _, h := range list {
		ns, name := hosts.Split(h)
		into := im.include
		if strings.HasPrefix(ns, "~") {
			if ns == "~" {
				continue // "~/*": imports nothing
			}
			into, ns = im.exclude, ns[1:]
		}
		if ns == "." {
			ns = namespace
		}
		into[ns] = append(into[ns], strings.ToLower(name))
	}
	return im
}

// has tells whether a service is imported.
func (im imports) has(namespace, host string) bool {
	return im.listed(im.include, namespace, host, hosts.Within) && !im.listed(im.exclude, namespace, host, hosts.Within)
}

// routes tells whether a VirtualService host is imported: also one that is wider than what is listed.
func (im imports) routes(namespace, host string) bool {
	return im.listed(im.include, namespace, host, hosts.Overlap) && !im.listed(im.exclude, namespace, host, hosts.Within)
}

func (im imports) listed(in map[string][]string, namespace, host string, match func(host, pattern string) bool) bool {
	for _, key := range [2]string{namespace, "*"} {
		if slices.ContainsFunc(in[key], func(pattern string) bool { return match(host, pattern) }) {
			return true
		}
	}
	return false
}

// imported tells whether a Sidecar imports a service of its workload's namespace, by listing it or by a route that leads
// to it.
func (m *Mesh) imported(svc *Service, sidecar *Sidecar) bool {
	if sidecar == nil || len(sidecar.Spec.Egress) == 0 {
		return true
	}
	for _, e := range sidecar.Spec.Egress {
		im, n := m.parseImports(e.Hosts, svc.Namespace), e.GetPort().GetNumber()
		if n != 0 && ParseProtocol(e.Port.Protocol) != HTTPProxy && svc.HasPort(n) == nil {
			continue
		}
		if im.has(svc.Namespace, svc.Hostname) {
			return true
		}
		if slices.ContainsFunc(m.VirtualServices, func(v *VirtualService) bool {
			return v.Visibility.In(svc.Namespace) && slices.Contains(v.Spec.Gateways, "mesh") && slices.Contains(calledHosts(v.Spec), svc.Hostname) &&
				slices.ContainsFunc(v.Spec.Hosts, func(h string) bool { return im.routes(v.Object.Namespace, h) })
		}) {
			return true
		}
	}
	return false
}

func (m *Mesh) egressListener(namespace string, index int, spec *networking.IstioEgressListener) *EgressListener {
	l := &EgressListener{Index: index, Spec: spec}
	im := m.parseImports(spec.Hosts, namespace)
	for _, v := range m.index.visible.Get(visibleInputs{namespace, "mesh"}) {
		if slices.ContainsFunc(v.Spec.Hosts, func(h string) bool { return im.routes(v.Object.Namespace, h) }) {
			l.VirtualServices = append(l.VirtualServices, v)
		}
	}
	var list []*Service
	for _, s := range m.index.seen.Get(namespace).All() {
		if !im.has(s.Namespace, s.Hostname) {
			continue
		}
		if n := spec.GetPort().GetNumber(); n != 0 && ParseProtocol(spec.Port.Protocol) != HTTPProxy {
			p := s.HasPort(n)
			if p == nil {
				continue
			}
			if len(s.Ports) > 1 {
				s = m.index.sharing.singlePort.Get(singlePortInputs{s, p})
			}
		}
		list = append(list, s)
	}
	if m.index.contested() {
		list = oneNamespace(list, namespace)
	}
	l.Services, _ = oneService(list)
	return l
}
