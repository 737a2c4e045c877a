package server

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/live"
)

// generation is a bundle in service. Sets and classes are numbered when the first proxy needs them. Where a source sees
// live endpoints, views are made anew as these change.
type generation struct {
	bundle  *bundle.Bundle
	account atomic.Pointer[account]
	reg     *ads.Registry

	mu      sync.Mutex
	joiner  *joiner // nil: the endpoints of the bundle are all there are
	sets    map[*bundle.Set]*setView
	joined  map[setAt]*joinedSet
	views   map[classAt]*ads.View
	inlined map[*bundle.Class]ads.Bitset
	secrets map[*bundle.Class]map[string]bool // SDS names in its resources

	live      live.Weights       // that are set
	allLive   []bundle.LiveRoute // nil: not looked for yet
	classLive map[*bundle.Class][]bundle.LiveRoute
}

// setAt and classAt are a set and a class for the proxies at a place; "" where the place does not count.
type setAt struct {
	set   *bundle.Set
	place string
}

type classAt struct {
	class *bundle.Class
	place string
	delta bool
	agent bool // answers the name look-ups of the application
}

// setView is a set as bitsets. Endpoints whose cluster is in another set wait for the class to say which cluster.
type setView struct {
	ids     [ads.Kinds]ads.Bitset
	loose   []*bundle.Resource
	joins   []joining
	byPlace bool // some of joins depend on the place of the proxy
	live    []bundle.LiveRoute
}

// joining is endpoints that are joined, with the digest of their cluster.
type joining struct {
	resource *bundle.Resource
	cluster  bundle.Digest
}

// joinedSet is the joins of a set, made.
type joinedSet struct {
	ids ads.Bitset
	at  []int32 // parallel to joins
}

// newGeneration takes a bundle into service whose resources are numbered by a registry, with what a source of endpoints sees;
// nil: there is no source; and with the weights that are set live.
func newGeneration(b *bundle.Bundle, reg *ads.Registry, snapshot *endpointSnapshot, set live.Weights) *generation {
	g := &generation{bundle: b, reg: reg, sets: map[*bundle.Set]*setView{}, joined: map[setAt]*joinedSet{}, views: map[classAt]*ads.View{}, inlined: map[*bundle.Class]ads.Bitset{},
		secrets: map[*bundle.Class]map[string]bool{}, live: set, classLive: map[*bundle.Class][]bundle.LiveRoute{}}
	g.tell(b)
	if snapshot != nil && b.Plan != nil {
		g.joiner = newJoiner(b.Plan, snapshot)
	}
	return g
}

// needed counts what the views of a generation may hold.
func (g *generation) needed() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := len(g.bundle.Resources)
	for _, js := range g.joined {
		n += len(js.at)
	}
	return n
}

func (g *generation) set(s *bundle.Set) *setView {
	if v := g.sets[s]; v != nil {
		return v
	}
	v := &setView{}
	byName := map[string]bundle.Digest{}
	for _, r := range s.Resources {
		k := ads.KindOf(r.Type)
		ver := ads.Version(r.Digest)
		switch k {
		case ads.Clusters:
			byName[r.Name] = r.Digest
		case ads.Endpoints: // resources are sorted by type: all clusters came before
			d, ok := byName[r.Name]
			if !ok {
				v.loose = append(v.loose, r)
				continue
			}
			if g.joiner.joins(r) {
				v.joins = append(v.joins, joining{r, d})
				v.byPlace = v.byPlace || g.joiner.byPlace(r)
				continue
			}
			ver = ads.Fold(r.Digest, d)
		default: // their version is their digest
		}
		v.ids[k].Set(g.reg.Add(k, r.Name, ver, r.Bytes, r))
		v.live = append(v.live, r.LiveRoutes()...)
	}
	g.sets[s] = v
	return v
}

// view returns what a node of the class gets, by delta or by state of the world.
func (g *generation) view(c *bundle.Class, n bundle.Node, delta bool) (*ads.View, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := classAt{class: c, delta: delta, agent: n.AgentDNS}
	for _, s := range c.Sets {
		if g.set(s).byPlace {
			at.place = place(n)
		}
	}
	if v := g.views[at]; v != nil {
		return v, nil
	}
	v := &ads.View{Bundle: g.bundle, Class: c, Registry: g.reg, Origins: g.places}
	for _, s := range c.Sets {
		sv := g.set(s)
		for k := range v.Target {
			v.Target[k].Or(sv.ids[k])
		}
	}
	if !delta {
		inlined, err := g.inline(c)
		if err != nil {
			return nil, err
		}
		v.Target[ads.InlinedRoutes] = inlined
	}
	g.targetEndpoints(v, at.place)
	layer, err := g.layer(c)
	if err != nil {
		return nil, err
	}
	v.Target[ads.Runtimes] = layer
	if at.agent {
		if err := g.giveNames(v); err != nil {
			return nil, err
		}
	}
	g.views[at] = v
	return v, nil
}

