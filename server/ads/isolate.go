package ads

import "slices"

// maxIsolating bounds the responses that look for what a proxy refuses, of one kind and one bundle on one stream. Twice
// the number of resources is the most that can be needed, when a proxy refuses each of them.
const maxIsolating = 4096

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
	if n == 0 || n+len(refused.removed) < 2 && !refused.mixed || sub.blind || sub.isolating >= maxIsolating {
		return false // of removals alone, the proxy refuses what they leave
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

// keepBefore remembers what the proxy has of the names that a response changes, until it is acknowledged.
func (s *subscription) keepBefore(p *plan, list []*Entry) {
	for _, id := range p.replace {
		e := list[id]
		if s.out.Has(id) {
			s.out.Clear(id) // an earlier version is kept already, if there is one
			continue
		}
		if _, kept := s.before[e.Name]; kept {
			continue // the proxy has not answered yet whether it takes e
		}
		if s.before == nil {
			s.before = map[string]*Entry{}
		}
		s.before[e.Name] = e
	}
	for _, id := range p.adds {
		s.out.Clear(id)
	}
	for _, id := range p.removes {
		s.out.Clear(id)
		delete(s.before, list[id].Name)
	}
}

// leaveOut has responses go without what was refused, and with what the proxy has instead.
func (s *subscription) leaveOut(ids []int32) {
	for _, id := range ids {
		s.out.Set(id)
	}
}

// asTaken is the version of what is held that goes into a response that says all; nil: none.
func (s *subscription) asTaken(id int32, list []*Entry) *Entry {
	if !s.out.Has(id) {
		return list[id]
	}
	return s.before[list[id].Name]
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
		}
	case Routes:
		var names []string
		for _, id := range p.adds {
			names = append(names, list[id].Name)
		}
		s.forgetHosts(names)
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
	if k < Listeners || !s.settled {
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
