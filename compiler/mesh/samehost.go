package mesh

import (
	"maps"
	"slices"
)

// oneNamespace keeps of the services with one host those of one namespace, as a namespace's sidecars see them: its own,
// else the first with a Kubernetes service, else the first. Gateways do not look at it. Where no host is contested all stay.
func oneNamespace(list []*Service, namespace string) []*Service {
	first := make(map[string]*Service, len(list))
	for _, s := range list {
		have := first[s.Hostname]
		if have == nil || s.Namespace == namespace || s.Kubernetes && !have.Kubernetes && have.Namespace != namespace {
			first[s.Hostname] = s
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(s *Service) bool { return s.Namespace != first[s.Hostname].Namespace })
}

// contested tells whether any host is that of services of several namespaces.
func (m *Mesh) contested() bool {
	for _, list := range m.index.services {
		if slices.ContainsFunc(list, func(s *Service) bool { return s.Namespace != list[0].Namespace }) {
			return true
		}
	}
	return false
}

// oneService returns one service per hostname: a Kubernetes service before a ServiceEntry, else the first. Ports of
// ServiceEntries that have all but their ports in common add up.
func oneService(list []*Service) (out []*Service, hosts map[string]*Service) {
	hosts = make(map[string]*Service, len(list))
	at := make(map[string]int, len(list))
	for _, s := range list {
		have := hosts[s.Hostname]
		switch {
		case have == nil:
			at[s.Hostname] = len(out)
			out = append(out, s)
			hosts[s.Hostname] = s
		case s == have:
		case s.Kubernetes && !have.Kubernetes:
			hosts[s.Hostname], out[at[s.Hostname]] = s, s
		case mergeable(have, s):
			merged := mergePorts(have, s)
			hosts[s.Hostname], out[at[s.Hostname]] = merged, merged
		}
	}
	return out, hosts
}

// mergeable tells whether two services of one host are one with the ports of both.
func mergeable(a, b *Service) bool {
	return a.Kubernetes == b.Kubernetes && a.Namespace == b.Namespace && a.Resolution == b.Resolution && maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Selector, b.Selector) &&
		a.Visibility.Public == b.Visibility.Public && maps.Equal(a.Visibility.Namespaces, b.Visibility.Namespaces)
}

func mergePorts(a, b *Service) *Service {
	var extra []*Port
	for _, p := range b.Ports {
		if a.HasPort(p.Number) == nil {
			extra = append(extra, p)
		}
	}
	if len(extra) == 0 {
		return a
	}
	c := *a
	c.Ports = append(slices.Clone(a.Ports), extra...)
	return &c
}
