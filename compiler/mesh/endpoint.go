package mesh

import (
	"cmp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/meshc/meshc/schema"
)

const labelServiceName = "kubernetes.io/service-name"

type pod struct {
	object   *schema.Object
	spec     *corev1.Pod
	workload *Workload
}

// linkEndpoints gives every service port its endpoints: from EndpointSlices, else from Pods with an address that the
// selector matches, and from WorkloadEntries; a ServiceEntry has its own list or selects WorkloadEntries and Pods.
func (m *Mesh) linkEndpoints(objects []*schema.Object) {
	slicesOf := map[string][]*schema.Object{}
	for _, o := range objects {
		if _, ok := o.Spec.(*discoveryv1.EndpointSlice); ok {
			key := o.Namespace + "/" + o.Labels[labelServiceName]
			slicesOf[key] = append(slicesOf[key], o)
		}
	}
	for _, s := range m.Services {
		switch {
		case s.Kubernetes:
			m.kubernetesEndpoints(s, slicesOf[s.Namespace+"/"+s.Name])
		case s.Spec.GetWorkloadSelector() != nil:
			m.selectedEndpoints(s, true)
		default:
			m.inlineEndpoints(s)
		}
		m.finishEndpoints(s)
	}
}

func (m *Mesh) kubernetesEndpoints(s *Service, list []*schema.Object) {
	for _, o := range list {
		m.sliceEndpoints(s, o.Spec.(*discoveryv1.EndpointSlice))
	}
	m.selectedEndpoints(s, len(list) == 0)
}

func (m *Mesh) sliceEndpoints(s *Service, slice *discoveryv1.EndpointSlice) {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		return // reported with its schema: an endpoint needs an IP address
	}
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		var p *pod
		if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
			p = m.index.pods[s.Namespace+"/"+e.TargetRef.Name]
		}
		for _, port := range s.Ports {
			number, ok := slicePort(slice, port)
			if !ok {
				continue
			}
			for _, address := range e.Addresses {
				if p == nil {
					p = m.podByAddress(s.Namespace, address)
				}
				ep := m.podEndpoint(p, address, number)
				ep.Health = sliceHealth(e, s)
				ep.Ready = ep.Health == Healthy
				if e.Hostname != nil {
					ep.Hostname = *e.Hostname
				}
				if e.NodeName != nil && ep.NodeName == "" {
					ep.NodeName = *e.NodeName
				}
				if ep.Locality == "" && e.Zone != nil && p == nil {
					ep.Locality = "/" + *e.Zone
				}
				ep.Namespace = s.Namespace
				port.Endpoints = append(port.Endpoints, ep)
			}
		}
	}
}

func slicePort(slice *discoveryv1.EndpointSlice, port *Port) (uint32, bool) {
	for _, sp := range slice.Ports {
		name := ""
		if sp.Name != nil {
			name = *sp.Name
		}
		if name == port.Name && sp.Port != nil {
			return uint32(*sp.Port), true
		}
	}
	return 0, false
}

func sliceHealth(e *discoveryv1.Endpoint, s *Service) Health {
	c := e.Conditions
	switch {
	case c.Ready == nil || *c.Ready || s.PublishNotReady:
		return Healthy
	case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
		return Draining
	}
	return Unhealthy
}

func (x *index) addPod(p *pod) {
	x.pods[p.object.Namespace+"/"+p.object.Name] = p
	x.podsByLabel.add(p.object.Namespace, p.workload.Labels, p)
	for _, a := range p.workload.Addresses {
		if key := p.object.Namespace + "/" + a; x.podsByAddress[key] == nil {
			x.podsByAddress[key] = p
		}
	}
}

func (m *Mesh) podByAddress(namespace, address string) *pod {
	return m.index.podsByAddress[namespace+"/"+address]
}

func (m *Mesh) podEndpoint(p *pod, address string, port uint32) *Endpoint {
	e := &Endpoint{Address: address, Port: port, Ready: true, Cluster: m.ClusterName()}
	if p == nil {
		e.Network = m.networkOfPod(address)
		return e
	}
	w := p.workload
	e.Labels, e.Namespace, e.WorkloadName = w.Labels, w.Namespace, w.Name
	e.Locality, e.Network, e.Cluster, e.NodeName = w.Locality, w.Network, w.Cluster, p.spec.Spec.NodeName
	if e.Network == "" {
		e.Network = m.networkOfPod(address)
	}
	e.Hostname = p.spec.Spec.Hostname
	e.ServiceAccount = m.spiffe(w.Namespace, w.ServiceAccount)
	e.MTLS = w.Labels[LabelTLSMode] == "istio"
	return e
}

func (m *Mesh) spiffe(namespace, account string) string {
	if account == "" {
		return ""
	}
	return "spiffe://" + m.TrustDomain + "/ns/" + namespace + "/sa/" + account
}

