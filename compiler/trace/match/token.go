package match

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
)

const TokenFilter = "envoy.filters.http.jwt_authn"

// Token is what a caller knows about a bearer token: its claims, whether its signature verifies, and whether its time is
// over.
type Token struct {
	Claims  map[string]any
	Valid   bool
	Expired bool
}

// TokenStatus is the outcome for one requirement.
type TokenStatus int

const (
	TokenOK TokenStatus = iota
	TokenMissing
	TokenUnknownIssuer
	TokenBad
	TokenOtherAudience
)

// VerifyTokens runs a JwtAuthentication filter over a call. Tokens are known by their text; a text that is not known is
// a bad token. The result is the HTTP status of a refusal, 401 or 403 for a good token meant for somebody else, and 0 when
// the call goes on; claims of good tokens are then left in its metadata and headers.
func VerifyTokens(cfg *jwtv3.JwtAuthentication, c *Call, known map[string]Token) (int, error) {
	s, err := JudgeTokens(cfg, c, known)
	switch {
	case s == TokenOK || err != nil:
		return 0, err
	case s == TokenOtherAudience:
		return http.StatusForbidden, nil
	}
	return http.StatusUnauthorized, nil
}

// JudgeTokens is what the filter finds of the tokens of a call.
func JudgeTokens(cfg *jwtv3.JwtAuthentication, c *Call, known map[string]Token) (TokenStatus, error) {
	if cfg.GetBypassCorsPreflight() && c.Method == "OPTIONS" {
		_, origin := c.Header("origin")
		_, method := c.Header("access-control-request-method")
		if origin && method {
			return TokenOK, nil
		}
	}
	for _, rule := range cfg.GetRules() {
		prefix := rule.GetMatch().GetPrefix()
		if prefix == "" || rule.GetRequires() == nil || len(rule.GetMatch().GetHeaders()) > 0 {
			return TokenBad, &Unsupported{What: "requirement rule of jwt_authn"}
		}
		if strings.HasPrefix(c.BarePath(), prefix) {
			sanitize(cfg, c)
			v := &tokens{cfg: cfg, call: c, known: known}
			return v.requirement(rule.GetRequires())
		}
	}
	return TokenOK, nil
}

// sanitize removes the headers that any provider would set, as Envoy does, so that no client can forge them.
func sanitize(cfg *jwtv3.JwtAuthentication, c *Call) {
	for _, p := range cfg.GetProviders() {
		if h := p.GetForwardPayloadHeader(); h != "" {
			c.SetHeader(h)
		}
		for _, h := range p.GetClaimToHeaders() {
			c.SetHeader(h.GetHeaderName())
		}
	}
}

type tokens struct {
	cfg   *jwtv3.JwtAuthentication
	call  *Call
	known map[string]Token
}

func (v *tokens) requirement(r *jwtv3.JwtRequirement) (TokenStatus, error) {
	switch q := r.GetRequiresType().(type) {
	case *jwtv3.JwtRequirement_ProviderName:
		return v.provider(v.cfg.GetProviders()[q.ProviderName]), nil
	case *jwtv3.JwtRequirement_RequiresAny:
		return v.any(q.RequiresAny.GetRequirements())
	case *jwtv3.JwtRequirement_RequiresAll:
		for _, x := range q.RequiresAll.GetRequirements() {
			if s, err := v.requirement(x); s != TokenOK || err != nil {
				return s, err
			}
		}
		return TokenOK, nil
	}
	return TokenBad, NewUnsupported(r.GetRequiresType())
}

func (v *tokens) any(rs []*jwtv3.JwtRequirement) (TokenStatus, error) {
	outcome, missing := TokenMissing, false
	for _, r := range rs {
		if r.GetAllowMissing() != nil {
			missing = true
			continue
		}
		s, err := v.requirement(r)
		if s == TokenOK || err != nil {
			return s, err
		}
		// A token that is looked at and refused says more than one that is not there or of another issuer.
		if s > TokenUnknownIssuer || outcome <= TokenUnknownIssuer {
			outcome = max(s, min(outcome, TokenUnknownIssuer))
		}
	}
	if missing && outcome == TokenMissing {
		return TokenOK, nil
	}
	return outcome, nil
}

// found is a token at one of the places a provider looks at.
type found struct{ text, header, param string }

