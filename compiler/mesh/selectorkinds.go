package mesh

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/attach"
	"github.com/meshc/meshc/schema"
)

// selectorKind is a kind of object that selects proxies by labels, in one namespace or, where that is "", in all.
type selectorKind struct {
	kind      string
	selectors func(add func(namespace string, labels map[string]string))
}

// selects makes a row of the table: the selectors of objects of a kind.
func selects[T any](kind string, list []T, selector func(T) (string, map[string]string)) selectorKind {
	return selectorKind{kind, func(add func(string, map[string]string)) {
		for _, x := range list {
			add(selector(x))
		}
	}}
}

// attaches makes the row of a kind that chooses workloads.
func attaches[T any](m *Mesh, kind string, list []T, of func(T) (*schema.Object, any)) selectorKind {
	return selects(kind, list, func(x T) (string, map[string]string) {
		a, _ := attach.With(of(x))
		return a.Namespace(m.RootNamespace), a.Labels
	})
}

// selectorKinds are all of them. A kind that is not here can select proxies which then share the configuration of others.
func (m *Mesh) selectorKinds() []selectorKind {
	type labels = map[string]string
	return []selectorKind{
		selects("Service", m.Services, func(x *Service) (string, labels) { return x.Namespace, x.Selector }), // of ServiceEntries, too
		attaches(m, "Sidecar", m.Sidecars, func(x *Sidecar) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "Gateway", m.Gateways, func(x *Gateway) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "PeerAuthentication", m.PeerAuthentications, func(x *PeerAuthentication) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "AuthorizationPolicy", m.AuthorizationPolicies, func(x *AuthorizationPolicy) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "RequestAuthentication", m.RequestAuthentications, func(x *RequestAuthentication) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "EnvoyFilter", m.EnvoyFilters, func(x *EnvoyFilter) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "Telemetry", m.Telemetries, func(x *Telemetry) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "ProxyConfig", m.ProxyConfigs, func(x *ProxyConfig) (*schema.Object, any) { return x.Object, x.Spec }),
		attaches(m, "DestinationRule", m.DestinationRules, func(x *DestinationRule) (*schema.Object, any) { return x.Object, x.Spec }),
		selects("VirtualService", m.sourceLabels(), func(x labels) (string, labels) { return "", x }),
		selects("Pod", m.Workloads, func(w *Workload) (string, labels) {
			if w.Annotations[AnnotationProxyConfig] != "" || w.networkView != "" || hasTrafficAnnotations(w.Annotations) {
				return w.Namespace, withoutHash(w.Labels)
			}
			return "", nil
		}),
	}
}

// collectSelectors gathers everything that objects select proxies by.
func (m *Mesh) collectSelectors() *selectorSet {
	s := &selectorSet{cluster: m.Cluster, all: map[string]*Selector{}, addresses: map[string]*Selector{}, localities: map[string]*Selector{}, networks: map[string]*Selector{}}
	if id := clusterSelector + m.Cluster; m.Cluster != "" {
		s.all[id] = &Selector{ID: id, Cluster: m.Cluster}
	}
	for _, k := range m.selectorKinds() {
		k.selectors(s.labels)
	}
	for _, a := range sortedKeys(m.index.addresses) {
		for _, t := range m.index.addresses[a] {
			s.address(t.service.Namespace, a)
		}
	}
	m.boundAddresses(s)
	local, _ := m.localitySensitive()
	for _, w := range m.Workloads {
		if local {
			s.locality(w.Locality)
		}
		s.network(w.Network)
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
