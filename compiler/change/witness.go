package change

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/sets"
)

// witnessKey is the same for equal witnesses.
func witnessKey(w Witness) string {
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
	if p, ok := c.value(sets.Principal); ok {
		w.Principal = p
	} else if c.named && c.conn.TLS {
		w.Principal = defaultPrincipal
	}
	if s, ok := c.value(sets.Source); ok {
		w.Source = s
	}
	if c.scheme == "tls" || c.scheme == "https" {
		w.SNI = c.conn.SNI
	}
	if !c.conn.HTTP {
		return w
	}
	fillRequest(&w, c)
	return w
}

// fillRequest fills in what of an HTTP request matters.
func fillRequest(w *Witness, c placed) {
	w.Method = "GET"
	if m, ok := c.value(condition.DimMethod); ok {
		w.Method = m
	}
	path := "/"
	if p, ok := c.value(condition.DimPath); ok {
		path = p
	}
	by := "?"
	for _, dim := range slices.Sorted(maps.Keys(c.request)) {
		kind, name, _ := strings.Cut(dim, ":")
		v, ok := c.value(dim)
		switch {
		case !ok:
		case kind == "header":
			for _, x := range append([]string{v}, c.request[dim].More...) {
				w.Headers = append(w.Headers, name+": "+x)
			}
		case kind == "query":
			for _, x := range append([]string{v}, c.request[dim].More...) {
				path += by + name + "=" + x
				by = "&"
			}
		case dim == condition.DimHost && v != c.at.call:
			w.Headers = append(w.Headers, "host: "+v)
		}
	}
	w.To += path
}

// value is that of the witness for a part of requests, if it has one.
func (c placed) value(dim string) (string, bool) {
	v, ok := c.request[dim]
	return v.Text, ok && !v.Absent
}

// defaultPrincipal is the identity of a client about which nothing but its certificate matters.
const defaultPrincipal = "spiffe://cluster.local/ns/default/sa/default"

// tokenOf makes the token of a cell.
func tokenOf(c placed) *WitnessToken {
	t := c.token
	if t == nil {
		return nil
	}
	out := &WitnessToken{Issuer: t.Issuer, Claims: map[string]any{}, In: t.Place}
	if t.Audience != "" {
		out.Claims["aud"] = t.Audience
	}
	if t.Invalid {
		out.Valid = new(bool)
	}
	for _, dim := range slices.Sorted(maps.Keys(c.request)) {
		v := c.request[dim]
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
