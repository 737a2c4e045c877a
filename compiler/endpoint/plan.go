package endpoint

import (
	"slices"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
)

// Recipe says what the ClusterLoadAssignment of a cluster is made of.
type Recipe struct {
	Client   *Client
	Services []*Service        // the first is the cluster's own; the others declare the same host and add to it
	Port     int               // position in the ports of the first; of the others it is the port of the same name
	Labels   map[string]string // of the subset
}

// Live tells whether some of the endpoints can come from the cluster.
func (r *Recipe) Live() bool {
	for _, s := range r.Services {
		if s.Live() {
			return true
		}
	}
	return false
}

// Live tells whether the cluster can tell endpoints of the service: it has EndpointSlices or selects Pods.
func (s *Service) Live() bool { return s.Kubernetes || len(s.Selector) > 0 }

// PortNamed returns the position of a port, -1 if there is none of the name.
func (s *Service) PortNamed(name string) int {
	for i := range s.Ports {
		if s.Ports[i].Name == name {
			return i
		}
	}
	return -1
}

// Plan is what a bundle carries so that a server can join: everything that several clusters share is in it once.
type Plan struct {
	Site     *Site      `json:"site"`
	Clients  []*Client  `json:"clients"`
	Services []*Service `json:"services"`
}

// Join is a Recipe by positions in a Plan.
type Join struct {
	Client   int               `json:"client,omitempty"`
	Services []int             `json:"services"`
	Port     int               `json:"port,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// Whole tells whether nothing in the plan is missing.
func (p *Plan) Whole() bool {
	if p == nil {
		return true
	}
	for _, s := range p.Services {
		if s == nil {
			return false
		}
		for i := range s.Ports {
			if slices.Contains(s.Ports[i].Declared, nil) {
				return false
			}
		}
	}
	return p.Site != nil && !slices.Contains(p.Clients, nil)
}

// Valid tells whether all positions are in the plan.
func (p *Plan) Valid(j *Join) bool {
	if p == nil || j.Client < 0 || j.Client >= len(p.Clients) || len(j.Services) == 0 {
		return false
	}
	for _, s := range j.Services {
		if s < 0 || s >= len(p.Services) {
			return false
		}
	}
	return j.Port >= 0 && j.Port < len(p.Services[j.Services[0]].Ports)
}

// LoadAssignment joins: lists gives the finished endpoints of each port of a service. client is how the clients see
// them; that of the join, or one for a proxy whose place is known better.
func (p *Plan) LoadAssignment(name string, j *Join, client *Client, lists func(service int) [][]*Endpoint) *endpointv3.ClusterLoadAssignment {
	own := p.Services[j.Services[0]]
	c := Cluster{Labels: j.Labels, NotReady: own.NotReady, Client: client, Gateways: p.Site.Gateways}
	for i, s := range j.Services {
		port := j.Port
		if i > 0 {
			port = p.Services[s].PortNamed(own.Ports[j.Port].Name)
		}
		if all := lists(s); port >= 0 && port < len(all) {
			if c.Endpoints == nil {
				c.Endpoints = all[port]
				continue
			}
			c.Endpoints = append(c.Endpoints[:len(c.Endpoints):len(c.Endpoints)], all[port]...)
		}
	}
	return c.LoadAssignment(name)
}
