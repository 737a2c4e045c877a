package mesh

import (
	"cmp"
	"slices"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// DefaultCluster is the name of the cluster where the input does not tell clusters apart, as Istio's registries call it.
const DefaultCluster = "Kubernetes"

// Cluster is what one Kubernetes cluster of a mesh holds.
type Cluster struct {
	Name    string // "" where the mesh has one cluster
	Objects []*schema.Object
}

// LinkClusters builds the graph of a mesh that spans several clusters: one Mesh for the proxies of each, in the order of
// the list. Istio objects count in the cluster they are applied to, as with one control plane in each cluster.
// Kubernetes services are the same service wherever namespace and name are the same: their endpoints add up, and each
// cluster calls them under its own virtual IP. A service that only another cluster has is called under that one's.
func LinkClusters(clusters []Cluster) ([]*Mesh, diag.List) {
	var findings diag.List
	meshes, objects, offers := make([]*Mesh, len(clusters)), make([][]*schema.Object, len(clusters)), make([][]*Service, len(clusters))
	for i, c := range clusters {
		m := &Mesh{Cluster: c.Name, Namespaces: map[string]*Namespace{}, Domain: "cluster.local"}
		m.index = newIndex(m)
		list, f := m.read(c.Objects)
		findings.Add(f...)
		meshes[i], objects[i] = m, list
	}
	if len(clusters) > 1 {
		for i, m := range meshes {
			offers[i] = m.offered()
		}
	}
	for i, m := range meshes {
		for j, offer := range offers {
			if i != j {
				m.join(offer)
			}
		}
		findings.Add(m.resolve(objects[i])...)
	}
	return meshes, findings
}

// ClusterName is the name that proxies and endpoints of the mesh's own cluster have.
func (m *Mesh) ClusterName() string { return cmp.Or(m.Cluster, DefaultCluster) }

// Own tells whether an endpoint is one of the mesh's own cluster.
func (m *Mesh) Own(e *Endpoint) bool { return m.Cluster == "" || e.Cluster == m.Cluster }

// offered returns what other clusters may call here, cut off from the mesh: Kubernetes services that are more than a
// name for another host.
func (m *Mesh) offered() []*Service {
	var out []*Service
	for _, s := range m.Services {
		if s.Kubernetes && s.Resolution != Alias {
			out = append(out, s.remote())
		}
	}
	return out
}

// remote copies a service for a cluster that it does not run in: there it selects no workload.
func (s *Service) remote() *Service {
	c := *s
	c.Selector, c.Aliases = nil, nil
	c.Ports = make([]*Port, len(s.Ports))
	for i, p := range s.Ports {
		q := *p
		q.Endpoints = slices.Clone(p.Endpoints)
		c.Ports[i] = &q
	}
	return &c
}

// join adds what another cluster offers: endpoints to the services that are here too, by the name of the port, and the
// services that are not.
func (m *Mesh) join(offer []*Service) {
	m.Remote = append(m.Remote, offer...)
	known := map[string]*Service{}
	for _, s := range m.Services {
		if s.Kubernetes {
			known[s.Hostname] = s
		}
	}
	added := false
	for _, r := range offer {
		s := known[r.Hostname]
		if s == nil {
			s = r.remote()
			m.Services = append(m.Services, s)
			m.index.services[s.Hostname] = append(m.index.services[s.Hostname], s)
			added = true
			continue
		}
		for _, p := range s.Ports {
			if i := slices.IndexFunc(r.Ports, func(x *Port) bool { return x.Name == p.Name }); i >= 0 {
				p.Endpoints = append(p.Endpoints, r.Ports[i].Endpoints...)
				endpoint.Sort(p.Endpoints)
			}
		}
		s.ServiceAccounts = slices.Concat(s.ServiceAccounts, r.ServiceAccounts)
		slices.Sort(s.ServiceAccounts)
		s.ServiceAccounts = slices.Compact(s.ServiceAccounts)
	}
	if added {
		sortServices(m.Services)
	}
}
