package server

import "github.com/meshc/meshc/server/ads"

// sweep forgets the messages of what no proxy is to have any more: of bundles that were in service before, and of
// endpoints that were there. Call with turn held, so that no bundle and no endpoints change meanwhile. Streams that open,
// or that are still being moved, get views of the generation in service, all of which are kept.
func (srv *Server) sweep() {
	assigned := srv.assigned.Load()
	reg := assigned.base.reg
	if !reg.WorthSweeping() {
		return
	}
	var used [ads.Kinds]ads.Bitset
	for _, s := range srv.snapshot() {
		s.mu.Lock()
		if v := s.ads.View(); v.Registry == reg {
			for k := range used {
				used[k].Or(v.Target[k])
			}
		}
		s.mu.Unlock()
	}
	for _, g := range assigned.by {
		g.mu.Lock() // whoever numbers something for this generation waits
		defer g.mu.Unlock()
		g.inUse(&used)
	}
	for k := range used {
		if ads.Kind(k) != ads.Secrets { // see rotate
			reg.Forget(ads.Kind(k), reg.Unused(ads.Kind(k), used[k]))
		}
	}
	reg.Swept()
}

// inUse adds what views of the generation have, or will when they are made.
func (g *generation) inUse(used *[ads.Kinds]ads.Bitset) {
	for _, v := range g.sets {
		for k := range used {
			used[k].Or(v.ids[k])
		}
	}
	for _, js := range g.joined {
		used[ads.Endpoints].Or(js.ids)
	}
	for _, v := range g.views {
		for k := range used {
			used[k].Or(v.Target[k])
		}
	}
	for _, b := range g.inlined {
		used[ads.InlinedRoutes].Or(b)
	}
}
