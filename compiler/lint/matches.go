package lint

import (
	"fmt"
	"maps"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/httpmatch"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// taken is a match that an earlier place of a VirtualService has.
type taken struct {
	block, match int
	spec         *networking.HTTPMatchRequest
}

// repeatedMatches: a request is routed by the first match that holds, so that a match which an earlier one covers has no
// effect, and a block of nothing but such matches none either.
func (l *linter) repeatedMatches() {
	for _, v := range l.m.VirtualServices {
		if v.Object.Kind != "VirtualService" {
			continue
		}
		var before []taken
		for i, h := range v.Spec.Http {
			repeated := 0
			for j, m := range h.Match {
				by := slices.IndexFunc(before, func(t taken) bool { return httpmatch.Covers(t.spec, m) })
				if by < 0 {
					before = append(before, taken{i, j, m})
					continue
				}
				repeated++
				l.repeated(v, i, j, before[by])
			}
			if len(h.Match) > 0 && repeated == len(h.Match) {
				at := v.HTTP[i]
				l.add(at.Object, diag.Warning, "IST0130", "this route is never reached: earlier routes have all of its matches", "Remove it, or move it up.", "spec", "http", at.Index)
			}
		}
	}
}

func (l *linter) repeated(v *mesh.VirtualService, block, match int, by taken) {
	at, from := v.HTTP[block], v.HTTP[by.block]
	if at.Match != nil || from.Match != nil {
		return // of a delegate: its matches were joined with those of the root
	}
	d := at.Object.Finding(diag.Info, "IST0131", fmt.Sprintf("this match has no effect: match %d of route %d takes all of its requests", by.match+1, by.block+1), "Remove it, or move it up.", "spec", "http", at.Index, "match", match)
	d.Related = []diag.Related{{Pos: from.Object.Pos("spec", "http", from.Index, "match", by.match), Object: from.Object.Ref(), Message: "the match that comes first"}}
	l.found.Add(d)
}

// registries: a network that takes the endpoints of a cluster names one that has some.
func (l *linter) registries() {
	known := map[string]bool{"Kubernetes": true, l.m.Cluster: true}
	for _, s := range l.m.Services {
		for _, p := range s.Ports {
			for _, e := range p.Endpoints {
				known[e.Cluster] = true
			}
		}
	}
	for _, w := range l.m.Workloads {
		known[w.Cluster] = true
	}
	networks := l.m.Networks.GetNetworks()
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		for _, e := range networks[name].GetEndpoints() {
			if r := e.GetFromRegistry(); r != "" && !known[r] && l.m.Settings != nil {
				l.add(l.m.Settings, diag.Warning, "IST0126", fmt.Sprintf("network %s takes the endpoints of registry %s, and nothing in the source is in a cluster of this name", name, r),
					"Correct the name; a workload says its cluster by the label topology.istio.io/cluster.", "data", "meshNetworks")
			}
		}
	}
}
