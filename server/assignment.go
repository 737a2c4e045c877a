package server

import (
	"fmt"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/server/ads"
	"github.com/meshc/meshc/server/live"
	"github.com/meshc/meshc/server/waves"
)

// assignment is which bundles are in service and who is led to which, by a state of waves. It does not change.
type assignment struct {
	state waves.State
	base  *generation
	by    map[string]*generation // all of them, by digest
	live  live.Weights           // that are set, of whatever bundle
}

// member is a node as waves and channels see it.
func member(n bundle.Node) rollout.Proxy {
	return rollout.Proxy{ID: n.ID, Namespace: n.Namespace, Labels: n.Labels, Locality: n.Locality, Cluster: n.Cluster}
}

// of is what a node is led to.
func (l *assignment) of(n bundle.Node) *generation {
	if len(l.by) == 1 {
		return l.base
	}
	return l.by[l.state.Leads(member(n))]
}

// newAssignment makes the assignment of a state, with the weights that are set, after the one before, nil at the start. bundles has those that were not in service,
// by digest.
func newAssignment(state waves.State, set live.Weights, before *assignment, bundles map[string]*bundle.Bundle, snapshot *endpointSnapshot) (*assignment, error) {
	l := &assignment{state: state, live: set, by: map[string]*generation{}}
	needed := 0
	for _, digest := range state.Bundles() {
		b := bundles[digest]
		if before != nil && before.by[digest] != nil {
			b = before.by[digest].bundle
		}
		if b == nil {
			return nil, fmt.Errorf("the bundle %s is not at hand", digest)
		}
		l.by[digest] = &generation{bundle: b} // until it is made
		needed += len(b.Resources)
	}
	var like *bundle.Bundle // shares its bytes
	var reg *ads.Registry
	if before != nil {
		like = before.base.bundle
		if !before.base.reg.Crowded(needed) {
			reg = before.base.reg
		}
	}
	anew := reg == nil
	if anew {
		reg = ads.NewRegistry()
	}
	for _, digest := range state.Bundles() {
		if before != nil && before.by[digest] != nil && !anew {
			l.by[digest] = before.by[digest]
			continue // with its weights
		}
		b := l.by[digest].bundle
		if before == nil || before.by[digest] == nil {
			b.Detach(like)
		}
		g := newGeneration(b, reg, snapshot, set)
		if before != nil && before.by[digest] != nil {
			g.account.Store(before.by[digest].account.Load())
		}
		l.by[digest] = g
		like = b
	}
	l.base = l.by[state.Base]
	return l, nil
}

// crowded tells whether most of what is numbered is history.
func (l *assignment) crowded() bool {
	needed := 0
	for _, g := range l.by {
		needed += g.needed()
	}
	return l.base.reg.Crowded(needed)
}

// updateEndpoints has each bundle take what a source of endpoints sees now; updateEndpoints generation.updateEndpoints.
func (l *assignment) updateEndpoints(next *endpointSnapshot, namespaces map[string]bool) (changed bool) {
	for _, g := range l.by {
		if g.updateEndpoints(next, namespaces) {
			changed = true
		}
	}
	return changed
}

// base is the bundle of all proxies about which nothing else is said.
func (srv *Server) base() *generation { return srv.assigned.Load().base }

// of is what a caller is led to now.
func (srv *Server) of(c *caller) *generation { return srv.assigned.Load().of(c.node) }
