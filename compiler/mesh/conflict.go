package mesh

import (
	"fmt"
	"slices"

	"github.com/meshc/meshc/internal/diag"
)

// hostConflicts reports the VirtualServices whose http routes no sidecar uses, because an older one has the same host and
// is seen by the same namespaces: sidecars take the first one for a host, only gateways merge. Routes of tcp and tls are
// merged everywhere.
func (c *checker) hostConflicts() {
	first := map[string][]*VirtualService{}
	for _, v := range c.m.VirtualServices {
		if len(v.Spec.Http) == 0 || len(v.Spec.Gateways) > 0 && !slices.Contains(v.Spec.Gateways, "mesh") {
			continue
		}
		for i, h := range v.Spec.Hosts {
			won := slices.IndexFunc(first[h], func(o *VirtualService) bool { return o.Visibility.overlaps(v.Visibility) })
			if won < 0 {
				if !slices.Contains(first[h], v) {
					first[h] = append(first[h], v)
				}
				continue
			}
			o := first[h][won]
			if o == v {
				continue
			}
			d := v.Object.Finding(diag.Error, "IST0109",
				fmt.Sprintf("VirtualService %s/%s has the host %s too, so sidecars never use these http routes for it", o.Object.Namespace, o.Object.Name, h),
				"join the routes of the two, make one a delegate of the other, or keep them apart with exportTo", "spec", "hosts", i)
			d.Related = []diag.Related{{Pos: o.Object.Pos("spec", "hosts"), Object: o.Object.Ref(), Message: "counts, as the older one or the first by name"}}
			c.findings.Add(d)
			w := o.Object.Finding(diag.Warning, "IST0109",
				fmt.Sprintf("VirtualService %s/%s has the host %s too, and its http routes are not used by sidecars, because these count", v.Object.Namespace, v.Object.Name, h),
				"join the routes of the two, make one a delegate of the other, or keep them apart with exportTo", "spec", "hosts")
			w.Related = []diag.Related{{Pos: v.Object.Pos("spec", "hosts", i), Object: v.Object.Ref(), Message: "without effect on sidecars"}}
			c.findings.Add(w)
		}
	}
}

// overlaps tells whether a namespace may see both.
func (v Visibility) overlaps(o Visibility) bool {
	if v.Public && o.Public {
		return true
	}
	if v.Public {
		v, o = o, v
	}
	for ns, in := range v.Namespaces {
		if in && o.In(ns) {
			return true
		}
	}
	return false
}
