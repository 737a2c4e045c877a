package change

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/sets"
)

// Names of dimensions that package sets has no name for.
const (
	dimPath    = "path"
	dimMethod  = "method"
	dimHost    = "authority"
	dimSNI     = "sni"
	dimServer  = "server address"
	dimUnknown = "unknown:" // and the condition that cannot be decided
)

// tokenFilter is the filter that leaves claims in the metadata of a request.
const tokenFilter = "envoy.filters.http.jwt_authn"

// assumptions are what is known of all requests of a comparison, so that conditions on it are decided.
type assumptions struct {
	http      bool
	port      uint16
	sni       string
	secure    bool // HTTPS, as :scheme says
	token     *tokenCase
	server    netip.Addr // invalid: not known
	source    netip.Addr // of the client; invalid: not known
	peer      string     // the identity of the client, where there is one for all requests
	anonymous bool       // the client has no certificate
	plain     bool       // the proxy sees no certificate
	custom    sets.Cond  // when a CUSTOM policy matches
	host      string     // that is asked for

	trusted []sets.Cond // names in certificates that the workload takes
	dims    []string    // parts that a request may lack and that a condition asks for
	named   bool        // a condition asks for the host
}

// unknown is a condition that nobody can decide, but that is the same condition wherever it is written alike.
func unknown(what string, m proto.Message) sets.Cond {
	text := ""
	if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err == nil {
		text = " " + fingerprint(b)
	}
	return sets.In(dimUnknown+what+text, sets.OneOf("holds"))
}

func constant(v bool) sets.Cond {
	if v {
		return sets.Always()
	}
	return sets.Never()
}

func each[T any](list []T, f func(T) sets.Cond) []sets.Cond {
	out := make([]sets.Cond, len(list))
	for i, x := range list {
		out[i] = f(x)
	}
	return out
}

// matcherIn is a condition on a text.
func matcherIn(dim string, m *matcherv3.StringMatcher) sets.Cond {
	s, err := sets.Matcher(m)
	if err != nil {
		return unknown(err.Error(), m)
	}
	return sets.In(dim, s.Present())
}

// policyCond is the condition of one policy of an RBAC filter.
func (c *assumptions) policyCond(p *rbacv3.Policy) sets.Cond {
	if p.GetCondition() != nil || p.GetCheckedCondition() != nil {
		return unknown("an expression of CEL", p)
	}
	return sets.All(sets.Any(each(p.GetPermissions(), c.permission)...), sets.Any(each(p.GetPrincipals(), c.principal)...))
}

// policiesCond holds where one of the policies does.
func (c *assumptions) policiesCond(r *rbacv3.RBAC) sets.Cond {
	var out []sets.Cond
	for _, n := range slices.Sorted(maps.Keys(r.GetPolicies())) {
		out = append(out, c.policyCond(r.GetPolicies()[n]))
	}
	return sets.Any(out...)
}

func (c *assumptions) permission(p *rbacv3.Permission) sets.Cond {
	switch r := p.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		return sets.All(each(r.AndRules.GetRules(), c.permission)...)
	case *rbacv3.Permission_OrRules:
		return sets.Any(each(r.OrRules.GetRules(), c.permission)...)
	case *rbacv3.Permission_NotRule:
		return c.permission(r.NotRule).Not()
	case *rbacv3.Permission_Any:
		return constant(r.Any)
	case *rbacv3.Permission_Header:
		return c.header(r.Header)
	case *rbacv3.Permission_UrlPath:
		return c.urlPath(r.UrlPath)
	case *rbacv3.Permission_UriTemplate:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := r.UriTemplate.GetTypedConfig().UnmarshalTo(&t); err != nil {
			return unknown("a path template", p)
		}
		return c.template(t.GetPathTemplate())
	case *rbacv3.Permission_DestinationIp:
		if !c.server.IsValid() {
			return sets.In(dimServer, sets.Ranges(r.DestinationIp))
		}
		return constant(sets.Ranges(r.DestinationIp).Has(c.server))
	case *rbacv3.Permission_DestinationPort:
		return constant(r.DestinationPort == uint32(c.port))
	case *rbacv3.Permission_DestinationPortRange:
		n := int32(c.port)
		return constant(n >= r.DestinationPortRange.GetStart() && n < r.DestinationPortRange.GetEnd())
	case *rbacv3.Permission_RequestedServerName:
		s, err := sets.Matcher(r.RequestedServerName)
		if err != nil {
			return unknown("a server name", p)
		}
		return constant(s.Has(c.sni))
	case *rbacv3.Permission_SourcedMetadata:
		if r.SourcedMetadata.GetMetadataSource() != rbacv3.MetadataSource_DYNAMIC {
			return unknown("metadata of the route", p)
		}
		return c.metadata(r.SourcedMetadata.GetMetadataMatcher())
	case *rbacv3.Permission_Metadata:
		return c.metadata(r.Metadata) //nolint:staticcheck // Envoy honours it
	}
	return unknown(fmt.Sprintf("%T", p.GetRule()), p)
}

