package mesh

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

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
			merged, match, lost := mergeBlock(h, leaf)
			if lost != nil {
				f := d.Object.Finding(diag.Error, "MESHC1233", "this block is left out: its match "+strconv.Itoa(lost.index)+" cannot hold together with any match of the root's block: "+lost.why,
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
			why := conflict(rm, lm)
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

// lostMatch is a match of a delegate that goes with none of the root's.
type lostMatch struct {
	index int
	why   string
}

// mergeBlock merges one root block with one block of its delegate, unless a match of the delegate is lost. index tells
// for each match of the result which one of the delegate it is, -1 for one of the root alone.
func mergeBlock(root, leaf *networking.HTTPRoute) (merged *networking.HTTPRoute, index []int, lost *lostMatch) {
	matches, index, lost := mergeMatches(root.Match, leaf.Match)
	if lost != nil {
		return nil, nil, lost
	}
	out := proto.Clone(leaf).(*networking.HTTPRoute)
	out.Match = matches
	if out.Name == "" {
		out.Name = root.Name
	} else if root.Name != "" {
		out.Name = root.Name + "-" + out.Name
	}
	inheritBlock(out, root)
	return out, index, nil
}

// inheritBlock gives the merged block what only the root sets; a redirect is never inherited.
func inheritBlock(out, root *networking.HTTPRoute) {
	if out.Rewrite == nil {
		out.Rewrite = root.Rewrite
	}
	if out.DirectResponse == nil {
		out.DirectResponse = root.DirectResponse
	}
	if out.Timeout == nil {
		out.Timeout = root.Timeout
	}
	if out.Retries == nil {
		out.Retries = root.Retries
	}
	if out.Fault == nil {
		out.Fault = root.Fault
	}
	if out.Mirror == nil {
		out.Mirror = root.Mirror
	}
	if out.MirrorPercent == nil {
		out.MirrorPercent = root.MirrorPercent
	}
	if out.MirrorPercentage == nil {
		out.MirrorPercentage = root.MirrorPercentage
	}
	if out.CorsPolicy == nil {
		out.CorsPolicy = root.CorsPolicy
	}
	if out.Mirrors == nil {
		out.Mirrors = root.Mirrors
	}
	if out.Headers == nil {
		out.Headers = root.Headers
	}
}

// mergeMatches pairs the matches, in the order of the delegate's.
func mergeMatches(root, leaf []*networking.HTTPMatchRequest) (out []*networking.HTTPMatchRequest, index []int, lost *lostMatch) {
	if len(root) == 0 {
		for i := range leaf {
			index = append(index, i)
		}
		return leaf, index, nil
	}
	if len(leaf) == 0 {
		for range root {
			index = append(index, -1)
		}
		return root, index, nil
	}
	for i, l := range leaf {
		found, why := false, ""
		for _, r := range root {
			if w := conflict(r, l); w != "" {
				why = cmp.Or(why, w)
				continue
			}
			out, index, found = append(out, mergeMatch(r, l)), append(index, i), true
		}
		if !found {
			return nil, nil, &lostMatch{i, why}
		}
	}
	return out, index, nil
}

func mergeMatch(root, leaf *networking.HTTPMatchRequest) *networking.HTTPMatchRequest {
	out := proto.Clone(leaf).(*networking.HTTPMatchRequest)
	switch {
	case root.Name != "" && leaf.Name != "":
		out.Name = root.Name + "-" + leaf.Name
	case out.Name == "":
		out.Name = root.Name
	}
	if out.Uri == nil {
		out.Uri = root.Uri
	}
	if out.Scheme == nil {
		out.Scheme = root.Scheme
	}
	if out.Method == nil {
		out.Method = root.Method
	}
	if out.Authority == nil {
		out.Authority = root.Authority
	}
	out.Headers = mergeMap(root.Headers, leaf.Headers)
	out.WithoutHeaders = mergeMap(root.WithoutHeaders, leaf.WithoutHeaders)
	out.QueryParams = mergeMap(root.QueryParams, leaf.QueryParams)
	out.SourceLabels = mergeMap(root.SourceLabels, leaf.SourceLabels)
	if out.Port == 0 {
		out.Port = root.Port
	}
	if out.SourceNamespace == "" {
		out.SourceNamespace = root.SourceNamespace
	}
	if len(out.Gateways) == 0 {
		out.Gateways = root.Gateways
	}
	if len(out.StatPrefix) == 0 {
		out.StatPrefix = root.StatPrefix
	}
	out.IgnoreUriCase = root.IgnoreUriCase || leaf.IgnoreUriCase
	return out
}

func mergeMap[V any](root, leaf map[string]V) map[string]V {
	if len(root)+len(leaf) == 0 {
		return nil
	}
	out := map[string]V{}
	for k, v := range root {
		out[k] = v
	}
	for k, v := range leaf {
		out[k] = v
	}
	return out
}

// conflict says why a request cannot match both, "" when it can as far as Istio's rules look.
func conflict(root, leaf *networking.HTTPMatchRequest) string {
	switch {
	case root.IgnoreUriCase != leaf.IgnoreUriCase:
		return "ignoreUriCase differs"
	case stringConflict(root.Uri, leaf.Uri):
		return "uri"
	case stringConflict(root.Scheme, leaf.Scheme):
		return "scheme"
	case stringConflict(root.Method, leaf.Method):
		return "method"
	case stringConflict(root.Authority, leaf.Authority):
		return "authority"
	case root.Port > 0 && leaf.Port > 0 && root.Port != leaf.Port:
		return "port"
	case root.SourceNamespace != "" && root.SourceNamespace != leaf.SourceNamespace:
		return "sourceNamespace"
	}
	if at := namedConflict(root, leaf); at != "" {
		return at
	}
	return clientConflict(root, leaf)
}

// namedConflict names a header or parameter that the two cannot both match, or nothing.
func namedConflict(root, leaf *networking.HTTPMatchRequest) string {
	for _, pair := range [][2]map[string]*networking.StringMatch{{root.Headers, leaf.Headers}, {root.WithoutHeaders, leaf.WithoutHeaders}, {root.QueryParams, leaf.QueryParams}} {
		for _, k := range sortedKeys(pair[1]) {
			if r, ok := pair[0][k]; ok && stringConflict(r, pair[1][k]) {
				return "header or parameter " + k
			}
		}
	}
	return ""
}

// clientConflict names what keeps the two from being for the same clients, or nothing.
func clientConflict(root, leaf *networking.HTTPMatchRequest) string {
	for _, k := range sortedKeys(leaf.SourceLabels) {
		if r, ok := root.SourceLabels[k]; ok && r != leaf.SourceLabels[k] {
			return "sourceLabels " + k
		}
	}
	if len(root.Gateways) > 0 {
		if len(leaf.Gateways) > len(root.Gateways) {
			return "gateways"
		}
		for _, g := range leaf.Gateways {
			if !slices.Contains(root.Gateways, g) {
				return "gateways"
			}
		}
	}
	return ""
}

func stringConflict(root, leaf *networking.StringMatch) bool {
	if root == nil || leaf == nil {
		return false
	}
	if root.MatchType == nil || leaf.MatchType == nil {
		return true // presence on one side, a value on the other
	}
	if root.GetRegex() != "" || leaf.GetRegex() != "" {
		return true
	}
	switch r := root.MatchType.(type) {
	case *networking.StringMatch_Prefix:
		switch l := leaf.MatchType.(type) {
		case *networking.StringMatch_Prefix:
			return !strings.HasPrefix(l.Prefix, r.Prefix)
		case *networking.StringMatch_Exact:
			return !strings.HasPrefix(l.Exact, r.Prefix)
		}
	case *networking.StringMatch_Exact:
		if l, ok := leaf.MatchType.(*networking.StringMatch_Exact); ok {
			return l.Exact != r.Exact
		}
	}
	return true
}
