// Package condition makes sets of requests of what Envoy's matchers ask for: of routes, of the policies of RBAC filters, of claims
// of tokens.
//
// A request is a point in a space whose dimensions are its parts (package sets): method, path, authority, each header and query
// parameter that is asked for, the addresses of client and server, the identity in the certificate of the client, the claims of its
// token. A matcher becomes a condition on one dimension, and nesting becomes union, intersection and complement. What is the same
// for all requests of a comparison is no dimension: Assumptions hold it, and conditions on it are decided at once, so that they are
// all or nothing. What nobody can decide from the configuration (CEL, runtime fractions, cookies) is a dimension of its own, named by
// the condition, so that two sides that ask alike agree on it.
//
// Tokens are infinitely many and filters tell few apart: by issuer, place, audience and validity. Tokens lists one of each
// kind that some filters distinguish; claims besides these are dimensions.
package condition

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
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
	DimPath    = "path"
	DimMethod  = "method"
	DimHost    = "authority"
	dimServer  = "server address"
	DimUnknown = "unknown:" // and the condition that cannot be decided
)

// tokenFilter is the filter that leaves claims in the metadata of a request.
const tokenFilter = "envoy.filters.http.jwt_authn"

// Assumptions are what is known of all requests of a comparison, so that conditions on it are decided.
type Assumptions struct {
	HTTP   bool
	Port   uint16
	SNI    string
	Secure bool // HTTPS, as :scheme says
	Token  *Token
	Server netip.Addr // invalid: not known

	AsksServer bool       // a condition asks for its address
	AsksPort   bool       // a condition asks for the port
	AsksSNI    bool       // a condition or a choice asks for the server name
	Source     netip.Addr // of the client; invalid: not known
	Peer       string     // the identity of the client, where there is one for all requests
	Anonymous  bool       // the client has no certificate
	Plain      bool       // the proxy sees no certificate
	Custom     sets.Cond  // when a CUSTOM policy matches
	Host       string     // that is asked for

	Trusted  []sets.Cond // names in certificates that the workload takes
	Optional []string    // parts that a request may lack and that a condition asks for
	AsksHost bool        // a condition asks for the host
}

