package mesh

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/schema"
)

// linkEndpoints gives every service port its endpoints: from EndpointSlices, else from Pods with an address that the
// selector matches, and from WorkloadEntries; a ServiceEntry has its own list or selects WorkloadEntries and Pods.
func (m *Mesh) linkEndpoints(objects []*schema.Object) {
	slicesOf := endpointSlices(objects)
	for _, s := range m.Services {
		s.Source = s.source()
		lists := make([][]*Endpoint, len(s.Ports))
		switch {
		case s.Kubernetes:
			list := slicesOf[s.Namespace+"/"+s.Name]
			for _, slice := range list {
				m.Site.FromSlice(s.Source, slice, m.index, lists)
			}
			m.selectedEndpoints(s, len(list) == 0, lists)
		case s.Spec.GetWorkloadSelector() != nil:
			m.selectedEndpoints(s, true, lists)
		default:
			m.inlineEndpoints(s)
		}
		m.finishEndpoints(s, lists)
	}
}

// endpointSlices sorts EndpointSlices by namespace/name of their service. A service without any has those that a cluster
// makes of its Endpoints.
func endpointSlices(objects []*schema.Object) map[string][]*discoveryv1.EndpointSlice {
	out := map[string][]*discoveryv1.EndpointSlice{}
	for _, o := range objects {
		if slice, ok := o.Spec.(*discoveryv1.EndpointSlice); ok {
			key := o.Namespace + "/" + o.Labels[endpoint.LabelService]
			out[key] = append(out[key], slice)
		}
	}
	for _, o := range objects {
		if e, ok := o.Spec.(*corev1.Endpoints); ok { //nolint:staticcheck // deprecated, and still what sources hold
			if key := o.Namespace + "/" + o.Name; out[key] == nil {
				out[key] = endpoint.Slices(e)
			}
		}
	}
	return out
}

// source says where the endpoints of a service come from.
func (s *Service) source() *endpoint.Service {
	out := &endpoint.Service{Namespace: s.Namespace, Name: s.Name, Hostname: s.Hostname, Kubernetes: s.Kubernetes, Selector: s.Selector, NotReady: s.PublishNotReady,
		Ports: make([]endpoint.Port, len(s.Ports))}
	for i, p := range s.Ports {
		out.Ports[i] = endpoint.Port{Number: p.Number, Name: p.Name, Target: p.TargetPort, TargetName: p.TargetName}
	}
	return out
}

// Named implements endpoint.Pods.
func (x *index) Named(namespace, name string) *endpoint.Pod { return x.pods[namespace+"/"+name] }

// At implements endpoint.Pods.
func (x *index) At(namespace, address string) *endpoint.Pod {
	return x.podsByAddress[namespace+"/"+address]
}

// Complete implements endpoint.Pods: an input may have EndpointSlices and no Pods.
func (x *index) Complete() bool { return false }

func (m *Mesh) podOf(o *schema.Object, spec *corev1.Pod, w *Workload) *endpoint.Pod {
	p := &endpoint.Pod{
		Namespace: w.Namespace, Name: o.Name, Workload: w.Name, Labels: w.Labels, Addresses: w.Addresses, Ports: w.Ports,
		Locality: w.Locality, Network: w.Network, Cluster: w.Cluster, Identity: m.spiffe(w.Namespace, w.ServiceAccount),
	}
	p.Status(spec)
	return p
}

func (x *index) addPod(p *endpoint.Pod) {
	x.pods[p.Namespace+"/"+p.Name] = p
	x.podsByLabel.Add(p.Namespace, p.Labels, p)
	for _, a := range p.Addresses {
		if key := p.Namespace + "/" + a; x.podsByAddress[key] == nil {
			x.podsByAddress[key] = p
		}
	}
}