// provider verifies all tokens it finds; all must be good.
func (v *tokens) provider(p *jwtv3.JwtProvider) TokenStatus {
	at := v.find(p)
	if len(at) == 0 {
		return TokenMissing
	}
	for _, f := range at {
		t, ok := v.known[f.text]
		issuer, _ := t.Claims["iss"].(string)
		switch {
		case !ok:
			return TokenBad
		case p.GetIssuer() != "" && issuer != p.GetIssuer():
			return TokenUnknownIssuer
		case t.Expired:
			return TokenBad
		case len(p.GetAudiences()) > 0 && !hasAudience(t.Claims["aud"], p.GetAudiences()):
			return TokenOtherAudience
		case !t.Valid:
			return TokenBad
		}
		v.accept(p, t, f)
	}
	return TokenOK
}

func hasAudience(aud any, want []string) bool {
	list, ok := aud.([]any)
	if !ok {
		list = []any{aud}
	}
	return slices.ContainsFunc(list, func(x any) bool {
		s, _ := x.(string)
		return slices.Contains(want, s)
	})
}

// accept leaves the claims where later filters and the application find them.
func (v *tokens) accept(p *jwtv3.JwtProvider, t Token, f found) {
	if p.GetPayloadInMetadata() != "" {
		claims := make(map[string]any, len(t.Claims))
		for k, c := range t.Claims {
			if s, ok := c.(string); ok && slices.Contains(p.GetNormalizePayloadInMetadata().GetSpaceDelimitedClaims(), k) {
				var list []any
				for _, word := range strings.Fields(s) {
					list = append(list, word)
				}
				c = list
			}
			claims[k] = c
		}
		v.call.SetMetadata(TokenFilter, p.GetPayloadInMetadata(), claims)
	}
	if p.GetForwardPayloadHeader() != "" {
		b, _ := json.Marshal(t.Claims) //nolint:errchkjson // claims came out of JSON
		v.call.SetHeader(p.GetForwardPayloadHeader(), base64.RawURLEncoding.EncodeToString(b))
	}
	for _, h := range p.GetClaimToHeaders() {
		if s, ok := t.Claims[h.GetClaimName()].(string); ok && s != "" {
			v.call.SetHeader(h.GetHeaderName(), s)
		}
	}
	switch {
	case p.GetForward():
	case f.header != "":
		v.call.SetHeader(f.header)
	case f.param != "":
		v.call.Path = withoutParam(v.call.Path, f.param)
	}
}

// withoutParam is a path without a query parameter. Envoy writes those that are left anew: by name, and decoded.
func withoutParam(path, name string) string {
	bare, query, _ := strings.Cut(path, "?")
	values, _ := url.ParseQuery(query)
	mark := "?"
	delete(values, name)
	for _, k := range slices.Sorted(maps.Keys(values)) {
		for _, s := range values[k] {
			bare += mark + k + "=" + s
			mark = "&"
		}
	}
	return bare
}

// find returns the tokens at the places of a provider; without any, Authorization: Bearer and ?access_token count.
func (v *tokens) find(p *jwtv3.JwtProvider) []found {
	headers, params := p.GetFromHeaders(), p.GetFromParams()
	if len(headers)+len(params)+len(p.GetFromCookies()) == 0 {
		headers = []*jwtv3.JwtHeader{{Name: "authorization", ValuePrefix: "Bearer "}}
		params = []string{"access_token"}
	}
	var out []found
	for _, h := range headers {
		s, ok := v.call.Header(h.GetName())
		if ok && h.GetValuePrefix() != "" {
			i := strings.Index(s, h.GetValuePrefix())
			ok = i >= 0
			if ok {
				s = s[i+len(h.GetValuePrefix()):]
			}
		}
		if ok && s != "" {
			out = append(out, found{text: cutToken(s), header: h.GetName()})
		}
	}
	if _, query, ok := strings.Cut(v.call.Path, "?"); ok {
		values, _ := url.ParseQuery(query)
		for _, n := range params {
			if s := values.Get(n); s != "" {
				out = append(out, found{text: s, param: n})
			}
		}
	}
	for _, n := range p.GetFromCookies() {
		cookies, _ := v.call.Header("cookie")
		for _, pair := range strings.Split(cookies, ";") {
			if k, s, ok := strings.Cut(strings.TrimSpace(pair), "="); ok && k == n && s != "" {
				out = append(out, found{text: s})
				break
			}
		}
	}
	return out
}

// cutToken keeps the characters a token is made of, as Envoy does behind a prefix.
func cutToken(s string) string {
	i := strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.=/+", r))
	})
	if i >= 0 {
		return s[:i]
	}
	return s
}
