package coverage

import (
	"fmt"
	"slices"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/httpmatch"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// Codes of findings about what shares a listener of a gateway.
const (
	codeTaken      = "MESHC1271" // a VirtualService takes requests of another
	codeRedirected = "MESHC1276" // the redirect of one Gateway answers for the routes of another
)

// shares reports what takes requests from each other on the gateways: VirtualServices of one host, whose routes are joined
// in an order that nobody wrote down, and Gateways of one port.
func (c *checker) shares() {
	done := map[[2]*mesh.VirtualService]bool{}
	redirected := map[mark]bool{}
	for _, p := range c.proxies {
		for _, ms := range p.Class.Servers {
			byRoutes := map[string][]*mesh.GatewayServer{}
			var order []string
			for _, s := range ms.Servers {
				if s.RouteName == "" {
					continue
				}
				if byRoutes[s.RouteName] == nil {
					order = append(order, s.RouteName)
				}
				byRoutes[s.RouteName] = append(byRoutes[s.RouteName], s)
			}
			for _, name := range order {
				c.joined(byRoutes[name], done)
				c.redirects(byRoutes[name], redirected)
			}
		}
	}
}

// joined looks at the VirtualServices of each host of a route configuration, in the order in which their routes are joined.
func (c *checker) joined(servers []*mesh.GatewayServer, done map[[2]*mesh.VirtualService]bool) {
	byHost := map[string][]*mesh.VirtualService{}
	for _, s := range servers {
		for _, v := range s.VirtualServices {
			for _, h := range s.MatchingHosts(v) {
				for _, first := range byHost[h] {
					if pair := [2]*mesh.VirtualService{first, v}; first != v && !done[pair] {
						done[pair] = true
						c.takes(first, v, h)
					}
				}
				if !slices.Contains(byHost[h], v) {
					byHost[h] = append(byHost[h], v)
				}
			}
		}
	}
}

// takes reports the first place where a VirtualService takes requests that another, after it, is written for: all of those of a
// match, or some that neither is more precise about. Routes for every request come last, so they take nothing but from
// each other.
func (c *checker) takes(first, second *mesh.VirtualService, host string) {
	if first.Object.Kind != "VirtualService" || second.Object.Kind != "VirtualService" {
		return
	}
	order := c.order
	takesAll := func(a, b *networking.HTTPMatchRequest) bool {
		return order.Taken(b, []*networking.HTTPMatchRequest{a}) == 0
	}
	for i, a := range first.Spec.Http {
		for _, m := range everyMatch(a) {
			for j, b := range second.Spec.Http {
				for n, o := range everyMatch(b) {
					if everything(m) != everything(o) {
						continue
					}
					all := takesAll(m, o)
					if !all && (everything(m) || !order.Meet(m, o) || takesAll(o, m)) {
						continue
					}
					c.taken(first, i, second, j, n, host, all)
					return
				}
			}
		}
	}
}

func (c *checker) taken(first *mesh.VirtualService, i int, second *mesh.VirtualService, j, n int, host string, all bool) {
	from, at := first.HTTP[i], second.HTTP[j]
	path := []any{"spec", "http", at.Index}
	if n < len(second.Spec.Http[j].Match) && at.Match == nil {
		path = append(path, "match", n)
	}
	what := "some requests that this is for"
	if all {
		what = "all requests that this is for"
	}
	d := at.Object.Finding(diag.Warning, codeTaken, fmt.Sprintf("%s are taken by %s, which has the host %s at the same gateway and comes first, as the older one or by name", what, first.Object.Ref(), host),
		"Put the routes of one host into one VirtualService, or into delegates of one, in the order that is meant.", path...)
	d.Related = []diag.Related{{Pos: from.Object.Pos("spec", "http", from.Index), Object: from.Object.Ref(), Message: "takes the requests"}}
	c.findings.Add(d)
}

// everyMatch are the matches of a route, one that asks for nothing where there are none.
func everyMatch(h *networking.HTTPRoute) []*networking.HTTPMatchRequest {
	if len(h.Match) == 0 {
		return []*networking.HTTPMatchRequest{{}}
	}
	return h.Match
}

// everything tells whether a match takes every request that comes to the gateway.
func everything(m *networking.HTTPMatchRequest) bool {
	return httpmatch.Covers(m, &networking.HTTPMatchRequest{Port: m.GetPort(), Gateways: m.GetGateways(), SourceLabels: m.GetSourceLabels(), SourceNamespace: m.GetSourceNamespace()})
}

// redirects reports servers whose requests are answered by the redirect to HTTPS of another Gateway, since they have a host
// and a listener in common.
func (c *checker) redirects(servers []*mesh.GatewayServer, said map[mark]bool) {
	by := map[string]*mesh.GatewayServer{}
	for _, s := range servers {
		if !s.Spec.GetTls().GetHttpsRedirect() {
			continue
		}
		for _, h := range redirectedHosts(s) {
			if by[h] == nil {
				by[h] = s
			}
		}
	}
	for _, s := range servers {
		if s.Spec.GetTls().GetHttpsRedirect() || len(by) == 0 {
			continue
		}
		for _, v := range s.VirtualServices {
			for _, h := range s.MatchingHosts(v) {
				o := by[h]
				key := mark{s.Gateway.Object.Ref(), fmt.Sprint(s.Index)}
				if o == nil || said[key] {
					continue
				}
				said[key] = true
				d := s.Gateway.Object.Finding(diag.Warning, codeRedirected, fmt.Sprintf("requests for %s on port %d never get to the routes of %s: %s redirects them to HTTPS on the same listener", h, s.Spec.GetPort().GetNumber(), v.Object.Ref(), o.Gateway.Object.Ref()),
					"Use another port or host, or redirect at neither.", "spec", "servers", s.Index)
				d.Related = []diag.Related{{Pos: o.Gateway.Object.Pos("spec", "servers", o.Index), Object: o.Gateway.Object.Ref(), Message: "redirects"}}
				c.findings.Add(d)
			}
		}
	}
}

// redirectedHosts are the hosts that a server with httpsRedirect answers for: its own, and those of its VirtualServices.
func redirectedHosts(s *mesh.GatewayServer) (out []string) {
	for _, h := range s.Hosts {
		if ns, name := hosts.Split(h); ns == "" || ns == "*" {
			out = append(out, name)
		}
	}
	for _, v := range s.VirtualServices {
		out = append(out, s.MatchingHosts(v)...)
	}
	return out
}
