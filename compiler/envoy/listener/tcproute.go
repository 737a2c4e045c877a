package listener

import (
	"slices"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// tcpChains lowers VirtualService tcp routes, and the default route of a service, for a port that is not parsed.
// Routes are tried in order until one takes every connection of the listener.
func (o *outbound) tcpChains(u servicePort, cidrs []string) []*xds.Chain {
	var out []*xds.Chain
	for _, vs := range u.virtualServices {
		for i, block := range vs.Spec.Tcp {
			if len(block.Match) == 0 {
				return append(out, o.tcpRoute(u, vs, i, "", cidrs))
			}
			var subnets []string
			for _, m := range block.Match {
				if m.Port != 0 && m.Port != u.number || !o.Holds.Has(m) {
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
	last := o.defaultChain(u, xds.ChainMatch(nil, cidrs))
	if slices.ContainsFunc(out, func(c *xds.Chain) bool { return sameMatch(c.Match, last.Match) }) {
		return out
	}
	return append(out, last)
}

func (o *outbound) tcpRoute(u servicePort, vs *mesh.VirtualService, block int, key string, cidrs []string) *xds.Chain {
	return &xds.Chain{
		Name:    names.TCPChain(u.number, vs.Object.Namespace, vs.Object.Name, u.svc.Hostname, key),
		Match:   xds.ChainMatch(nil, cidrs),
		Filters: o.tcp.routes(vs.Spec.Tcp[block].Route, u.number, u.protocol),
		From:    append(xds.OriginAt(vs.Object, "spec", "tcp", block), xds.OriginOfPort(u.svc, u.port)...),
		Object:  vs.Object,
	}
}

// defaultChain proxies to the service itself.
func (o *outbound) defaultChain(u servicePort, match *filterChainMatch) *xds.Chain {
	number := u.number
	if len(u.svc.Ports) == 1 {
		number = u.svc.Ports[0].Number
	}
	name := names.Outbound(number, "", u.svc.Hostname)
	return &xds.Chain{
		Name:    name,
		Match:   match,
		Filters: append(cluster.DynamicServerName(o.Mesh, u.svc, u.port, u.protocol), o.tcp.single(name, "", u.svc, u.protocol)...),
		From:    xds.OriginOfPort(u.svc, u.port),
		Object:  u.svc.Object,
	}
}
