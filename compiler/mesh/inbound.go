package mesh

import (
	"cmp"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"
)

// addressTarget is a service port that names a workload by its address, not by a selector.
type addressTarget struct {
	service *Service
	port    *Port
	number  uint32
}

// linkAddresses indexes the services that name their endpoints by address: ServiceEntries with a list of endpoints in
// the mesh, and Kubernetes services without a selector.
func (m *Mesh) linkAddresses() map[string][]addressTarget {
	out := map[string][]addressTarget{}
	for _, s := range m.Services {
		if len(s.Selector) > 0 {
			continue
		}
		for _, p := range s.Ports {
			for _, e := range p.Endpoints {
				if _, ok := Prefix(e.Address); ok && m.Own(e) && (s.Kubernetes || s.Resolution == Static || s.Resolution == Passthrough) {
					out[e.Address] = append(out[e.Address], addressTarget{s, p, e.Port})
				}
			}
		}
	}
	return out
}

// targetsOf returns the workload ports that services send requests to, in the order of the services' age.
func (m *Mesh) targetsOf(w *Workload) []Target {
	var out []Target
	for _, s := range m.index.selecting.Matching(w.Namespace, w.Labels) {
		for _, p := range s.Ports {
			if number := inboundPort(s, p, w); number != 0 && p.Protocol != UDP {
				out = append(out, Target{Service: s, Port: p, TargetPort: number})
			}
		}
	}
	for _, a := range w.Addresses {
		for _, t := range m.index.addresses[a] {
			if t.port.Protocol != UDP && t.service.Namespace == w.Namespace {
				out = append(out, Target{Service: t.service, Port: t.port, TargetPort: t.number})
			}
		}
	}
	// As in Istio the host decides among services of one age, not the name of the object: foo-bar comes before foo.
	slices.SortStableFunc(out, func(a, b Target) int {
		return cmp.Or(a.Service.Object.Created.Compare(b.Service.Object.Created), cmp.Compare(a.Service.Hostname, b.Service.Hostname))
	})
	return out
}

func inboundPort(s *Service, p *Port, w *Workload) uint32 {
	_, entry := w.Object.Spec.(*networking.WorkloadEntry)
	_, group := w.Object.Spec.(*networking.WorkloadGroup)
	switch {
	case entry || group:
		return cmp.Or(w.Ports[p.Name], p.TargetPort, p.Number)
	case s.Kubernetes:
		return targetPort(p, w) // a name that no container declares: no request arrives
	}
	return cmp.Or(p.TargetPort, p.Number)
}

func withoutHash(labels map[string]string) map[string]string {
	out := make(map[string]string, len(labels))
	for k, v := range labels {
		if !strings.HasSuffix(k, "-hash") && !strings.HasPrefix(k, "service.istio.io/") && !strings.HasPrefix(k, "statefulset.kubernetes.io/") && k != LabelTLSMode {
			out[k] = v
		}
	}
	return out
}

// newInbound resolves what proxies do with requests that arrive.
func (m *Mesh) newInbound(f facts) *Inbound {
	in := &Inbound{
		Mesh: m, Gateway: f.scope.gateway, Namespace: f.scope.namespace, Cluster: f.scope.cluster, Proxy: f.scope.proxy, Sidecar: f.scope.sidecar,
		IPv4: f.families.v4, IPv6: f.families.v6, Address: f.address, Targets: f.targets.All(),
		MTLS: f.mtls, PortMTLS: map[uint32]MTLSMode{}, MTLSOrigins: f.origins.All(),
		AuthorizationPolicies: f.authorizations.All(), RequestAuthentications: f.tokens.All(), Telemetries: f.scope.telemetries.All(), EnvoyFilters: f.scope.filters.All(),
	}
	for _, p := range f.ports.All() {
		in.PortMTLS[p.port] = p.mode
	}
	return in
}
