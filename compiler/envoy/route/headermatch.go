package route

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// claimHeader starts the header names that stand for claims of a validated JSON Web Token, as @request.auth.claims.iss
// and @request.auth.claims[realm_access][roles].
const claimHeader = "@request.auth.claims"

// matchHeaders lowers headers and withoutHeaders, then method, authority and scheme, which Envoy sees as pseudo headers.
func (b *httpBlock) matchHeaders(out *routev3.RouteMatch, in *networking.HTTPMatchRequest, m int) {
	add := func(field string, headers map[string]*networking.StringMatch, invert bool) {
		for _, name := range slices.Sorted(maps.Keys(headers)) {
			if claims := claimPath(name); claims != nil {
				b.reportClaim(field, name, m)
				d := claimMatch(claims, headers[name])
				d.Invert = invert
				out.DynamicMetadata = append(out.DynamicMetadata, d)
				continue
			}
			h := headerMatch(name, headers[name])
			h.InvertMatch = invert
			// A missing header does not have the value, so the inverted match takes the request.
			h.TreatMissingHeaderAsEmpty = invert && !presence(headers[name])
			out.Headers = append(out.Headers, h)
		}
	}
	add("headers", in.GetHeaders(), false)
	add("withoutHeaders", in.GetWithoutHeaders(), true)
	slices.SortStableFunc(out.Headers, func(x, y *routev3.HeaderMatcher) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range []struct {
		name string
		m    *networking.StringMatch
	}{{":method", in.GetMethod()}, {":authority", in.GetAuthority()}, {":scheme", in.GetScheme()}} {
		if p.m != nil {
			out.Headers = append(out.Headers, headerMatch(p.name, p.m))
		}
	}
}

func headerMatch(name string, in *networking.StringMatch) *routev3.HeaderMatcher {
	if presence(in) {
		return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}
	}
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: stringMatch(in)}}
}

// claimPath returns the path of a claim in the token, nil if the name is a plain header.
func claimPath(name string) []string {
	if len(name) <= len(claimHeader)+1 || !strings.EqualFold(name[:len(claimHeader)], claimHeader) {
		return nil
	}
	rest := name[len(claimHeader):]
	switch {
	case rest[0] == '.':
		return strings.Split(rest[1:], ".")
	case rest[0] == '[' && strings.HasSuffix(rest, "]"):
		return strings.Split(rest[1:len(rest)-1], "][")
	}
	return nil
}

// claimMatch matches a claim in the dynamic metadata that jwt_authn writes under the key payload. A claim may be a string
// or a list of strings; in a list one element must match.
func claimMatch(claims []string, in *networking.StringMatch) *matcherv3.MetadataMatcher {
	out := &matcherv3.MetadataMatcher{Filter: "envoy.filters.http.jwt_authn"}
	for _, k := range append([]string{"payload"}, claims...) {
		out.Path = append(out.Path, &matcherv3.MetadataMatcher_PathSegment{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: k}})
	}
	if presence(in) {
		out.Value = &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_PresentMatch{PresentMatch: true}}
		return out
	}
	one := &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: stringMatch(in)}}
	any := &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_ListMatch{ListMatch: &matcherv3.ListMatcher{
		MatchPattern: &matcherv3.ListMatcher_OneOf{OneOf: one}}}}
	out.Value = &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_OrMatch{OrMatch: &matcherv3.OrMatcher{
		ValueMatchers: []*matcherv3.ValueMatcher{one, any}}}}
	return out
}

// reportClaim reports a claim match on a sidecar: tokens are validated where requests arrive, not where they leave.
func (b *httpBlock) reportClaim(field, name string, m int) {
	if i := b.matchIndex(m); i >= 0 && !b.Claims {
		b.report(diag.Warning, codeClaimInMesh, "match."+field+` "`+name+`" is evaluated on gateways only: a sidecar does not validate tokens of requests that leave, so the claim is never there`,
			"bind the VirtualService to a gateway only, or match a header that the gateway sets with RequestAuthentication outputClaimToHeaders", "match", i, field, name)
	}
}
