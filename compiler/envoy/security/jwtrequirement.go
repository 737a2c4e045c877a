package security

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/emptypb"
)

// jwtRequirementRule asks the same of every request: no token, or one that a provider accepts. A bad token is refused;
// that a token must be there is for an AuthorizationPolicy to say.
func jwtRequirementRule(providers []string) *jwtv3.RequirementRule {
	return &jwtv3.RequirementRule{
		Match:           &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		RequirementType: &jwtv3.RequirementRule_Requires{Requires: jwtRequirement(providers)},
	}
}

// jwtRequirement is any{p, missing} for one provider. For several it is any{p1 … pn, all{any{p1, missing} … any{pn,
// missing}}}: a request passes with a good token of one issuer even if its other places hold none, and a token that
// no provider takes is refused because the provider that finds it fails.
func jwtRequirement(providers []string) *jwtv3.JwtRequirement {
	if len(providers) == 1 {
		return jwtAny(jwtBy(providers[0]), jwtMissing())
	}
	var any, all []*jwtv3.JwtRequirement
	for _, p := range providers {
		any = append(any, jwtBy(p))
		all = append(all, jwtAny(jwtBy(p), jwtMissing()))
	}
	any = append(any, &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAll{RequiresAll: &jwtv3.JwtRequirementAndList{Requirements: all}}})
	return jwtAny(any...)
}

func jwtAny(rs ...*jwtv3.JwtRequirement) *jwtv3.JwtRequirement {
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAny{RequiresAny: &jwtv3.JwtRequirementOrList{Requirements: rs}}}
}

func jwtBy(provider string) *jwtv3.JwtRequirement {
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_ProviderName{ProviderName: provider}}
}

func jwtMissing() *jwtv3.JwtRequirement {
	return &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_AllowMissing{AllowMissing: &emptypb.Empty{}}}
}
