package trace

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// exchange is one request in one connection manager.
type exchange struct {
	manager *hcmv3.HttpConnectionManager
	res     *bundle.Resource // the listener
	rc      *routev3.RouteConfiguration
	host    located[*routev3.VirtualHost]
	route   *routev3.Route
	index   int // of route
	unsure  error
	scheme  string
}

// http hands a request to a connection manager: the path is normalised, the virtual host and the route are chosen, the
// HTTP filters run, and the last of them, the router, sends it on.
func (k *walk) http(s state, res *bundle.Resource, m *hcmv3.HttpConnectionManager, tls bool) (*Path, error) {
	switch {
	case len(s.conn.layers) > 0:
		return s.misread("TLS"), nil
	case s.conn.wire == wireTCP:
		return s.misread("something else"), nil
	}
	x := &exchange{manager: m, res: res, scheme: "http"}
	if tls {
		x.scheme = "https"
	}
	before := s.call.Path
	s.call.HTTP, s.parsed = true, true
	if urlpath.Malformed(before, m) {
		return s.end(Failed, 400, "the connection manager refuses the path: it encodes a zero byte"), nil
	}
	s.call.Path = urlpath.Normalize(s.call.Path, m)
	if s.call.Path != before {
		s.add(Step{Kind: "filter", Name: "path", Text: "the path is normalised to " + s.call.Path, Effects: []Effect{{EffectPath, "", s.call.Path}}})
	}
	stripAuthority(&s, m)
	findClient(&s, m)
	x.rc = m.GetRouteConfig()
	if name := m.GetRds().GetRouteConfigName(); name != "" {
		rc, ok, err := find[*routev3.RouteConfiguration](s.v, bundle.RouteConfigurationType, name)
		if err != nil {
			return nil, err
		}
		if !ok {
			return s.end(Failed, 404, "route configuration "+name+" is not in the bundle"), nil
		}
		x.rc = rc.msg
	}
	if err := x.pick(&s); err != nil {
		return nil, err
	}
	return k.httpFilters(s, x, 0)
}

// stripAuthority strips what the connection manager strips from the host of the request.
func stripAuthority(s *state, m *hcmv3.HttpConnectionManager) {
	host := urlpath.StripPort(s.call.Authority)
	switch {
	case m.GetStripAnyHostPort():
		s.call.Authority = host
	case m.GetStripMatchingHostPort() && s.call.Authority == fmt.Sprintf("%s:%d", host, s.conn.dest.Port()):
		s.call.Authority = host
	}
	if m.GetStripTrailingHostDot() {
		host = urlpath.StripPort(s.call.Authority)
		s.call.Authority = strings.TrimSuffix(host, ".") + strings.TrimPrefix(s.call.Authority, host)
	}
}

// findClient finds the address of the original client: the peer, or what trusted proxies say in X-Forwarded-For. A
// proxy at the edge adds its peer to that header.
func findClient(s *state, m *hcmv3.HttpConnectionManager) {
	all, _ := s.call.Header("x-forwarded-for")
	hops := strings.Split(all, ",")
	i := len(hops) - int(m.GetXffNumTrustedHops())
	if !m.GetUseRemoteAddress().GetValue() {
		i--
	}
	s.call.Remote = s.conn.source
	if i >= 0 && i < len(hops) {
		if a, err := netip.ParseAddr(strings.TrimSpace(hops[i])); err == nil { // else it says nothing
			s.call.Remote = a
		}
	}
	if m.GetUseRemoteAddress().GetValue() && !m.GetSkipXffAppend() {
		peer := "unknown"
		if s.conn.source.IsValid() {
			peer = s.conn.source.String()
		}
		if all != "" {
			peer = all + "," + peer
		}
		s.call.SetHeader("x-forwarded-for", peer)
	}
}

// pick chooses virtual host and route, or says that it cannot tell.
func (x *exchange) pick(s *state) error {
	hosts, err := s.v.virtualHosts(x.rc)
	if err != nil {
		return err
	}
	x.host, x.route, x.unsure = located[*routev3.VirtualHost]{}, nil, nil
	h := hosts.pick(s.call.Authority, x.rc.GetIgnorePortInHostMatching())
	if h == nil {
		return nil
	}
	x.host = *h
	if x.needsTLS(s) {
		return nil
	}
	for i, r := range h.msg.GetRoutes() {
		ok, err := matchRoute(r.GetMatch(), &s.call, x.scheme)
		if err != nil {
			x.unsure = err
			return nil
		}
		if ok {
			x.route, x.index = r, i
			return nil
		}
	}
	return nil
}

