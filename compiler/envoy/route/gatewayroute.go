package route

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/hosts"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/schema"
)

// Gateway lowers the route configurations of a gateway: one for each plaintext port, and one for each server that
// terminates HTTPS. Virtual hosts are resources of their own.
func (r *Routes) Gateway(in *GatewayInputs) []*xds.Resource {
	var names []string
	servers := map[string][]*mesh.GatewayServer{}
	for _, ms := range in.Servers {
		for _, s := range ms.Servers {
			if s.RouteName == "" {
				continue // TLS passthrough and TCP have no requests to route
			}
			if servers[s.RouteName] == nil {
				names = append(names, s.RouteName)
			}
			servers[s.RouteName] = append(servers[s.RouteName], s)
		}
	}
	slices.Sort(names)
	var out []*xds.Resource
	for _, n := range names {
		g := &gatewayConfig{GatewayInputs: in, routes: r, name: n, hosts: map[string]*gatewayHost{}, built: map[builtKey]*routeSet{}}
		for _, s := range servers[n] {
			g.addServer(s)
		}
		out = append(out, g.build(servers[n])...)
	}
	return out
}

// gatewayConfig builds one route configuration of a gateway.
type gatewayConfig struct {
	*GatewayInputs
	routes *Routes
	name   string
	hosts  map[string]*gatewayHost
	built  map[builtKey]*routeSet
}

// builtKey: the routes of a VirtualService are built for the first server of a Gateway for which it has any, and serve
// its other servers as well, so match.port means the port of that one.
type builtKey struct {
	gateway string
	vs      *mesh.VirtualService
}

// gatewayHost is a host of the gateway with the routes of all VirtualServices for it.
type gatewayHost struct {
	port       uint32 // of the first server with the host
	requireTLS bool
	sets       []*routeSet
	objects    []*schema.Object // Gateways
}

func (g *gatewayConfig) addServer(s *mesh.GatewayServer) {
	gateway := s.Gateway.Object.Namespace + "/" + s.Gateway.Object.Name
	port := s.Spec.GetPort().GetNumber()
	redirect := s.Spec.GetTls().GetHttpsRedirect()
	for _, vs := range s.VirtualServices {
		key := builtKey{gateway, vs}
		set := g.built[key]
		if set == nil {
			caller := g.Caller
			caller.Gateway = gateway
			rs := &routeScope{mesh: g.Mesh, view: g.View, proxy: g.Proxy, gateway: true, port: port, tls: s.Spec.GetTls() != nil, holds: caller.Fits}
			if set = g.routes.virtualServiceRoutes(rs, vs); len(set.routes) == 0 {
				continue // the next server may have another port
			}
			g.built[key] = set
		}
		for _, h := range s.MatchingHosts(vs) {
			gh := g.host(h, port, s)
			gh.sets = append(gh.sets, set)
			gh.requireTLS = gh.requireTLS || redirect
		}
	}
	if redirect {
		for _, h := range s.Hosts {
			// As in Istio, a host that is kept for a namespace redirects only where a VirtualService has it.
			if ns, h := hosts.Split(h); ns == "" || ns == "*" {
				g.host(h, port, s).requireTLS = true
			}
		}
	}
}

func (g *gatewayConfig) host(name string, port uint32, s *mesh.GatewayServer) *gatewayHost {
	name = strings.ToLower(name)
	h := g.hosts[name]
	if h == nil {
		h = &gatewayHost{port: port}
		g.hosts[name] = h
	}
	if !slices.Contains(h.objects, s.Gateway.Object) {
		h.objects = append(h.objects, s.Gateway.Object)
	}
	return h
}

// build makes the resources. A configuration without hosts still answers: 404 for everything.
func (g *gatewayConfig) build(servers []*mesh.GatewayServer) []*xds.Resource {
	out := []*xds.Resource{g.routes.configurations.Get(configurationInputs{name: g.name, ignorePort: true})}
	if len(g.hosts) == 0 {
		set := &routeSet{}
		for _, s := range servers {
			set.objects = append(set.objects, s.Gateway.Object)
		}
		name := "blackhole:" + strconv.Itoa(int(servers[0].Spec.GetPort().GetNumber()))
		return append(out, virtualHost(hostInputs{config: g.name, name: name, domains: g.routes.domains.Of("*"), routes: set}))
	}
	attempts := !g.Proxy.GetProxyHeaders().GetAttemptCount().GetDisabled().GetValue()
	for _, host := range slices.Sorted(maps.Keys(g.hosts)) {
		h := g.hosts[host]
		out = append(out, virtualHost(hostInputs{config: g.name, name: bracket(host) + ":" + strconv.Itoa(int(h.port)), domains: g.routes.domains.Of(bracket(host)),
			routes: mergeRoutes(h), attempts: attempts, requireTLS: h.requireTLS}))
	}
	slices.SortStableFunc(out[1:], func(a, b *xds.Resource) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// mergeRoutes joins the routes of several VirtualServices for one host, with those that take every request at the end:
// else the first VirtualService with a default would hide the others.
func mergeRoutes(h *gatewayHost) *routeSet {
	out := &routeSet{}
	var last routeSet
	for _, s := range h.sets {
		out.objects = append(out.objects, s.objects...)
		for i, r := range s.routes {
			to := out
			if catchAll(r) {
				to = &last
			}
			to.routes, to.origins = append(to.routes, r), append(to.origins, s.origins[i])
		}
	}
	out.routes, out.origins = append(out.routes, last.routes...), append(out.origins, last.origins...)
	out.objects = append(out.objects, h.objects...)
	return out
}
