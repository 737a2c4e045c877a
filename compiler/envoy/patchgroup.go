package envoy

import (
	"slices"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

// patchTarget is what decides which patches reach the resources of some proxies.
type patchTarget struct {
	context  patchContext // SIDECAR_OUTBOUND, SIDECAR_INBOUND or GATEWAY
	filters  memo.List[*mesh.EnvoyFilter]
	metadata memo.List[metadatum] // of the proxies, as far as the filters look at it
}

// metadatum is what is known of one entry of a proxy's metadata.
type metadatum struct {
	key, value string
	known      bool
}

// groupPatchInputs is everything that the outcome of patching a shared group depends on.
type groupPatchInputs struct {
	group  *Group
	target patchTarget
	room   patchRoom
}

// patchRoom tells what may be added to a set of resources.
type patchRoom struct{ clusters, listeners bool }

// group patches a shared group. One that stays as it is stays the same.
func (t *patchTable) group(in groupPatchInputs) (*Group, diag.List) {
	p := t.patcher(in.target)
	p.room = in.room
	rs, findings := p.patch(in.group.Resources)
	if slices.Equal(rs, in.group.Resources) {
		return in.group, findings
	}
	return NewGroup(rs), findings
}
