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
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// managerTopics are the topics of the fields of a connection manager.
var managerTopics = map[string]string{
	"": Tuning, "stat_prefix": "-", "rds": "-", "route_config": "-", "http_filters": "-", "access_log": "-", "upgrade_configs": "-",
	"tracing": "-", "server_name": "-", "proxy_100_continue": "-",
}

// manager reads a connection manager: its filters, then the virtual host that takes the authority of the comparison, and its
// routes.
func (b *builder) manager(m *hcmv3.HttpConnectionManager) (*hop, error) {
	b.settings = append(b.settings, fieldSettings("", m, managerTopics)...)
	b.logs("", m.GetAccessLog())
	if t := m.GetTracing(); t != nil {
		b.settings = append(b.settings, setting{topic: Observability, name: "tracing", value: messageText(t)})
	}
	for _, u := range m.GetUpgradeConfigs() {
		if u.GetEnabled() == nil || u.GetEnabled().GetValue() {
			b.settings = append(b.settings, setting{topic: Routing, name: "upgrade", value: u.GetUpgradeType()})
		}
	}
	rc, err := b.p.RouteConfiguration(m)
	if err != nil {
		return nil, err
	}
	if rc == nil {
		return b.finish(nil, b.refuse(byRoute, 404, "there is no route configuration")), nil
	}
	b.resources = append(b.resources, resourceName(rc.Resource))
	hosts, err := b.p.VirtualHosts(rc.Message)
	if err != nil {
		return nil, err
	}
	host := hosts.Pick(b.authority(m))
	if stop := b.httpFilters(m, rc.Message, host); stop != nil {
		return b.finish(nil, stop), nil
	}
	if host == nil {
		return b.finish(nil, b.refuse(byRoute, 404, "no virtual host takes the name", b.origins()...)), nil
	}
	return b.routes(m, rc.Message, host)
}

// authority is the name that is asked for, as the connection manager makes it.
func (b *builder) authority(m *hcmv3.HttpConnectionManager) string {
	if m.GetStripAnyHostPort() {
		if host, port, ok := strings.Cut(b.is.host, ":"); ok && !strings.Contains(port, ":") {
			return host
		}
	}
	return b.is.host
}

// httpFilters reads the HTTP filters up to the router. It returns the outcome of a refusal that meets all requests.
func (b *builder) httpFilters(m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, host *trace.Found[*routev3.VirtualHost]) *outcome {
	for _, f := range m.GetHttpFilters() {
		a := f.GetTypedConfig()
		if f.GetDisabled() {
			continue
		}
		if x, ok := unpack(a, &jwtv3.JwtAuthentication{}); ok {
			if stop := b.tokens(x); stop != nil {
				return stop
			}
			continue
		}
		if x, ok := unpack(a, &httprbacv3.RBAC{}); ok {
			x = httpRules(x, perHost(f.GetName(), rc, host))
			b.rbac(x.GetRules(), x.GetShadowRules(), x.GetShadowRulesStatPrefix())
			continue
		}
		if x, ok := unpack(a, &extauthzv3.ExtAuthz{}); ok {
			text := "asks " + cmp.Or(x.GetGrpcService().GetEnvoyGrpc().GetClusterName(), x.GetHttpService().GetServerUri().GetCluster()+x.GetHttpService().GetPathPrefix())
			b.external(x.GetFilterEnabledMetadata() != nil, text, x.GetFailureModeAllow())
			continue
		}
		if _, ok := unpack(a, &faultv3.HTTPFault{}); ok {
			continue // by route
		}
		if _, ok := unpack(a, &corsv3.Cors{}); ok {
			continue // by route
		}
		b.filter(f.GetName(), a)
	}
	return nil
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
func (b *builder) tokens(cfg *jwtv3.JwtAuthentication) *outcome {
	status, after, err := b.is.token.judge(cfg)
	var origins []bundle.Origin
	for _, n := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		if b.listener.Resource != nil {
			origins = append(origins, b.listener.Resource.OriginsOf(names.ProviderPart(n))...)
		}
	}
	if err != nil {
		b.odd = append(b.odd, "token rules: "+err.Error())
		return nil
	}
	if status != 0 {
		return b.refuse(byToken, status, "the token is refused", origins...)
	}
	b.is.token = after
	b.settings = append(b.settings, after.settings(cfg, after)...)
	return nil
}

func sortedPolicies(r *rbacv3.RBAC) []string { return slices.Sorted(maps.Keys(r.GetPolicies())) }

// routes makes the hop of a virtual host.
func (b *builder) routes(m *hcmv3.HttpConnectionManager, rc *routev3.RouteConfiguration, host *trace.Found[*routev3.VirtualHost]) (*hop, error) {
	vh := host.Message
	var origins []bundle.Origin
	b.resources = append(b.resources, resourceName(host.Resource))
	if host.Resource != nil {
		origins = host.Resource.OriginsAt(names.Part{})
	} else {
		origins = b.origins()
	}
	if vh.GetRequireTls() == routev3.VirtualHost_ALL && !b.is.secure {
		return b.finish(nil, &outcome{passes: passing, answer: true, status: 301, end: "redirect to https", text: "redirects to https", origins: origins}), nil
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
			o.origins = append(slices.Clone(origins), o.origins...)
		}
		rules = append(rules, rule{when: b.is.routeCond(r.GetMatch()), outcome: o, text: trace.MatchText(r.GetMatch())})
	}
	return b.finish(rules, b.refuse(byRoute, 404, fmt.Sprintf("none of the %d routes of the host takes it", len(vh.GetRoutes())), origins...)), nil
}
