package security

import (
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	security "istio.io/api/security/v1beta1"
)

// Where jwt_authn leaves the claims of a verified token: filter and key of the dynamic metadata.
const (
	jwtFilter     = "envoy.filters.http.jwt_authn"
	jwtPayloadKey = "payload"
)

// principalCondition is one field of a source, or one when entry, that looks at who sends the request.
type principalCondition struct {
	field             string
	values, notValues []string
	path, notPath     []any
	httpOnly          bool
	token             bool // looks at a verified JWT
	identity          bool // looks at the certificate of the client
	forwarded         bool // looks at the address that proxies report
	globs             bool // a star stands for any characters wherever it is, not at one end only
	match             func(v string) (*rbacv3.Principal, error)
}

// principals lowers sources for one policy: namespace is its own, domains the trust domains of the mesh.
type principals struct {
	namespace string
	domains   []string
}

// sourceConditions lowers AuthorizationPolicy.rules[].from[].source.
func (p principals) sourceConditions(s *security.Source, at []any) []principalCondition {
	field := func(name string, values, not []string, match func(string) (*rbacv3.Principal, error)) principalCondition {
		notName := "not" + strings.ToUpper(name[:1]) + name[1:]
		return principalCondition{field: name, values: values, notValues: not, path: pathTo(at, name), notPath: pathTo(at, notName), match: match}
	}
	identity := func(c principalCondition) principalCondition {
		c.identity = true
		return c
	}
	token := field("requestPrincipals", s.GetRequestPrincipals(), s.GetNotRequestPrincipals(), requestPrincipal)
	token.httpOnly, token.token = true, true
	namespaces := identity(field("namespaces", s.GetNamespaces(), s.GetNotNamespaces(), namespacePrincipal))
	namespaces.globs = true
	remote := field("remoteIpBlocks", s.GetRemoteIpBlocks(), s.GetNotRemoteIpBlocks(), remoteIPPrincipal)
	remote.forwarded = true
	return []principalCondition{
		identity(field("principals", s.GetPrincipals(), s.GetNotPrincipals(), p.peer)),
		token,
		namespaces,
		identity(field("serviceAccounts", s.GetServiceAccounts(), s.GetNotServiceAccounts(), p.serviceAccount)),
		identity(field("trustDomains", s.GetTrustDomains(), s.GetNotTrustDomains(), p.trustDomain)),
		remote,
		field("ipBlocks", s.GetIpBlocks(), s.GetNotIpBlocks(), sourceIPPrincipal),
	}
}

// when lowers the keys of AuthorizationPolicy.rules[].when[] that look at the sender; ok is false for others.
func (p principals) when(key string) (c principalCondition, ok bool) {
	c = principalCondition{field: key}
	switch {
	case key == "source.ip":
		c.match = sourceIPPrincipal
	case key == "remote.ip":
		c.match, c.forwarded = remoteIPPrincipal, true
	case key == "source.namespace":
		c.match, c.identity, c.globs = namespacePrincipal, true, true
	case key == "source.principal":
		c.match, c.identity = p.peer, true
	case key == "source.serviceAccount":
		c.match, c.identity = p.serviceAccount, true
	case key == "source.trustDomain":
		c.match, c.identity = p.trustDomain, true
	case key == "request.auth.principal":
		c.match, c.httpOnly, c.token = requestPrincipal, true, true
	case key == "request.auth.audiences":
		c.match, c.httpOnly, c.token = claimPrincipal("aud"), true, true
	case key == "request.auth.presenter":
		c.match, c.httpOnly, c.token = claimPrincipal("azp"), true, true
	case strings.HasPrefix(key, "request.auth.claims"):
		c.match, c.httpOnly, c.token = func(v string) (*rbacv3.Principal, error) {
			names, err := bracketed(key, "request.auth.claims")
			if err != nil {
				return nil, err
			}
			return claimPrincipal(names...)(v)
		}, true, true
	case strings.HasPrefix(key, "request.headers"):
		c.match, c.httpOnly = func(v string) (*rbacv3.Principal, error) { return headerPrincipal(key, v) }, true
	default:
		return c, false
	}
	return c, true
}

// authenticated matches the identity of the client's certificate.
func authenticated(m *matcherv3.StringMatcher) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Authenticated_{Authenticated: &rbacv3.Principal_Authenticated{PrincipalName: m}}}
}

