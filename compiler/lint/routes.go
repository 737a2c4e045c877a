package lint

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// gatewayHosts: a VirtualService at a gateway has a host that the gateway serves.
func (l *linter) gatewayHosts() {
	for _, v := range l.m.VirtualServices {
		for i, name := range v.Spec.Gateways {
			g := l.gateway(name)
			if g == nil || g.Object.Kind != "Gateway" || slices.ContainsFunc(g.Spec.Servers, func(s *networking.Server) bool { return serves(g, s, v) }) {
				continue
			}
			path := []any{"spec", "hosts"}
			if raw, ok := v.Object.Spec.(*networking.VirtualService); ok && i < len(raw.Gateways) {
				path = []any{"spec", "gateways", i}
			}
			l.add(v.Object, diag.Warning, "IST0132", fmt.Sprintf("Gateway %s serves none of the hosts %s", name, strings.Join(v.Spec.Hosts, ", ")),
				"Add a host to the servers of the Gateway, or correct this one.", path...)
		}
	}
}

func (l *linter) gateway(name string) *mesh.Gateway {
	ns, n, _ := strings.Cut(name, "/")
	for _, g := range l.m.Gateways {
		if g.Object.Namespace == ns && g.Object.Name == n {
			return g
		}
	}
	return nil
}

func serves(g *mesh.Gateway, s *networking.Server, v *mesh.VirtualService) bool {
	for _, h := range s.GetHosts() {
		ns, host := hosts.Split(strings.ToLower(h))
		if ns == "." {
			ns = g.Object.Namespace
		}
		if ns != "" && ns != "*" && ns != v.Object.Namespace {
			continue
		}
		for _, vh := range v.Spec.Hosts {
			if hosts.Overlap(host, vh) {
				return true
			}
		}
	}
	return false
}

// subsetsBehindGateways: what a VirtualService says to sidecars about a host does not count at a gateway.
func (l *linter) subsetsBehindGateways() {
	subsets := map[string]*mesh.VirtualService{}
	for _, v := range l.m.VirtualServices {
		if !slices.Contains(v.Spec.Gateways, "mesh") {
			continue
		}
		for _, h := range v.Spec.Hosts {
			if subsets[h] == nil && slices.ContainsFunc(v.Spec.Http, func(r *networking.HTTPRoute) bool { return toSubset(r, h) }) {
				subsets[h] = v
			}
		}
	}
	for _, v := range l.m.VirtualServices {
		if len(subsets) == 0 || slices.Contains(v.Spec.Gateways, "mesh") || v.Object.Kind != "VirtualService" {
			continue
		}
		for i, h := range v.Spec.Http {
			for j, r := range h.Route {
				with := subsets[r.GetDestination().GetHost()]
				if with == nil || r.GetDestination().GetSubset() != "" {
					continue
				}
				at := v.HTTP[i]
				d := at.Object.Finding(diag.Warning, "IST0140", fmt.Sprintf("requests from the gateway go to all of %s: the subsets of %s count for sidecars only", r.Destination.Host, with.Object.Ref()),
					"Name the subset here too, or bind that VirtualService to the gateway.", "spec", "http", at.Index, "route", j, "destination")
				d.Related = []diag.Related{{Pos: with.Object.Pos("spec", "http"), Object: with.Object.Ref(), Message: "the subsets for sidecars"}}
				l.found.Add(d)
			}
		}
	}
}

// toSubset tells whether a route leads to a subset of the host itself, not of what stands before it.
func toSubset(h *networking.HTTPRoute, host string) bool {
	return slices.ContainsFunc(h.Route, func(r *networking.HTTPRouteDestination) bool {
		return r.GetDestination().GetSubset() != "" && r.GetDestination().GetHost() == host
	})
}

