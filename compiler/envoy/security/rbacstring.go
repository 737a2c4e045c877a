package security

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

// anyValue matches every non-empty string, line breaks included.
const anyValue = "(?s).+"

// rbacString reads a value as AuthorizationPolicy writes it: "abc" exact, "abc*" prefix, "*abc" suffix, "*" any
// non-empty string. A star elsewhere is an ordinary character.
func rbacString(v string) *matcherv3.StringMatcher {
	switch {
	case v == "*":
		return rbacRegex(anyValue)
	case strings.HasPrefix(v, "*"):
		return rbacSuffix(v[1:])
	case strings.HasSuffix(v, "*"):
		return PrefixMatcher(v[:len(v)-1])
	default:
		return rbacExact(v)
	}
}

// rbacSPIFFE is rbacString for identities, which are written without their scheme spiffe://.
func rbacSPIFFE(v string) *matcherv3.StringMatcher {
	const scheme = "spiffe://"
	switch {
	case v == "*":
		return rbacRegex(anyValue)
	case strings.HasPrefix(v, "*"):
		return rbacRegex("(?s)" + scheme + ".*" + regexp.QuoteMeta(v[1:]))
	case strings.HasSuffix(v, "*"):
		return PrefixMatcher(scheme + v[:len(v)-1])
	default:
		return rbacExact(scheme + v)
	}
}

// rbacNamespace matches identities of a namespace; a star stands for any part of its name.
func rbacNamespace(ns string) *matcherv3.StringMatcher {
	return rbacRegex(".*/ns/" + globSegment(ns) + "/.*")
}

// rbacServiceAccount matches identities of a service account, written [namespace/]name. Further key/value pairs
// between and after namespace and account are part of the same identity.
func rbacServiceAccount(policyNamespace, v string) *matcherv3.StringMatcher {
	ns, sa, ok := strings.Cut(v, "/")
	if !ok {
		ns, sa = policyNamespace, v
	}
	return rbacRegex("spiffe://.+/ns/" + regexp.QuoteMeta(ns) + "/(.+/|)sa/" + regexp.QuoteMeta(sa) + "(/.+)?")
}

// rbacTrustDomain matches identities of a trust domain: exact, prefix*, *suffix or *.
func rbacTrustDomain(v string) *matcherv3.StringMatcher {
	switch {
	case v == "*":
		return PrefixMatcher("spiffe://")
	case strings.HasPrefix(v, "*"), strings.HasSuffix(v, "*"):
		return rbacRegex("spiffe://" + globSegment(v) + "/.*")
	default:
		return PrefixMatcher("spiffe://" + v + "/")
	}
}

// globSegment turns stars into "any characters of one path segment" and escapes all else.
func globSegment(v string) string {
	parts := strings.Split(v, "*")
	for i, p := range parts {
		parts[i] = regexp.QuoteMeta(p)
	}
	return strings.Join(parts, "[^/]*")
}

func rbacExact(v string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: v}}
}

func PrefixMatcher(v string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: v}}
}

func rbacSuffix(v string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: v}}
}

// rbacRegex matches the whole string; callers escape what comes from outside.
func rbacRegex(re string) *matcherv3.StringMatcher {
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: re}}}
}

// rbacHeader matches a request header; "*" asks for its presence.
func rbacHeader(name, v string) *routev3.HeaderMatcher {
	m := &routev3.HeaderMatcher{Name: name}
	if v == "*" {
		m.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}
		return m
	}
	m.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: rbacString(v)}
	return m
}

// rbacHost matches the :authority header, which has no case.
func rbacHost(v string) *routev3.HeaderMatcher {
	m := rbacHeader(":authority", v)
	if s := m.GetStringMatch(); s != nil {
		s.IgnoreCase = true
	}
	return m
}

// rbacHeaderName is what Envoy takes as the name of a header in a matcher.
func rbacHeaderName(name string) (string, error) {
	rest := strings.TrimPrefix(name, ":")
	if rest == "" {
		return "", fmt.Errorf("%q is no header name", name)
	}
	for _, c := range []byte(rest) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("!#$%&'*+-.^_|~`", c) >= 0:
		default:
			return "", fmt.Errorf("%q is no header name", name)
		}
	}
	return strings.ToLower(name), nil
}