// unknown is a condition that nobody can decide, but that is the same condition wherever it is written alike.
func unknown(what string, m proto.Message) sets.Cond {
	text := ""
	if b, err := (proto.MarshalOptions{Deterministic: true}).Marshal(m); err == nil {
		text = " " + Fingerprint(b)
	}
	return sets.In(DimUnknown+what+text, sets.OneOf("holds"))
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

// MatcherIn is a condition on a text.
func MatcherIn(dim string, m *matcherv3.StringMatcher) sets.Cond {
	s, err := sets.Matcher(m)
	if err != nil {
		return unknown(err.Error(), m)
	}
	return sets.In(dim, s.Present())
}

// policy is the condition of one policy of an RBAC filter.
func (c *Assumptions) policy(p *rbacv3.Policy) sets.Cond {
	if p.GetCondition() != nil || p.GetCheckedCondition() != nil {
		return unknown("an expression of CEL", p)
	}
	return sets.All(sets.Any(each(p.GetPermissions(), c.permission)...), sets.Any(each(p.GetPrincipals(), c.principal)...))
}

// Policies holds where one of the policies does.
func (c *Assumptions) Policies(r *rbacv3.RBAC) sets.Cond {
	var out []sets.Cond
	for _, n := range slices.Sorted(maps.Keys(r.GetPolicies())) {
		out = append(out, c.policy(r.GetPolicies()[n]))
	}
	return sets.Any(out...)
}

func (c *Assumptions) permission(p *rbacv3.Permission) sets.Cond {
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
		c.AsksServer = true
		if !c.Server.IsValid() {
			return sets.In(dimServer, sets.Ranges(r.DestinationIp))
		}
		return constant(sets.Ranges(r.DestinationIp).Has(c.Server))
	case *rbacv3.Permission_DestinationPort:
		c.AsksPort = true
		return constant(r.DestinationPort == uint32(c.Port))
	case *rbacv3.Permission_DestinationPortRange:
		c.AsksPort = true
		n := int32(c.Port)
		return constant(n >= r.DestinationPortRange.GetStart() && n < r.DestinationPortRange.GetEnd())
	case *rbacv3.Permission_RequestedServerName:
		c.AsksSNI = true
		s, err := sets.Matcher(r.RequestedServerName)
		if err != nil {
			return unknown("a server name", p)
		}
		return constant(s.Has(c.SNI))
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

func (c *Assumptions) principal(p *rbacv3.Principal) sets.Cond {
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
		if c.Plain || c.Anonymous {
			return sets.Never()
		}
		if c.Peer != "" {
			s, err := sets.Matcher(cmp.Or(r.Authenticated.GetPrincipalName(), anyMatcher()))
			if err != nil {
				return unknown(err.Error(), p)
			}
			return constant(s.Has(c.Peer))
		}
		if r.Authenticated.GetPrincipalName() == nil {
			return sets.In(sets.Principal, sets.AnyString())
		}
		return MatcherIn(sets.Principal, r.Authenticated.GetPrincipalName())
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
func (c *Assumptions) from(s sets.Addresses) sets.Cond {
	if c.Source.IsValid() {
		return constant(s.Has(c.Source))
	}
	return sets.In(sets.Source, s)
}

// anyMatcher takes every text.
func anyMatcher() *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{}}
}

func (c *Assumptions) urlPath(m *matcherv3.PathMatcher) sets.Cond {
	if !c.HTTP {
		return sets.Never()
	}
	return MatcherIn(DimPath, m.GetPath())
}

func (c *Assumptions) template(t string) sets.Cond {
	s, err := sets.Template(t)
	switch {
	case !c.HTTP:
		return sets.Never()
	case err != nil:
		return sets.In(DimUnknown+"path template "+t, sets.OneOf("holds"))
	}
	return sets.In(DimPath, s)
}

// header is a condition on a header or a part of a request that Envoy shows as one.
func (c *Assumptions) header(m *routev3.HeaderMatcher) sets.Cond {
	s, err := sets.HeaderMatcher(m)
	if err != nil {
		return unknown(err.Error(), m)
	}
	name := strings.ToLower(m.GetName())
	switch {
	case !c.HTTP:
		return constant(s.HasAbsent())
	case name == ":method":
		return sets.In(DimMethod, s)
	case name == ":authority" || name == "host":
		c.AsksHost = true
		return sets.In(DimHost, s)
	case name == ":scheme":
		return constant(s.Has(map[bool]string{true: "https", false: "http"}[c.Secure]))
	case strings.HasPrefix(name, ":"):
		return unknown("a condition on "+name, m)
	}
	return c.optional("header:"+name, s)
}

// optional is a condition on a part that a request may lack.
func (c *Assumptions) optional(dim string, s sets.Set) sets.Cond {
	c.note(dim)
	return sets.In(dim, s)
}

func (c *Assumptions) note(dim string) {
	if !slices.Contains(c.Optional, dim) {
		c.Optional = append(c.Optional, dim)
	}
}

// metadata is a condition on what filters before have left; claims are what a token has.
func (c *Assumptions) metadata(m *matcherv3.MetadataMatcher) sets.Cond {
	if m.GetFilter() != tokenFilter || len(m.GetPath()) < 2 {
		return unknown("metadata of "+m.GetFilter(), m)
	}
	var path []string
	for _, p := range m.GetPath()[1:] {
		path = append(path, p.GetKey())
	}
	c.note(DimClaim + strings.Join(path, ClaimPath))
	c.note(DimClaims + strings.Join(path, ClaimPath))
	out := c.Token.claim(m.GetPath()[0].GetKey(), path, m.GetValue())
	if m.GetInvert() {
		return out.Not()
	}
	return out
}

// Route is the condition of a route.
func (c *Assumptions) Route(m *routev3.RouteMatch) sets.Cond {
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

func (c *Assumptions) path(m *routev3.RouteMatch) sets.Cond {
	fold := m.GetCaseSensitive() != nil && !m.GetCaseSensitive().GetValue()
	switch s := m.GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		if s.Prefix == "/" || s.Prefix == "" {
			return sets.Always()
		}
		return sets.In(DimPath, sets.Prefix(s.Prefix, fold))
	case *routev3.RouteMatch_Path:
		return sets.In(DimPath, sets.Exact(s.Path, fold))
	case *routev3.RouteMatch_PathSeparatedPrefix:
		return sets.In(DimPath, sets.PathPrefix(s.PathSeparatedPrefix, fold))
	case *routev3.RouteMatch_SafeRegex:
		re, err := sets.Regex(s.SafeRegex.GetRegex())
		if err != nil {
			return unknown("the expression "+s.SafeRegex.GetRegex(), m)
		}
		return sets.In(DimPath, re)
	case *routev3.RouteMatch_ConnectMatcher_:
		return sets.In(DimMethod, sets.Exact("CONNECT", false))
	case *routev3.RouteMatch_PathMatchPolicy:
		var t uritemplatev3.UriTemplateMatchConfig
		if err := s.PathMatchPolicy.GetTypedConfig().UnmarshalTo(&t); err == nil {
			return c.template(t.GetPathTemplate())
		}
	}
	return unknown("a condition on the path", m)
}

func (c *Assumptions) query(m *routev3.QueryParameterMatcher) sets.Cond {
	dim := "query:" + m.GetName()
	c.note(dim)
	switch s := m.GetQueryParameterMatchSpecifier().(type) {
	case *routev3.QueryParameterMatcher_StringMatch:
		return MatcherIn(dim, s.StringMatch)
	case *routev3.QueryParameterMatcher_PresentMatch:
		if !s.PresentMatch {
			return sets.In(dim, sets.Absent())
		}
	}
	return sets.In(dim, sets.AnyString())
}

// Fingerprint is a short name of some bytes.
func Fingerprint(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:12])
}
