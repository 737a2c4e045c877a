package endpoint

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Service is what tells the endpoints of a service apart from others.
type Service struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`                 // of the object
	Hostname   string            `json:"hostname"`             // a ServiceEntry has several
	Kubernetes bool              `json:"kubernetes,omitempty"` // it has EndpointSlices; else a ServiceEntry, which selects Pods
	Selector   map[string]string `json:"selector,omitempty"`
	NotReady   bool              `json:"notReady,omitempty"` // publishNotReadyAddresses
	Ports      []Port            `json:"ports"`
}

// Port is one port of a service.
type Port struct {
	Number     uint32 `json:"number"`
	Name       string `json:"name,omitempty"`
	Target     uint32 `json:"target,omitempty"`     // on the workload; 0 when it is named, or that of the service
	TargetName string `json:"targetName,omitempty"` // of a container port
	// Declared are the endpoints that are not the cluster's to tell: WorkloadEntries, and the list of a ServiceEntry.
	Declared []*Endpoint `json:"declared,omitempty"`
}

// number returns the workload port; 0 when a named port is not declared.
func (p *Port) number(w *Pod) uint32 {
	switch {
	case p.TargetName != "":
		return w.Ports[p.TargetName]
	case p.Target != 0:
		return p.Target
	}
	return p.Number
}

// Pod is a Pod as far as it can be an endpoint.
type Pod struct {
	Namespace, Name string
	Workload        string            // name of the workload behind it
	Labels          map[string]string // with those of injection
	Addresses       []string
	Ports           map[string]uint32 // of containers, by name
	Locality        string
	Network         string // by its labels
	Cluster         string
	Node            string
	Hostname        string
	Identity        string // SPIFFE
	Ready           bool
	Ended           bool // it has run to its end
}

// Status fills in what the status of a Pod says.
func (p *Pod) Status(pod *corev1.Pod) {
	p.Node, p.Hostname = pod.Spec.NodeName, pod.Spec.Hostname
	p.Ready = podReady(pod) && pod.DeletionTimestamp == nil
	p.Ended = pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// PodAddresses are the addresses of a Pod.
func PodAddresses(pod *corev1.Pod) (out []string) {
	for _, ip := range pod.Status.PodIPs {
		out = append(out, ip.IP)
	}
	if len(out) == 0 && pod.Status.PodIP != "" {
		out = []string{pod.Status.PodIP}
	}
	return out
}

func podReady(p *corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return true
}

// Pods finds Pods.
type Pods interface {
	Named(namespace, name string) *Pod // nil: none
	At(namespace, address string) *Pod
	// Complete tells whether an endpoint of a Pod that is not among them is to be left out: its labels, and whether it
	// takes mutual TLS, will be known when the Pod is.
	Complete() bool
}

// FromSlice adds the endpoints of an EndpointSlice to the lists of the ports of its service.
func (s *Site) FromSlice(svc *Service, slice *discoveryv1.EndpointSlice, pods Pods, lists [][]*Endpoint) {
	if slice.AddressType == discoveryv1.AddressTypeFQDN {
		return // an endpoint needs an IP address
	}
	for i := range slice.Endpoints {
		e := &slice.Endpoints[i]
		var p *Pod
		if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
			if p = pods.Named(svc.Namespace, e.TargetRef.Name); p == nil && pods.Complete() {
				continue
			}
		}
		for j := range svc.Ports {
			number, ok := slicePort(slice, svc.Ports[j].Name)
			if !ok {
				continue
			}
			for _, address := range e.Addresses {
				if p == nil {
					p = pods.At(svc.Namespace, address)
				}
				lists[j] = append(lists[j], s.sliceEndpoint(svc, e, p, address, number))
			}
		}
	}
}

func (s *Site) sliceEndpoint(svc *Service, e *discoveryv1.Endpoint, p *Pod, address string, number uint32) *Endpoint {
	ep := s.podEndpoint(p, address, number)
	ep.Health = sliceHealth(e, svc.NotReady)
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
	ep.Namespace = svc.Namespace
	return ep
}

func slicePort(slice *discoveryv1.EndpointSlice, want string) (uint32, bool) {
	for _, sp := range slice.Ports {
		name := ""
		if sp.Name != nil {
			name = *sp.Name
		}
		if name == want && sp.Port != nil {
			return uint32(*sp.Port), true
		}
	}
	return 0, false
}

func sliceHealth(e *discoveryv1.Endpoint, notReady bool) Health {
	c := e.Conditions
	switch {
	case c.Ready == nil || *c.Ready || notReady:
		return Healthy
	case c.Serving != nil && *c.Serving && c.Terminating != nil && *c.Terminating:
		return Draining
	}
	return Unhealthy
}

// FromPod adds a Pod that the selector of a service matches to the lists of the service's ports.
func (s *Site) FromPod(svc *Service, p *Pod, lists [][]*Endpoint) {
	if len(p.Addresses) == 0 || p.Ended {
		return
	}
	for j := range svc.Ports {
		number := svc.Ports[j].number(p)
		if number == 0 {
			continue
		}
		ep := s.podEndpoint(p, p.Addresses[0], number)
		if !p.Ready && !svc.NotReady {
			ep.Ready, ep.Health = false, Unhealthy
		}
		lists[j] = append(lists[j], ep)
	}
}

func (s *Site) podEndpoint(p *Pod, address string, port uint32) *Endpoint {
	e := &Endpoint{Address: address, Port: port, Ready: true, Cluster: s.Cluster}
	if p == nil {
		e.Network = s.networkOfPod(address)
		return e
	}
	e.Labels, e.Namespace, e.WorkloadName = p.Labels, p.Namespace, p.Workload
	e.Locality, e.Network, e.Cluster, e.NodeName = p.Locality, p.Network, p.Cluster, p.Node
	if e.Network == "" {
		e.Network = s.networkOfPod(address)
	}
	e.Hostname, e.ServiceAccount = p.Hostname, p.Identity
	e.MTLS = p.Labels[LabelTLSMode] == TLSModeIstio
	return e
}

// Finish puts the endpoints of a port in order, keeps one of each, and resolves which take mutual TLS. Endpoints of a
// ServiceEntry are the same only with the same labels.
func (s *Site) Finish(list []*Endpoint, kubernetes bool) []*Endpoint {
	Sort(list)
	list = slices.CompactFunc(list, func(a, b *Endpoint) bool {
		return a.Address == b.Address && a.Port == b.Port && (kubernetes || Subset(a.Labels, b.Labels) && Subset(b.Labels, a.Labels))
	})
	for _, e := range list {
		if e.MTLS && s.Plaintext.Is(e.Namespace, e.Labels, e.Port) {
			e.MTLS = false
		}
	}
	return list
}
