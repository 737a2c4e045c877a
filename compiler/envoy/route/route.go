package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/anypb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// MeshGateway is the reserved gateway name that stands for all sidecars.
const MeshGateway = "mesh"

// routeSet is a list of routes that virtual hosts share, with where each comes from.
type routeSet struct {
	routes  []*routev3.Route
	origins []xds.Origin     // origins[i] made routes[i]; At is filled in per virtual host
	objects []*schema.Object // the service or VirtualService (and delegates) behind the set
}

// httpRoutes lowers spec.http of a VirtualService. Blocks keep their order; the list ends with the first route that
// takes every request. An empty result means that the VirtualService has nothing to say to this proxy on this port.
func httpRoutes(in Inputs) (*routeSet, diag.List) {
	var diags diag.List
	vs := in.VirtualService
	out := &routeSet{objects: []*schema.Object{vs.Object}}
	for i, h := range vs.Spec.GetHttp() {
		b := &httpBlock{Inputs: &in, in: h, origin: originOf(vs, i), diags: &diags}
		if b.origin.Object != vs.Object {
			out.objects = append(out.objects, b.origin.Object)
		}
		for m := range max(len(h.Match), 1) {
			var match *networking.HTTPMatchRequest
			if len(h.Match) > 0 {
				match = h.Match[m]
			}
			if !b.applies(match) {
				continue
			}
			r := b.route(match, m)
			out.routes = append(out.routes, r)
			out.origins = append(out.origins, b.routeOrigin(match, m))
			if catchAll(r) {
				b.reportUnreachable(i, m)
				return out, diags
			}
		}
	}
	return out, diags
}

// httpBlock is one entry of spec.http on its way to routes.
type httpBlock struct {
	*Inputs
	in     *networking.HTTPRoute
	origin mesh.RouteOrigin
	diags  *diag.List
}

func originOf(vs *mesh.VirtualService, i int) mesh.RouteOrigin {
	if i < len(vs.HTTP) && vs.HTTP[i].Object != nil {
		return vs.HTTP[i]
	}
	return mesh.RouteOrigin{Object: vs.Object, Index: i}
}

// path is the place of a field of the block in the object it was written in.
func (b *httpBlock) path(field ...any) []any {
	return append([]any{"spec", "http", b.origin.Index}, field...)
}

func (b *httpBlock) report(sev diag.Severity, code, message, help string, field ...any) {
	if b.origin.Object != nil {
		b.diags.Add(b.origin.Object.Finding(sev, code, message, help, b.path(field...)...))
	}
}

// matchIndex is the index of a match in the object it was written in, -1 if a delegate's block has no match there.
func (b *httpBlock) matchIndex(m int) int {
	if m < len(b.origin.Match) {
		return b.origin.Match[m]
	}
	return m
}

func (b *httpBlock) routeOrigin(match *networking.HTTPMatchRequest, m int) xds.Origin {
	if b.origin.Object == nil {
		return xds.Origin{}
	}
	p := b.path()
	if i := b.matchIndex(m); match != nil && i >= 0 {
		p = b.path("match", i)
	}
	return objectOrigin(b.origin.Object, p...)
}

// objectOrigin is the place of a part of an object.
func objectOrigin(o *schema.Object, path ...any) xds.Origin {
	return xds.Origin{Pos: o.Pos(path...), Object: o.Ref(), Field: schema.FieldPath(path...)}
}

// route lowers one match of the block (nil: every request) to a Route.
func (b *httpBlock) route(match *networking.HTTPMatchRequest, m int) *routev3.Route {
	r := &routev3.Route{Name: routeName(b.in, match), Match: b.match(match, m), StatPrefix: match.GetStatPrefix()}
	ops := b.headerOps(b.in.GetHeaders(), "headers")
	ops.addTo(r)
	switch {
	case b.in.GetRedirect() != nil:
		b.redirect(r)
		b.reportIdle("redirect")
	case b.in.GetDirectResponse() != nil:
		directResponse(r, b.in.GetDirectResponse())
		b.reportIdle("directResponse")
	default:
		b.forward(r, ops.authority)
	}
	if b.in.GetFault() != nil || b.in.GetCorsPolicy() != nil {
		r.TypedPerFilterConfig = map[string]*anypb.Any{}
	}
	if f := b.in.GetFault(); f != nil {
		r.TypedPerFilterConfig[faultFilter] = xds.Any(b.fault(f))
	}
	if c := b.in.GetCorsPolicy(); c != nil {
		r.TypedPerFilterConfig[corsFilter] = xds.Any(b.cors(c))
	}
	r.Decorator = &routev3.Decorator{Operation: operation(r, b.VirtualService.Object.Name, b.Port)}
	return r
}

func routeName(h *networking.HTTPRoute, match *networking.HTTPMatchRequest) string {
	if n := match.GetName(); n != "" {
		return h.GetName() + "." + n
	}
	return h.GetName()
}

