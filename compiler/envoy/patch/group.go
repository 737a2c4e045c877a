package patch

import (
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// Target is what decides which patches reach the resources of some proxies.
type Target struct {
	context  patchContext // SIDECAR_OUTBOUND, SIDECAR_INBOUND or GATEWAY
	filters  memo.List[*mesh.EnvoyFilter]
	metadata memo.List[Metadatum] // of the proxies, as far as the filters look at it
}

// Metadatum is what is known of one entry of a proxy's metadata.
type Metadatum struct {
	Key, Value string
	Known      bool
}

// Target gathers what decides about the patches of some filters for proxies, of which known tells an entry of the metadata.
func (t *Table) Target(context patchContext, filters []*mesh.EnvoyFilter, known func(key string) Metadatum) Target {
	asked := map[string]bool{}
	for _, f := range filters {
		for _, e := range t.byFilter[f] {
			for k := range e.spec.GetMatch().GetProxy().GetMetadata() {
				asked[k] = true
			}
		}
	}
	var all []Metadatum
	for _, k := range slices.Sorted(maps.Keys(asked)) {
		all = append(all, known(k))
	}
	return Target{context, t.filters.Of(filters...), t.metadata.Of(all...)}
}

// groupPatchInputs is everything that the outcome of patching a shared group depends on.
type groupPatchInputs struct {
	group  *xds.Group
	target Target
	room   Additions
}

// Additions tells what may be added to a set of resources.
type Additions struct{ Clusters, Listeners bool }

// Group applies the patches of a target to a group that scopes share.
func (t *Table) Group(g *xds.Group, target Target, room Additions) *xds.Group {
	return t.groups.Get(groupPatchInputs{g, target, room})
}

// Class applies the patches of a target to what one class has to itself: the inbound side of a sidecar, or the servers of a
// gateway.
func (t *Table) Class(rs []*xds.Resource, target Target, room Additions, in *mesh.Inbound, servers []*mesh.MergedServer) ([]*xds.Resource, diag.List) {
	p := t.patcher(target)
	p.own, p.inbound, p.room = true, in, room
	p.servers = map[string][]*mesh.GatewayServer{}
	for _, ms := range servers {
		for _, x := range ms.Servers {
			p.servers[x.RouteName] = append(p.servers[x.RouteName], x)
		}
	}
	return p.patch(rs)
}

// patchGroup patches a shared group. One that stays as it is stays the same.
func (t *Table) patchGroup(in groupPatchInputs) (*xds.Group, diag.List) {
	p := t.patcher(in.target)
	p.room = in.room
	rs, findings := p.patch(in.group.Resources)
	if slices.Equal(rs, in.group.Resources) {
		return in.group, findings
	}
	return &xds.Group{Resources: once(rs)}, findings
}

// once leaves out resources that are there already, as they are. Another of the same name stays, so that it can be told.
func once(rs []*xds.Resource) []*xds.Resource {
	type key struct {
		t    xds.Type
		name string
	}
	seen := make(map[key]*xds.Resource, len(rs))
	return slices.DeleteFunc(slices.Clone(rs), func(r *xds.Resource) bool {
		k := key{r.Type, r.Name}
		if old := seen[k]; old != nil {
			return proto.Equal(old.Message, r.Message)
		}
		seen[k] = r
		return false
	})
}
