package envoy

import (
	"slices"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// tcpChains lowers VirtualService tcp routes, and the default route of a service, for a port that is not parsed.
// Routes are tried in order until one takes every connection of the listener.
func (o *outbound) tcpChains(u unit, cidrs []string) []*chain {
	var out []*chain
	for _, vs := range u.virtualServices {
		for i, block := range vs.Spec.Tcp {
			if len(block.Match) == 0 {
				return append(out, o.tcpRoute(u, vs, i, "", cidrs))
			}
			var subnets []string
			for _, m := range block.Match {
				if m.Port != 0 && m.Port != u.number || !o.Holds.has(m) {
					continue
				}
				if len(m.DestinationSubnets) == 0 || u.number == 0 {
					return append(out, o.tcpRoute(u, vs, i, "", cidrs))
				}
				subnets = append(subnets, m.DestinationSubnets...)
			}
			if len(subnets) > 0 {
				out = append(out, o.tcpRoute(u, vs, i, runtimeKey(nil, subnets), subnets))
			}
		}
	}
	last := o.defaultChain(u, chainMatch(nil, cidrs))
	if slices.ContainsFunc(out, func(c *chain) bool { return sameMatch(c.match, last.match) }) {
		return out
	}
	return append(out, last)
}

func (o *outbound) tcpRoute(u unit, vs *mesh.VirtualService, block int, key string, cidrs []string) *chain {
	return &chain{
		name:    names.TCPChain(u.number, vs.Object.Namespace, vs.Object.Name, u.svc.Hostname, key),
		match:   chainMatch(nil, cidrs),
		filters: o.tcp.routes(vs.Spec.Tcp[block].Route, u.number, u.protocol),
		from:    append(place(vs.Object, "spec", "tcp", block), portPlace(u.svc, u.port)...),
		object:  vs.Object,
	}
}

// defaultChain proxies to the service itself.
func (o *outbound) defaultChain(u unit, match *filterChainMatch) *chain {
	number := u.number
	if len(u.svc.Ports) == 1 {
		number = u.svc.Ports[0].Number
	}
	cluster := names.Outbound(number, "", u.svc.Hostname)
	return &chain{
		name:    cluster,
		match:   match,
		filters: append(dynamicServerName(o.Mesh, u.svc, u.port, u.protocol), o.tcp.single(cluster, "", u.svc, u.protocol)...),
		from:    portPlace(u.svc, u.port),
		object:  u.svc.Object,
	}
}
