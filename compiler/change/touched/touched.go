// Package touched finds which hosts and ports of a client the difference between two classes can be about, by the names of the resources
// that are not the same and by who mentions them, so that the rest need not be compared.
package touched

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
)

// Touched says which targets of a client a change can be about: those whose listener, virtual host, cluster or endpoints are
// not the same on both sides. What it leaves out has the same bytes on both sides wherever a request for it comes.
type Touched struct {
	all   bool
	ports map[uint16]bool
	hosts map[string]bool // HOST:PORT
}

// manyClusters is how many changed clusters are sought in routes and chains; with more of them every target counts.
const manyClusters = 64

// By compares the resources of two classes; nil stands for none. Clusters that are the same and lead elsewhere count as changed.
func By(base, head *bundle.Class, elsewhere []string) *Touched {
	t := &Touched{ports: map[uint16]bool{}, hosts: map[string]bool{}}
	if base == nil || head == nil {
		t.all = true
		return t
	}
	clusters := slices.Clone(elsewhere)
	was, is := base.Resources(), head.Resources()
	for _, r := range onlyIn(was, is) {
		clusters = t.note(r, clusters)
	}
	for _, r := range onlyIn(is, was) {
		clusters = t.note(r, clusters)
	}
	switch {
	case len(clusters) > manyClusters:
		t.all = true
	case len(clusters) > 0:
		for _, r := range slices.Concat(was, is) {
			if r.Type != bundle.ListenerType && r.Type != bundle.VirtualHostType && r.Type != bundle.RouteConfigurationType {
				continue
			}
			if slices.ContainsFunc(clusters, func(c string) bool { return Mentions(r, c) }) {
				t.note(r, nil)
			}
		}
	}
	return t
}

// onlyIn lists the resources of a class that another lacks.
func onlyIn(a, b []*bundle.Resource) []*bundle.Resource {
	have := make(map[bundle.Digest]bool, len(b))
	for _, r := range b {
		have[r.Digest] = true
	}
	var out []*bundle.Resource
	for _, r := range a {
		if !have[r.Digest] && !names.IsInbound(r.Name) {
			out = append(out, r)
		}
	}
	return out
}

// note adds the targets that a resource is for; clusters are collected, since routes of others may name them.
func (t *Touched) note(r *bundle.Resource, clusters []string) []string {
	switch r.Type {
	case bundle.ClusterType, bundle.EndpointsType:
		return append(clusters, r.Name)
	case bundle.VirtualHostType:
		_, host := names.ParseVirtualHost(r.Name)
		if _, ok := names.RoutesPort(host); ok && strings.Contains(host, ":") && !strings.Contains(host, "*") {
			t.hosts[host] = true
			return clusters
		}
	case bundle.ListenerType, bundle.RouteConfigurationType:
		if n, ok := names.ListenerPort(r.Name); ok {
			t.ports[uint16(n)] = true
			return clusters
		}
		if n, ok := names.RoutesPort(r.Name); ok && r.Type == bundle.RouteConfigurationType {
			t.ports[uint16(n)] = true
			return clusters
		}
	}
	t.all = true
	return clusters
}

// Has tells whether calls of a host and port have to be compared.
func (t *Touched) Has(host string, port uint16) bool {
	return t.all || t.ports[port] || t.hosts[names.HostRoutes(host, uint32(port))]
}

// Mentions tells whether a resource has a text as the whole of a field: in its encoding the length stands before it.
func Mentions(r *bundle.Resource, text string) bool {
	return bytes.Contains(r.Bytes, append(binary.AppendUvarint(nil, uint64(len(text))), text...))
}
