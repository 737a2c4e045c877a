package change

import (
	"cmp"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/parts"
	"github.com/meshc/meshc/compiler/change/places"
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
	return Undecided{From: from, Servers: servers, Host: anyHost, Resource: u.resource, Why: u.why, Causes: places.Of(origins), Resources: []string{u.resource}}
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
	var list [2][]parts.Part
	for i, r := range []*bundle.Resource{b, h} {
		if r == nil {
			continue
		}
		var err error
		if list[i], err = []*side{a.f.base, a.f.head}[i].partsOf(r); err != nil {
			return err
		}
	}
	for i, s := range []*side{a.f.base, a.f.head} {
		for _, p := range list[i] {
			same := func(x parts.Part) bool { return x.Bytes == p.Bytes && x.Name == p.Name }
			name := resourceName(cmp.Or(b, h))
			switch how := s.seen[p.Message]; {
			case slices.ContainsFunc(list[1-i], same):
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
			if parts.Unused(r, of.Resources()) {
				a.f.unasked[resourceName(r)] = true
				continue
			}
			what := "no request that is compared comes to it"
			if p.Name != "" {
				what = "no request that is compared comes to " + p.Name
			}
			a.out = append(a.out, unread{resourceName(r), what, r})
		}
	}
	return nil
}

// partsOf splits a resource as split does, once for all classes that have it.
func (s *side) partsOf(r *bundle.Resource) ([]parts.Part, error) {
	if list, ok := s.parts[r]; ok {
		return list, nil
	}
	m, err := s.tracer.Message(r)
	if err != nil {
		return nil, err
	}
	s.parts[r] = parts.Of(m)
	return s.parts[r], nil
}
