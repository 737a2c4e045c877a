package match

import (
	"maps"
	"slices"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
)

// Verdict is what one set of RBAC rules says about a call.
type Verdict struct {
	Allowed bool
	Policy  string // that matched first, in the order of names, as Envoy keeps them; "" when none did
}

// Authorize evaluates the rules of an RBAC filter. nil rules allow everything; LOG never stops a call.
func Authorize(rules *rbacv3.RBAC, c *Call) (Verdict, error) {
	if rules == nil {
		return Verdict{Allowed: true}, nil
	}
	hit := ""
	matched, err := anyOf(slices.Sorted(maps.Keys(rules.GetPolicies())), func(name string) (bool, error) {
		ok, err := matchPolicy(rules.GetPolicies()[name], c)
		if ok {
			hit = name
		}
		return ok, err
	})
	if err != nil && !matched {
		return Verdict{}, err
	}
	switch rules.GetAction() {
	case rbacv3.RBAC_ALLOW:
		return Verdict{Allowed: hit != "", Policy: hit}, nil
	case rbacv3.RBAC_DENY:
		return Verdict{Allowed: hit == "", Policy: hit}, nil
	default:
		return Verdict{Allowed: true, Policy: hit}, nil
	}
}

// Shadow evaluates the shadow rules of an RBAC filter and leaves the result in the metadata that later filters read.
func Shadow(rules *rbacv3.RBAC, filter, prefix string, c *Call) (Verdict, error) {
	if rules == nil {
		return Verdict{Allowed: true}, nil
	}
	v, err := Authorize(rules, c)
	if err != nil {
		return v, err
	}
	result := "allowed"
	if !v.Allowed {
		result = "denied"
	}
	c.SetMetadata(filter, prefix+"shadow_engine_result", result)
	if v.Policy != "" {
		c.SetMetadata(filter, prefix+"shadow_effective_policy_id", v.Policy)
	}
	return v, nil
}

func matchPolicy(p *rbacv3.Policy, c *Call) (bool, error) {
	if p.GetCondition() != nil || p.GetCheckedCondition() != nil {
		return false, &Unsupported{What: "RBAC condition"}
	}
	return AllOf([]func() (bool, error){
		func() (bool, error) {
			return anyOf(p.GetPermissions(), func(x *rbacv3.Permission) (bool, error) { return matchPermission(x, c) })
		},
		func() (bool, error) {
			return anyOf(p.GetPrincipals(), func(x *rbacv3.Principal) (bool, error) { return matchPrincipal(x, c) })
		},
	}, func(f func() (bool, error)) (bool, error) { return f() })
}

func matchPermission(p *rbacv3.Permission, c *Call) (bool, error) {
	each := func(x *rbacv3.Permission) (bool, error) { return matchPermission(x, c) }
	switch r := p.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		return AllOf(r.AndRules.GetRules(), each)
	case *rbacv3.Permission_OrRules:
		return anyOf(r.OrRules.GetRules(), each)
	case *rbacv3.Permission_NotRule:
		ok, err := matchPermission(r.NotRule, c)
		return !ok, err
	case *rbacv3.Permission_Any:
		return r.Any, nil
	case *rbacv3.Permission_Header:
		return Header(r.Header, c)
	case *rbacv3.Permission_UrlPath:
		if !c.HTTP {
			return false, nil
		}
		return String(r.UrlPath.GetPath(), c.BarePath())
	case *rbacv3.Permission_UriTemplate:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := r.UriTemplate.GetTypedConfig().UnmarshalTo(&t); err != nil {
			return false, NewUnsupported(r)
		}
		if !c.HTTP {
			return false, nil
		}
		return Template(t.GetPathTemplate(), c.BarePath())
	case *rbacv3.Permission_DestinationIp:
		return CIDR(r.DestinationIp, c.Destination.Addr(), "server")
	case *rbacv3.Permission_DestinationPort:
		return r.DestinationPort == uint32(c.Destination.Port()), nil
	case *rbacv3.Permission_DestinationPortRange:
		n := int32(c.Destination.Port())
		return n >= r.DestinationPortRange.GetStart() && n < r.DestinationPortRange.GetEnd(), nil
	case *rbacv3.Permission_RequestedServerName:
		return String(r.RequestedServerName, c.SNI)
	case *rbacv3.Permission_SourcedMetadata:
		if r.SourcedMetadata.GetMetadataSource() != rbacv3.MetadataSource_DYNAMIC {
			return false, NewUnsupported(r)
		}
		return Metadata(r.SourcedMetadata.GetMetadataMatcher(), c)
	}
	return false, NewUnsupported(p.GetRule())
}

func matchPrincipal(p *rbacv3.Principal, c *Call) (bool, error) {
	each := func(x *rbacv3.Principal) (bool, error) { return matchPrincipal(x, c) }
	switch r := p.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		return AllOf(r.AndIds.GetIds(), each)
	case *rbacv3.Principal_OrIds:
		return anyOf(r.OrIds.GetIds(), each)
	case *rbacv3.Principal_NotId:
		ok, err := matchPrincipal(r.NotId, c)
		return !ok, err
	case *rbacv3.Principal_Any:
		return r.Any, nil
	case *rbacv3.Principal_Authenticated_:
		if r.Authenticated.GetPrincipalName() == nil {
			return len(c.Principals) > 0, nil
		}
		return anyOf(c.Principals, func(id string) (bool, error) { return String(r.Authenticated.GetPrincipalName(), id) })
	case *rbacv3.Principal_DirectRemoteIp:
		return CIDR(r.DirectRemoteIp, c.Source, "peer")
	case *rbacv3.Principal_RemoteIp:
		return CIDR(r.RemoteIp, c.Remote, "client")
	case *rbacv3.Principal_Header:
		return Header(r.Header, c)
	case *rbacv3.Principal_UrlPath:
		if !c.HTTP {
			return false, nil
		}
		return String(r.UrlPath.GetPath(), c.BarePath())
	case *rbacv3.Principal_SourcedMetadata:
		if r.SourcedMetadata.GetMetadataSource() != rbacv3.MetadataSource_DYNAMIC {
			return false, NewUnsupported(r)
		}
		return Metadata(r.SourcedMetadata.GetMetadataMatcher(), c)
	}
	return false, NewUnsupported(p.GetIdentifier())
}
