// Package delegate merges an http block of a root VirtualService with one of the delegate that it names, as Istio does.
//
// The matches of the outcome are the pairs of one match of each side that can hold together: what only one of the two asks for is asked
// for, and where both ask for the same thing, the delegate's has to be as narrow as the root's or narrower (a longer prefix, an exact text
// below a prefix, fewer gateways). Regular expressions are not compared: two of them, or one beside anything, cannot be
// joined. A match of the delegate that goes with none of the root's is lost, and with it the block. All else comes from the
// delegate, and from the root where the delegate is silent.
package delegate

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"
)

// Lost is a match of a delegate that goes with none of the root's.
type Lost struct {
	Match int    // its index
	Why   string // what it cannot hold together with
}

// Merge merges one root block with one block of its delegate, unless a match of the delegate is lost. index tells
// for each match of the result which one of the delegate it is, -1 for one of the root alone.
func Merge(root, leaf *networking.HTTPRoute) (merged *networking.HTTPRoute, index []int, lost *Lost) {
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
func mergeMatches(root, leaf []*networking.HTTPMatchRequest) (out []*networking.HTTPMatchRequest, index []int, lost *Lost) {
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
			if w := Conflict(r, l); w != "" {
				why = cmp.Or(why, w)
				continue
			}
			out, index, found = append(out, mergeMatch(r, l)), append(index, i), true
		}
		if !found {
			return nil, nil, &Lost{i, why}
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

// Conflict says why a request cannot match both, "" when it can as far as Istio's rules look.
func Conflict(root, leaf *networking.HTTPMatchRequest) string {
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
		for _, k := range keys(pair[1]) {
			if r, ok := pair[0][k]; ok && stringConflict(r, pair[1][k]) {
				return "header or parameter " + k
			}
		}
	}
	return ""
}

// clientConflict names what keeps the two from being for the same clients, or nothing.
func clientConflict(root, leaf *networking.HTTPMatchRequest) string {
	for _, k := range keys(leaf.SourceLabels) {
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

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
