package mesh

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/schema"
)

// Selector is one thing about a proxy that the configuration may depend on: labels it has (in a namespace, or in any
// when Namespace is ""), an address, a locality, a network, or the cluster alone. A proxy belongs to the class whose set of matching
// selectors is exactly its own.
type Selector struct {
	ID        string
	Cluster   string // only proxies of this cluster; "": any
	Namespace string
	Labels    map[string]string
	Address   string
	Locality  string
	Network   string
}

// selectorSet collects the distinct selectors of the mesh and matches workloads against them.
type selectorSet struct {
	cluster    string
	all        map[string]*Selector
	byLabels   selecting[*Selector]
	addresses  map[string]*Selector
	localities map[string]*Selector
	networks   map[string]*Selector
}

func labelKey(labels map[string]string) string {
	var b strings.Builder
	for i, k := range sortedKeys(labels) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k + "=" + labels[k])
	}
	return b.String()
}

// prefix keeps the selectors of several clusters apart.
func (s *selectorSet) prefix() string {
	if s.cluster == "" {
		return ""
	}
	return s.cluster + ":"
}

func (s *selectorSet) labels(namespace string, labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	id := s.prefix() + namespace + "/" + labelKey(labels)
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Labels: labels}
		s.all[id] = x
		s.byLabels.add(namespace, labels, x)
	}
}

func (s *selectorSet) address(namespace, address string) {
	id := s.prefix() + namespace + "/address/" + address
	if s.all[id] == nil {
		x := &Selector{ID: id, Cluster: s.cluster, Namespace: namespace, Address: address}
		s.all[id], s.addresses[namespace+"/"+address] = x, x
	}
}

func (s *selectorSet) match(w *Workload) []string {
	var out []string
	for _, ns := range [2]string{w.Namespace, ""} {
		for _, x := range s.byLabels.matching(ns, w.Labels) {
			out = append(out, x.ID)
		}
	}
	for _, a := range w.Addresses {
		if x := s.addresses[w.Namespace+"/"+a]; x != nil {
			out = append(out, x.ID)
		}
	}
	for l, x := range s.localities {
		if w.Locality == l || strings.HasPrefix(w.Locality, l+"/") {
			out = append(out, x.ID)
		}
	}
	if x := s.networks[w.Network]; x != nil && w.Network != "" {
		out = append(out, x.ID)
	}
	if s.cluster != "" {
		out = append(out, clusterSelector+s.cluster)
	}
	slices.Sort(out)
	return out
}

// clusterSelector begins the id of the selector that all proxies of a cluster match.
const clusterSelector = "cluster/"

// scoped returns the namespace a selector reaches: every one for an object of the root namespace.
func (m *Mesh) scoped(o *schema.Object) string {
	if o.Namespace == m.RootNamespace {
		return ""
	}
	return o.Namespace
}