func (c *assumptions) principal(p *rbacv3.Principal) sets.Cond {
	switch r := p.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		return sets.All(each(r.AndIds.GetIds(), c.principal)...)
	case *rbacv3.Principal_OrIds:
		return sets.Any(each(r.OrIds.GetIds(), c.principal)...)
	case *rbacv3.Principal_NotId:
		return c.principal(r.NotId).Not()
	case *rbacv3.Principal_Any:
		return constant(r.Any)
	case *rbacv3.Principal_Authenticated_:
		if c.plain || c.anonymous {
			return sets.Never()
		}
		if c.peer != "" {
			s, err := sets.Matcher(cmp.Or(r.Authenticated.GetPrincipalName(), anyMatcher()))
			if err != nil {
				return unknown(err.Error(), p)
			}
			return constant(s.Has(c.peer))
		}
		if r.Authenticated.GetPrincipalName() == nil {
			return sets.In(sets.Principal, sets.AnyString())
		}
		return matcherIn(sets.Principal, r.Authenticated.GetPrincipalName())
	case *rbacv3.Principal_DirectRemoteIp:
		return c.from(sets.Ranges(r.DirectRemoteIp))
	case *rbacv3.Principal_RemoteIp:
		return c.from(sets.Ranges(r.RemoteIp)) // witnesses come without a proxy before them, so both are one
	case *rbacv3.Principal_Header:
		return c.header(r.Header)
	case *rbacv3.Principal_UrlPath:
		return c.urlPath(r.UrlPath)
	case *rbacv3.Principal_SourcedMetadata:
		if r.SourcedMetadata.GetMetadataSource() != rbacv3.MetadataSource_DYNAMIC {
			return unknown("metadata of the route", p)
		}
		return c.metadata(r.SourcedMetadata.GetMetadataMatcher())
	case *rbacv3.Principal_Metadata:
		return c.metadata(r.Metadata) //nolint:staticcheck // Envoy honours it
	}
	return unknown(fmt.Sprintf("%T", p.GetIdentifier()), p)
}

// from is a condition on the address of the client.
func (c *assumptions) from(s sets.Addresses) sets.Cond {
	if c.source.IsValid() {
		return constant(s.Has(c.source))
	}
	return sets.In(sets.Source, s)
}

// anyMatcher takes every text.
func anyMatcher() *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{}}
}

func (c *assumptions) urlPath(m *matcherv3.PathMatcher) sets.Cond {
	if !c.http {
		return sets.Never()
	}
	return matcherIn(dimPath, m.GetPath())
}

func (c *assumptions) template(t string) sets.Cond {
	s, err := sets.Template(t)
	switch {
	case !c.http:
		return sets.Never()
	case err != nil:
		return sets.In(dimUnknown+"path template "+t, sets.OneOf("holds"))
	}
	return sets.In(dimPath, s)
}

// header is a condition on a header or a part of a request that Envoy shows as one.
func (c *assumptions) header(m *routev3.HeaderMatcher) sets.Cond {
	s, err := sets.HeaderMatcher(m)
	if err != nil {
		return unknown(err.Error(), m)
	}
	name := strings.ToLower(m.GetName())
	switch {
	case !c.http:
		return constant(s.HasAbsent())
	case name == ":method":
		return sets.In(dimMethod, s)
	case name == ":authority" || name == "host":
		c.named = true
		return sets.In(dimHost, s)
	case name == ":scheme":
		return constant(s.Has(map[bool]string{true: "https", false: "http"}[c.secure]))
	case strings.HasPrefix(name, ":"):
		return unknown("a condition on "+name, m)
	}
	return c.optional("header:"+name, s)
}

