package patch

import (
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

var routeKinds = [3]applyTo{networking.EnvoyFilter_ROUTE_CONFIGURATION, networking.EnvoyFilter_VIRTUAL_HOST, networking.EnvoyFilter_HTTP_ROUTE}

// patchRoutes edits route configurations and the virtual hosts of each, which are resources of their own.
func (p *patcher) patchRoutes(rs []*xds.Resource) []*xds.Resource {
	hosts := map[string][]*xds.Resource{}
	for _, r := range rs {
		if r.Type == xds.VirtualHost {
			rc := configOfVirtualHost(r)
			hosts[rc] = append(hosts[rc], r)
		}
	}
	var out []*xds.Resource
	for _, r := range rs {
		switch r.Type {
		case xds.RouteConfiguration:
			out = append(out, p.patchRouteConfiguration(r, hosts[r.Name])...)
			delete(hosts, r.Name)
		case xds.VirtualHost:
		default:
			out = append(out, r)
		}
	}
	for _, r := range rs { // virtual hosts without a route configuration here stay as they are
		if rc := configOfVirtualHost(r); r.Type == xds.VirtualHost && hosts[rc] != nil {
			out = append(out, r)
		}
	}
	return out
}

// configOfVirtualHost is the name of the route configuration in that of a virtual host resource, whose own name may hold a
// slash, and nothing for other resources.
func configOfVirtualHost(r *xds.Resource) string {
	v, is := r.Message.(*routev3.VirtualHost)
	if !is {
		return ""
	}
	return strings.TrimSuffix(r.Name, "/"+v.Name)
}

// patchRouteConfiguration patches the whole configuration and takes it apart again; virtual hosts that come out as they
// were stay the same resource.
func (p *patcher) patchRouteConfiguration(r *xds.Resource, hosts []*xds.Resource) []*xds.Resource {
	as := append([]*xds.Resource{r}, hosts...)
	if !slices.ContainsFunc(routeKinds[:], func(k applyTo) bool {
		return slices.ContainsFunc(p.patches[k], func(e *envoyPatch) bool { return p.routesMatch(e, r.Name) })
	}) {
		return as
	}
	if !p.own && !slices.ContainsFunc(p.patches[networking.EnvoyFilter_ROUTE_CONFIGURATION], func(e *envoyPatch) bool {
		rc, _ := e.value.(*routev3.RouteConfiguration)
		return len(rc.GetVirtualHosts()) > 0
	}) {
		return p.patchApart(r, hosts)
	}
	return p.patchTogether(r, hosts, routeKinds[:], true)
}

// patchTogether applies the patches of some kinds to a configuration with its hosts, and those that add hosts only if told
// to.
func (p *patcher) patchTogether(r *xds.Resource, hosts []*xds.Resource, kinds []applyTo, add bool) []*xds.Resource {
	whole := proto.Clone(r.Message).(*routev3.RouteConfiguration)
	before := map[string]*xds.Resource{}
	for _, h := range hosts {
		v := h.Message.(*routev3.VirtualHost)
		before[v.Name] = h
		whole.VirtualHosts = append(whole.VirtualHosts, proto.Clone(v).(*routev3.VirtualHost))
	}
	changes := map[string][]xds.Origin{}
	for _, k := range kinds {
		for _, e := range p.patches[k] {
			if add || k != networking.EnvoyFilter_VIRTUAL_HOST || !adds(e.op()) {
				p.patchWhole(e, whole, changes)
			}
		}
	}
	patched := *r
	vhosts := whole.VirtualHosts
	whole.VirtualHosts = nil
	out := []*xds.Resource{r}
	if !proto.Equal(whole, r.Message) {
		patched.Before, patched.Message, patched.Origins = r, whole, append(slices.Clip(r.Origins), changes[""]...)
		out[0] = &patched
	}
	for _, v := range vhosts {
		if old := before[v.Name]; old != nil && proto.Equal(old.Message, v) {
			out = append(out, old)
			continue
		}
		n := &xds.Resource{Type: xds.VirtualHost, Name: names.VirtualHost(r.Name, v.Name), Message: v, Origins: changes[v.Name]}
		if old := before[v.Name]; old != nil {
			n.Before, n.Origins = old, append(slices.Clip(old.Origins), n.Origins...)
		}
		out = append(out, n)
	}
	return out
}

// hostPatchInputs is everything that the outcome of patching a virtual host depends on that many scopes share.
type hostPatchInputs struct {
	config *xds.Resource // without hosts, before patches
	host   *xds.Resource
	target Target
}

// host patches a virtual host by itself.
func (t *Table) host(in hostPatchInputs) ([]*xds.Resource, diag.List) {
	p := t.patcher(in.target)
	out := p.patchTogether(in.config, []*xds.Resource{in.host}, routeKinds[1:], false)[1:]
	return out, p.findings
}

// patchApart is patchTogether where no patch of the configuration brings hosts: then each host is patched by itself, once for
// all scopes that share it.
func (p *patcher) patchApart(r *xds.Resource, hosts []*xds.Resource) []*xds.Resource {
	frame := p.patchTogether(r, nil, routeKinds[:], true)
	out := frame[:1:1]
	for _, h := range hosts {
		out = append(out, p.table.hosts.Get(hostPatchInputs{r, h, p.Target})...)
	}
	return append(out, frame[1:]...)
}

// patchWhole applies one patch to a route configuration with its virtual hosts; changes notes by virtual host, "" for the
// configuration, where from. It tells whether anything changed.
func (p *patcher) patchWhole(e *envoyPatch, rc *routev3.RouteConfiguration, changes map[string][]xds.Origin) bool {
	if !p.routesMatch(e, rc.Name) {
		return false
	}
	changed := false
	note := func(host string) {
		changed = true
		changes[host] = append(changes[host], e.origins()...)
	}
	switch e.spec.GetApplyTo() {
	case networking.EnvoyFilter_ROUTE_CONFIGURATION:
		if merges(e.op()) {
			merge(rc, e.value, e.op() == opMergeReplace)
			note("")
		}
	case networking.EnvoyFilter_VIRTUAL_HOST:
		p.patchHosts(e, rc, note)
	default:
		for _, v := range rc.VirtualHosts {
			if hostMatchesPatch(e, v) && p.patchHostRoutes(e, v) {
				note(v.Name)
			}
		}
	}
	if changed {
		p.hit(e, nil)
	}
	return changed
}

func (p *patcher) patchHosts(e *envoyPatch, rc *routev3.RouteConfiguration, note func(string)) {
	value, _ := e.value.(*routev3.VirtualHost)
	if adds(e.op()) {
		rc.VirtualHosts = append(rc.VirtualHosts, proto.Clone(value).(*routev3.VirtualHost))
		note(value.Name)
		return
	}
	var out []*routev3.VirtualHost
	for _, v := range rc.VirtualHosts {
		if !hostMatchesPatch(e, v) {
			out = append(out, v)
			continue
		}
		switch e.op() {
		case opRemove:
			note(v.Name)
			continue
		case opReplace:
			v = proto.Clone(value).(*routev3.VirtualHost)
		default:
			merge(v, value, e.op() == opMergeReplace)
		}
		note(v.Name)
		out = append(out, v)
	}
	rc.VirtualHosts = out
}

func (p *patcher) patchHostRoutes(e *envoyPatch, v *routev3.VirtualHost) bool {
	m := e.spec.GetMatch().GetRouteConfiguration().GetVhost().GetRoute()
	value, _ := e.value.(*routev3.Route)
	if value != nil {
		value = proto.Clone(value).(*routev3.Route)
	}
	out, changed, err := edit(v.Routes, e.op(), value, func(r *routev3.Route) bool { return routeMatchesPatch(m, r) }, m != nil, func(r *routev3.Route) (*routev3.Route, error) {
		r = proto.Clone(r).(*routev3.Route)
		merge(r, value, e.op() == opMergeReplace)
		return r, nil
	})
	if err != nil {
		p.fail(e, "virtual host "+v.Name, err)
	}
	v.Routes = out
	return changed
}

func routeMatchesPatch(m *networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch, r *routev3.Route) bool {
	if m == nil {
		return true
	}
	if m.Name != "" && m.Name != r.Name {
		return false
	}
	switch m.Action {
	case networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch_ROUTE:
		return r.GetRoute() != nil
	case networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch_REDIRECT:
		return r.GetRedirect() != nil
	case networking.EnvoyFilter_RouteConfigurationMatch_RouteMatch_DIRECT_RESPONSE:
		return r.GetDirectResponse() != nil
	}
	return true
}

func hostMatchesPatch(e *envoyPatch, v *routev3.VirtualHost) bool {
	m := e.spec.GetMatch().GetRouteConfiguration().GetVhost()
	return (m.GetName() == "" || m.GetName() == v.Name) && (m.GetDomainName() == "" || slices.Contains(v.Domains, m.GetDomainName()))
}

// routesMatch compares the name of a route configuration, or what it is for: the port on sidecars, the server on gateways.
// As in Istio a route configuration of plaintext servers never matches by gateway or port name.
func (p *patcher) routesMatch(e *envoyPatch, name string) bool {
	m := e.spec.GetMatch().GetRouteConfiguration()
	if m == nil {
		return true
	}
	if m.Name != "" && m.Name != name {
		return false
	}
	if p.context != networking.EnvoyFilter_GATEWAY {
		port, ok := names.RoutesPort(name)
		return m.PortNumber == 0 || ok && port == m.PortNumber
	}
	servers := p.servers[name]
	if m.PortNumber != 0 && !slices.ContainsFunc(servers, func(s *mesh.GatewayServer) bool { return s.Spec.GetPort().GetNumber() == m.PortNumber }) {
		return false
	}
	return m.Gateway == "" && m.PortName == "" || names.TLSRoutes(name) && slices.ContainsFunc(servers, func(s *mesh.GatewayServer) bool {
		o := s.Gateway.Object
		return (m.PortName == "" || m.PortName == s.Spec.GetPort().GetName()) && (m.Gateway == "" || m.Gateway == o.Namespace+"/"+o.Name)
	})
}

// inlineRoutes applies a patch of routes to the route configuration that a connection manager holds itself.
func (w *listenerPatch) inlineRoutes(e *envoyPatch, c *listenerv3.FilterChain) (*listenerv3.FilterChain, bool) {
	for i, f := range c.Filters {
		h := &hcmv3.HttpConnectionManager{}
		if !f.GetTypedConfig().MessageIs(h) || f.GetTypedConfig().UnmarshalTo(h) != nil || h.GetRouteConfig() == nil {
			continue
		}
		if w.patchWhole(e, h.GetRouteConfig(), map[string][]xds.Origin{}) {
			c = proto.Clone(c).(*listenerv3.FilterChain)
			c.Filters[i].ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: xds.Any(h)}
			return c, true
		}
	}
	return c, false
}
