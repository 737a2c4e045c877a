package ads

import (
	"slices"

	"github.com/meshc/meshc/internal/limit"
)

// whole tells whether a response of the kind says all that there is: what it leaves out is gone.
func (s *Stream) whole(k Kind) bool { return !s.o.Delta && (k == Clusters || k == Listeners) }

// isolate cuts a response that was refused in two, to be sent again each by itself, and returns whether it did. Envoy
// takes some responses whole or not at all, virtual hosts among them, so one bad resource keeps out all that are good; by
// halves the bad ones are found in as many rounds as the number of resources has bits. What the proxy has taken already
// it takes again without effect. Removals go with the first half, since a resource that is new may stand in for one that
// is gone. A proxy that takes the whole only, and has something that is not known, is left with it.
func (s *Stream) isolate(k Kind, refused sent) bool {
	sub := &s.subs[k]
	n := len(refused.ids)
	switch {
	case sub.blind || sub.isolating >= limit.StreamIsolating:
		return false
	case n == 0:
		return refused.mixed // then rest says it again; else, of removals alone, the proxy refuses what they leave
	case n+len(refused.removed) < 2 && !refused.mixed:
		return false
	}
	if refused.mixed && n+len(refused.removed) < 2 {
		sub.suspects = append(sub.suspects, sent{ids: refused.ids}) // once more, without what is to blame for the one before
		return true
	}
	if n == 1 {
		sub.suspects = append(sub.suspects, sent{ids: refused.ids}, sent{removed: refused.removed})
		return true
	}
	sub.suspects = append(sub.suspects, sent{ids: refused.ids[: n/2 : n/2], removed: refused.removed}, sent{ids: refused.ids[n/2:]})
	return true
}

// leaveOut has responses go without what was refused, and with what the proxy has instead.
func (s *subscription) leaveOut(ids []int32) {
	for _, id := range ids {
		s.out.Set(id)
	}
}

// content is what a response says that says all: what is held, and where that is left out, what the proxy has of the name.
func (s *subscription) content(list []*Entry) Bitset {
	all := slices.Clone(s.held)
	var instead map[int32]int32 // by the number of the name
	s.held.And(s.out).Each(func(id int32) {
		if instead == nil {
			instead = map[int32]int32{}
			s.acked.Each(func(id int32) { instead[list[id].nameID] = id })
		}
		all.Clear(id)
		if was, ok := instead[list[id].nameID]; ok && len(s.entry(was, list).value) > 0 {
			all.Set(was)
		}
	})
	return all
}

// entry is a version with its message.
func (s *subscription) entry(id int32, list []*Entry) *Entry {
	if e := s.kept[id]; e != nil {
		return e
	}
	return list[id]
}

// keep holds on to the messages of what the proxy has, or may get to have by what it has not answered yet, and is no longer
// to have: should it refuse what stands in for them, they go out again, and nobody else may need them.
func (s *subscription) keep(target Bitset, list []*Entry) {
	hold := func(id int32) {
		if s.kept == nil {
			s.kept = map[int32]*Entry{}
		}
		if s.kept[id] == nil {
			s.kept[id] = list[id]
		}
	}
	s.acked.Without(target, hold)
	for _, r := range s.sent {
		r.all.Without(target, hold)
	}
}

// rest says all that there is once more, if the proxy has something else though nothing is left to be tried: what was gone may
// have been so in responses alone that were refused for something else. What was refused last is not said again.
func (s *Stream) rest(k Kind) *plan {
	sub := &s.subs[k]
	if !s.whole(k) || !sub.asked || sub.blind || len(sub.sent)+len(sub.suspects) > 0 {
		return nil
	}
	if all := sub.content(s.reg.List(k)); all.Equal(sub.acked) || all.Equal(sub.declined) {
		return nil
	}
	return &plan{kind: k, full: true}
}

// follow has what Envoy drops with a response that it refuses be sent again behind a part of it: the endpoints that a
// changed cluster waits for, and the virtual hosts of a route configuration.
func (s *Stream) follow(p *plan) {
	list := s.reg.List(p.kind)
	switch p.kind {
	case Clusters:
		again := map[string]bool{}
		for _, id := range p.adds {
			again[list[id].Name] = true
		}
		sub, list := &s.subs[Endpoints], s.reg.List(Endpoints)
		var drop []int32
		sub.held.Each(func(id int32) {
			if e := list[id]; again[e.Name] && s.target(Endpoints).Has(id) && sub.wants(e) && !sub.refusedAlready(id) {
				drop = append(drop, id)
			}
		})
		for _, id := range drop {
			sub.held.Clear(id)
			sub.outdate(list[id].Name)
		}
	case Routes:
		var names []string
		for _, id := range p.adds {
			names = append(names, list[id].Name)
		}
		for _, host := range s.forgetHosts(names) {
			s.subs[VirtualHosts].outdate(host) // in case that the view changes before it is sent again
		}
	default: // Envoy drops nothing with others
	}
}

func (s *subscription) refusedAlready(id int32) bool {
	return slices.ContainsFunc(s.refused, func(r sent) bool { return slices.Contains(r.ids, id) })
}

// suspect is the next part of a refused response to be sent by itself, as far as the proxy is still to have it; nil:
// there is none.
func (s *Stream) suspect(k Kind) *plan {
	sub := &s.subs[k]
	if s.whole(k) && len(sub.sent) > 0 {
		return nil // what the next is to hold depends on the answer
	}
	for len(sub.suspects) > 0 {
		part := sub.suspects[0]
		if sub.suspects = sub.suspects[1:]; len(sub.suspects) == 0 {
			sub.suspects = nil
		}
		p := &plan{kind: k, full: s.whole(k)}
		for _, id := range part.ids {
			switch {
			case !sub.held.Has(id):
			case s.target(k).Has(id):
				p.adds = append(p.adds, id)
			default: // it was refused with others, so the proxy has not got it; it may have an earlier one
				sub.held.Clear(id)
				sub.outdate(s.reg.List(k)[id].Name)
			}
		}
		if len(part.removed) > 0 {
			held := s.heldNames(k)
			for _, name := range part.removed {
				if !held[name] {
					p.names = append(p.names, name)
				}
			}
		}
		if len(p.adds)+len(p.names) > 0 {
			sub.isolating++
			return p
		}
	}
	return nil
}

// dependsOnRefused tells whether a resource names a cluster of which the proxy has refused the newest version, or its
// endpoints: until there is a better one, the version that the proxy has serves on.
func (s *Stream) dependsOnRefused(k Kind, e *Entry) bool {
	if k < Listeners || !s.initialized {
		return false
	}
	for _, of := range []Kind{Clusters, Endpoints} { // Endpoints have the name of their cluster
		for _, r := range s.subs[of].refused {
			list := s.reg.List(of)
			for _, id := range r.ids {
				if holdsText(e.value, list[id].Name) {
					return true
				}
			}
		}
	}
	return false
}

// holdsText tells whether an encoded message holds a string as the whole of a field, at any depth.
func holdsText(b []byte, text string) bool {
	found := false
	EachText(b, 0, func(v []byte) bool {
		found = found || string(v) == text
		return !found && len(v) >= len(text)
	})
	return found
}
