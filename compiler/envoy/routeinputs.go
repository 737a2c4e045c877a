package envoy

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/internal/diag"
)

// routeInputs lists what the routes of a VirtualService ask of a scope, so that two scopes which answer alike share
// the routes. Reading the answers is much cheaper than building the routes.
type routeInputs struct {
	matches      []*networking.HTTPMatchRequest // that look at gateways or the caller
	destinations []*networking.Destination      // routes and mirrors
	claims       bool                           // claims are matched, which gateways and sidecars treat differently
}

func inputsOf(vs *mesh.VirtualService) *routeInputs {
	out := &routeInputs{}
	for _, h := range vs.Spec.GetHttp() {
		for _, m := range h.GetMatch() {
			if len(m.GetGateways()) > 0 || len(m.GetSourceLabels()) > 0 || m.GetSourceNamespace() != "" {
				out.matches = append(out.matches, m)
			}
			for _, headers := range []map[string]*networking.StringMatch{m.GetHeaders(), m.GetWithoutHeaders()} {
				for k := range headers {
					out.claims = out.claims || claimPath(k) != nil
				}
			}
		}
		for _, d := range h.GetRoute() {
			out.destinations = append(out.destinations, d.GetDestination())
		}
		if h.GetMirror() != nil {
			out.destinations = append(out.destinations, h.GetMirror())
		}
		for _, m := range h.GetMirrors() {
			out.destinations = append(out.destinations, m.GetDestination())
		}
	}
	return out
}

// digest writes the answers of a scope as text.
func (in *routeInputs) digest(rs *routeScope) string {
	var b strings.Builder
	for _, m := range in.matches {
		if rs.fromHere(m) {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	if rs.scope.Proxy.GetProxyHeaders().GetXForwardedHost().GetEnabled().GetValue() {
		b.WriteByte('x')
	}
	if in.claims && rs.scope.Gateway {
		b.WriteByte('g')
	}
	for _, d := range in.destinations {
		b.WriteByte(' ')
		b.WriteString(rs.cluster(d))
		if svc := rs.scope.Service(d.GetHost()); svc != nil && d.GetPort() == nil && svc.HasPort(rs.port) == nil {
			b.WriteByte('!') // worth a finding
		}
		hashDigest(&b, rs.hash(d))
	}
	return b.String()
}

// virtualServiceRoutes returns the routes of a VirtualService for a proxy and port.
func (m *Memo) virtualServiceRoutes(rs *routeScope, vs *mesh.VirtualService, diags *diag.List) *routeSet {
	key := routesKey{vs: vs, port: rs.port, all: rs.allPorts, tls: rs.tls, context: m.inputs(vs).digest(rs)}
	set, found := m.routeSet(key, func(d *diag.List) *routeSet { return httpRoutes(rs, vs, d) })
	diags.Add(found...)
	return set
}

// serviceRoutes returns the default routes of a service port.
func (m *Memo) serviceRoutes(s *mesh.Scope, svc *mesh.Service, port *mesh.Port) *routeSet {
	var b strings.Builder
	hashDigest(&b, serviceHash(s, svc, port.Number))
	key := routesKey{object: svc.Object, host: svc.Hostname, port: port.Number, context: b.String()}
	set, _ := m.routeSet(key, func(*diag.List) *routeSet { return defaultRoutes(s, svc, port) })
	return set
}
