package server

import (
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/credential"
	"github.com/meshc/meshc/server/ads"
)

// mentions tells whether the configuration of the class names the secret: only then may its proxies have it.
func (g *generation) mentions(c *bundle.Class, name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	known, ok := g.secrets[c]
	if !ok {
		known = map[string]bool{}
		for _, r := range c.Resources() {
			mentioned(r.Bytes, known)
		}
		g.secrets[c] = known
	}
	return known[name]
}

// mentioned collects the strings of an encoded message that have the form of an SDS name.
func mentioned(b []byte, known map[string]bool) {
	if !names.MayNameSecret(b) {
		return
	}
	ads.EachText(b, 0, func(v []byte) bool {
		if s := string(v); names.ParseSecret(s).Kind != names.UnknownSecret && !credential.Own(s) {
			known[s] = true
			return false
		}
		return names.MayNameSecret(v)
	})
}
