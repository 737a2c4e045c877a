package change

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/parts"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/trace"
)

// side is one of the two bundles, indexed.
type side struct {
	*bundle.Bundle
	tracer    *trace.Tracer
	workloads []*workload // sorted by name
	byName    map[string]*workload
	byAddress map[string]string // address → workload namespace/name
	dests     map[destKey]*destination
	served    map[string]map[uint16][]target // by workload and its port, see serve
	dialAt    map[string]netip.Addr
	seen      visits // by the comparison that is running
	kept      *keptHops
	parts     map[*bundle.Resource][]parts.Part
}

// workload is what runs under one name: a Deployment with its pods, a pod without one, an endpoint of a ServiceEntry.
type workload struct {
	namespace, name string
	account         string
	labels          map[string]string
	addresses       []string
	class           *bundle.Class
	proxy           bool
	virtual         bool // a machine outside Kubernetes
	router          bool // a gateway, also where one side has none
	pods            []pod
}

// pod is one of a workload: where it runs decides what its proxy gets.
type pod struct {
	addresses []string
	place     string
	class     *bundle.Class
	network   string // and cluster
}

// as is the workload with the class of one of its pods.
func (w *workload) as(p pod) *workload {
	if p.class == w.class {
		return w
	}
	one := *w
	one.class = p.class
	return &one
}

// network is where the proxies of the class of a workload run.
func (w *workload) network() string {
	for _, p := range w.pods {
		if p.class == w.class {
			return p.network
		}
	}
	return ""
}

// like finds the pod that stands for one of the other side: one at its place, if there are several that at its address, or else that
// at its address.
func (w *workload) like(p pod) (pod, bool) {
	at := func(o pod) bool { return len(o.addresses) > 0 && slices.Equal(o.addresses, p.addresses) }
	for _, fits := range []func(pod) bool{
		func(o pod) bool { return o.place == p.place && at(o) }, func(o pod) bool { return o.place == p.place }, at,
	} {
		if i := slices.IndexFunc(w.pods, fits); i >= 0 {
			return w.pods[i], true
		}
	}
	return pod{}, false
}

// injectLabel is where a template refuses a proxy.
const injectLabel = "sidecar.istio.io/inject"

func (w *workload) key() string { return w.namespace + "/" + w.name }

func (w *workload) gateway() bool { return w.router || w.class != nil && w.class.Gateway }

func newSide(b *bundle.Bundle) *side {
	s := &side{Bundle: b, tracer: trace.New(b), byName: map[string]*workload{}, byAddress: map[string]string{}, dests: map[destKey]*destination{}, dialAt: map[string]netip.Addr{}, seen: visits{}, kept: newKeptHops(), parts: map[*bundle.Resource][]parts.Part{}}
	s.tracer.Whole()
	s.gather()
	return s
}

// late tells whether no endpoints of Kubernetes are in the input: they come when the bundle is served.
func (s *side) late() bool { return s.tracer.Late() }

// observed tells whether the input has what only a cluster knows: pods with addresses.
func (s *side) observed() bool {
	return slices.ContainsFunc(s.Workloads, func(w bundle.Workload) bool { return w.Kind == "Pod" && len(w.Addresses) > 0 })
}

// observe compares a cluster with itself at another time: where one side has endpoints and the other none at all, it has lost them.
func observe(a, b *side) {
	if a.late() != b.late() && a.observed() && b.observed() {
		a.tracer.Observe()
		b.tracer.Observe()
	}
}

// podName is the name of a pod of a Deployment: its runner's, a hash and a random end.
var podName = regexp.MustCompile(`-[0-9a-f]{5,10}-[0-9a-z]{5}$`)

// gather groups the workloads of the bundle by the name of what runs them. The pods are what is there; a template counts where
// there are none.
func (s *side) gather() {
	runners := map[string]bool{}
	for _, w := range s.Workloads {
		if w.Kind != "Pod" {
			runners[w.Namespace+"/"+w.Name] = true
		}
	}
	pods := map[string]bool{}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		name := w.Name
		if w.Kind == "Pod" {
			name = ownerOf(w.Namespace, w.Name, runners)
		}
		key := w.Namespace + "/" + name
		for _, a := range w.Addresses {
			if _, err := netip.ParseAddr(a); err == nil {
				s.byAddress[a] = key
			}
		}
		old := s.byName[key]
		one := pod{w.Addresses, w.Locality + " " + w.Network + " " + w.Cluster, s.Class(w.Class), w.Network + " " + w.Cluster}
		switch {
		case old == nil:
			old = &workload{namespace: w.Namespace, name: name}
			s.byName[key] = old
			s.workloads = append(s.workloads, old)
		case pods[key] && w.Kind != "Pod":
			continue
		case pods[key]:
			old.addresses, old.pods = append(old.addresses, w.Addresses...), append(old.pods, one)
			continue
		case w.Kind != "Pod":
			continue
		}
		pods[key] = w.Kind == "Pod"
		old.account, old.labels, old.class, old.proxy, old.pods = cmp.Or(w.ServiceAccount, "default"), w.Labels, one.class, w.Proxy, []pod{one}
		old.addresses = append(old.addresses, w.Addresses...)
		old.virtual = w.Machine()
	}
	for i := range s.Workloads { // pods follow their template, whatever they are at this moment
		if w := &s.Workloads[i]; w.Kind != "Pod" && w.Labels[injectLabel] == "false" {
			if old := s.byName[w.Namespace+"/"+w.Name]; old.class == nil || !old.class.Gateway {
				old.proxy = false
			}
		}
	}
	slices.SortFunc(s.workloads, func(a, b *workload) int { return strings.Compare(a.key(), b.key()) })
}

// ownerOf finds what runs a pod by its name.
func ownerOf(namespace, pod string, runners map[string]bool) string {
	for name := pod; ; {
		i := strings.LastIndexByte(name, '-')
		if i < 0 {
			break
		}
		if name = name[:i]; runners[namespace+"/"+name] {
			return name
		}
	}
	return podName.ReplaceAllString(pod, "")
}

// nameOf is the workload at an address, or the address.
func (s *side) nameOf(address string) string { return cmp.Or(s.byAddress[address], address) }

// selected lists the workloads that a selector has.
func (s *side) selected(namespace string, want ...map[string]string) []string {
	var out []string
	for _, w := range s.workloads {
		if w.namespace == namespace && !slices.ContainsFunc(want, func(m map[string]string) bool { return !endpoint.Subset(m, w.labels) }) {
			out = append(out, w.key())
		}
	}
	return out
}

// identity of a workload, as its certificate has it.
func (s *side) identity(w *workload) string { return s.tracer.Identity(w.namespace, w.account) }

// proxyOf returns the proxies of a workload; nil where it has none.
func (s *side) proxyOf(w *workload) (*trace.Proxy, error) {
	if w == nil || w.class == nil || !w.proxy && !w.class.Gateway {
		return nil, nil
	}
	return s.tracer.Proxy(w.class.ID)
}
