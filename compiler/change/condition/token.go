package condition

import (
	"maps"
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/compiler/trace/match"
)

// Token is one of the finitely many kinds of tokens that the filters of two states can tell apart, besides their claims:
// none; one of an issuer, at a place, for an audience; one that is not valid. The nil case is none.
type Token struct {
	Issuer   string
	Audience string // "": the claim is free
	Place    string // header:NAME[:PREFIX], param:NAME, cookie:NAME
	Invalid  bool

	Payload string // key of the claims in the metadata, if the token was accepted
}

// otherIssuer is one that no provider has.
const otherIssuer = "https://issuer.example.org"

// claim is the condition that a claim of the request has a value. Without an accepted token there are no claims.
func (t *Token) claim(payload string, path []string, m *matcherv3.ValueMatcher) sets.Cond {
	if t == nil || t.Payload == "" || t.Payload != payload {
		p, ok := m.GetMatchPattern().(*matcherv3.ValueMatcher_PresentMatch)
		return constant(ok && !p.PresentMatch)
	}
	name := strings.Join(path, ClaimPath)
	fixed, is := map[string]string{"iss": t.Issuer, "aud": t.Audience}[name]
	return claimCond(m, name, fixed, is && fixed != "")
}

func claimCond(m *matcherv3.ValueMatcher, name, fixed string, is bool) sets.Cond {
	text := func(dim string, s *matcherv3.StringMatcher) sets.Cond {
		set, err := sets.Matcher(s)
		switch {
		case err != nil:
			return unknown(err.Error(), m)
		case is:
			return constant(set.Has(fixed))
		}
		return sets.In(dim+name, set.Present())
	}
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.ValueMatcher_StringMatch:
		return text(DimClaim, p.StringMatch)
	case *matcherv3.ValueMatcher_ListMatch:
		if s := p.ListMatch.GetOneOf().GetStringMatch(); s != nil {
			return text(DimClaims, s)
		}
	case *matcherv3.ValueMatcher_PresentMatch:
		switch {
		case is:
			return constant(p.PresentMatch)
		case p.PresentMatch:
			return sets.In(DimClaim+name, sets.AnyString())
		}
		return sets.In(DimClaim+name, sets.Absent())
	case *matcherv3.ValueMatcher_OrMatch:
		// A claim is a text or a list of texts: a condition that takes both is one on the text.
		texts := slices.DeleteFunc(slices.Clone(p.OrMatch.GetValueMatchers()), func(v *matcherv3.ValueMatcher) bool { return v.GetStringMatch() == nil })
		if len(texts) == 0 {
			texts = p.OrMatch.GetValueMatchers()
		}
		return sets.Any(each(texts, func(v *matcherv3.ValueMatcher) sets.Cond { return claimCond(v, name, fixed, is) })...)
	}
	return unknown("a claim of another kind", m)
}

// ClaimPath joins the names of a claim within a claim.
const ClaimPath = "\x1f"

// Dimensions of claims: a text, or an element of a list.
const (
	DimClaim  = "claim:"
	DimClaims = "claim list:"
)

// Tokens lists the kinds of tokens that the providers of some filters tell apart; the first is none.
func Tokens(filters ...*jwtv3.JwtAuthentication) []*Token {
	out := []*Token{nil}
	add := func(t Token) {
		if !slices.ContainsFunc(out, func(o *Token) bool { return o != nil && *o == t }) {
			out = append(out, &t)
		}
	}
	audiences := map[string]bool{}
	for _, f := range filters {
		for _, p := range f.GetProviders() {
			for _, a := range p.GetAudiences() {
				audiences[a] = true
			}
		}
	}
	for _, f := range filters {
		for _, name := range slices.Sorted(maps.Keys(f.GetProviders())) {
			p := f.GetProviders()[name]
			for _, place := range places(p) {
				add(Token{Issuer: p.GetIssuer(), Place: place})
				for _, a := range slices.Sorted(maps.Keys(audiences)) {
					add(Token{Issuer: p.GetIssuer(), Place: place, Audience: a})
				}
				add(Token{Issuer: p.GetIssuer(), Place: place, Invalid: true})
				add(Token{Issuer: otherIssuer, Place: place})
			}
		}
	}
	return out
}

// places are where a provider looks for tokens.
func places(p *jwtv3.JwtProvider) (out []string) {
	for _, h := range p.GetFromHeaders() {
		at := "header:" + strings.ToLower(h.GetName())
		if h.GetValuePrefix() != "" {
			at += ":" + strings.TrimSpace(h.GetValuePrefix())
		}
		out = append(out, at)
	}
	for _, n := range p.GetFromParams() {
		out = append(out, "param:"+n)
	}
	for _, n := range p.GetFromCookies() {
		out = append(out, "cookie:"+n)
	}
	if len(out) == 0 {
		out = []string{"header:authorization:Bearer"}
	}
	return out
}

// Claims are those of a token, for a filter or a witness.
func (t *Token) Claims() map[string]any {
	out := map[string]any{"iss": t.Issuer}
	if t.Audience != "" {
		out["aud"] = t.Audience
	}
	return out
}

// place puts a token into a request, where its case says.
func (t *Token) Put(text string, headers map[string][]string, path string) string {
	kind, name, _ := strings.Cut(t.Place, ":")
	switch kind {
	case "header":
		name, prefix, _ := strings.Cut(name, ":")
		if prefix != "" {
			text = prefix + " " + text
		}
		headers[name] = []string{text}
	case "cookie":
		headers["cookie"] = append(headers["cookie"], name+"="+text)
	case "param":
		by := "?"
		if strings.Contains(path, "?") {
			by = "&"
		}
		path += by + name + "=" + text
	}
	return path
}

// Judge runs a filter over a request with a token of this kind: the status of a refusal or 0, and the case as the filters
// behind see it.
func (t *Token) Judge(cfg *jwtv3.JwtAuthentication) (status int, after *Token, err error) {
	call := &match.Call{HTTP: true, Method: "GET", Authority: "example.org", Path: "/", Headers: map[string][]string{}}
	known := map[string]match.Token{}
	if t != nil {
		text, token, err := trace.ClaimsToken(t.Claims())
		if err != nil {
			return 0, nil, err
		}
		token.Valid = !t.Invalid
		known[text] = token
		call.Path = t.Put(text, call.Headers, call.Path)
	}
	if status, err = match.VerifyTokens(cfg, call, known); status != 0 || err != nil || t == nil {
		return status, t, err
	}
	one := *t
	for key := range call.Metadata[tokenFilter] {
		one.Payload = key
	}
	return 0, &one, nil
}
