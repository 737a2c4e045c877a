package server

// sweepAfter is how many entries of a kind are added before it is worth looking for those that nobody needs.
const sweepAfter = 64

// sweep forgets the messages of what no proxy is to have any more: of bundles that were in service before, and of
// endpoints that were there. Call with turn held, so that no bundle and no endpoints change meanwhile. Streams that open,
// or that are still being moved, get views of the generation in service, all of which are kept.
func (srv *Server) sweep() {
	g := srv.gen.Load()
	if !g.reg.worthSweeping() {
		return
	}
	var used [kinds]bitset
	for _, s := range srv.snapshot() {
		s.mu.Lock()
		if s.reg == g.reg {
			for k := range used {
				used[k].or(s.view.target[k])
			}
		}
		s.mu.Unlock()
	}
	g.mu.Lock() // whoever numbers something for this generation waits
	defer g.mu.Unlock()
	g.inUse(&used)
	for k := range used {
		if kind(k) != secrets { // see rotate
			g.reg.forget(kind(k), g.reg.unused(kind(k), used[k]))
		}
	}
	g.reg.swept()
}

// inUse adds what views of the generation have, or will when they are made.
func (g *generation) inUse(used *[kinds]bitset) {
	for _, v := range g.sets {
		for k := range used {
			used[k].or(v.ids[k])
		}
	}
	for _, js := range g.joined {
		used[endpoints].or(js.ids)
	}
	for _, v := range g.views {
		for k := range used {
			used[k].or(v.target[k])
		}
	}
	for _, b := range g.inl {
		used[inlinedRoutes].or(b)
	}
}

func (r *registry) worthSweeping() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for k := range r.spaces {
		if s := &r.spaces[k]; kind(k) != secrets && s.added >= max(sweepAfter, len(s.entries)/16) {
			return true
		}
	}
	return false
}

func (r *registry) swept() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for k := range r.spaces {
		r.spaces[k].added = 0
	}
}
