package ads

import (
	"maps"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
)

// View is what proxies of a class are to have of a bundle, and of the endpoints that are there. It does not change.
type View struct {
	Bundle   *bundle.Bundle
	Class    *bundle.Class
	Registry *Registry     // of the numbers in Target
	Target   [Kinds]Bitset // of Secrets nothing: they are by proxy

	// Origins names the places behind a resource, of this bundle or of one that was in service before it.
	Origins func(r *bundle.Resource, limit int) []string
}

// show has the proxy led to a view. With another bundle, what was held back before is let go; a change of bundles that is
// under way goes on while endpoints change.
func (s *Stream) show(v *View, now map[string]Secret) {
	if s.view == v {
		return
	}
	before, moved := s.view, s.moves(v)
	s.view = v
	if v.Registry != s.reg {
		s.translate(v.Registry)
	}
	for k := range s.subs {
		if s.whole(Kind(k)) {
			s.subs[k].keep(v.Target[k], s.reg.List(Kind(k)))
		}
	}
	if before == nil || before.Bundle != v.Bundle {
		s.removeAt = time.Time{}
		for k := range s.subs {
			s.subs[k].isolating = 0
		}
	}
	if moved {
		s.setSecrets(now) // numbers may be new, and so may be what the proxy may have
	}
	s.adopt()
	s.retry(before)
}

// moves tells whether a view is of another bundle, or numbered anew.
func (s *Stream) moves(v *View) bool {
	return s.view == nil || s.view.Bundle != v.Bundle || s.view.Registry != v.Registry
}

// retry sends what was refused again, when the view has changed some of it: a proxy refuses a response as a whole,
// so what was good in it is missing, too.
func (s *Stream) retry(before *View) {
	for k := range s.subs {
		sub := &s.subs[k]
		var kept []sent
		for _, r := range sub.refused {
			if !s.mayPass(Kind(k), r, before) {
				kept = append(kept, r)
				continue
			}
			list := s.reg.List(Kind(k))
			for _, id := range r.ids {
				sub.held.Clear(id)
				sub.outdate(list[id].Name) // some of it may have been taken
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
func (s *Stream) mayPass(k Kind, r sent, before *View) bool {
	target, list := s.target(k), s.reg.List(k)
	groups := map[string]bool{}
	for _, id := range r.ids {
		if !target.Has(id) {
			return true
		}
		groups[list[id].group] = true
	}
	if before == nil || before.Bundle == s.view.Bundle {
		return false
	}
	if len(r.ids) == 0 {
		return true
	}
	return (k == Listeners || k == VirtualHosts) && !maps.Equal(before.members(k, groups), s.view.members(k, groups))
}

// members are the resources of groups: of listeners, which have none, all.
func (v *View) members(k Kind, groups map[string]bool) map[entryKey]bool {
	out, list := map[entryKey]bool{}, v.Registry.List(k)
	v.Target[k].Each(func(id int32) {
		if e := list[id]; groups[e.group] {
			out[entryKey{e.Name, e.Version}] = true
		}
	})
	return out
}

// translate renumbers what the proxy holds and wants.
func (s *Stream) translate(reg *Registry) {
	old := s.reg
	s.reg = reg
	if old == nil {
		return
	}
	for k := range s.subs {
		sub, list := &s.subs[k], old.List(Kind(k))
		var names Bitset
		number := func(id int32) int32 {
			e := sub.entry(id, list)
			return reg.Add(Kind(k), e.Name, e.Version, e.value, e.from)
		}
		renumbered := func(b Bitset) (now Bitset) {
			b.Each(func(id int32) { now.Set(number(id)) })
			return now
		}
		old.mu.RLock()
		for name, id := range old.spaces[k].names {
			if !sub.names.Has(id) {
				continue
			}
			if now, ok := reg.nameID(Kind(k), name); ok {
				names.Set(now)
			} else {
				sub.other(name)
			}
		}
		old.mu.RUnlock()
		sub.out = renumbered(sub.held.And(sub.out))
		sub.names, sub.held, sub.acked, sub.declined = names, renumbered(sub.held), renumbered(sub.acked), renumbered(sub.declined)
		for _, of := range [][]sent{sub.sent, sub.refused, sub.suspects} {
			for i := range of {
				ids := make([]int32, len(of[i].ids))
				for j, id := range of[i].ids {
					ids[j] = number(id)
				}
				of[i].ids, of[i].all = ids, renumbered(of[i].all)
			}
		}
		sub.kept = nil // what is still needed of it is in the registry now, with its message
	}
}

// adopt moves names that were unknown and that the bundle now has to their numbers.
func (s *Stream) adopt() {
	for k := range s.subs {
		sub := &s.subs[k]
		for name := range sub.others {
			if id, ok := s.reg.nameID(Kind(k), name); ok {
				sub.names.Set(id)
				delete(sub.others, name)
			}
		}
	}
}
