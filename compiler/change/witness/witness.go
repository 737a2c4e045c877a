// Package witness writes the requests that show differences: from values for the parts of a request that matter, to the witness of a report,
// to the request that is walked.
package witness

import (
	"encoding/json"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/report"
	"github.com/meshc/meshc/compiler/sets"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/compiler/trace/match"
)

// Request is what of one is known.
type Request struct {
	Scheme string
	Host   string // that is called
	Port   uint16
	Bind   netip.Addr // the address that is dialed, where that is not the one of the host
	Values sets.Assignment
	Token  *condition.Token
	Named  bool // the client shows a certificate
	HTTP   bool
	TLS    bool
	SNI    string
}

// Key is the same for equal witnesses.
func Key(w report.Witness) string {
	b, err := json.Marshal(w)
	if err != nil {
		panic("witness: " + err.Error()) // texts only
	}
	return string(b)
}

// Of makes the witness.
func Of(c Request) report.Witness {
	w := report.Witness{SNI: "", Token: tokenOf(c)}
	host := c.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	w.To = c.Scheme + "://" + host + ":" + strconv.Itoa(int(c.Port))
	if c.Bind.IsValid() {
		w.Address = c.Bind.String()
	}
	if p, ok := c.value(sets.Principal); ok {
		w.Principal = p
	} else if c.Named && c.TLS {
		w.Principal = defaultPrincipal
	}
	if s, ok := c.value(sets.Source); ok {
		w.Source = s
	}
	if c.Scheme == "tls" || c.Scheme == "https" {
		w.SNI = c.SNI
	}
	if !c.HTTP {
		return w
	}
	fillRequest(&w, c)
	return w
}

// fillRequest fills in what of an HTTP request matters.
func fillRequest(w *report.Witness, c Request) {
	w.Method = "GET"
	if m, ok := c.value(condition.DimMethod); ok {
		w.Method = m
	}
	path := "/"
	if p, ok := c.value(condition.DimPath); ok {
		path = p
	}
	by := "?"
	for _, dim := range slices.Sorted(maps.Keys(c.Values)) {
		kind, name, _ := strings.Cut(dim, ":")
		v, ok := c.value(dim)
		switch {
		case !ok:
		case kind == "header":
			for _, x := range append([]string{v}, c.Values[dim].More...) {
				w.Headers = append(w.Headers, name+": "+x)
			}
		case kind == "query":
			for _, x := range append([]string{v}, c.Values[dim].More...) {
				path += by + name + "=" + x
				by = "&"
			}
		case dim == condition.DimHost && v != c.Host:
			w.Headers = append(w.Headers, "host: "+v)
		}
	}
	w.To += path
}

// value is that of the witness for a part of requests, if it has one.
func (c Request) value(dim string) (string, bool) {
	v, ok := c.Values[dim]
	return v.Text, ok && !v.Absent
}

// defaultPrincipal is the identity of a client about which nothing but its certificate matters.
const defaultPrincipal = "spiffe://cluster.local/ns/default/sa/default"

// tokenOf makes the token of a cell.
func tokenOf(c Request) *report.WitnessToken {
	t := c.Token
	if t == nil {
		return nil
	}
	out := &report.WitnessToken{Issuer: t.Issuer, Claims: map[string]any{}, In: t.Place}
	if t.Audience != "" {
		out.Claims["aud"] = t.Audience
	}
	if t.Invalid {
		out.Valid = new(bool)
	}
	for _, dim := range slices.Sorted(maps.Keys(c.Values)) {
		v := c.Values[dim]
		name, text := strings.CutPrefix(dim, condition.DimClaim)
		var value any = v.Text
		if !text {
			if name, text = strings.CutPrefix(dim, condition.DimClaims); !text {
				continue
			}
			value = []any{v.Text}
		}
		if v.Absent {
			continue
		}
		nest(out.Claims, strings.Split(name, condition.ClaimPath), value)
	}
	return out
}

// nest puts a value at a path of claims.
func nest(claims map[string]any, path []string, value any) {
	for ; len(path) > 1; path = path[1:] {
		inner, ok := claims[path[0]].(map[string]any)
		if !ok {
			inner = map[string]any{}
			claims[path[0]] = inner
		}
		claims = inner
	}
	claims[path[0]] = value
}

// Walked is the request of a witness as a proxy gets it: with a token, and from a client with an identity, where there are such.
func Walked(w report.Witness, t *condition.Token, principal string) (trace.Request, error) {
	u, err := url.Parse(w.To)
	if err != nil {
		return trace.Request{}, err
	}
	scheme, rest, _ := strings.Cut(w.To, "://")
	r := trace.Request{Method: w.Method, URL: map[string]string{"http2": "http"}[scheme], Headers: map[string][]string{"host": {u.Hostname()}}, Identity: w.Principal, Tokens: map[string]match.Token{}}
	if r.URL == "" {
		r.URL = scheme
	}
	for _, h := range w.Headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "host" {
			r.Headers[name] = nil
		}
		r.Headers[name] = append(r.Headers[name], value)
	}
	if principal != "" {
		r.Identity = principal
	}
	if t != nil && w.Token != nil {
		claims := maps.Clone(w.Token.Claims)
		claims["iss"] = t.Issuer
		text, token, err := trace.ClaimsToken(claims)
		if err != nil {
			return r, err
		}
		token.Valid = !t.Invalid
		r.Tokens[text] = token
		rest = t.Put(text, r.Headers, rest)
	}
	r.URL += "://" + rest
	return r, nil
}
