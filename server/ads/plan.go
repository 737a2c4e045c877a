package ads

import (
	"slices"
	"strconv"
	"time"

	"github.com/meshc/meshc/internal/limit"
)

// plan is one response to be.
type plan struct {
	kind    Kind
	adds    []int32
	removes []int32  // held, gone
	names   []string // removed by name only
	replace []int32  // held in an older version
	full    bool     // state of the world: all that is held goes along
}

// order is the order in which kinds are looked at.
func (s *Stream) order() []Kind {
	if s.o.Delta {
		return []Kind{Clusters, Endpoints, Secrets, Runtimes, Listeners, Routes, VirtualHosts, NameTables}
	}
	return []Kind{Clusters, Endpoints, Secrets, Runtimes, Listeners, InlinedRoutes, NameTables}
}

// next decides what to send now, or sets a timer.
func (s *Stream) next(now time.Time) *plan {
	s.waiting = false
	var removals *plan // of clusters, which go last
	for _, k := range s.order() {
		sub := &s.subs[k]
		if !sub.asked {
			continue
		}
		if k >= Listeners && s.initialized && !sub.answer && s.waits(now) {
			return nil
		}
		p := s.due(k)
		if p == nil {
			continue
		}
		if k == Clusters && len(p.removes)+len(p.names) > 0 {
			removals = &plan{kind: k, removes: p.removes, names: p.names, full: p.full}
			p.removes, p.names = nil, nil
			if len(p.adds) == 0 && !sub.answer {
				continue
			}
		}
		if s.initialized {
			s.deadline = now.Add(s.o.AckTimeout)
		}
		return p
	}
	if !s.initialized && s.subs[Listeners].asked && s.quiet() {
		s.initialized = true
	}
	return s.last(removals, now)
}

// due is what there is to send of a kind; nil: nothing.
func (s *Stream) due(k Kind) *plan {
	p := s.suspect(k)
	if p != nil {
		s.follow(p)
	} else {
		p = s.diff(k)
	}
	if p == nil {
		p = s.rest(k)
	}
	return p
}

// last is the removal of clusters, when nothing needs them any more: all else is acknowledged, or overdue, and the time of grace
// is over.
func (s *Stream) last(removals *plan, now time.Time) *plan {
	switch {
	case removals == nil:
		s.removeAt = time.Time{}
		return nil
	case s.waiting:
		return nil // what serves now may need them
	case !s.quiet() && now.Before(s.deadline):
		s.wake(s.deadline)
		return nil
	}
	if s.removeAt.IsZero() {
		s.removeAt = now.Add(s.o.Grace)
	}
	if now.Before(s.removeAt) {
		s.wake(s.removeAt)
		return nil
	}
	s.removeAt = time.Time{}
	return removals
}

// wake has the machine look again at a time, or before.
func (s *Stream) wake(at time.Time) {
	if s.out.Wake.IsZero() || at.Before(s.out.Wake) {
		s.out.Wake = at
	}
}

// waits tells whether what depends on clusters has to wait for acknowledgements.
func (s *Stream) waits(now time.Time) bool {
	if len(s.subs[Clusters].sent)+len(s.subs[Endpoints].sent) == 0 || !now.Before(s.deadline) {
		return false
	}
	s.wake(s.deadline)
	return true
}

// quiet tells whether all that was sent is acknowledged.
func (s *Stream) quiet() bool {
	for k := range s.subs {
		if len(s.subs[k].sent) > 0 {
			return false
		}
	}
	return true
}

// target is what the proxy should have.
func (s *Stream) target(k Kind) Bitset {
	if k == Secrets {
		return s.secretTarget
	}
	return s.view.Target[k]
}

