package envoy

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// GatewayRoutes lowers the route configurations of a gateway: one for each plaintext port, and one for each server that
// terminates HTTPS. Virtual hosts are resources of their own.
func GatewayRoutes(c *mesh.Class) ([]*Resource, diag.List) { return new(Memo).GatewayRoutes(c) }

// GatewayRoutes is the function of this name with a memo that gateways share.
func (m *Memo) GatewayRoutes(c *mesh.Class) ([]*Resource, diag.List) {
	var diags diag.List
	var names []string
	servers := map[string][]*mesh.GatewayServer{}
	for _, ms := range c.Servers {
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
	var out []*Resource
	for _, n := range names {
		g := &gatewayConfig{memo: m, scope: c.Scope, name: n, diags: &diags, hosts: map[string]*gatewayHost{}, built: map[builtKey]*routeSet{}}
		for _, s := range servers[n] {
			g.addServer(s)
		}
		out = append(out, g.build(servers[n])...)
	}
	return out, diags
}

// gatewayConfig builds one route configuration of a gateway.
type gatewayConfig struct {
	memo  *Memo
	scope *mesh.Scope
	name  string
	diags *diag.List
	hosts map[string]*gatewayHost
	built map[builtKey]*routeSet
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
			rs := &routeScope{scope: g.scope, port: port, tls: s.Spec.GetTls() != nil, gateways: []string{gateway}}
			if set = g.memo.virtualServiceRoutes(rs, vs, g.diags); len(set.routes) == 0 {
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
			if ns, h := mesh.SplitHost(h); ns == "" || ns == "*" {
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
func (g *gatewayConfig) build(servers []*mesh.GatewayServer) []*Resource {
	out := []*Resource{g.memo.shell(shellKey{name: g.name, ignorePort: true})}
	if len(g.hosts) == 0 {
		set := &routeSet{}
		for _, s := range servers {
			set.objects = append(set.objects, s.Gateway.Object)
		}
		name := "blackhole:" + strconv.Itoa(int(servers[0].Spec.GetPort().GetNumber()))
		return append(out, virtualHost(g.name, name, []string{"*"}, set, false))
	}
	attempts := !g.scope.Proxy.GetProxyHeaders().GetAttemptCount().GetDisabled().GetValue()
	for _, host := range slices.Sorted(maps.Keys(g.hosts)) {
		h := g.hosts[host]
		r := virtualHost(g.name, bracket(host)+":"+strconv.Itoa(int(h.port)), []string{bracket(host)}, mergeRoutes(h), attempts)
		if h.requireTLS {
			r.Message.(*routev3.VirtualHost).RequireTls = routev3.VirtualHost_ALL
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out[1:], func(a, b *Resource) int { return cmp.Compare(a.Name, b.Name) })
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