func (x *exchange) needsTLS(s *state) bool {
	return x.scheme == "http" && x.host.msg.GetRequireTls() == routev3.VirtualHost_ALL && strings.Join(s.call.Headers["x-forwarded-proto"], "") != "https"
}

func (x *exchange) origins() []bundle.Origin {
	return trim(originsAt(x.host.res, names.RoutePart(x.index)))
}

// perRoute returns the most specific setting of a filter for the route.
func (x *exchange) perRoute(name string) *anypb.Any {
	for _, m := range []map[string]*anypb.Any{x.route.GetTypedPerFilterConfig(), x.host.msg.GetTypedPerFilterConfig(), x.rc.GetTypedPerFilterConfig()} {
		if a := m[name]; a != nil {
			return a
		}
	}
	return nil
}

// httpFilters runs the HTTP filters from the i-th on.
func (k *walk) httpFilters(s state, x *exchange, i int) (*Path, error) {
	if i >= len(x.manager.GetHttpFilters()) {
		return k.router(s, x)
	}
	f := x.manager.GetHttpFilters()[i]
	goOn := func(s state) (*Path, error) { y := *x; return k.httpFilters(s, &y, i+1) }
	a, own := f.GetTypedConfig(), x.perRoute(f.GetName())
	if c, ok := unpack(own, &routev3.FilterConfig{}); ok {
		if c.GetDisabled() {
			return goOn(s)
		}
		own = c.GetConfig()
	} else if f.GetDisabled() && own == nil {
		return goOn(s)
	}
	return k.httpFilter(s, x, f.GetName(), a, own, goOn)
}

// httpFilter runs one HTTP filter, with the setting of the route for it, if there is one.
func (k *walk) httpFilter(s state, x *exchange, name string, a, own *anypb.Any, goOn next) (*Path, error) {
	if m, ok := unpack(a, &httprbacv3.RBAC{}); ok {
		if p, ok := unpack(own, &httprbacv3.RBACPerRoute{}); ok {
			m = p.GetRbac()
		}
		return k.rbac(s, rbacFilter{res: x.res, name: httpRBAC, http: true, rules: m.GetRules(), shadow: m.GetShadowRules(), prefix: m.GetShadowRulesStatPrefix()}, goOn)
	}
	if m, ok := unpack(a, &jwtv3.JwtAuthentication{}); ok && own == nil {
		return k.tokens(s, x.res, m, goOn, func(s *state) { _ = x.pick(s) })
	}
	if m, ok := unpack(a, &extauthzv3.ExtAuthz{}); ok {
		if p, ok := unpack(own, &extauthzv3.ExtAuthzPerRoute{}); ok && p.GetDisabled() {
			return goOn(s)
		}
		cluster := cmp.Or(m.GetHttpService().GetServerUri().GetCluster(), m.GetGrpcService().GetEnvoyGrpc().GetClusterName())
		return k.external(s, m.GetFilterEnabledMetadata(), cluster, m.GetFailureModeAllow(), 403, goOn)
	}
	if m, ok := unpack(a, &faultv3.HTTPFault{}); ok {
		if p, ok := unpack(own, &faultv3.HTTPFault{}); ok {
			m = p
		}
		return k.fault(s, x, m, goOn)
	}
	if _, ok := unpack(a, &corsv3.Cors{}); ok {
		p, _ := unpack(own, &corsv3.CorsPolicy{})
		return k.cors(s, x, p, own != nil, goOn)
	}
	if _, ok := unpack(a, &routerv3.Router{}); ok {
		return k.router(s, x)
	}
	if t := shortType(a, name); !harmless(t) {
		s.add(Step{Kind: "filter", Name: name, Text: "may change or answer the request; what it does is not judged here", Effects: []Effect{{EffectUnjudged, name, ""}}})
	}
	return goOn(s)
}

// harmless filters neither route nor refuse.
func harmless(t string) bool {
	return slices.ContainsFunc([]string{"http.grpc_stats.", "http.grpc_web.", "http.set_filter_state.", "http.compressor.", "http.dynamic_forward_proxy."}, func(p string) bool { return strings.HasPrefix(t, p) })
}

