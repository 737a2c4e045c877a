package security

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	"google.golang.org/protobuf/types/known/emptypb"
)

// jwtDemand is a provider, and whether every request needs a token of it.
type jwtDemand struct {
	provider string
	required bool
}

// jwtRequirementRule asks the same of every request: no token, or one that a provider accepts, and one of each provider
// that is required. A bad token is refused.
func jwtRequirementRule(demands []jwtDemand) *jwtv3.RequirementRule {
	return &jwtv3.RequirementRule{
		Match:           &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		RequirementType: &jwtv3.RequirementRule_Requires{Requires: jwtRequirement(demands)},
	}
}

// jwtRequirement is any{p, missing} for one provider. For several it is any{p1 … pn, all{any{p1, missing} … any{pn,
// missing}}}: a request passes with a good token of one issuer even if its other places hold none, and a token that
// no provider takes is refused because the provider that finds it fails. Where a provider is required it stands without
// missing, and there is no way around the list of all: a token of another issuer does not make up for it.
func jwtRequirement(demands []jwtDemand) *jwtv3.JwtRequirement {
	var any, all []*jwtv3.JwtRequirement
	required := false
	for _, d := range demands {
		any = append(any, jwtBy(d.provider))
		if d.required {
			required = true
			all = append(all, jwtBy(d.provider))
			continue
		}
		all = append(all, jwtAny(jwtBy(d.provider), jwtMissing()))
	}
	if len(all) == 1 {
		return all[0]
	}
	list := &jwtv3.JwtRequirement{RequiresType: &jwtv3.JwtRequirement_RequiresAll{RequiresAll: &jwtv3.JwtRequirementAndList{Requirements: all}}}
	if required {
		return list
	}
	return jwtAny(append(any, list)...)
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