// optional is a condition on a part that a request may lack.
func (c *assumptions) optional(dim string, s sets.Set) sets.Cond {
	c.note(dim)
	return sets.In(dim, s)
}

func (c *assumptions) note(dim string) {
	if !slices.Contains(c.dims, dim) {
		c.dims = append(c.dims, dim)
	}
}

// metadata is a condition on what filters before have left; claims are what a token has.
func (c *assumptions) metadata(m *matcherv3.MetadataMatcher) sets.Cond {
	if m.GetFilter() != tokenFilter || len(m.GetPath()) < 2 {
		return unknown("metadata of "+m.GetFilter(), m)
	}
	var path []string
	for _, p := range m.GetPath()[1:] {
		path = append(path, p.GetKey())
	}
	c.note(dimClaim + strings.Join(path, claimPath))
	c.note(dimClaims + strings.Join(path, claimPath))
	out := c.token.claim(m.GetPath()[0].GetKey(), path, m.GetValue())
	if m.GetInvert() {
		return out.Not()
	}
	return out
}

// routeCond is the condition of a route.
func (c *assumptions) routeCond(m *routev3.RouteMatch) sets.Cond {
	all := []sets.Cond{c.path(m)}
	if m.GetGrpc() != nil {
		grpc := sets.Exact("application/grpc", false).Or(sets.Prefix("application/grpc+", false)).Or(sets.Prefix("application/grpc;", false))
		all = append(all, c.optional("header:content-type", grpc))
	}
	all = append(all, each(m.GetHeaders(), c.header)...)
	all = append(all, each(m.GetQueryParameters(), c.query)...)
	all = append(all, each(m.GetDynamicMetadata(), c.metadata)...)
	if m.GetTlsContext().GetValidated() != nil {
		all = append(all, unknown("whether the certificate of the client is valid", m.GetTlsContext()))
	}
	if t := m.GetTlsContext(); t.GetPresented() != nil {
		there := sets.In(sets.Principal, sets.AnyString())
		if !t.GetPresented().GetValue() {
			there = there.Not()
		}
		all = append(all, there)
	}
	if f := m.GetRuntimeFraction(); f != nil {
		switch n := f.GetDefaultValue(); {
		case n.GetNumerator() == 0:
			return sets.Never()
		case n.GetNumerator() < map[int32]uint32{0: 100, 1: 10_000, 2: 1_000_000}[int32(n.GetDenominator())]:
			all = append(all, unknown("a share of the requests", f))
		}
	}
	if len(m.GetCookies()) > 0 {
		all = append(all, unknown("cookies", m))
	}
	if len(m.GetFilterState()) > 0 {
		all = append(all, unknown("filter state", m))
	}
	return sets.All(all...)
}

func (c *assumptions) path(m *routev3.RouteMatch) sets.Cond {
	fold := m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		if s.Prefix == "/" || s.Prefix == "" {
			return sets.Always()
		}
		return sets.In(dimPath, sets.Prefix(s.Prefix, fold))
	case *routev3.RouteMatch_Path:
		return sets.In(dimPath, sets.Exact(s.Path, fold))
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return sets.In(dimPath, sets.PathPrefix(s.PathSeparatedPrefix, fold))
	case *routev3.RouteMatch_SafeRegex:
		re, err := sets.Regex(s.SafeRegex.GetRegex())
		if err != nil {
			return unknown("the expression "+s.SafeRegex.GetRegex(), m)
		}
		return sets.In(dimPath, re)
	case *routev3.RouteMatch_ConnectMatcher_:
		return sets.In(dimMethod, sets.Exact("CONNECT", false))
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := s.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t); err == nil {
			return c.template(t.GetPathTemplate())
		}
	}
	return unknown("a condition on the path", m)
}

func (c *assumptions) query(m *routev3.QueryParameterMatcher) sets.Cond {
	dim := "query:" + m.GetName()
	c.note(dim)
	switch s := m.GetQueryParameterMatchSpecifier().(type) {
	case *routev3.QueryParameterMatcher_StringMatch:
		return matcherIn(dim, s.StringMatch)
	case *routev3.QueryParameterMatcher_PresentMatch:
		if !s.PresentMatch {
			return sets.In(dim, sets.Absent())
		}
	}
	return sets.In(dim, sets.AnyString())
}
