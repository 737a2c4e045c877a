package envoy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// patchKey is everything that the outcome of patching a shared group depends on.
type patchKey struct {
	group   *Group
	context patchContext
	filters string
	facts   string // the metadata of the proxies that the filters look at
}

type patchedGroup struct {
	once     sync.Once
	group    *Group
	findings diag.List
	told     bool // the findings went to the scope that asked first
}

// patchScope applies the EnvoyFilters of a scope to its groups, once for all scopes that share a group and the filters.
func (l *Lowering) patchScope(s *mesh.Scope, groups []*Group) ([]*Group, diag.List) {
	if len(s.EnvoyFilters) == 0 {
		return groups, nil
	}
	target := patchTarget{context: networking.EnvoyFilter_SIDECAR_OUTBOUND, filters: s.EnvoyFilters, proxy: s.Proxy, cluster: s.Cluster, namespace: s.Namespace}
	if s.Gateway {
		target.context = networking.EnvoyFilter_GATEWAY
	}
	var names strings.Builder
	for _, f := range s.EnvoyFilters {
		fmt.Fprintf(&names, "%s/%s|", f.Object.Namespace, f.Object.Name)
	}
	facts := l.patches.facts(target)
	target.shared = fmt.Sprintf("%d %s %s", target.context, names.String(), facts)
	out := slices.Clone(groups)
	var findings diag.List
	for i, g := range groups {
		t := target
		t.noClusters, t.noListeners = i != 0, i != 1 // clusters come first, then listeners
		key := patchKey{g, t.context, names.String(), facts}
		l.mu.Lock()
		e := l.patched[key]
		if e == nil {
			e = &patchedGroup{}
			l.patched[key] = e
		}
		first := !e.told
		e.told = true
		l.mu.Unlock()
		e.once.Do(func() {
			rs, f := l.patches.patch(g.Resources, t)
			e.group, e.findings = g, f
			if !slices.Equal(rs, g.Resources) {
				e.group = NewGroup(rs)
			}
		})
		out[i] = e.group
		if first {
			findings.Add(e.findings...)
		}
	}
	return out, findings
}

// facts writes down all metadata that the filters of a target look at.
func (t *patchTable) facts(target patchTarget) string {
	p := &patcher{patchTarget: target}
	var b strings.Builder
	for _, f := range target.filters {
		for _, e := range t.byFilter[f] {
			metadata := e.spec.GetMatch().GetProxy().GetMetadata()
			for _, k := range slices.Sorted(maps.Keys(metadata)) {
				v, known := p.metadata(k)
				fmt.Fprintf(&b, "%q %t ", v, known)
			}
		}
	}
	return b.String()
}

// patchClass applies the EnvoyFilters of a class to what it has to itself.
func (l *Lowering) patchClass(c *mesh.Class, rs []*Resource) ([]*Resource, diag.List) {
	s := c.Scope
	target := patchTarget{
		context: networking.EnvoyFilter_SIDECAR_INBOUND, filters: c.Inbound.EnvoyFilters,
		proxy: s.Proxy, cluster: s.Cluster, namespace: s.Namespace, inbound: c.Inbound,
	}
	if c.Gateway {
		target.context, target.noClusters, target.servers = networking.EnvoyFilter_GATEWAY, true, map[string][]*mesh.GatewayServer{}
		for _, ms := range c.Servers {
			for _, x := range ms.Servers {
				target.servers[x.RouteName] = append(target.servers[x.RouteName], x)
			}
		}
	}
	return l.patches.patch(rs, target)
}

// Unused reports, after all scopes and classes, the patches that changed none of them.
func (l *Lowering) Unused() diag.List { return l.patches.unused() }
