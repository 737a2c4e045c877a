package change

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/change/text"
	"github.com/meshc/meshc/compiler/change/topics"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// manager reads a connection manager: its filters, then the virtual host that takes the authority of the comparison, and its
// routes.
func (b *builder) manager(m *hcmv3.HttpConnectionManager) (*hop, error) {
	b.managed = true
	b.settings = append(b.settings, fieldSettings("", m, topics.Manager)...)
	if m.GetScopedRoutes() != nil {
		b.odd = append(b.odd, "scoped routes "+text.Message(m.GetScopedRoutes()))
	}
	if m.GetRds() != nil {
		b.settings = append(b.settings, fieldSettings("routes ", m.GetRds(), map[string]string{"": Tuning, "route_config_name": "-"})...)
	}
	if err := b.logs("", m.GetAccessLog()); err != nil {
		return nil, err
	}
	if t := m.GetTracing(); t != nil {
		if err := b.helper(setting{topic: Observability, name: "tracing", value: text.Message(t)}, t); err != nil {
			return nil, err
		}
	}
	for _, u := range m.GetUpgradeConfigs() {
		if u.GetEnabled() == nil || u.GetEnabled().GetValue() {
			value := u.GetUpgradeType()
			if len(u.GetFilters()) > 0 {
				value = text.Message(u)
			}
			b.settings = append(b.settings, setting{topic: Routing, name: "upgrade", value: value})
		}
	}
	rc, err := b.p.RouteConfiguration(m)
	if err != nil {
		return nil, err
	}
	if rc == nil {
		return b.finish(nil, b.refuse(byRoute, 404, "there is no route configuration")), nil
	}
	b.read = append(b.read, rc.Message)
	b.resources = append(b.resources, resourceName(rc.Resource))
	b.settings = append(b.settings, fieldSettings("routes ", rc.Message, topics.Routes)...)
	hosts, err := b.p.VirtualHosts(rc.Message)
	if err != nil {
		return nil, err
	}
	host := hosts.Pick(authorityOf(b.is.Host, m))
	stop, err := b.httpFilters(m, rc.Message, host)
	if err != nil {
		return nil, err
	}
	if stop != nil {
		return b.finish(nil, stop), nil
	}
	if host == nil {
		return b.finish(nil, b.refuse(byRoute, 404, "no virtual host takes the name", b.origins()...)), nil
	}
	return b.routes(m, rc.Message, host)
}

// authorityOf is a name that is asked for, as the connection manager makes it.
func authorityOf(host string, m *hcmv3.HttpConnectionManager) string {
	if m.GetStripAnyHostPort() {
		if name, port, ok := strings.Cut(host, ":"); ok && !strings.Contains(port, ":") {
			return name
		}
	}
	return host
}

// httpFilters reads the HTTP filters up to the router. It returns the outcome of a refusal that meets all requests.
func (b *builder) httpFilters(m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, host *trace.Found[*routev3.VirtualHost]) (*outcome, error) {
	for _, f := range m.GetHttpFilters() {
		if f.GetDisabled() {
			continue
		}
		if f.GetConfigDiscovery() != nil {
			b.odd = append(b.odd, "filter "+f.GetName()+", which comes from elsewhere: "+text.Message(f.GetConfigDiscovery()))
			continue
		}
		stop, err := b.httpFilter(f, perHost(f.GetName(), rc, host))
		if stop != nil || err != nil {
			return stop, err
		}
	}
	return nil, nil
}

// httpFilter reads one HTTP filter; own is its setting of the virtual host.
func (b *builder) httpFilter(f *hcmv3.HttpFilter, own *anypb.Any) (*outcome, error) {
	a := f.GetTypedConfig()
	if x, ok := unpack(a, &jwtv3.JwtAuthentication{}); ok {
		return b.tokens(x)
	}
	if x, ok := unpack(a, &httprbacv3.RBAC{}); ok {
		x = httpRules(x, own)
		b.rbac(x.GetRules(), x.GetShadowRules(), x.GetShadowRulesStatPrefix())
		b.matchers(x.GetMatcher(), x.GetShadowMatcher())
		return nil, nil
	}
	if x, ok := unpack(a, &extauthzv3.ExtAuthz{}); ok {
		text := "asks " + cmp.Or(x.GetGrpcService().GetEnvoyGrpc().GetClusterName(), x.GetHttpService().GetServerUri().GetCluster()+x.GetHttpService().GetPathPrefix())
		return nil, b.external(x.GetFilterEnabledMetadata() != nil, text, x.GetFailureModeAllow(), x)
	}
	if _, ok := unpack(a, &faultv3.HTTPFault{}); ok {
		return nil, nil // by route
	}
	if _, ok := unpack(a, &corsv3.Cors{}); ok {
		return nil, nil // by route
	}
	return nil, b.filter(f.GetName(), a)
}

