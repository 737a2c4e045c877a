package change

import (
	"maps"
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
)

// tokenCase is one of the finitely many kinds of tokens that the filters of two states can tell apart, besides their claims:
// none; one of an issuer, at a place, for an audience; one that is not valid. The nil case is none.
type tokenCase struct {
	issuer   string
	audience string // "": the claim is free
	place    string // header:NAME[:PREFIX], param:NAME, cookie:NAME
	invalid  bool

	payload string // key of the claims in the metadata, if the token was accepted
}

// otherIssuer is one that no provider has.
const otherIssuer = "https://issuer.example.org"

// claim is the condition that a claim of the request has a value. Without an accepted token there are no claims.
func (t *tokenCase) claim(payload string, path []string, m *matcherv3.ValueMatcher) sets.Cond {
	if t == nil || t.payload == "" || t.payload != payload {
		p, ok := m.GetMatchPattern().(*matcherv3.ValueMatcher_PresentMatch)
		return constant(ok && !p.PresentMatch)
	}
	name := strings.Join(path, claimPath)
	fixed, is := map[string]string{"iss": t.issuer, "aud": t.audience}[name]
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
		return text(dimClaim, p.StringMatch)
	case *matcherv3.ValueMatcher_ListMatch:
		if s := p.ListMatch.GetOneOf().GetStringMatch(); s != nil {
			return text(dimClaims, s)
		}
	case *matcherv3.ValueMatcher_PresentMatch:
		switch {
		case is:
			return constant(p.PresentMatch)
		case p.PresentMatch:
			return sets.In(dimClaim+name, sets.AnyString())
		}
		return sets.In(dimClaim+name, sets.Absent())
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

// claimPath joins the names of a claim within a claim.
const claimPath = "\x1f"

// Dimensions of claims: a text, or an element of a list.
const (
	dimClaim  = "claim:"
	dimClaims = "claim list:"
)

// tokenCases lists the kinds of tokens that the providers of some filters tell apart; the first is none.
func tokenCases(filters ...*jwtv3.JwtAuthentication) []*tokenCase {
	out := []*tokenCase{nil}
	add := func(t tokenCase) {
		if !slices.ContainsFunc(out, func(o *tokenCase) bool { return o != nil && *o == t }) {
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
				add(tokenCase{issuer: p.GetIssuer(), place: place})
				for _, a := range slices.Sorted(maps.Keys(audiences)) {
					add(tokenCase{issuer: p.GetIssuer(), place: place, audience: a})
				}
				add(tokenCase{issuer: p.GetIssuer(), place: place, invalid: true})
				add(tokenCase{issuer: otherIssuer, place: place})
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

// claims are those of a token, for a filter or a witness.
func (t *tokenCase) claims() map[string]any {
	out := map[string]any{"iss": t.issuer}
	if t.audience != "" {
		out["aud"] = t.audience
	}
	return out
}

// place puts a token into a request, where its case says.
func (t *tokenCase) put(text string, headers map[string][]string, path string) string {
	kind, name, _ := strings.Cut(t.place, ":")
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

// judge runs a filter over a request with a token of this kind: the status of a refusal or 0, and the case as the filters
// behind see it.
func (t *tokenCase) judge(cfg *jwtv3.JwtAuthentication) (status int, after *tokenCase, err error) {
	call := &trace.Call{HTTP: true, Method: "GET", Authority: "example.org", Path: "/", Headers: map[string][]string{}}
	known := map[string]trace.Token{}
	if t != nil {
		text, token, err := trace.ClaimsToken(t.claims())
		if err != nil {
			return 0, nil, err
		}
		token.Valid = !t.invalid
		known[text] = token
		call.Path = t.put(text, call.Headers, call.Path)
	}
	if status, err = trace.VerifyTokens(cfg, call, known); status != 0 || err != nil || t == nil {
		return status, t, err
	}
	one := *t
	for key := range call.Metadata[tokenFilter] {
		one.payload = key
	}
	return 0, &one, nil
}

// tokenSettings are what a filter does besides refusing.
func (t *tokenCase) settings(cfg *jwtv3.JwtAuthentication, after *tokenCase) (out []setting) {
	for _, name := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		p := cfg.GetProviders()[name]
		out = append(out, setting{topic: topics.Grant, name: "takes tokens of the issuer", value: p.GetIssuer()})
		if t == nil || after.payload == "" || p.GetIssuer() != t.issuer {
			continue
		}
		if p.GetForward() {
			out = append(out, setting{topic: Routing, name: "forwards the token of", value: p.GetIssuer()})
		}
		if h := p.GetForwardPayloadHeader(); h != "" {
			out = append(out, setting{topic: Routing, name: "puts the claims of " + p.GetIssuer() + " into", value: h})
		}
		for _, h := range p.GetClaimToHeaders() {
			out = append(out, setting{topic: Routing, name: "puts claim " + h.GetClaimName() + " of " + p.GetIssuer() + " into", value: h.GetHeaderName()})
		}
	}
	return out
}