// claimsWithoutTokens: a claim can be matched where a RequestAuthentication checks tokens.
func (l *linter) claimsWithoutTokens() {
	for _, v := range l.m.VirtualServices {
		i, j, key := claimMatch(v)
		if key == "" {
			continue
		}
		for _, name := range v.Spec.Gateways {
			g := l.gateway(name)
			if g == nil || l.checksTokens(g) {
				continue
			}
			at := v.HTTP[i]
			l.add(at.Object, diag.Error, "IST0149", fmt.Sprintf("the match of %s never holds at Gateway %s: no RequestAuthentication checks tokens there", key, name),
				"Add a RequestAuthentication for the gateway's workload.", "spec", "http", at.Index, "match", j)
		}
	}
}

func claimMatch(v *mesh.VirtualService) (block, match int, key string) {
	for i, h := range v.Spec.Http {
		for j, x := range h.Match {
			for _, headers := range []map[string]*networking.StringMatch{x.GetHeaders(), x.GetWithoutHeaders()} {
				for _, k := range sorted(headers) {
					if strings.HasPrefix(strings.ToLower(k), "@request.auth.claims") {
						return i, j, k
					}
				}
			}
		}
	}
	return 0, 0, ""
}

func (l *linter) checksTokens(g *mesh.Gateway) bool {
	proxies := l.gatewayProxies(g.Spec.Selector)
	if len(proxies) == 0 {
		if !defaultGateway(g.Spec.Selector) {
			return true // nothing is known about it
		}
		proxies = []*mesh.Workload{{Namespace: l.m.RootNamespace, Labels: g.Spec.Selector}}
	}
	for _, w := range proxies {
		for _, r := range l.m.RequestAuthentications {
			if l.reaches(attachmentOf(r.Object), w) {
				return true
			}
		}
	}
	return false
}

// deprecatedFields: fields that Istio means to take away.
func (l *linter) deprecatedFields() {
	for _, o := range l.objects {
		switch s := o.Spec.(type) {
		case *networking.VirtualService:
			for i, h := range s.Http {
				if h.GetFault().GetDelay().GetPercent() != 0 {
					l.add(o, diag.Warning, "IST0002", "fault.delay.percent is deprecated", "Use fault.delay.percentage.value.", "spec", "http", i, "fault", "delay", "percent")
				}
			}
		case *networking.Sidecar:
			if s.GetOutboundTrafficPolicy().GetEgressProxy() != nil {
				l.add(o, diag.Warning, "IST0002", "outboundTrafficPolicy.egressProxy is deprecated", "Route unknown hosts through an egress gateway by a ServiceEntry and a VirtualService.", "spec", "outboundTrafficPolicy", "egressProxy")
			}
		}
	}
}

// rewrites: a prefix is replaced letter by letter, so that a slash at the end of one side only is doubled or lost.
func (l *linter) rewrites() {
	for _, v := range l.m.VirtualServices {
		if v.Object.Kind != "VirtualService" {
			continue
		}
		for i, h := range v.Spec.Http {
			to := h.GetRewrite().GetUri()
			if to == "" || h.GetRewrite().GetUriRegexRewrite() != nil {
				continue
			}
			for _, from := range prefixes(h) {
				if strings.HasSuffix(from, "/") != strings.HasSuffix(to, "/") {
					at := v.HTTP[i]
					l.add(at.Object, diag.Info, codeSlash, fmt.Sprintf("the prefix %s is replaced by %s letter by letter: %s becomes %s", from, to, strings.TrimSuffix(from, "/")+"/api", to+strings.TrimPrefix(strings.TrimSuffix(from, "/")+"/api", from)),
						"End both with a slash, or neither; a match of its own serves "+from+" itself.", "spec", "http", at.Index, "rewrite", "uri")
					break
				}
			}
		}
	}
}

// codeSlash is for a rewrite that doubles or loses a slash.
const codeSlash = "MESHC1275"

// prefixes are those that the matches of a route look for, the root where there is no match.
func prefixes(h *networking.HTTPRoute) (out []string) {
	if len(h.Match) == 0 {
		return []string{"/"}
	}
	for _, m := range h.Match {
		switch u := m.GetUri().GetMatchType().(type) {
		case nil:
			out = append(out, "/")
		case *networking.StringMatch_Prefix:
			out = append(out, u.Prefix)
		}
	}
	return out
}