// perHost is the setting of a virtual host or route configuration for a filter.
func perHost(name string, rc *routev3.RouteConfiguration, host *trace.Found[*routev3.VirtualHost]) *anypb.Any {
	if host != nil {
		if a := host.Message.GetTypedPerFilterConfig()[name]; a != nil {
			return a
		}
	}
	return rc.GetTypedPerFilterConfig()[name]
}

// tokens judges the token of the comparison.
func (b *builder) tokens(cfg *jwtv3.JwtAuthentication) (*outcome, error) {
	if odd := oddTokenRules(cfg); odd != "" {
		b.odd = append(b.odd, odd)
	}
	status, after, err := b.is.Token.Judge(cfg)
	var origins []bundle.Origin
	for _, n := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		if b.listener.Resource != nil {
			origins = append(origins, b.listener.Resource.OriginsOf(names.ProviderPart(n))...)
		}
	}
	if err != nil {
		b.odd = append(b.odd, "token rules: "+err.Error())
		return nil, nil
	}
	if status != 0 {
		return b.refuse(byToken, status, "the token is refused", origins...), nil
	}
	b.is.Token = after
	b.settings = append(b.settings, fieldSettings("token rules: ", cfg, map[string]string{"": Tuning, "providers": "-", "rules": "-", "bypass_cors_preflight": topics.Grant,
		"requirement_map": "-", "filter_state_rules": "-"})...)
	b.settings = append(b.settings, tokenSettings(after, cfg)...)
	for _, n := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		p := cfg.GetProviders()[n]
		if after == nil || after.Payload == "" || p.GetIssuer() != after.Issuer {
			continue
		}
		if b.listener.Resource != nil {
			b.vouching = append(b.vouching, b.listener.Resource.OriginsOf(names.ProviderPart(n))...)
		}
		for _, s := range fieldSettings("tokens of "+p.GetIssuer()+": ", p, topics.Provider) {
			s.value, s.keys = condition.Fingerprint([]byte(s.value)), s.name == "tokens of "+p.GetIssuer()+": remote jwks"
			if err := b.helper(s, p.GetRemoteJwks()); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

// oddTokenRules names rules about tokens that are not for all requests.
func oddTokenRules(cfg *jwtv3.JwtAuthentication) string {
	if len(cfg.GetRequirementMap()) > 0 || cfg.GetFilterStateRules() != nil {
		return "rules about tokens that a route chooses: " + condition.Fingerprint([]byte(text.Message(cfg)))
	}
	for _, r := range cfg.GetRules() {
		if m := r.GetMatch(); m.GetPrefix() != "/" || len(m.GetHeaders())+len(m.GetQueryParameters()) > 0 || m.GetRuntimeFraction() != nil {
			return "rules about tokens of some requests: " + text.Message(r)
		}
	}
	return ""
}

func sortedPolicies(r *rbacv3.RBAC) []string { return slices.Sorted(maps.Keys(r.GetPolicies())) }

// routes makes the hop of a virtual host.
func (b *builder) routes(m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, host *trace.Found[*routev3.VirtualHost]) (*hop, error) {
	vh := host.Message
	b.read = append(b.read, vh)
	b.settings = append(b.settings, fieldSettings("host ", vh, topics.Host)...)
	if vh.GetMatcher() != nil {
		b.odd = append(b.odd, "a matcher of routes "+text.Message(vh.GetMatcher()))
	}
	var origins []bundle.Origin
	b.resources = append(b.resources, resourceName(host.Resource))
	if host.Resource != nil {
		origins = host.Resource.OriginsAt(names.Part{})
	} else {
		origins = b.origins()
	}
	if vh.GetRequireTls() == routev3.VirtualHost_ALL && !b.is.Secure {
		return b.finish(nil, &outcome{passes: passing, answer: true, status: 301, end: "redirect to https", text: "redirects to https", origins: origins}), nil
	}
	if vh.GetRequireTls() == routev3.VirtualHost_EXTERNAL_ONLY && !b.is.Secure {
		b.settings = append(b.settings, setting{topic: Encryption, name: "requests from outside", value: "are sent to https"})
	}
	var rules []rule
	for i, r := range vh.GetRoutes() {
		o, err := b.route(m, rc, vh, r)
		if err != nil {
			return nil, err
		}
		if host.Resource != nil {
			o.origins = append(host.Resource.OriginsAt(names.RoutePart(i)), o.origins...)
		} else {
			o.origins = append(origins[:len(origins):len(origins)], o.origins...)
		}
		rules = append(rules, rule{when: b.is.Route(r.GetMatch()), outcome: o, text: trace.MatchText(r.GetMatch())})
	}
	return b.finish(rules, b.refuse(byRoute, 404, fmt.Sprintf("none of the %d routes of the host takes it", len(vh.GetRoutes())), origins...)), nil
}
