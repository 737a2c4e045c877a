package server

import (
	"maps"
	"time"
)

// retarget moves the stream to another bundle.
func (s *stream) retarget(e entitlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.aim(e); err != nil {
		return err
	}
	s.lost = ""
	s.kick()
	return nil
}

// aim leads the proxy to a view. What was held back before is let go.
func (s *stream) aim(e entitlement) error {
	if err := s.face(e); err != nil {
		return err
	}
	s.removeAt = time.Time{}
	return nil
}

// renew leads the proxy to other endpoints of the same bundle. A switch of bundles that is under way goes on.
func (s *stream) renew(e entitlement) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.given == e.view || s.given.gen.bundle != e.view.gen.bundle {
		return nil // it has them, or a newer bundle is on its way
	}
	if err := s.face(e); err != nil {
		return err
	}
	s.kick()
	return nil
}

func (s *stream) face(e entitlement) error {
	v := e.view
	given, moved := v, s.given == nil || s.given.gen != v.gen
	if !s.delta {
		inl, err := v.gen.inline(v)
		if err != nil {
			return err
		}
		c := *v
		c.target[inlinedRoutes] = inl
		v = &c
	}
	if v.gen.reg != s.reg {
		s.translate(v.gen.reg)
	}
	before := s.view
	s.view, s.given = v, given
	if moved {
		for k := range s.subs {
			s.subs[k].isolating = 0
		}
	}
	if moved && len(s.secretNames) > 0 {
		s.targetSecrets(nil) // numbers may be new
	}
	s.adopt()
	s.retry(before)
	return nil
}

// retry sends what was refused again, when the view has changed some of it: a proxy refuses a response as a whole,
// so what was good in it is missing, too.
func (s *stream) retry(before *view) {
	for k := range s.subs {
		sub := &s.subs[k]
		var kept []sent
		for _, r := range sub.refused {
			if !s.mayPass(kind(k), r, before) {
				kept = append(kept, r)
				continue
			}
			list := s.reg.list(kind(k))
			for _, id := range r.ids {
				sub.held.clear(id)
				sub.outdate(list[id].name) // some of it may have been taken
			}
			for _, n := range r.removed {
				sub.outdate(n)
			}
		}
		sub.refused = kept
	}
}

// mayPass tells whether a refused response is worth another try: some of it has changed, or with another bundle what it may
// have been refused for, such as the domains of another virtual host or the address of another listener. Endpoints, which
// may change many times a second, are no reason.
func (s *stream) mayPass(k kind, r sent, before *view) bool {
	target, list := s.target(k), s.reg.list(k)
	groups := map[string]bool{}
	for _, id := range r.ids {
		if !target.has(id) {
			return true
		}
		groups[list[id].group] = true
	}
	if before == nil || before.gen.bundle == s.view.gen.bundle {
		return false
	}
	if len(r.ids) == 0 {
		return true
	}
	return (k == listeners || k == virtualHosts) && !maps.Equal(before.members(k, groups), s.view.members(k, groups))
}

// members are the resources of groups: of listeners, which have none, all.
func (v *view) members(k kind, groups map[string]bool) map[entryKey]bool {
	out, list := map[entryKey]bool{}, v.gen.reg.list(k)
	v.target[k].each(func(id int32) {
		if e := list[id]; groups[e.group] {
			out[entryKey{e.name, e.version}] = true
		}
	})
	return out
}

// translate renumbers what the proxy holds and wants.
func (s *stream) translate(reg *registry) {
	old := s.reg
	s.reg = reg
	if old == nil {
		return
	}
	for k := range s.subs {
		sub, list := &s.subs[k], old.list(kind(k))
		var held, names, out bitset
		sub.held.each(func(id int32) {
			e := list[id]
			now := reg.add(kind(k), e.name, e.version, e.value, e.from)
			held.set(now)
			if sub.out.has(id) {
				out.set(now)
			}
		})
		old.mu.RLock()
		for name, id := range old.spaces[k].names {
			if !sub.names.has(id) {
				continue
			}
			if now, ok := reg.nameID(kind(k), name); ok {
				names.set(now)
			} else {
				sub.other(name)
			}
		}
		old.mu.RUnlock()
		sub.held, sub.names, sub.out = held, names, out
		for _, of := range [][]sent{sub.sent, sub.refused, sub.suspects} {
			for i := range of {
				ids := make([]int32, len(of[i].ids))
				for j, id := range of[i].ids {
					e := list[id]
					ids[j] = reg.add(kind(k), e.name, e.version, e.value, e.from)
				}
				of[i].ids = ids
			}
		}
	}
}

// adopt moves names that were unknown and that the bundle now has to their numbers.
func (s *stream) adopt() {
	for k := range s.subs {
		sub := &s.subs[k]
		for name := range sub.others {
			if id, ok := s.reg.nameID(kind(k), name); ok {
				sub.names.set(id)
				delete(sub.others, name)
			}
		}
	}
}
