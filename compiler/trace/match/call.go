// Package match answers for one request or connection what Envoy's matchers and security filters would: whether a condition on a
// header, a path, an address or a claim holds, what the rules of an RBAC filter decide and why, and what a JWT filter makes of tokens.
//
// A Call has all that these look at. Every answer is true, false, or an error that names what cannot be judged (Unsupported), as
// an address that is not known, or an extension of others: nothing is guessed. Combinations are decided as far as their parts are
// (AllOf): one part that fails decides them, whatever is unknown of the others. Where Envoy has more than one way to read a value
// (several headers of one name, the letters that are folded, an empty header), this one is its own; package trace holds the answers against
// real Envoys.
package match

import (
	"net/netip"
	"slices"
	"strings"
)

// Call is one request or connection as the security filters of a proxy see it, after the connection manager has
// normalised the path and resolved the client's address.
type Call struct {
	HTTP      bool
	Method    string
	Authority string
	Path      string              // with query
	Headers   map[string][]string // lower case names; no pseudo headers

	Source      netip.Addr // of the TCP peer
	Remote      netip.Addr // of the original client, as X-Forwarded-For or the PROXY protocol say
	Destination netip.AddrPort
	SNI         string
	Principals  []string // URI names of a verified client certificate; empty without one

	Metadata map[string]map[string]any // dynamic metadata: filter, key, JSON value
}

// BarePath is the path without query and fragment.
func (c *Call) BarePath() string {
	if i := strings.IndexAny(c.Path, "?#"); i >= 0 {
		return c.Path[:i]
	}
	return c.Path
}

// Header returns the value of a header or pseudo header; several values are joined as Envoy joins them.
func (c *Call) Header(name string) (string, bool) {
	if !c.HTTP {
		return "", false
	}
	switch name = strings.ToLower(name); name {
	case ":authority", "host":
		return c.Authority, true
	case ":method":
		return c.Method, true
	case ":path":
		return c.Path, true
	}
	v, ok := c.Headers[name]
	if joinedHeaders[name] && len(v) > 1 {
		v = slices.DeleteFunc(slices.Clone(v), func(s string) bool { return s == "" })
	}
	return strings.Join(v, ","), ok
}

// values are what conditions on a header are held against: Envoy asks each of several headers of one name by itself, but
// keeps those that it knows by name as one, with commas.
func (c *Call) values(name string) []string {
	v, ok := c.Header(name)
	if !ok {
		return nil
	}
	if list := c.Headers[strings.ToLower(name)]; len(list) > 1 && !joinedHeaders[strings.ToLower(name)] {
		return list
	}
	return []string{v}
}

// joinedHeaders are those of which Envoy 1.40 keeps one, that holds all values.
var joinedHeaders = map[string]bool{
	"accept": true, "accept-encoding": true, "access-control-request-headers": true, "access-control-request-method": true, "authorization": true,
	"cache-control": true, "content-encoding": true, "content-type": true, "expect": true, "grpc-accept-encoding": true, "grpc-timeout": true,
	"if-match": true, "if-modified-since": true, "if-none-match": true, "if-unmodified-since": true, "origin": true, "pragma": true, "referer": true, "te": true, "user-agent": true, "via": true, "x-client-trace-id": true,
	"x-envoy-decorator-operation": true, "x-envoy-external-address": true, "x-envoy-original-path": true, "x-forwarded-client-cert": true, "x-forwarded-for": true,
	"x-forwarded-host": true, "x-forwarded-port": true, "x-forwarded-proto": true, "x-request-id": true,
}

// SetHeader gives a header its values, none to remove it, in a copy of all headers: a Call is shared by many evaluations.
func (c *Call) SetHeader(name string, values ...string) {
	h := make(map[string][]string, len(c.Headers)+1)
	for k, v := range c.Headers {
		h[k] = slices.Clone(v)
	}
	if h[strings.ToLower(name)] = values; len(values) == 0 {
		delete(h, strings.ToLower(name))
	}
	c.Headers = h
}

// SetMetadata leaves a value in the dynamic metadata of a filter, in a copy of all of it.
func (c *Call) SetMetadata(filter, key string, v any) {
	m := make(map[string]map[string]any, len(c.Metadata)+1)
	for k, v := range c.Metadata {
		m[k] = v
	}
	inner := map[string]any{key: v}
	for k, old := range m[filter] {
		if k != key {
			inner[k] = old
		}
	}
	m[filter] = inner
	c.Metadata = m
}
