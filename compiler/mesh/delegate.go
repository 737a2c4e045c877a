package mesh

import (
	"cmp"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/delegate"
	"github.com/meshc/meshc/compiler/httpmatch"
	"github.com/meshc/meshc/internal/diag"
)

// mergeDelegates replaces each http block of root that delegates by the blocks of the delegate, each narrowed by the
// root's match: the cross product of both match lists, without the pairs that cannot both hold. Each match of a block
// has to go with one of the root's; a block with a match that does not disappears whole, and that is reported.
func (m *Mesh) mergeDelegates(root *VirtualService, delegates map[string]*VirtualService, used map[*VirtualService]bool) diag.List {
	var findings diag.List
	var http []*networking.HTTPRoute
	var origins []RouteOrigin
	for i, h := range root.Spec.Http {
		if h.Delegate == nil {
			http, origins = append(http, h), append(origins, root.HTTP[i])
			continue
		}
		ns := h.Delegate.Namespace
		if ns == "" {
			ns = root.Object.Namespace
		}
		at := []any{"spec", "http", i, "delegate"}
		d := delegates[ns+"/"+h.Delegate.Name]
		if d == nil {
			findings.Add(root.Object.Finding(diag.Error, "IST0101", "the delegate VirtualService "+ns+"/"+h.Delegate.Name+" does not exist, or it has hosts of its own", cmp.Or(delegateHint(ns, h.Delegate.Name, delegates), "create it without hosts, or correct the name"), at...))
			continue
		}
		used[d] = true
		if !d.Visibility.In(root.Object.Namespace) {
			findings.Add(root.Object.Finding(diag.Error, "MESHC1231", "the delegate "+ns+"/"+h.Delegate.Name+" is not exported to namespace "+root.Object.Namespace, "add the namespace to the delegate's exportTo", at...))
			continue
		}
		for j, leaf := range d.Spec.Http {
			if leaf.Delegate != nil {
				findings.Add(d.Object.Finding(diag.Error, "MESHC1232", "a delegate may not delegate again", "route here, or delegate from the root", "spec", "http", j, "delegate"))
				continue
			}
			merged, match, lost := delegate.Merge(h, leaf)
			if lost != nil {
				f := d.Object.Finding(diag.Error, "MESHC1233", "this block is left out: its match "+strconv.Itoa(lost.Match)+" cannot hold together with any match of the root's block: "+lost.Why,
					"widen the root's match, or narrow the delegate's to what the root delegates", "spec", "http", j)
				f.Related = []diag.Related{{Pos: root.Object.Pos("spec", "http", i), Object: root.Object.Ref(), Message: "the root block"}}
				findings.Add(f)
				continue
			}
			findings.Add(droppedPairs(root, i, h, d, j, leaf)...)
			http = append(http, merged)
			origins = append(origins, RouteOrigin{Object: d.Object, Index: j, Match: match})
		}
	}
	root.Spec.Http, root.HTTP = http, origins
	return findings
}

// droppedPairs reports the pairs of matches that are left out of a block which others keep, though a request may meet both.
func droppedPairs(root *VirtualService, i int, h *networking.HTTPRoute, d *VirtualService, j int, leaf *networking.HTTPRoute) (out diag.List) {
	for l, lm := range leaf.Match {
		for r, rm := range h.Match {
			why := delegate.Conflict(rm, lm)
			if why == "" || httpmatch.Overlap(rm, lm) == httpmatch.Never {
				continue
			}
			f := d.Object.Finding(diag.Warning, "MESHC1233", "requests that meet this match and match "+strconv.Itoa(r)+" of the root's block do not come here, unless another pair takes them: the two are not joined, as both look at the same thing ("+why+")",
				"look at it in one of the two only", "spec", "http", j, "match", l)
			f.Related = []diag.Related{{Pos: root.Object.Pos("spec", "http", i, "match", r), Object: root.Object.Ref(), Message: "the root's match"}}
			out.Add(f)
		}
	}
	return out
}