func (p principals) peer(v string) (*rbacv3.Principal, error) {
	var or []*rbacv3.Principal
	for _, e := range expandPrincipals([]string{v}, p.domains) {
		or = append(or, authenticated(rbacSPIFFE(e)))
	}
	return principalOr(or), nil
}

func (p principals) serviceAccount(v string) (*rbacv3.Principal, error) {
	return authenticated(rbacServiceAccount(p.namespace, v)), nil
}

func (p principals) trustDomain(v string) (*rbacv3.Principal, error) {
	var or []*rbacv3.Principal
	for _, e := range expandTrustDomains([]string{v}, p.domains) {
		or = append(or, authenticated(rbacTrustDomain(e)))
	}
	return principalOr(or), nil
}

func namespacePrincipal(v string) (*rbacv3.Principal, error) {
	return authenticated(rbacNamespace(v)), nil
}

func sourceIPPrincipal(v string) (*rbacv3.Principal, error) {
	c, err := rbacCIDR(v)
	if err != nil {
		return nil, err
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_DirectRemoteIp{DirectRemoteIp: c}}, nil
}

func remoteIPPrincipal(v string) (*rbacv3.Principal, error) {
	c, err := rbacCIDR(v)
	if err != nil {
		return nil, err
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_RemoteIp{RemoteIp: c}}, nil
}

func headerPrincipal(key, v string) (*rbacv3.Principal, error) {
	names, err := bracketed(key, "request.headers")
	if err != nil {
		return nil, err
	}
	name, err := rbacHeaderName(strings.Join(names, "]["))
	if err != nil {
		return nil, err
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Header{Header: rbacHeader(name, v)}}, nil
}

// requestPrincipal matches ISSUER/SUBJECT of a verified token. The issuer is often a URL, so the last slash divides; a
// star at one end leaves that end open, and a value without slash and with a star constrains only the other part.
func requestPrincipal(v string) (*rbacv3.Principal, error) {
	iss, sub := v, ""
	cut := strings.LastIndexByte(v, '/')
	if cut >= 0 {
		iss, sub = v[:cut], v[cut+1:]
	}
	any := rbacRegex(anyValue)
	matchIss, matchSub := rbacExact(iss), rbacExact(sub)
	switch {
	case v == "*":
		matchIss, matchSub = any, any
	case strings.HasPrefix(v, "*") && cut >= 0:
		if matchIss = any; iss != "*" {
			matchIss = rbacSuffix(iss[1:])
		}
	case strings.HasPrefix(v, "*"):
		matchIss, matchSub = any, rbacSuffix(v[1:])
	case strings.HasSuffix(v, "*") && cut >= 0:
		if matchSub = any; sub != "*" {
			matchSub = PrefixMatcher(sub[:len(sub)-1])
		}
	case strings.HasSuffix(v, "*"):
		matchIss, matchSub = PrefixMatcher(v[:len(v)-1]), any
	}
	return principalAnd([]*rbacv3.Principal{claim(metadataString(matchIss), "iss"), claim(metadataString(matchSub), "sub")}), nil
}

// claimPrincipal matches a claim that is a string or a list of strings.
func claimPrincipal(names ...string) func(string) (*rbacv3.Principal, error) {
	return func(v string) (*rbacv3.Principal, error) {
		return claim(metadataOr(metadataList(rbacString(v)), metadataString(rbacString(v))), names...), nil
	}
}

func claim(v *matcherv3.ValueMatcher, names ...string) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_SourcedMetadata{SourcedMetadata: &rbacv3.SourcedMetadata{
		MetadataMatcher: rbacMetadata(jwtFilter, append([]string{jwtPayloadKey}, names...), v)}}}
}

func principalAny() *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_Any{Any: true}}
}

func principalNot(p *rbacv3.Principal) *rbacv3.Principal {
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_NotId{NotId: p}}
}

// principalAnd and principalOr leave a single part as it is.
func principalAnd(ps []*rbacv3.Principal) *rbacv3.Principal {
	if len(ps) == 1 {
		return ps[0]
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_AndIds{AndIds: &rbacv3.Principal_Set{Ids: ps}}}
}

func principalOr(ps []*rbacv3.Principal) *rbacv3.Principal {
	if len(ps) == 1 {
		return ps[0]
	}
	return &rbacv3.Principal{Identifier: &rbacv3.Principal_OrIds{OrIds: &rbacv3.Principal_Set{Ids: ps}}}
}
