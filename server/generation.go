package server

import (
	"slices"
	"strings"
	"sync"

	"github.com/meshc/meshc/compiler/bundle"
)

// generation is a bundle in service. Sets and classes are numbered when the first proxy needs them.
type generation struct {
	bundle *bundle.Bundle
	reg    *registry

	mu      sync.Mutex
	sets    map[*bundle.Set]*setView
	views   map[*bundle.Class]*view
	inl     map[*bundle.Class]bitset
	secrets map[*bundle.Class]map[string]bool // SDS names in its resources
}

// setView is a set as bitsets. Endpoints whose cluster is in another set wait for the class to say which cluster.
type setView struct {
	ids   [kinds]bitset
	loose []*bundle.Resource
}

// view is what a class gets.
type view struct {
	gen    *generation
	class  *bundle.Class
	target [kinds]bitset
}

// newGeneration takes a bundle into service after the one before, nil at the start.
func newGeneration(b *bundle.Bundle, before *generation) *generation {
	g := &generation{bundle: b, sets: map[*bundle.Set]*setView{}, views: map[*bundle.Class]*view{}, inl: map[*bundle.Class]bitset{},
		secrets: map[*bundle.Class]map[string]bool{}}
	if before != nil && before.reg.size() < 4*len(b.Resources)+4096 {
		g.reg = before.reg
	} else {
		g.reg = newRegistry()
	}
	return g
}

func kindOfResource(url string) kind {
	k, _ := kindOf(url, true)
	return k
}

func (g *generation) set(s *bundle.Set) *setView {
	if v := g.sets[s]; v != nil {
		return v
	}
	v := &setView{}
	byName := map[string]bundle.Digest{}
	for _, r := range s.Resources {
		k := kindOfResource(r.Type)
		ver := version(r.Digest)
		switch k {
		case clusters:
			byName[r.Name] = r.Digest
		case endpoints: // resources are sorted by type: all clusters came before
			d, ok := byName[r.Name]
			if !ok {
				v.loose = append(v.loose, r)
				continue
			}
			ver = fold(r.Digest, d)
		}
		v.ids[k].set(g.reg.add(k, r.Name, ver, r.Bytes, r))
	}
	g.sets[s] = v
	return v
}

// view returns what the class gets.
func (g *generation) view(c *bundle.Class) *view {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v := g.views[c]; v != nil {
		return v
	}
	v := &view{gen: g, class: c}
	var loose []*bundle.Resource
	for _, s := range c.Sets {
		sv := g.set(s)
		for k := range v.target {
			v.target[k].or(sv.ids[k])
		}
		loose = append(loose, sv.loose...)
	}
	for _, r := range loose {
		ver := version(r.Digest)
		if d, ok := clusterIn(c, r.Name); ok {
			ver = fold(r.Digest, d)
		}
		v.target[endpoints].set(g.reg.add(endpoints, r.Name, ver, r.Bytes, r))
	}
	g.views[c] = v
	return v
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

// inline adds the route configurations with their virtual hosts to the view, for state-of-the-world streams.
func (g *generation) inline(v *view) (bitset, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if b, ok := g.inl[v.class]; ok {
		return b, nil
	}
	rs, err := bundle.Inlined(v.class.Resources())
	if err != nil {
		return nil, err
	}
	var b bitset
	for _, r := range rs {
		if r.Type == bundle.RouteConfigurationType {
			b.set(g.reg.add(inlinedRoutes, r.Name, version(r.Digest), r.Bytes, r))
		}
	}
	g.inl[v.class] = b
	return b, nil
}