// selectedEndpoints adds the WorkloadEntries, and with pods the Pods, that a service's selector matches.
func (m *Mesh) selectedEndpoints(s *Service, pods bool) {
	if len(s.Selector) == 0 {
		return
	}
	if pods {
		for _, p := range m.index.podsByLabel.matching(s.Namespace, s.Selector) {
			if len(p.workload.Addresses) == 0 || p.spec.Status.Phase == corev1.PodSucceeded || p.spec.Status.Phase == corev1.PodFailed {
				continue
			}
			for _, port := range s.Ports {
				if number := targetPort(port, p.workload); number != 0 {
					for _, a := range p.workload.Addresses[:1] {
						ep := m.podEndpoint(p, a, number)
						if !podReady(p.spec) && !s.PublishNotReady {
							ep.Ready, ep.Health = false, Unhealthy
						}
						port.Endpoints = append(port.Endpoints, ep)
					}
				}
			}
		}
	}
	for _, w := range m.index.entries.matching(s.Namespace, s.Selector) {
		e := w.Object.Spec.(*networking.WorkloadEntry)
		for _, port := range s.Ports {
			m.addEntryEndpoint(s, port, e, w.Labels, w)
		}
	}
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return true
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
	for _, port := range s.Ports {
		for _, e := range s.Spec.GetEndpoints() {
			m.addEntryEndpoint(s, port, e, e.Labels, nil)
		}
	}
}

func (m *Mesh) addEntryEndpoint(s *Service, port *Port, e *networking.WorkloadEntry, labels map[string]string, w *Workload) {
	ep := &Endpoint{
		Address: e.Address, Labels: labels, Namespace: s.Namespace, Locality: e.Locality, Network: e.Network, Weight: e.Weight,
		ServiceAccount: m.spiffe(s.Namespace, e.ServiceAccount), Ready: true, Cluster: firstOf(labels[labelCluster], m.ClusterName()),
	}
	if w != nil {
		ep.WorkloadName, ep.Locality, ep.Network = w.Name, w.Locality, w.Network
	}
	if ep.Locality == "" {
		ep.Locality = localityLabel(labels)
	}
	if ep.Network == "" {
		ep.Network = firstOf(labels[labelNetwork], m.networkOfAddress(e.Address))
	}
	if !strings.HasPrefix(e.Address, "unix://") {
		ep.Port = firstPort(e.Ports[port.Name], port.TargetPort, port.Number)
	}
	if w != nil && !entryHealthy(w.Object) {
		ep.Ready, ep.Health = false, Unhealthy
	}
	switch mode := labels[LabelTLSMode]; {
	case mode != "":
		ep.MTLS = mode == "istio"
	default:
		ep.MTLS = e.ServiceAccount != ""
	}
	port.Endpoints = append(port.Endpoints, ep)
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

func firstPort(ports ...uint32) uint32 {
	for _, p := range ports {
		if p != 0 {
			return p
		}
	}
	return 0
}

// finishEndpoints orders endpoints, settles whether each takes mutual TLS on its port, and collects the identities.
func (m *Mesh) finishEndpoints(s *Service) {
	accounts := map[string]bool{}
	for _, p := range s.Ports {
		sortEndpoints(p.Endpoints)
		p.Endpoints = slices.CompactFunc(p.Endpoints, func(a, b *Endpoint) bool {
			return a.Address == b.Address && a.Port == b.Port && (s.Kubernetes || subset(a.Labels, b.Labels) && subset(b.Labels, a.Labels))
		})
		for _, e := range p.Endpoints {
			if e.ServiceAccount != "" {
				accounts[e.ServiceAccount] = true
			}
			if e.MTLS && m.peerMode(e.Namespace, e.Labels).ModeFor(e.Port) == Disable {
				e.MTLS = false
			}
		}
	}
	s.ServiceAccounts = sortedKeys(accounts)
}

func sortEndpoints(list []*Endpoint) {
	slices.SortStableFunc(list, func(a, b *Endpoint) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Cluster, b.Cluster))
	})
}

// networkOfPod finds the network of a pod that has none by its labels: that of its cluster by meshNetworks fromRegistry,
// else by its address.
func (m *Mesh) networkOfPod(address string) string {
	for _, name := range sortedKeys(m.Networks.GetNetworks()) {
		for _, e := range m.Networks.Networks[name].GetEndpoints() {
			if e.GetFromRegistry() == m.ClusterName() {
				return name
			}
		}
	}
	return m.networkOfAddress(address)
}

// networkOfAddress finds the network of an address by the CIDRs of meshNetworks.
func (m *Mesh) networkOfAddress(address string) string {
	p, ok := Prefix(address)
	if !ok {
		return ""
	}
	for _, name := range sortedKeys(m.Networks.GetNetworks()) {
		for _, e := range m.Networks.Networks[name].GetEndpoints() {
			if cidr, ok := Prefix(e.GetFromCidr()); ok && cidr.Contains(p.Addr()) {
				return name
			}
		}
	}
	return ""
}