// rbacMetadata matches a value of dynamic metadata at a path of keys.
func rbacMetadata(filter string, path []string, v *matcherv3.ValueMatcher) *matcherv3.MetadataMatcher {
	m := &matcherv3.MetadataMatcher{Filter: filter, Value: v}
	for _, k := range path {
		m.Path = append(m.Path, &matcherv3.MetadataMatcher_PathSegment{Segment: &matcherv3.MetadataMatcher_PathSegment_Key{Key: k}})
	}
	return m
}

func metadataString(m *matcherv3.StringMatcher) *matcherv3.ValueMatcher {
	return &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_StringMatch{StringMatch: m}}
}

func metadataList(m *matcherv3.StringMatcher) *matcherv3.ValueMatcher {
	return &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_ListMatch{ListMatch: &matcherv3.ListMatcher{
		MatchPattern: &matcherv3.ListMatcher_OneOf{OneOf: metadataString(m)}}}}
}

func metadataOr(ms ...*matcherv3.ValueMatcher) *matcherv3.ValueMatcher {
	return &matcherv3.ValueMatcher{MatchPattern: &matcherv3.ValueMatcher_OrMatch{OrMatch: &matcherv3.OrMatcher{ValueMatchers: ms}}}
}

// rbacCIDR reads an address or a CIDR.
func rbacCIDR(v string) (*corev3.CidrRange, error) {
	p, err := netip.ParsePrefix(v)
	if err != nil {
		a, err := netip.ParseAddr(v)
		if err != nil || a.Zone() != "" {
			return nil, fmt.Errorf("%q is neither an IP address nor a CIDR block", v)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 { // Envoy keeps addresses of IPv4 apart from those of IPv6
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return &corev3.CidrRange{AddressPrefix: p.Masked().Addr().String(), PrefixLen: xds.UInt32(uint32(p.Bits()))}, nil
}

// rbacPort reads a port of an AuthorizationPolicy.
func rbacPort(v string) (uint32, error) {
	n, err := strconv.ParseUint(v, 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q is no port from 1 to 65535", v)
	}
	return uint32(n), nil
}

// bracketed splits key[a][b] behind prefix into its names. Where that gives no names, all between the first bracket and
// the last is one name.
func bracketed(key, prefix string) ([]string, error) {
	all, opened := strings.CutPrefix(strings.TrimPrefix(key, prefix), "[")
	all, closed := strings.CutSuffix(all, "]")
	if !opened || !closed || all == "" {
		return nil, fmt.Errorf("%q needs a name in brackets, as in %s[name]", key, prefix)
	}
	names := strings.Split(all, "][")
	if slices.ContainsFunc(names, func(n string) bool { return n == "" || strings.ContainsAny(n, "[]") }) {
		names = []string{all}
	}
	return names, nil
}

// isPathTemplate tells whether a path uses {*} or {**}.
func isPathTemplate(v string) bool { return strings.Contains(v, "{*}") || strings.Contains(v, "{**}") }

// literalPath tells whether a path segment has only characters that Envoy's URI templates take between operators.
func literalPath(s string) bool {
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~%!$&'()+,;:@", c) >= 0) {
			return false
		}
	}
	return true
}

// pathTemplate turns a path with {*} (one segment) and {**} (any rest, last operator) into Envoy's URI template, and
// refuses what Envoy would refuse: it would reject the whole listener.
func pathTemplate(v string) (*uritemplatev3.UriTemplateMatchConfig, error) {
	if !strings.HasPrefix(v, "/") {
		return nil, fmt.Errorf("path template %q must start with /", v)
	}
	segments := strings.Split(v[1:], "/")
	rest := false
	for i, s := range segments {
		if rest && (s == "{*}" || s == "{**}") {
			return nil, fmt.Errorf("path template %q: {**} must be the last operator", v)
		}
		switch {
		case s == "{*}":
			segments[i] = "*"
		case s == "{**}":
			segments[i], rest = "**", true
		case !literalPath(s):
			return nil, fmt.Errorf("path template %q: %q is neither {*}, {**} nor plain text", v, s)
		}
	}
	if len(segments) > 0 && strings.Contains(v, "//") {
		return nil, fmt.Errorf("path template %q has an empty segment", v)
	}
	return &uritemplatev3.UriTemplateMatchConfig{PathTemplate: "/" + strings.Join(segments, "/")}, nil
}

// rbacPath matches the path of a request, without its query.
func rbacPath(v string) *matcherv3.PathMatcher {
	return &matcherv3.PathMatcher{Rule: &matcherv3.PathMatcher_Path{Path: rbacString(v)}}
}