// percent is a fraction as a number between 0 and 1.
func percent(f *typev3.FractionalPercent) float64 {
	switch f.GetDenominator() {
	case typev3.FractionalPercent_TEN_THOUSAND:
		return float64(f.GetNumerator()) / 1e4
	case typev3.FractionalPercent_MILLION:
		return float64(f.GetNumerator()) / 1e6
	}
	return float64(f.GetNumerator()) / 100
}

func percentText(p float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.4f", p*100), "0"), ".") + "%"
}

// fault injects the delay and the abort of a route.
func (k *walk) fault(s state, x *exchange, m *faultv3.HTTPFault, goOn next) (*Path, error) {
	for _, h := range m.GetHeaders() {
		if ok, err := match.Header(h, &s.call); !ok || err != nil {
			return goOn(s)
		}
	}
	if p := percent(m.GetDelay().GetPercentage()); p > 0 && m.GetDelay().GetFixedDelay() != nil {
		d := durationText(m.GetDelay().GetFixedDelay())
		s.add(Step{Kind: "fault", Name: "delay", Text: percentText(p) + " of the requests wait " + d, Effects: []Effect{{EffectDelay, percentText(p), d}}, Origins: x.origins()})
	}
	p := percent(m.GetAbort().GetPercentage())
	if p == 0 {
		return goOn(s)
	}
	status, text := int(m.GetAbort().GetHttpStatus()), fmt.Sprintf("fault injection answers %d", m.GetAbort().GetHttpStatus())
	var effects []Effect
	if g, ok := m.GetAbort().GetErrorType().(*faultv3.FaultAbort_GrpcStatus); ok {
		status, text = http.StatusOK, fmt.Sprintf("fault injection answers gRPC status %d", g.GrpcStatus)
		effects = []Effect{{EffectGRPCStatus, "", fmt.Sprint(g.GrpcStatus)}}
	}
	aborted := func(s state) *Path {
		p := s.end(Answered, status, text, x.origins()...)
		p.Outcome.Effects = effects
		return p
	}
	if p >= 1 {
		return aborted(s), nil
	}
	abort, rest := s.fork(), s.fork()
	onRest, err := goOn(rest)
	if err != nil {
		return nil, err
	}
	return s.choose("the percentage of fault injection",
		Branch{When: "abort", Chance: p, Origins: x.origins(), Path: aborted(abort)},
		Branch{When: "no abort", Chance: 1 - p, Path: onRest}), nil
}

// cors answers preflight requests of allowed origins.
func (k *walk) cors(s state, x *exchange, p *corsv3.CorsPolicy, set bool, goOn next) (*Path, error) {
	origin, has := s.call.Header("origin")
	if !set || !has || p.GetFilterEnabled() != nil && percent(p.GetFilterEnabled().GetDefaultValue()) == 0 {
		return goOn(s)
	}
	allowed := false
	for _, m := range p.GetAllowOriginStringMatch() {
		ok, err := match.String(m, origin)
		allowed = allowed || ok && err == nil
	}
	_, preflight := s.call.Header("access-control-request-method")
	preflight = preflight && s.call.Method == http.MethodOptions
	switch {
	case preflight && allowed:
		p := s.end(Answered, http.StatusOK, "the CORS policy answers the preflight request of "+origin, x.origins()...)
		p.Outcome.Effects = []Effect{{EffectCORS, "", "allowed"}}
		return p, nil
	case preflight && p.GetForwardNotMatchingPreflights() != nil && !p.GetForwardNotMatchingPreflights().GetValue():
		p := s.end(Answered, http.StatusOK, "the CORS policy answers the preflight request without allowing "+origin, x.origins()...)
		p.Outcome.Effects = []Effect{{EffectCORS, "", "refused"}}
		return p, nil
	case allowed:
		s.add(Step{Kind: "cors", Name: "cors", Text: "the answer will allow the origin " + origin, Effects: []Effect{{EffectCORS, "", "allowed"}}, Origins: x.origins()})
	default:
		s.add(Step{Kind: "cors", Name: "cors", Text: "the answer will not allow the origin " + origin, Effects: []Effect{{EffectCORS, "", "refused"}}, Origins: x.origins()})
	}
	return goOn(s)
}