// collectSelectors gathers everything that any object selects proxies by.
func (m *Mesh) collectSelectors() *selectorSet {
	s := &selectorSet{cluster: m.Cluster, all: map[string]*Selector{}, addresses: map[string]*Selector{}, localities: map[string]*Selector{}, networks: map[string]*Selector{}}
	if id := clusterSelector + m.Cluster; m.Cluster != "" {
		s.all[id] = &Selector{ID: id, Cluster: m.Cluster}
	}
	for _, x := range m.Services {
		s.labels(x.Namespace, x.Selector)
	}
	for _, x := range m.Sidecars {
		s.labels(x.Object.Namespace, x.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, x := range m.Gateways {
		s.labels("", x.Spec.Selector)
	}
	for _, x := range m.PeerAuthentications {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.AuthorizationPolicies {
		s.labels(m.scoped(x.Object), x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.RequestAuthentications {
		s.labels(m.scoped(x.Object), x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.EnvoyFilters {
		s.labels(m.scoped(x.Object), x.Spec.GetWorkloadSelector().GetLabels())
	}
	for _, x := range m.Telemetries {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.ProxyConfigs {
		s.labels(x.Object.Namespace, x.Spec.GetSelector().GetMatchLabels())
	}
	for _, x := range m.DestinationRules {
		s.labels(x.Object.Namespace, x.Spec.GetWorkloadSelector().GetMatchLabels())
	}
	for _, x := range m.sourceLabels() {
		s.labels("", x)
	}
	for _, w := range m.Workloads {
		if w.Annotations[annotationProxyConfig] != "" || len(w.proxyEnv) > 0 || hasTrafficAnnotations(w.Annotations) {
			s.labels(w.Namespace, withoutHash(w.Labels))
		}
	}
	for _, a := range sortedKeys(m.index.addresses) {
		for _, t := range m.index.addresses[a] {
			s.address(t.service.Namespace, a)
		}
	}
	m.boundAddresses(s)
	if m.localitySensitive() {
		for _, w := range m.Workloads {
			if id := s.prefix() + "locality/" + w.Locality; w.Locality != "" && s.all[id] == nil {
				s.localities[w.Locality] = &Selector{ID: id, Cluster: s.cluster, Locality: w.Locality}
				s.all[id] = s.localities[w.Locality]
			}
		}
	}
	for _, w := range m.Workloads {
		if id := s.prefix() + "network/" + w.Network; w.Network != "" && s.all[id] == nil {
			s.networks[w.Network] = &Selector{ID: id, Cluster: s.cluster, Network: w.Network}
			s.all[id] = s.networks[w.Network]
		}
	}
	return s
}

// hasTrafficAnnotations tells whether pod annotations shape what the pod's proxy does.
func hasTrafficAnnotations(a map[string]string) bool {
	for k := range a {
		if strings.HasPrefix(k, "traffic.sidecar.istio.io/") || k == annotationInterception {
			return true
		}
	}
	return false
}

// localitySensitive tells whether endpoints lie in more than one locality, so that clients of different places differ.
func (m *Mesh) localitySensitive() bool {
	first, seen := "", false
	for _, s := range m.Services {
		for _, p := range s.Ports {
			for _, e := range p.Endpoints {
				if seen && e.Locality != first {
					return true
				}
				first, seen = e.Locality, true
			}
		}
	}
	return false
}

// sourceLabels returns the distinct sourceLabels of all VirtualService matches.
func (m *Mesh) sourceLabels() []map[string]string {
	seen := map[string]map[string]string{}
	add := func(l map[string]string) {
		if len(l) > 0 {
			seen[labelKey(l)] = l
		}
	}
	for _, v := range m.VirtualServices {
		for _, h := range v.Spec.Http {
			for _, x := range h.Match {
				add(x.SourceLabels)
			}
		}
		for _, t := range v.Spec.Tcp {
			for _, x := range t.Match {
				add(x.SourceLabels)
			}
		}
		for _, t := range v.Spec.Tls {
			for _, x := range t.Match {
				add(x.SourceLabels)
			}
		}
	}
	var out []map[string]string
	for _, k := range sortedKeys(seen) {
		out = append(out, seen[k])
	}
	return out
}

// boundAddresses adds the addresses of the workloads whose Sidecar hands requests to the instance's own address
// (defaultEndpoint 0.0.0.0:PORT): their inbound clusters differ from pod to pod.
func (m *Mesh) boundAddresses(s *selectorSet) {
	if !slices.ContainsFunc(m.Sidecars, func(x *Sidecar) bool { return instanceBound(x) }) {
		return
	}
	for _, w := range m.Workloads {
		if instanceBound(m.sidecarFor(w.Namespace, w.Labels)) {
			for _, a := range w.Addresses {
				s.address(w.Namespace, a)
			}
		}
	}
}

func instanceBound(s *Sidecar) bool {
	return s != nil && slices.ContainsFunc(s.Spec.Ingress, func(i *networking.IstioIngressListener) bool {
		return strings.HasPrefix(i.DefaultEndpoint, "0.0.0.0:") || strings.HasPrefix(i.DefaultEndpoint, "[::]:")
	})
}
