package match

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// Explain says for each policy that does not match a call which of its conditions does not hold.
func Explain(rules *rbacv3.RBAC, c *Call) map[string]string {
	out := map[string]string{}
	for _, n := range slices.Sorted(maps.Keys(rules.GetPolicies())) {
		p := rules.GetPolicies()[n]
		if ok, err := matchPolicy(p, c); ok || err != nil {
			continue
		}
		out[n] = explain(p, c)
	}
	return out
}

func explain(p *rbacv3.Policy, c *Call) string {
	var why []string
	if ok, err := anyOf(p.GetPermissions(), func(x *rbacv3.Permission) (bool, error) { return matchPermission(x, c) }); !ok && err == nil {
		why = append(why, alternatives(p.GetPermissions(), func(x *rbacv3.Permission) string { return failedPermission(x, c) }))
	}
	if ok, err := anyOf(p.GetPrincipals(), func(x *rbacv3.Principal) (bool, error) { return matchPrincipal(x, c) }); !ok && err == nil {
		why = append(why, alternatives(p.GetPrincipals(), func(x *rbacv3.Principal) string { return failedPrincipal(x, c) }))
	}
	return strings.Join(why, ", and ")
}

// alternatives joins what each of several alternatives wants, without repeats.
func alternatives[T any](list []T, text func(T) string) string {
	var out []string
	for _, x := range list {
		if t := text(x); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	return strings.Join(out, "; or ")
}

// failedPermission describes the parts of a permission that do not hold.
func failedPermission(p *rbacv3.Permission, c *Call) string {
	if and := p.GetAndRules(); and != nil {
		var out []string
		for _, r := range and.GetRules() {
			if ok, err := matchPermission(r, c); !ok && err == nil {
				out = append(out, failedPermission(r, c))
			}
		}
		return strings.Join(out, " and ")
	}
	return permissionText(p, c)
}

func failedPrincipal(p *rbacv3.Principal, c *Call) string {
	if and := p.GetAndIds(); and != nil {
		var out []string
		for _, r := range and.GetIds() {
			if ok, err := matchPrincipal(r, c); !ok && err == nil {
				out = append(out, failedPrincipal(r, c))
			}
		}
		return strings.Join(out, " and ")
	}
	return principalText(p, c)
}

// permissionText says what a permission wants and what the call has. Without a call it only says the former.
func permissionText(p *rbacv3.Permission, c *Call) string {
	switch r := p.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		return Joined(r.AndRules.GetRules(), " and ", func(x *rbacv3.Permission) string { return permissionText(x, nil) })
	case *rbacv3.Permission_OrRules:
		return Joined(r.OrRules.GetRules(), " or ", func(x *rbacv3.Permission) string { return permissionText(x, nil) }) + permissionHas(r.OrRules.GetRules(), c)
	case *rbacv3.Permission_NotRule:
		if r.NotRule.GetAny() {
			return "matches nothing"
		}
		return "not (" + permissionText(r.NotRule, nil) + ")" + permissionHas([]*rbacv3.Permission{r.NotRule}, c)
	case *rbacv3.Permission_Any:
		return "anything"
	case *rbacv3.Permission_Header:
		return HeaderText(r.Header) + hasHeader(r.Header.GetName(), c)
	case *rbacv3.Permission_UrlPath:
		return "path " + StringText(r.UrlPath.GetPath()) + hasPath(c)
	case *rbacv3.Permission_UriTemplate:
		var t uritemplatev3.UriTemplateMatchConfig
		_ = r.UriTemplate.GetTypedConfig().UnmarshalTo(&t)
		return "path " + t.GetPathTemplate() + hasPath(c)
	case *rbacv3.Permission_DestinationPort:
		return fmt.Sprintf("port %d", r.DestinationPort) + hasPort(c)
	case *rbacv3.Permission_DestinationPortRange:
		return fmt.Sprintf("port %d-%d", r.DestinationPortRange.GetStart(), r.DestinationPortRange.GetEnd()-1) + hasPort(c)
	case *rbacv3.Permission_DestinationIp:
		return "destination " + cidrText(r.DestinationIp)
	case *rbacv3.Permission_RequestedServerName:
		return "server name " + StringText(r.RequestedServerName)
	case *rbacv3.Permission_SourcedMetadata:
		return MetadataText(r.SourcedMetadata.GetMetadataMatcher())
	}
	return "a condition that cannot be shown"
}

func principalText(p *rbacv3.Principal, c *Call) string {
	switch r := p.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		return Joined(r.AndIds.GetIds(), " and ", func(x *rbacv3.Principal) string { return principalText(x, nil) })
	case *rbacv3.Principal_OrIds:
		return Joined(r.OrIds.GetIds(), " or ", func(x *rbacv3.Principal) string { return principalText(x, nil) }) + principalHas(r.OrIds.GetIds(), c)
	case *rbacv3.Principal_NotId:
		if r.NotId.GetAny() {
			return "matches nobody"
		}
		return "not (" + principalText(r.NotId, nil) + ")" + principalHas([]*rbacv3.Principal{r.NotId}, c)
	case *rbacv3.Principal_Any:
		return "anybody"
	case *rbacv3.Principal_Authenticated_:
		if r.Authenticated.GetPrincipalName() == nil {
			return "any identity" + hasIdentity(c)
		}
		return "identity " + StringText(r.Authenticated.GetPrincipalName()) + hasIdentity(c)
	case *rbacv3.Principal_DirectRemoteIp:
		return "peer address " + cidrText(r.DirectRemoteIp) + hasAddress(c, false)
	case *rbacv3.Principal_RemoteIp:
		return "client address " + cidrText(r.RemoteIp) + hasAddress(c, true)
	case *rbacv3.Principal_Header:
		return HeaderText(r.Header) + hasHeader(r.Header.GetName(), c)
	case *rbacv3.Principal_UrlPath:
		return "path " + StringText(r.UrlPath.GetPath()) + hasPath(c)
	case *rbacv3.Principal_SourcedMetadata:
		return MetadataText(r.SourcedMetadata.GetMetadataMatcher())
	}
	return "a condition that cannot be shown"
}