// targetEndpoints adds the endpoints that depend on more than their set.
func (g *generation) targetEndpoints(v *ads.View, place string) {
	for _, s := range v.Class.Sets {
		v.Target[ads.Endpoints].Or(g.join(s, place).ids)
		for _, r := range g.set(s).loose {
			m := made{r.Bytes, r.Digest}
			if g.joiner.joins(r) {
				m = g.joiner.make(r, place)
			}
			ver := ads.Version(m.digest)
			if d, ok := clusterIn(v.Class, r.Name); ok {
				ver = ads.Fold(m.digest, d)
			}
			v.Target[ads.Endpoints].Set(g.reg.Add(ads.Endpoints, r.Name, ver, m.bytes, r))
		}
	}
}

// join returns the joined endpoints of a set.
func (g *generation) join(s *bundle.Set, place string) *joinedSet {
	sv := g.set(s)
	at := setAt{set: s}
	if sv.byPlace {
		at.place = place
	}
	if js := g.joined[at]; js != nil {
		return js
	}
	js := &joinedSet{at: make([]int32, len(sv.joins))}
	for i, x := range sv.joins {
		js.at[i] = g.number(x, at.place)
		js.ids.Set(js.at[i])
	}
	g.joined[at] = js
	return js
}

func (g *generation) number(x joining, place string) int32 {
	m := g.joiner.make(x.resource, place)
	return g.reg.Add(ads.Endpoints, x.resource.Name, ads.Fold(m.digest, x.cluster), m.bytes, x.resource)
}

// updateEndpoints takes what a source of endpoints sees now. Views that get other endpoints are replaced; it returns whether any
// was. namespaces are those that have changed; nil: any may have.
func (g *generation) updateEndpoints(next *endpointSnapshot, namespaces map[string]bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.joiner == nil {
		return false
	}
	changed := g.joiner.update(next, namespaces)
	if len(changed) == 0 {
		return false
	}
	hit := func(r *bundle.Resource) bool {
		return r.Join != nil && slices.ContainsFunc(r.Join.Services, func(i int) bool { return changed[i] })
	}
	for r := range g.joiner.made {
		if hit(r) {
			delete(g.joiner.made, r)
		}
	}
	dirty := map[*joinedSet]bool{}
	for at, js := range g.joined {
		for i, x := range g.set(at.set).joins {
			if !hit(x.resource) {
				continue
			}
			if id := g.number(x, at.place); id != js.at[i] {
				js.ids.Clear(js.at[i])
				js.ids.Set(id)
				js.at[i] = id
				dirty[js] = true
			}
		}
	}
	return g.review(dirty, hit)
}

// review replaces the views of the sets that changed.
func (g *generation) review(dirty map[*joinedSet]bool, hit func(*bundle.Resource) bool) bool {
	any := false
	for at, old := range g.views {
		if !slices.ContainsFunc(at.class.Sets, func(s *bundle.Set) bool {
			return dirty[g.join(s, at.place)] || slices.ContainsFunc(g.set(s).loose, hit)
		}) {
			continue
		}
		any = true
		v := *old
		v.Target[ads.Endpoints] = nil
		for _, s := range at.class.Sets {
			v.Target[ads.Endpoints].Or(g.set(s).ids[ads.Endpoints])
		}
		g.targetEndpoints(&v, at.place)
		g.views[at] = &v
	}
	return any
}

// clusterIn finds the cluster of the name in the sets of the class, which are sorted by type and name.
func clusterIn(c *bundle.Class, name string) (bundle.Digest, bool) {
	for _, s := range c.Sets {
		i, ok := slices.BinarySearchFunc(s.Resources, name, func(r *bundle.Resource, name string) int {
			if r.Type != bundle.ClusterType {
				return 1
			}
			return strings.Compare(r.Name, name)
		})
		if ok {
			return s.Resources[i].Digest, true
		}
	}
	return bundle.Digest{}, false
}

// inline returns the route configurations of a class with their virtual hosts, for proxies of state of the world.
func (g *generation) inline(c *bundle.Class) (ads.Bitset, error) {
	if b, ok := g.inlined[c]; ok {
		return b, nil
	}
	rs, err := bundle.Inlined(c.Resources())
	if err != nil {
		return nil, err
	}
	var b ads.Bitset
	for _, r := range rs {
		if r.Type == bundle.RouteConfigurationType {
			b.Set(g.reg.Add(ads.InlinedRoutes, r.Name, ads.Version(r.Digest), r.Bytes, r))
		}
	}
	g.inlined[c] = b
	return b, nil
}
