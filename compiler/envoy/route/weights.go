package route

import (
	"slices"
	"strconv"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// leads resolves a Destination of a VirtualService.
func (rs *routeScope) leads(vs *mesh.VirtualService, d *networking.Destination) destination {
	out := written(d)
	out.cluster, out.hash = rs.cluster(d), rs.hash(d)
	svc := rs.view.Service(out.host)
	out.stray = svc != nil && out.port == 0 && !rs.allPorts && !rs.gateway && svc.HasPort(rs.port) == nil && rs.called(vs)
	return out
}

// cluster names the cluster of a destination. An unknown service or port still names one: whether that is a fault is
// for the reference check to say.
//
// A destination without a port means the port of the listener: the services of an outbound route configuration are
// those with its port, cut to it. Only where a configuration serves all ports, on gateways and forward proxies, does a
// service with one port stand for that one.
func (rs *routeScope) cluster(d *networking.Destination) string {
	svc, port := rs.view.ServiceForDestination(d, rs.port)
	host, number := d.GetHost(), d.GetPort().GetNumber()
	if svc != nil && svc.ExternalName != "" {
		host = svc.ExternalName
	}
	if number == 0 {
		number = rs.port
		if port != nil && (rs.allPorts || rs.gateway) {
			number = port.Number
		}
	}
	return names.Outbound(number, d.GetSubset(), host)
}

// called tells whether anybody means to call a host of the VirtualService on the port: a service that has it, or a host
// that no service has, which exists on port 80 only. A service without the port is not called there.
func (rs *routeScope) called(vs *mesh.VirtualService) bool {
	return slices.ContainsFunc(vs.Spec.GetHosts(), func(h string) bool {
		svc := rs.view.Service(h)
		return svc == nil || svc.HasPort(rs.port) != nil
	})
}

// forwardTo is the cluster of a destination, with a finding for a port that the service lacks.
func (b *httpBlock) forwardTo(d *networking.Destination, field ...any) string {
	to := b.to(d)
	if to.stray {
		n := strconv.Itoa(int(b.Port))
		b.report(diag.Warning, codeNoPort, "calls on port "+n+" get 503: the destination names no port, which means "+n+" too, and "+to.host+" has no such port",
			"set destination.port.number, or match.port if the route is not meant for port "+n, field...)
	}
	return to.cluster
}

// destinations lowers HTTPRoute.route: one destination is a plain cluster whatever its weight, several are weighted
// clusters, where weight 0 means none.
func (b *httpBlock) destinations(r *routev3.Route, a *routev3.RouteAction) {
	in := b.in.GetRoute()
	if len(in) == 1 {
		b.single(r, a, in[0])
		return
	}
	var out []*routev3.WeightedCluster_ClusterWeight
	live, total := b.live(), int32(0)
	for i, d := range in {
		if d.GetWeight() <= 0 && live == "" {
			continue // it gets nothing, and never will
		}
		total += d.GetWeight()
		c := &routev3.WeightedCluster_ClusterWeight{Name: b.forwardTo(d.GetDestination(), "route", i, "destination"), Weight: xds.UInt32(uint32(d.GetWeight()))}
		ops := b.headerOps(d.GetHeaders(), "route", i, "headers")
		c.RequestHeadersToAdd, c.RequestHeadersToRemove = ops.requestAdd, ops.requestRemove
		c.ResponseHeadersToAdd, c.ResponseHeadersToRemove = ops.responseAdd, ops.responseRemove
		if ops.authority != "" {
			if a.HostRewriteSpecifier == nil {
				c.HostRewriteSpecifier = &routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral{HostRewriteLiteral: ops.authority}
			} else {
				b.reportHost(i)
			}
		}
		b.addHash(a, d)
		out = append(out, c)
	}
	if total == 0 {
		b.report(diag.Error, codeNoDestination, "the route forwards to nothing: no destination has a weight above 0", "give at least one destination a weight", "route")
		a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: names.BlackHoleCluster}
		return
	}
	a.ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{Clusters: out, RuntimeKeyPrefix: live}}
}

// live is the prefix of the runtime keys that override the weights of the block; "": nothing does.
func (b *httpBlock) live() string {
	if b.origin.Object == nil {
		return ""
	}
	name, ok := schema.Live(b.origin.Object, b.origin.Index)
	if !ok {
		return ""
	}
	return names.LiveWeights(b.origin.Object.Namespace, b.origin.Object.Name, name)
}

func (b *httpBlock) single(r *routev3.Route, a *routev3.RouteAction, d *networking.HTTPRouteDestination) {
	a.ClusterSpecifier = &routev3.RouteAction_Cluster{Cluster: b.forwardTo(d.GetDestination(), "route", 0, "destination")}
	b.addHash(a, d)
	ops := b.headerOps(d.GetHeaders(), "route", 0, "headers")
	ops.addTo(r)
	if ops.authority != "" {
		if a.HostRewriteSpecifier == nil {
			a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: ops.authority}
		} else {
			b.reportHost(0)
		}
	}
	if w := d.GetWeight(); w != 0 && w != 100 {
		b.report(diag.Info, codeNoEffect, "weight "+strconv.Itoa(int(w))+" has no effect: a single destination gets every request", "remove it, or add the other destinations",
			"route", 0, "weight")
	}
}

func (b *httpBlock) reportHost(i int) {
	b.report(diag.Warning, codeNoEffect, "the host set in headers.request of the destination has no effect: the route already rewrites the host",
		"set the host in one place", "route", i, "headers", "request")
}

// addHash puts the hash policy of a destination on the route.
func (b *httpBlock) addHash(a *routev3.RouteAction, d *networking.HTTPRouteDestination) {
	if p := hashPolicy(b.to(d.GetDestination()).hash); p != nil {
		a.HashPolicy = append(a.HashPolicy, p)
	}
}
