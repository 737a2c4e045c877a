package change

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/sets"
)

// Witness is one request of a difference, complete enough to be followed in both bundles.
type Witness struct {
	From      Ref           `json:"from"`
	To        string        `json:"to"` // URL
	Method    string        `json:"method,omitempty"`
	Headers   []string      `json:"headers,omitempty"` // NAME: VALUE
	Address   string        `json:"address,omitempty"` // where the caller connects to, if that is no address of the host
	SNI       string        `json:"sni,omitempty"`
	Source    string        `json:"source,omitempty"`
	Principal string        `json:"principal,omitempty"`
	Token     *WitnessToken `json:"token,omitempty"`
	Server    *Ref          `json:"server,omitempty"`
}

// WitnessToken is the token of a request.
type WitnessToken struct {
	Issuer string         `json:"issuer"`
	Claims map[string]any `json:"claims,omitempty"`
	In     string         `json:"in,omitempty"`
	Valid  *bool          `json:"valid,omitempty"`
}

func (w Witness) key() string {
	b, err := json.Marshal(w)
	if err != nil {
		panic("change: " + err.Error()) // texts only
	}
	return string(b)
}

// witnessOf makes the request of a cell.
func witnessOf(c placed) Witness {
	w := Witness{SNI: "", Token: tokenOf(c)}
	host := c.at.call
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	w.To = c.scheme + "://" + host + ":" + strconv.Itoa(int(c.at.port))
	if c.at.bind.IsValid() {
		w.Address = c.at.bind.String()
	}
	value := func(dim string) (string, bool) {
		v, ok := c.request[dim]
		return v.Text, ok && !v.Absent
	}
	if p, ok := value(sets.Principal); ok {
		w.Principal = p
	} else if c.named && c.conn.TLS {
		w.Principal = defaultPrincipal
	}
	if s, ok := value(sets.Source); ok {
		w.Source = s
	}
	if c.scheme == "tls" || c.scheme == "https" {
		w.SNI = c.conn.SNI
	}
	if !c.conn.HTTP {
		return w
	}
	w.Method = "GET"
	if m, ok := value(dimMethod); ok {
		w.Method = m
	}
	path := "/"
	if p, ok := value(dimPath); ok {
		path = p
	}
	by := "?"
	for _, dim := range slices.Sorted(maps.Keys(c.request)) {
		kind, name, _ := strings.Cut(dim, ":")
		v, ok := value(dim)
		switch {
		case !ok:
		case kind == "header":
			w.Headers = append(w.Headers, name+": "+v)
		case kind == "query":
			path += by + name + "=" + v
			by = "&"
		case dim == dimHost && v != c.at.call:
			w.Headers = append(w.Headers, "host: "+v)
		}
	}
	w.To += path
	return w
}

// defaultPrincipal is the identity of a client about which nothing but its certificate matters.
const defaultPrincipal = "spiffe://cluster.local/ns/default/sa/default"

// tokenOf makes the token of a cell.
func tokenOf(c placed) *WitnessToken {
	t := c.token
	if t == nil {
		return nil
	}
	out := &WitnessToken{Issuer: t.issuer, Claims: map[string]any{}, In: t.place}
	if t.audience != "" {
		out.Claims["aud"] = t.audience
	}
	if t.invalid {
		out.Valid = new(bool)
	}
	for _, dim := range slices.Sorted(maps.Keys(c.request)) {
		v := c.request[dim]
		name, text := strings.CutPrefix(dim, dimClaim)
		var value any = v.Text
		if !text {
			if name, text = strings.CutPrefix(dim, dimClaims); !text {
				continue
			}
			value = []any{v.Text}
		}
		if v.Absent {
			continue
		}
		nest(out.Claims, strings.Split(name, claimPath), value)
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

// String is the witness for people, as meshc route takes it.
func (w Witness) String() string {
	var out []string
	if w.Method != "" {
		out = append(out, w.Method)
	}
	out = append(out, w.To, "from", w.From.String())
	for _, h := range w.Headers {
		out = append(out, "-H "+strconv.Quote(h))
	}
	if w.Principal != "" {
		out = append(out, "--principal "+w.Principal)
	}
	if w.Address != "" {
		out = append(out, "--address "+w.Address)
	}
	if w.Source != "" && w.From.Kind != KindWorkload {
		out = append(out, "--source "+w.Source)
	}
	if w.Token != nil {
		b, err := json.Marshal(w.Token.Claims)
		if err == nil {
			out = append(out, fmt.Sprintf("with a token of %s %s", w.Token.Issuer, b))
		}
	}
	return strings.Join(out, " ")
}