// forward sends the request to the destinations of the block.
func (b *httpBlock) forward(r *routev3.Route, authority string) {
	a := &routev3.RouteAction{}
	r.Action = &routev3.Route_Route{Route: a}
	policy := b.in.GetRetries()
	if policy == nil {
		policy = b.Mesh.Config.GetDefaultHttpRetryPolicy()
	}
	hashed := len(b.in.GetRoute()) == 1 && b.to(b.in.Route[0].GetDestination()).hash != nil
	a.RetryPolicy = retryPolicy(policy, hashed)
	setTimeout(a, b.in.GetTimeout())
	b.rewrite(a, authority)
	a.RequestMirrorPolicies = b.mirrors()
	b.destinations(r, a)
	if a.HostRewriteSpecifier != nil && b.ForwardedHost {
		a.AppendXForwardedHost = true
	}
}

// reportIdle reports the fields that only a forwarded request could use.
func (b *httpBlock) reportIdle(action string) {
	h := b.in
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"route", len(h.GetRoute()) > 0}, {"rewrite", h.GetRewrite() != nil}, {"timeout", h.GetTimeout() != nil},
		{"retries", h.GetRetries() != nil}, {"mirror", h.GetMirror() != nil}, {"mirrors", len(h.GetMirrors()) > 0},
		{"mirrorPercentage", h.GetMirrorPercentage() != nil}, {"mirrorPercent", h.GetMirrorPercent() != nil},
		{"directResponse", action == "redirect" && h.GetDirectResponse() != nil},
	} {
		if f.set {
			b.report(diag.Warning, codeNoEffect, "http."+f.name+" has no effect: "+action+" answers the request, so nothing is forwarded",
				"remove "+f.name+" or "+action, f.name)
		}
	}
}

// operation names the span of a request, as Istio does: host:port/path, or the VirtualService where there are several hosts.
func operation(r *routev3.Route, name string, port uint32) string {
	path := "/*"
	switch p := r.GetMatch().GetPathSpecifier().(type) {
	case *routev3.RouteMatch_Prefix:
		path = p.Prefix + "*"
	case *routev3.RouteMatch_Path:
		path = p.Path
	case *routev3.RouteMatch_SafeRegex:
		path = p.SafeRegex.GetRegex()
	}
	if c, ok := names.ParseCluster(r.GetRoute().GetCluster()); ok {
		name, port = c.Host, c.Port
	}
	return names.HostRoutes(name, port) + path
}

// defaultRoutes is the one route of a service that no VirtualService speaks for.
func defaultRoutes(in serviceRouteInputs) *routeSet {
	a := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: names.Outbound(in.port, "", in.host)}}
	if p := hashPolicy(in.hash); p != nil {
		a.HashPolicy = []*routev3.RouteAction_HashPolicy{p}
	}
	a.RetryPolicy = retryPolicy(in.mesh.Config.GetDefaultHttpRetryPolicy(), false) // as istiod: only routes of a VirtualService mind the hash
	setTimeout(a, nil)
	r := &routev3.Route{Name: "default", Match: everything(), Action: &routev3.Route_Route{Route: a}}
	r.Decorator = &routev3.Decorator{Operation: operation(r, in.name, in.port)}
	return &routeSet{routes: []*routev3.Route{r}, objects: []*schema.Object{in.object}}
}

// reportUnreachable reports what follows a match that takes every request.
func (b *httpBlock) reportUnreachable(block, match int) {
	if len(b.in.Match) > 0 && conditional(b.in.Match[match]) {
		return // only on this port or for this caller
	}
	add := func(o *schema.Object, field []any, what string) {
		if o == nil || b.origin.Object == nil {
			return
		}
		d := o.Finding(diag.Warning, "IST0130", what+" is never reached: "+schema.FieldPath(b.path()...)+" before it takes every request",
			"move it before "+schema.FieldPath(b.path()...)+", or remove one of the two", field...)
		d.Related = []diag.Related{{Pos: b.origin.Object.Pos(b.path()...), Object: b.origin.Object.Ref(), Message: "takes every request"}}
		b.diags.Add(d)
	}
	for m := match + 1; m < len(b.in.Match); m++ {
		if i := b.matchIndex(m); i >= 0 {
			add(b.origin.Object, b.path("match", i), "this match")
		}
	}
	for i := block + 1; i < len(b.VirtualService.Spec.Http); i++ {
		o := originOf(b.VirtualService, i)
		add(o.Object, []any{"spec", "http", o.Index}, "this http route")
	}
}

func conditional(m *networking.HTTPMatchRequest) bool {
	return m.GetPort() != 0 || len(m.GetGateways()) > 0 || len(m.GetSourceLabels()) > 0 || m.GetSourceNamespace() != ""
}