func (m *Mesh) spiffe(namespace, account string) string {
	if account == "" {
		return ""
	}
	return "spiffe://" + m.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// selectedEndpoints adds the WorkloadEntries, and with pods the Pods, that a service's selector matches.
func (m *Mesh) selectedEndpoints(s *Service, pods bool, lists [][]*Endpoint) {
	if len(s.Selector) == 0 {
		return
	}
	if pods {
		for _, p := range m.index.podsByLabel.Matching(s.Namespace, s.Selector) {
			m.Site.FromPod(s.Source, p, lists)
		}
	}
	for _, w := range m.index.entries.Matching(s.Namespace, s.Selector) {
		e := w.Object.Spec.(*networking.WorkloadEntry)
		if !s.takes(e) {
			continue
		}
		for i, port := range s.Ports {
			m.addEntryEndpoint(s, port, &s.Source.Ports[i], e, w.Labels, w)
		}
	}
}

// takes tells whether a WorkloadEntry that the selector matches can be an endpoint: only services found by DNS look up
// names, and only they are no concern of Kubernetes, which knows no sockets.
func (s *Service) takes(e *networking.WorkloadEntry) bool {
	if s.Resolution == DNS || s.Resolution == DNSRoundRobin || e.Address == "" {
		return true
	}
	_, err := netip.ParseAddr(e.Address)
	return err == nil
}

// targetPort resolves the workload port behind a service port; 0 when a named port is not declared.
func targetPort(p *Port, w *Workload) uint32 {
	if p.TargetName != "" {
		return w.Ports[p.TargetName]
	}
	if p.TargetPort != 0 {
		return p.TargetPort
	}
	return p.Number
}

func (m *Mesh) inlineEndpoints(s *Service) {
	for i, port := range s.Ports {
		for _, e := range s.Spec.GetEndpoints() {
			m.addEntryEndpoint(s, port, &s.Source.Ports[i], e, e.Labels, nil)
		}
	}
}

func (m *Mesh) addEntryEndpoint(s *Service, port *Port, to *endpoint.Port, e *networking.WorkloadEntry, labels map[string]string, w *Workload) {
	ep := &Endpoint{
		Address: e.Address, Labels: labels, Namespace: s.Namespace, Locality: e.Locality, Network: e.Network, Weight: e.Weight,
		ServiceAccount: m.spiffe(s.Namespace, e.ServiceAccount), Ready: true, Cluster: cmp.Or(labels[labelCluster], m.ClusterName()),
	}
	if w != nil {
		ep.WorkloadName, ep.Locality, ep.Network = w.Name, w.Locality, w.Network
	}
	if ep.Locality == "" {
		ep.Locality = endpoint.LocalityLabel(labels)
	}
	if ep.Network == "" {
		ep.Network = cmp.Or(labels[labelNetwork], m.Site.NetworkOf(e.Address))
	}
	if !strings.HasPrefix(e.Address, "unix://") {
		ep.Port = cmp.Or(e.Ports[port.Name], port.TargetPort, port.Number)
	}
	if w != nil && !entryHealthy(w.Object) {
		ep.Ready, ep.Health = false, Unhealthy
	}
	ep.MTLS = entryHasProxy(labels, e)
	to.Declared = append(to.Declared, ep)
}

// entryHealthy: a WorkloadEntry whose machine is asked for its health is unhealthy until its status says otherwise.
func entryHealthy(o *schema.Object) bool {
	if o.Annotations[annotationHealthChecks] != "true" {
		return true
	}
	status, _ := o.Doc.Value["status"].(map[string]any)
	conditions, _ := status["conditions"].([]any)
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Healthy" {
			return c["status"] == "True"
		}
	}
	return false
}

// finishEndpoints orders endpoints, resolves whether each takes mutual TLS on its port, and collects the identities: those
// behind the endpoints, and those that the pod templates give to endpoints to come.
func (m *Mesh) finishEndpoints(s *Service, lists [][]*Endpoint) {
	accounts := map[string]bool{}
	for i, p := range s.Ports {
		p.Endpoints = m.Site.Finish(append(lists[i], s.Source.Ports[i].Declared...), s.Kubernetes)
		for _, e := range p.Endpoints {
			if e.ServiceAccount != "" {
				accounts[e.ServiceAccount] = true
			}
		}
	}
	if len(s.Selector) > 0 {
		behind := m.index.templates.Matching(s.Namespace, s.Selector)
		s.AllProxied = len(behind) > 0 && !slices.ContainsFunc(behind, func(w *Workload) bool { return w.Labels[LabelTLSMode] != endpoint.TLSModeIstio })
		for _, w := range behind {
			accounts[m.spiffe(w.Namespace, w.ServiceAccount)] = true
		}
	}
	s.ServiceAccounts = sortedKeys(accounts)
}

// linkSite resolves what holds for all endpoints of the cluster.
func (m *Mesh) linkSite() {
	m.Site = &endpoint.Site{Cluster: m.ClusterName(), Plaintext: m.plaintext()}
	if ns := m.Namespaces[m.RootNamespace]; ns != nil {
		m.Site.Network = ns.Network
	}
	for _, name := range sortedKeys(m.Networks.GetNetworks()) {
		for _, e := range m.Networks.Networks[name].GetEndpoints() {
			if p, ok := Prefix(e.GetFromCidr()); ok {
				m.Site.CIDRs = append(m.Site.CIDRs, endpoint.CIDR{Prefix: p, Network: name})
			}
			if e.GetFromRegistry() == m.ClusterName() && m.Site.Registry == "" {
				m.Site.Registry = name
			}
		}
	}
}
