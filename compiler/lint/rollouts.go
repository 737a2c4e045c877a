package lint

import (
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/rollout"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/kinds"
	"github.com/meshc/meshc/schema"
)

// Rollouts finds the rollout of a mesh; nil: there is none. It reports others beside it, and waves that name none of the proxies
// of all its clusters.
func Rollouts(objects []*schema.Object, meshes []*mesh.Mesh) (*rollout.Plan, diag.List) {
	l := &linter{}
	var all []*schema.Object
	for _, o := range objects {
		if _, ok := o.Spec.(*kinds.MeshRollout); ok {
			all = append(all, o)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	if len(all) > 1 {
		l.conflict(all, diag.Error, "MESHC1850", "the mesh has several MeshRollouts, and a bundle is taken into service by one", "Keep one.")
	}
	plan := &all[0].Spec.(*kinds.MeshRollout).Spec
	proxies := proxiesOf(meshes)
	if len(proxies) == 0 {
		return plan, l.found
	}
	for _, i := range plan.Absent(proxies) {
		if !plan.Waves[i].Optional {
			l.add(all[0], diag.Error, "MESHC1851", "the wave "+plan.Waves[i].Name+" names no proxy of the source ("+plan.Waves[i].String()+"), so the rollout would not get past it",
				"Correct its conditions, or set optional if such proxies come from elsewhere.", "spec", "waves", i)
		}
	}
	return plan, l.found
}

// proxiesOf are the workloads with a proxy, as waves see them.
func proxiesOf(meshes []*mesh.Mesh) (out []rollout.Proxy) {
	for _, m := range meshes {
		for _, w := range m.Workloads {
			if w.Injected || w.Router {
				out = append(out, rollout.Proxy{ID: w.Name, Namespace: w.Namespace, Labels: w.Labels, Locality: w.Locality, Cluster: m.Cluster})
			}
		}
	}
	return out
}
