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

// place is where a match of a VirtualService stands.
type place struct{ block, match int }

// repeatedMatches: a request is routed by the first match that holds, so that a match all of whose requests earlier ones take
// has no effect, and a block of nothing but such matches none either.
func (l *linter) repeatedMatches() {
	order := httpmatch.NewOrder()
	for _, v := range l.m.VirtualServices {
		if v.Object.Kind != "VirtualService" {
			continue
		}
		var before []*networking.HTTPMatchRequest
		var places []place
		for i, h := range v.Spec.Http {
			repeated, behindAll, taker := 0, false, httpmatch.Left
			for j, m := range h.Match {
				by := order.Taken(m, before)
				if by == httpmatch.Left {
					before, places = append(before, m), append(places, place{i, j})
					continue
				}
				repeated++
				behindAll = behindAll || by >= 0 && httpmatch.Covers(before[by], &networking.HTTPMatchRequest{})
				taker = max(taker, by)
				l.repeated(v, place{i, j}, by, places)
			}
			if len(h.Match) > 0 && repeated == len(h.Match) && !behindAll { // behind a match for every request lowering says so
				at := v.HTTP[i]
				d := at.Object.Finding(diag.Warning, "IST0130", "this route is never reached: no request is left for any of its matches", "Remove it, or move it up.", "spec", "http", at.Index)
				if taker >= 0 {
					from := v.HTTP[places[taker].block]
					d.Related = []diag.Related{{Pos: from.Object.Pos("spec", "http", from.Index), Object: from.Object.Ref(), Message: "takes its requests"}}
				}
				l.found.Add(d)
			}
		}
	}
}

func (l *linter) repeated(v *mesh.VirtualService, p place, by int, before []place) {
	at := v.HTTP[p.block]
	if at.Match != nil {
		return // of a delegate: its matches were joined with those of the root
	}
	add := func(why, help string) *diag.Diagnostic {
		l.found.Add(at.Object.Finding(diag.Info, "IST0131", "this match has no effect: "+why, help, "spec", "http", at.Index, "match", p.match))
		return &l.found[len(l.found)-1]
	}
	switch by {
	case httpmatch.Nobody:
		add("no request meets it, whatever comes before it", "Correct what contradicts itself in it.")
	case httpmatch.Together:
		add("the matches before it take all of its requests together", "Remove it, or move it up.")
	default:
		first := before[by]
		from := v.HTTP[first.block]
		if from.Match != nil {
			return
		}
		d := add(fmt.Sprintf("match %d of route %d takes all of its requests", first.match+1, first.block+1), "Remove it, or move it up.")
		d.Related = []diag.Related{{Pos: from.Object.Pos("spec", "http", from.Index, "match", first.match), Object: from.Object.Ref(), Message: "the match that comes first"}}
	}
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
