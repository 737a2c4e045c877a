package route

import (
	"maps"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/internal/diag"
)

// applies evaluates what is known at compile time: HTTPMatchRequest.port, gateways, sourceLabels and sourceNamespace.
func (b *httpBlock) applies(m *networking.HTTPMatchRequest) bool {
	return m == nil || (m.GetPort() == 0 || m.GetPort() == b.Port) && b.Holds.Has(m)
}

// everything matches every request.
func everything() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

// match lowers HTTPMatchRequest to RouteMatch.
func (b *httpBlock) match(in *networking.HTTPMatchRequest, m int) *routev3.RouteMatch {
	out := everything()
	if in == nil {
		return out
	}
	b.reportMatch(in, m)
	switch u := in.GetUri().GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		out.PathSpecifier = &routev3.RouteMatch_Path{Path: u.Exact}
	case *networking.StringMatch_Prefix:
		out.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: u.Prefix}
	case *networking.StringMatch_Regex:
		out.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: regex(u.Regex)}
	}
	out.CaseSensitive = xds.Bool(!in.GetIgnoreUriCase())
	b.matchHeaders(out, in, m)
	for _, name := range slices.Sorted(maps.Keys(in.GetQueryParams())) {
		out.QueryParameters = append(out.QueryParameters, queryMatch(name, in.QueryParams[name]))
	}
	return out
}

func queryMatch(name string, in *networking.StringMatch) *routev3.QueryParameterMatcher {
	if presence(in) {
		return &routev3.QueryParameterMatcher{Name: name,
			QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: true}}
	}
	return &routev3.QueryParameterMatcher{Name: name,
		QueryParameterMatchSpecifier: &routev3.QueryParameterMatcher_StringMatch{StringMatch: stringMatch(in)}}
}

// presence tells whether a StringMatch only asks that the value is there: {} or regex "*", which is no RE2 expression.
// An empty prefix means the same and Envoy would refuse it.
func presence(in *networking.StringMatch) bool {
	switch m := in.GetMatchType().(type) {
	case nil:
		return true
	case *networking.StringMatch_Prefix:
		return m.Prefix == ""
	case *networking.StringMatch_Regex:
		return m.Regex == "*" || m.Regex == ""
	}
	return false
}

// stringMatch lowers StringMatch to StringMatcher.
func stringMatch(in *networking.StringMatch) *matcherv3.StringMatcher {
	switch m := in.GetMatchType().(type) {
	case *networking.StringMatch_Exact:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: m.Exact}}
	case *networking.StringMatch_Prefix:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: m.Prefix}}
	case *networking.StringMatch_Regex:
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(m.Regex)}}
	}
	return nil
}

// regex is an RE2 expression; Envoy matches it against the whole value.
func regex(re string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: re} }

// catchAll tells whether a route takes every request that reaches it.
func catchAll(r *routev3.Route) bool {
	m := r.GetMatch()
	all := false
	switch p := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		all = p.Prefix == "/"
	case *routev3.RouteMatch_PathSeparatedPrefix:
		all = p.PathSeparatedPrefix == "/"
	case *routev3.RouteMatch_SafeRegex:
		all = p.SafeRegex.GetRegex() == ".*" || p.SafeRegex.GetRegex() == "*"
	}
	return all && len(m.GetHeaders()) == 0 && len(m.GetQueryParameters()) == 0 && len(m.GetDynamicMetadata()) == 0
}

// reportMatch reports match fields that have no effect beside others.
func (b *httpBlock) reportMatch(in *networking.HTTPMatchRequest, m int) {
	i := b.matchIndex(m)
	if i < 0 {
		return
	}
	idle := func(field, why, help string) {
		b.report(diag.Warning, codeNoEffect, "match."+field+" has no effect: "+why, help, "match", i, field)
	}
	if len(in.GetGateways()) > 0 {
		const why = "match.gateways is set, and then the source of the request is not looked at"
		if len(in.GetSourceLabels()) > 0 {
			idle("sourceLabels", why, "split the match in two: one with gateways, one with sourceLabels")
		}
		if in.GetSourceNamespace() != "" {
			idle("sourceNamespace", why, "split the match in two: one with gateways, one with sourceNamespace")
		}
	}
	if in.GetIgnoreUriCase() {
		switch u := in.GetUri().GetMatchType().(type) {
		case nil:
			idle("ignoreUriCase", "the match has no uri", "add uri, or remove ignoreUriCase")
		case *networking.StringMatch_Regex:
			idle("ignoreUriCase", "it does not apply to a regular expression", "start the expression with (?i)")
		default:
			_ = u
		}
	}
}