// diff compares what the proxy should have with what it holds.
func (s *Stream) diff(k Kind) *plan {
	sub, target := &s.subs[k], s.target(k)
	p := &plan{kind: k}
	var list []*Entry
	entryOf := func(id int32) *Entry {
		if list == nil {
			list = s.reg.List(k)
		}
		return list[id]
	}
	var adding map[int32]bool
	waiting := map[string]bool{} // route configurations, and "" for all other Kinds, of which something waits for a cluster
	awaited := map[string]bool{} // what waits
	var groups map[string]bool
	if k == VirtualHosts {
		groups = s.heldNames(Routes)
	}
	target.Without(sub.held, func(id int32) {
		e := entryOf(id)
		if !s.wants(k, e, groups) {
			return
		}
		if s.dependsOnRefused(k, e) {
			waiting[e.group], awaited[e.Name], s.waiting = true, true, true
			return
		}
		p.adds = append(p.adds, id)
		if adding == nil {
			adding = map[int32]bool{}
		}
		adding[e.nameID] = true
		delete(sub.stale, e.Name)
	})
	sub.held.Without(target, func(id int32) {
		e := entryOf(id)
		switch {
		case adding[e.nameID]:
			p.replace = append(p.replace, id)
		case waiting[e.group]: // what is to stand in for it waits
		case sub.wildcard || k == VirtualHosts:
			p.removes = append(p.removes, id)
		}
	})
	if len(sub.stale) > 0 && (sub.wildcard || k == VirtualHosts) {
		held := s.heldNames(k)
		for name := range sub.stale {
			if !held[name] && !awaited[name] {
				p.names = append(p.names, name)
			}
		}
		slices.Sort(p.names)
	}
	p.names = append(p.names, sub.missing...)
	if k == VirtualHosts && len(s.fresh) > 0 {
		p.names = append(p.names, s.withoutHosts(p)...)
	}
	if len(p.adds)+len(p.removes)+len(p.names) == 0 && !sub.answer {
		return nil
	}
	p.full = s.whole(k)
	return p
}

// wants tells whether the proxy subscribed to the resource, and can use it: a virtual host that comes before its route
// configuration is dropped.
func (s *Stream) wants(k Kind, e *Entry, groups map[string]bool) bool {
	return (k != VirtualHosts || groups[e.group]) && s.subs[k].wants(e)
}

// withoutHosts names what stands for "no virtual hosts" of the route configurations just sent that have none: Envoy
// keeps a listener closed until it has heard of its virtual hosts, and takes the removal of any for an answer.
func (s *Stream) withoutHosts(p *plan) (names []string) {
	have, list := map[string]bool{}, s.reg.List(VirtualHosts)
	for _, id := range p.adds {
		have[list[id].group] = true
	}
	s.subs[VirtualHosts].held.Each(func(id int32) { have[list[id].group] = true })
	for rc := range s.fresh {
		if !have[rc] {
			names = append(names, rc+"/")
		}
	}
	slices.Sort(names)
	return names
}

// heldNames are the names that the proxy holds in a version of the target.
func (s *Stream) heldNames(k Kind) map[string]bool {
	names, list := map[string]bool{}, s.reg.List(k)
	s.subs[k].held.Each(func(id int32) { names[list[id].Name] = true })
	return names
}

// commit takes the plan for sent and renders the response.
func (s *Stream) commit(p *plan) *Response {
	sub := &s.subs[p.kind]
	s.nonce++
	nonce := strconv.FormatUint(s.nonce, 10)
	list := s.reg.List(p.kind)
	for _, id := range p.adds {
		sub.held.Set(id)
		sub.out.Clear(id)
	}
	for _, id := range slices.Concat(p.replace, p.removes) {
		sub.held.Clear(id)
		sub.out.Clear(id)
	}
	for _, n := range p.names {
		delete(sub.stale, n)
	}
	switch p.kind {
	case Routes:
		if s.fresh == nil {
			s.fresh = map[string]struct{}{}
		}
		for _, id := range p.adds {
			s.fresh[list[id].Name] = struct{}{}
		}
	case VirtualHosts:
		s.fresh = nil
	default: // nothing waits for others
	}
	sub.answer, sub.missing, sub.last = false, nil, nonce
	out := sent{nonce: nonce, of: s.view.Bundle, ids: p.adds, removed: p.names, full: p.full, mixed: p.full && len(sub.sent) > 0}
	if p.full {
		out.all = sub.content(list)
	}
	for _, id := range p.removes {
		out.removed = append(out.removed, list[id].Name)
	}
	if len(sub.sent) == limit.StreamUnanswered {
		sub.sent = slices.Delete(sub.sent, 0, 1)
	}
	sub.sent = append(sub.sent, out)
	if s.o.Delta {
		return s.renderDelta(p, list, nonce)
	}
	return s.renderWorld(p, list, out)
}