// PermissionText says what a part of an access rule wants of the request, for people.
func PermissionText(p *rbacv3.Permission) string { return permissionText(p, nil) }

// PrincipalText says whom a part of an access rule takes, for people.
func PrincipalText(p *rbacv3.Principal) string { return principalText(p, nil) }

func Joined[T any](list []T, by string, text func(T) string) string {
	var out []string
	for _, x := range list {
		if t := text(x); !slices.Contains(out, t) {
			out = append(out, t)
		}
	}
	if len(out) > 1 {
		for i, t := range out {
			if by == " and " && strings.Contains(t, " or ") || by == " or " && strings.Contains(t, " and ") {
				out[i] = "(" + t + ")"
			}
		}
	}
	if len(out) > 4 {
		out = append(out[:4], fmt.Sprintf("%d more", len(out)-4))
	}
	return strings.Join(out, by)
}

// permissionHas and principalHas say what the call has, for a list of alternatives of one kind.
func permissionHas(list []*rbacv3.Permission, c *Call) string {
	if len(list) == 0 || c == nil {
		return ""
	}
	return suffix(permissionText(list[0], c), permissionText(list[0], nil))
}

func principalHas(list []*rbacv3.Principal, c *Call) string {
	if len(list) == 0 || c == nil {
		return ""
	}
	return suffix(principalText(list[0], c), principalText(list[0], nil))
}

func suffix(long, short string) string { return strings.TrimPrefix(long, short) }

func hasPath(c *Call) string {
	if c == nil {
		return ""
	}
	if !c.HTTP {
		return ", and this is no HTTP request"
	}
	return ", has " + c.BarePath()
}

func hasPort(c *Call) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(", has %d", c.Destination.Port())
}

func hasHeader(name string, c *Call) string {
	if c == nil {
		return ""
	}
	v, ok := c.Header(name)
	if !ok {
		return ", has none"
	}
	return ", has " + v
}

func hasIdentity(c *Call) string {
	switch {
	case c == nil:
		return ""
	case len(c.Principals) == 0:
		return ", has none (no mutual TLS)"
	}
	return ", has " + strings.Join(c.Principals, " and ")
}

func hasAddress(c *Call, remote bool) string {
	if c == nil {
		return ""
	}
	if remote {
		return ", has " + c.Remote.String()
	}
	return ", has " + c.Source.String()
}

// HeaderText says what a condition on a header wants, for people.
func HeaderText(m *routev3.HeaderMatcher) string {
	name := m.GetName()
	switch name {
	case ":method":
		name = "method"
	case ":authority":
		name = "host"
	default:
		name = "header " + name
	}
	not := ""
	if m.GetInvertMatch() {
		not = "not "
	}
	switch p := m.GetHeaderMatchSpecifier().(type) {
	case *routev3.HeaderMatcher_StringMatch:
		return name + " " + not + StringText(p.StringMatch)
	case *routev3.HeaderMatcher_PresentMatch:
		if p.PresentMatch == m.GetInvertMatch() {
			return name + " absent"
		}
	case *routev3.HeaderMatcher_RangeMatch:
		return fmt.Sprintf("%s %s%d-%d", name, not, p.RangeMatch.GetStart(), p.RangeMatch.GetEnd()-1)
	}
	return name + " present"
}

// StringText says which texts a matcher takes, for people: v*, *v, *v*, ~expression or the text itself.
func StringText(m *matcherv3.StringMatcher) string {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		return p.Exact
	case *matcherv3.StringMatcher_Prefix:
		return p.Prefix + "*"
	case *matcherv3.StringMatcher_Suffix:
		return "*" + p.Suffix
	case *matcherv3.StringMatcher_Contains:
		return "*" + p.Contains + "*"
	case *matcherv3.StringMatcher_SafeRegex:
		if re := p.SafeRegex.GetRegex(); re == "(?s).+" || re == ".+" {
			return "any"
		}
		return "~" + p.SafeRegex.GetRegex()
	}
	return "?"
}

func cidrText(r *corev3.CidrRange) string {
	return fmt.Sprintf("%s/%d", r.GetAddressPrefix(), r.GetPrefixLen().GetValue())
}

func MetadataText(m *matcherv3.MetadataMatcher) string {
	var path []string
	for _, p := range m.GetPath() {
		path = append(path, p.GetKey())
	}
	what := strings.Join(path, ".")
	if m.GetFilter() == TokenFilter && len(path) > 1 {
		what = "claim " + strings.Join(path[1:], ".")
	}
	return what + " " + valueText(m.GetValue())
}

func valueText(m *matcherv3.ValueMatcher) string {
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_StringMatch:
		return StringText(p.StringMatch)
	case *matcherv3.ValueMatcher_ListMatch:
		return valueText(p.ListMatch.GetOneOf())
	case *matcherv3.ValueMatcher_OrMatch:
		if len(p.OrMatch.GetValueMatchers()) > 0 {
			return valueText(p.OrMatch.GetValueMatchers()[0])
		}
	case *matcherv3.ValueMatcher_PresentMatch:
		return "present"
	}
	return "of some value"
}
