package server

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/live"
)

// LiveStatus is a route whose weights may be set while the mesh runs.
type LiveStatus struct {
	Route        string            `json:"route"` // NAMESPACE/NAME/ROUTE of its VirtualService
	Destinations []LiveDestination `json:"destinations"`
	Since        *time.Time        `json:"since,omitempty"`  // weights are set since; absent: those at rest hold
	Origins      []string          `json:"origins"`          // FILE:LINE
	Orphan       bool              `json:"orphan,omitempty"` // weights are set, and the bundle in service has no such route
	Proxies      int               `json:"proxies"`          // connected, that have the route
	Acked        int               `json:"acked"`            // of them, that have acknowledged the weights
}

// LiveDestination is one destination of it.
type LiveDestination struct {
	Cluster string  `json:"cluster"`
	Name    string  `json:"name"` // HOST/SUBSET, or HOST
	Rest    uint32  `json:"rest"`
	Live    *uint32 `json:"live,omitempty"` // absent: that at rest holds
}

// WeightsRequest is what PUT /weights takes. Without weights those at rest hold again.
type WeightsRequest struct {
	Route   string            `json:"route"`
	Weights map[string]uint32 `json:"weights,omitempty"` // by destination
}

// Weights tells which routes take weights while the mesh runs, and which are set.
func (srv *Server) Weights() []LiveStatus {
	assigned := srv.assigned.Load()
	var routes []bundle.LiveRoute
	for _, g := range assigned.by {
		routes = append(routes, g.routes()...)
	}
	proxies, acked := map[string]int{}, map[string]int{}
	for _, s := range srv.snapshot() {
		has, ok := s.liveRoutes(assigned)
		for _, r := range has {
			proxies[r]++
			if ok {
				acked[r]++
			}
		}
	}
	out := []LiveStatus{}
	for _, r := range bundle.MergeLive(routes) {
		st := LiveStatus{Route: r.Route, Origins: []string{}, Proxies: proxies[r.Route], Acked: acked[r.Route]}
		for _, o := range r.Origins[:min(1, len(r.Origins))] {
			st.Origins = append(st.Origins, o.Place())
		}
		set, isSet := assigned.live[r.Route]
		if isSet {
			st.Since = &set.Since
		}
		for _, c := range r.Clusters {
			d := LiveDestination{Cluster: c.Name, Name: live.Destination(c.Name), Rest: c.Weight}
			if n, ok := set.Clusters[c.Name]; ok {
				d.Live = &n
			}
			st.Destinations = append(st.Destinations, d)
		}
		out = append(out, st)
	}
	for _, route := range slices.Sorted(maps.Keys(assigned.live)) {
		if !slices.ContainsFunc(out, func(s LiveStatus) bool { return s.Route == route }) {
			since := assigned.live[route].Since
			out = append(out, LiveStatus{Route: route, Since: &since, Orphan: true, Origins: []string{}, Destinations: []LiveDestination{}})
		}
	}
	slices.SortFunc(out, func(a, b LiveStatus) int { return cmp.Compare(a.Route, b.Route) })
	return out
}

// SetWeights sets the weights of a route, or without any has those of the bundle hold again, and sends each proxy that has the
// route one resource.
func (srv *Server) SetWeights(req WeightsRequest) (LiveStatus, error) {
	srv.turn.Lock()
	defer srv.turn.Unlock()
	before := srv.assigned.Load()
	next := maps.Clone(before.live)
	if next == nil {
		next = live.Weights{}
	}
	if len(req.Weights) == 0 {
		if _, ok := next[req.Route]; !ok {
			return LiveStatus{}, refusedCommand{http.StatusNotFound, "no weights are set for the route " + req.Route}
		}
		delete(next, req.Route)
	} else {
		var routes []bundle.LiveRoute
		for _, g := range before.by {
			routes = append(routes, g.routes()...)
		}
		routes = bundle.MergeLive(routes)
		i := slices.IndexFunc(routes, func(r bundle.LiveRoute) bool { return r.Route == req.Route })
		if i < 0 {
			return LiveStatus{}, refusedCommand{http.StatusNotFound, "no route " + req.Route + " takes weights while the mesh runs: name it in the annotation meshc.dev/live-weights of its VirtualService"}
		}
		clusters, err := live.Resolve(routes[i], req.Weights)
		if err != nil {
			return LiveStatus{}, refusedCommand{http.StatusBadRequest, err.Error()}
		}
		next[req.Route] = live.Setting{Clusters: clusters, Since: time.Now().UTC()}
	}
	if err := srv.save(before.state, next); err != nil {
		return LiveStatus{}, err
	}
	assigned := *before
	assigned.live = next
	for _, g := range assigned.by {
		g.weigh(next)
	}
	streams := srv.assign(&assigned)
	forEach(streams, func(s *session) { srv.renew(s, assigned.of(s.node)) })
	srv.sweep()
	for _, st := range srv.Weights() {
		if st.Route == req.Route {
			return st, nil
		}
	}
	return LiveStatus{Route: req.Route, Origins: []string{}, Destinations: []LiveDestination{}}, nil // released, and in no bundle
}

// liveRoutes are those that the proxy has, and whether it has acknowledged what is set of them.
func (s *session) liveRoutes(assigned *assignment) (routes []string, acked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.ads.View()
	g := assigned.by[v.Bundle.Digest.String()]
	if g == nil {
		return nil, false
	}
	for _, r := range g.routesOf(v.Class) {
		routes = append(routes, r.Route)
	}
	return routes, s.ads.Has(ads.Runtimes)
}

// routes are the live routes of the bundle.
func (g *generation) routes() []bundle.LiveRoute {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.allLive == nil {
		g.allLive = append([]bundle.LiveRoute{}, g.bundle.LiveRoutes()...)
	}
	return g.allLive
}

// routesOf are the live routes of a class.
func (g *generation) routesOf(c *bundle.Class) []bundle.LiveRoute {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.liveOf(c)
}

// liveOf is routesOf with mu held.
func (g *generation) liveOf(c *bundle.Class) []bundle.LiveRoute {
	if list, ok := g.classLive[c]; ok {
		return list
	}
	var list []bundle.LiveRoute
	for _, s := range c.Sets {
		list = append(list, g.set(s).live...)
	}
	list = bundle.MergeLive(list)
	g.classLive[c] = list
	return list
}

// layer numbers the runtime layer of a class. Call with mu held.
func (g *generation) layer(c *bundle.Class) (out ads.Bitset, err error) {
	text, err := live.Resource(g.live, g.liveOf(c))
	if err == nil {
		out.Set(g.reg.AddMade(ads.Runtimes, names.RuntimeLayer, text))
	}
	return out, err
}

// weigh takes the weights that are set now. Views whose proxies get others are replaced.
func (g *generation) weigh(now live.Weights) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.live = now
	for at, old := range g.views {
		layer, err := g.layer(at.class)
		if err != nil || layer.Equal(old.Target[ads.Runtimes]) { // no error can be: numbers are all there is
			continue
		}
		v := *old
		v.Target[ads.Runtimes] = layer
		g.views[at] = &v
	}
}
