package change

import (
	"cmp"
	"fmt"
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/neutral"
	"github.com/meshc/meshc/compiler/change/touched"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/sets"
)

// visits notes what a comparison has read of one side: listeners, filter chains, virtual hosts, clusters and so on, each by the
// message that all who read it share.
type visits map[proto.Message]visit

// visit is how something was read.
type visit int

const (
	unvisited visit = iota
	stopped         // all requests that come to it are refused
	passed
)

// add notes what a hop is made of.
func (v visits) add(h *hop) {
	how := stopped
	for _, r := range append(slices.Clone(h.rules), rule{outcome: h.otherwise}) {
		if r.passes != refused || len(r.undecided) > 0 {
			how = passed
			break
		}
		if r.when.Equal(sets.Always()) {
			break // no request comes to those behind
		}
	}
	for _, m := range h.read {
		v[m] = max(v[m], how)
	}
}

// unread is a part of a resource that differs and that the comparison did not come to.
type unread struct {
	resource string
	why      string
	of       *bundle.Resource
}

// undecided is the entry of a report for what was not read.
func (u *unread) undecided(from, servers []Ref) Undecided {
	var origins []bundle.Origin
	if u.of != nil {
		origins = u.of.Origins
	}
	return Undecided{From: from, Servers: servers, Host: anyHost, Resource: u.resource, Why: u.why, Causes: places3(origins), Resources: []string{u.resource}}
}

// part is a piece of a resource that is met as a whole.
type part struct {
	name    string
	message proto.Message
	bytes   string
}

// account lists what differs between the resources of two classes and was not read: the comparison holds for all but these. The
// outcome of what was read has every field that is not known to be neutral, so that what was read on both sides and makes no
// difference is equal in effect.
func (f *finder) account(base, head *bundle.Class, mine func(*bundle.Resource) bool) ([]unread, error) {
	a := accounting{f: f, base: base, head: head}
	for _, r := range f.replaced.Between(base, head) {
		if !mine(r.One()) {
			continue
		}
		if err := a.resource(r.Base, r.Head); err != nil {
			return nil, err
		}
	}
	return a.out, nil
}

type accounting struct {
	f          *finder
	base, head *bundle.Class
	out        []unread
}

// resource accounts for one resource that differs; one of both may be nil.
func (a *accounting) resource(b, h *bundle.Resource) error {
	var parts [2][]part
	for i, r := range []*bundle.Resource{b, h} {
		if r == nil {
			continue
		}
		var err error
		if parts[i], err = []*side{a.f.base, a.f.head}[i].partsOf(r); err != nil {
			return err
		}
	}
	for i, s := range []*side{a.f.base, a.f.head} {
		for _, p := range parts[i] {
			same := func(x part) bool { return x.bytes == p.bytes && x.name == p.name }
			name := resourceName(cmp.Or(b, h))
			switch how := s.seen[p.message]; {
			case slices.ContainsFunc(parts[1-i], same):
				a.f.named[name] = true
				continue
			case how != unvisited:
				a.f.came[name] = max(a.f.came[name], how)
				continue
			}
			r, of := b, a.base
			if i == 1 {
				r, of = h, a.head
			}
			if unused(r, of.Resources()) {
				a.f.unasked[resourceName(r)] = true
				continue
			}
			what := "no request that is compared comes to it"
			if p.name != "" {
				what = "no request that is compared comes to " + p.name
			}
			a.out = append(a.out, unread{resourceName(r), what, r})
		}
	}
	return nil
}

// partsOf splits a resource as split does, once for all classes that have it.
func (s *side) partsOf(r *bundle.Resource) ([]part, error) {
	if parts, ok := s.parts[r]; ok {
		return parts, nil
	}
	m, err := s.tracer.Message(r)
	if err != nil {
		return nil, err
	}
	s.parts[r] = split(m)
	return s.parts[r], nil
}

// split takes a resource apart into what is met apart: a listener into its filter chains and the rest. Fields that no request
// shows are left out.
func split(m proto.Message) []part {
	l, ok := m.(*listenerv3.Listener)
	if !ok {
		return []part{{message: m, bytes: shownBytes(m)}}
	}
	rest := proto.CloneOf(l)
	rest.FilterChains, rest.DefaultFilterChain = nil, nil
	out := []part{{message: l, bytes: shownBytes(rest)}}
	for i, c := range append(slices.Clone(l.GetFilterChains()), l.GetDefaultFilterChain()) {
		if c != nil {
			out = append(out, part{"filter chain " + cmp.Or(c.GetName(), fmt.Sprint(i)), c, shownBytes(c)})
		}
	}
	return out
}

// shownBytes are those of a message without the fields that no request shows.
func shownBytes(m proto.Message) string {
	one := proto.Clone(m)
	neutral.Drop(one.ProtoReflect())
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(one)
	if err != nil {
		return "" // differs from every other
	}
	return string(b)
}

// unused tells whether no other resource of a class asks for one. Clusters that the server name chooses are named nowhere.
func unused(r *bundle.Resource, of []*bundle.Resource) bool {
	name, askers := r.Name, []string{bundle.ListenerType}
	switch r.Type {
	case bundle.ListenerType:
		return false
	case bundle.VirtualHostType:
		name, _ = names.ParseVirtualHost(r.Name)
	case bundle.EndpointsType:
		askers = []string{bundle.ClusterType}
	case bundle.ClusterType:
		askers = []string{bundle.ListenerType, bundle.RouteConfigurationType, bundle.VirtualHostType, bundle.ClusterType}
		if names.IsServerName(name) {
			return false
		}
	}
	return !slices.ContainsFunc(of, func(x *bundle.Resource) bool {
		if x == r || !slices.Contains(askers, x.Type) || !touched.Mentions(x, name) {
			return false
		}
		return r.Type != bundle.EndpointsType || !unused(x, of)
	})
}
