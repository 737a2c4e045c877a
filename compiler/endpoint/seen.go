package endpoint

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Objects is what one namespace of a cluster has, as far as it can be an endpoint.
type Objects struct {
	Slices []*discoveryv1.EndpointSlice
	Pods   []*corev1.Pod
}

// Source says what kinds of objects are there to be seen at all, in any namespace.
type Source struct {
	Slices, Pods bool
	Nodes        map[string]string // locality by name
}

// Seen answers for the services of one namespace which endpoints they have.
type Seen struct {
	site    *Site
	source  Source
	slices  map[string][]*discoveryv1.EndpointSlice // by service, oldest first
	pods    []*Pod                                  // oldest first
	named   map[string]*Pod
	at      map[string]*Pod
	Missing int // endpoints left out because their Pod is not known
}

// See reads the objects of one namespace. They are what an API server has let in, so whether a pod has a proxy is read
// off the pod, and not off what injection would do with it.
func (s *Site) See(o Objects, source Source) *Seen {
	out := &Seen{site: s, source: source, slices: map[string][]*discoveryv1.EndpointSlice{}, named: map[string]*Pod{}, at: map[string]*Pod{}}
	for _, e := range oldest(o.Slices, func(e *discoveryv1.EndpointSlice) *metav1.ObjectMeta { return &e.ObjectMeta }) {
		out.slices[e.Labels[LabelService]] = append(out.slices[e.Labels[LabelService]], e)
	}
	for _, k := range oldest(o.Pods, func(k *corev1.Pod) *metav1.ObjectMeta { return &k.ObjectMeta }) {
		p := s.livePod(k, source.Nodes)
		out.pods = append(out.pods, p)
		out.named[p.Name] = p
		for _, a := range p.Addresses {
			if out.at[a] == nil && !p.Ended {
				out.at[a] = p
			}
		}
	}
	return out
}

// oldest sorts objects as ties are broken everywhere: by age, then name.
func oldest[T any](list []T, meta func(T) *metav1.ObjectMeta) []T {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b T) int {
		x, y := meta(a), meta(b)
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
	})
	return list
}

func (s *Site) livePod(k *corev1.Pod, nodes map[string]string) *Pod {
	shown := Show(&k.Spec, k.Labels, k.Annotations)
	p := &Pod{Namespace: k.Namespace, Name: k.Name, Workload: Owner(k.Name, k.OwnerReferences), Labels: k.Labels, Addresses: PodAddresses(k), Ports: shown.Ports}
	if shown.Sidecar {
		p.Labels = maps.Clone(k.Labels)
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		Stamp(p.Labels, p.Workload, false)
	}
	p.Network, p.Cluster, p.Locality = s.Place(p.Labels)
	p.Status(k)
	if p.Locality == "" {
		p.Locality = nodes[p.Node]
	}
	return p
}

// Endpoints returns the endpoints of the ports of a service, with those declared. It answers false where the cluster does
// not know the service: no EndpointSlice is of it and no Pod matches its selector. Where there are no EndpointSlices at
// all, Pods alone tell, and a service without any has no endpoints. A ServiceEntry that selects Pods is known where
// there are Pods.
func (s *Seen) Endpoints(svc *Service) ([][]*Endpoint, bool) {
	if !svc.Live() {
		return nil, false
	}
	lists := make([][]*Endpoint, len(svc.Ports))
	known := false
	if svc.Kubernetes {
		for _, e := range s.slices[svc.Name] {
			known = true
			s.site.FromSlice(svc, e, s, lists)
		}
	}
	if !known && len(svc.Selector) > 0 {
		known = s.source.Pods && (!svc.Kubernetes || !s.source.Slices)
		for _, p := range s.pods {
			if Subset(svc.Selector, p.Labels) {
				known = true
				s.site.FromPod(svc, p, lists)
			}
		}
	}
	if !known {
		return nil, false
	}
	for i := range lists {
		lists[i] = s.site.Finish(append(lists[i], svc.Ports[i].clones()...), svc.Kubernetes)
	}
	return lists, true
}

// clones are copies of the declared endpoints, for Finish to resolve.
func (p *Port) clones() []*Endpoint {
	out := make([]*Endpoint, len(p.Declared))
	for i, e := range p.Declared {
		c := *e
		out[i] = &c
	}
	return out
}

// Declare returns the endpoints that are declared alone, for a service that the cluster does not know and that shares its
// host with one it does.
func (s *Site) Declare(svc *Service) [][]*Endpoint {
	lists := make([][]*Endpoint, len(svc.Ports))
	for i := range svc.Ports {
		lists[i] = s.Finish(svc.Ports[i].clones(), svc.Kubernetes)
	}
	return lists
}

// Named implements Pods.
func (s *Seen) Named(_, name string) *Pod {
	p := s.named[name]
	if p == nil && s.Complete() {
		s.Missing++
	}
	return p
}

// At implements Pods.
func (s *Seen) At(_, address string) *Pod { return s.at[address] }

// Complete implements Pods: a source that knows Pods will know those that its EndpointSlices name.
func (s *Seen) Complete() bool { return s.source.Pods }
