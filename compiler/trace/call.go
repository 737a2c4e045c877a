package trace

import (
	"net/netip"
	"slices"
	"strings"
)

// Call is one request or connection as the security filters of a proxy see it, after the connection manager has
// normalised the path and settled the client's address.
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
	return strings.Join(v, ","), ok
}

// setHeader and setMetadata change private copies: a Call is shared by many evaluations.
func (c *Call) setHeader(name string, values ...string) {
	h := make(map[string][]string, len(c.Headers)+1)
	for k, v := range c.Headers {
		h[k] = slices.Clone(v)
	}
	if h[strings.ToLower(name)] = values; len(values) == 0 {
		delete(h, strings.ToLower(name))
	}
	c.Headers = h
}

func (c *Call) setMetadata(filter, key string, v any) {
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
