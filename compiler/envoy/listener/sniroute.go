package listener

import (
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// tlsChains lowers VirtualService tls routes, and the default route of a service, for a port whose bytes are TLS. They
// are chosen by server name, so the connection is never decrypted.
func (o *outbound) tlsChains(u servicePort, cidrs []string) []*xds.Chain {
	var out []*xds.Chain
	seen := map[string]bool{}
	for _, vs := range u.virtualServices {
		for i, block := range vs.Spec.Tls {
			for j, m := range block.Match {
				if m.Port != 0 && m.Port != u.number || !o.Holds.Has(m) {
					continue
				}
				key := runtimeKey(m.SniHosts, m.DestinationSubnets)
				if seen[key] {
					continue // a match before it takes the same connections: only the static part differs
				}
				seen[key] = true
				subnets := m.DestinationSubnets
				if len(subnets) == 0 || u.number == 0 {
					subnets = cidrs
				}
				out = append(out, &xds.Chain{
					Name:    names.TLSChain(u.number, vs.Object.Namespace, vs.Object.Name, key),
					Match:   xds.ChainMatch(m.SniHosts, subnets),
					Filters: o.tcp.routes(block.Route, u.number, u.protocol),
					From:    xds.OriginAt(vs.Object, "spec", "tls", i, "match", j),
					Object:  vs.Object,
				})
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	return []*xds.Chain{o.defaultChain(u, xds.ChainMatch(o.defaultServerNames(u, cidrs), cidrs))}
}

// defaultServerNames are the server names of a service without tls route: its host name, where the address does not
// tell it from others, since there is none or it is a range. A listener on the address of the service needs none.
func (o *outbound) defaultServerNames(u servicePort, cidrs []string) []string {
	ranges := slices.ContainsFunc(u.svc.Addresses, func(a string) bool { p, ok := mesh.Prefix(a); return ok && !p.IsSingleIP() })
	if len(cidrs) > 0 || ranges && !slices.Contains(u.svc.Addresses, u.bind) || (len(u.svc.Addresses) == 0 && u.bind == xds.Wildcard) {
		names := []string{u.svc.Hostname}
		for _, a := range u.svc.Aliases {
			// Without the bare name, which is right in one namespace only: namespaces share their listeners.
			_, short := route.HostNames(a.Hostname, "", o.Mesh.Domain)
			names = append(append(names, a.Hostname), short...)
		}
		return names
	}
	return nil
}

// runtimeKey identifies the part of a match that Envoy evaluates per connection.
func runtimeKey(sni, subnets []string) string {
	a, b := slices.Clone(sni), slices.Clone(subnets)
	slices.Sort(a)
	slices.Sort(b)
	return strings.Join(append(a, b...), ",")
}

// matchesHost tells whether a VirtualService host and a service host overlap, either may be a wildcard.
func matchesHost(vs *networking.VirtualService, host string) bool {
	return slices.ContainsFunc(vs.Hosts, func(h string) bool { return hosts.Overlap(h, host) })
}
