package security

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"
	security "istio.io/api/security/v1beta1"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

func fromYAML[M proto.Message](t testing.TB, text string, m M) M {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = protojson.Unmarshal(b, m)
	}
	if err != nil {
		t.Fatal(text, err)
	}
	return m
}

// guard is the inbound side of a workload of namespace shop in a mesh with an alias, under the policies.
func guard(t testing.TB, config string, policies ...string) *mesh.Inbound {
	in := &mesh.Inbound{Mesh: &mesh.Mesh{TrustDomain: "td", Config: fromYAML(t, "trustDomainAliases: [old]\n"+config, &meshconfig.MeshConfig{}),
		Services: []*mesh.Service{{Hostname: "authz.test", Namespace: "shop", Ports: []*mesh.Port{{Number: 9000}}}}},
		Namespace: "shop", MTLS: mesh.Strict, Targets: []mesh.Target{{Port: &mesh.Port{Number: 90, Protocol: mesh.TCP}, TargetPort: 9000}}}
	for i, p := range policies {
		p, dry := strings.CutPrefix(p, "dry run ")
		in.AuthorizationPolicies = append(in.AuthorizationPolicies, &mesh.AuthorizationPolicy{
			Object: &schema.Object{Kind: "AuthorizationPolicy", Namespace: "shop", Name: fmt.Sprint("p", i), Doc: &source.Document{}}, Spec: fromYAML(t, p, &security.AuthorizationPolicy{}), DryRun: dry})
	}
	return in
}

// show renders matchers for people: & | ! and the value with its kind.
func showString(m *matcherv3.StringMatcher) string {
	s := ""
	switch p := m.GetMatchPattern().(type) {
	case *matcherv3.StringMatcher_Exact:
		s = p.Exact
	case *matcherv3.StringMatcher_Prefix:
		s = p.Prefix + "…"
	case *matcherv3.StringMatcher_Suffix:
		s = "…" + p.Suffix
	case *matcherv3.StringMatcher_SafeRegex:
		s = "/" + p.SafeRegex.Regex + "/"
	}
	if m.GetIgnoreCase() {
		s += "(i)"
	}
	return s
}

func showHeader(h *routev3.HeaderMatcher) string {
	if h.GetPresentMatch() {
		return h.Name + " present"
	}
	return h.Name + "=" + showString(h.GetStringMatch())
}

func showCIDR(c *corev3.CidrRange) string {
	return fmt.Sprintf("%s/%d", c.AddressPrefix, c.PrefixLen.GetValue())
}

func showMetadata(m *matcherv3.MetadataMatcher) string {
	var path []string
	for _, p := range m.Path {
		path = append(path, p.GetKey())
	}
	var value func(*matcherv3.ValueMatcher) string
	value = func(v *matcherv3.ValueMatcher) string {
		switch x := v.GetMatchPattern().(type) {
		case *matcherv3.ValueMatcher_StringMatch:
			return showString(x.StringMatch)
		case *matcherv3.ValueMatcher_ListMatch:
			return "[" + value(x.ListMatch.GetOneOf()) + "]"
		case *matcherv3.ValueMatcher_OrMatch:
			return value(x.OrMatch.ValueMatchers[0]) + " or " + value(x.OrMatch.ValueMatchers[1])
		}
		return "?"
	}
	return strings.Join(path, ".") + "=" + value(m.Value)
}

func list[T any](sep string, all []T, f func(T) string) string {
	var out []string
	for _, x := range all {
		out = append(out, f(x))
	}
	return "(" + strings.Join(out, sep) + ")"
}

func showPermission(p *rbacv3.Permission) string {
	switch x := p.GetRule().(type) {
	case *rbacv3.Permission_Any:
		return "any"
	case *rbacv3.Permission_AndRules:
		return list(" & ", x.AndRules.Rules, showPermission)
	case *rbacv3.Permission_OrRules:
		return list(" | ", x.OrRules.Rules, showPermission)
	case *rbacv3.Permission_NotRule:
		return "!" + showPermission(x.NotRule)
	case *rbacv3.Permission_Header:
		return showHeader(x.Header)
	case *rbacv3.Permission_UrlPath:
		return "path=" + showString(x.UrlPath.GetPath())
	case *rbacv3.Permission_UriTemplate:
		m := &uritemplatev3.UriTemplateMatchConfig{}
		_ = x.UriTemplate.TypedConfig.UnmarshalTo(m)
		return "template=" + m.PathTemplate
	case *rbacv3.Permission_DestinationPort:
		return fmt.Sprint("port=", x.DestinationPort)
	case *rbacv3.Permission_DestinationIp:
		return "to=" + showCIDR(x.DestinationIp)
	case *rbacv3.Permission_RequestedServerName:
		return "sni=" + showString(x.RequestedServerName)
	case *rbacv3.Permission_SourcedMetadata:
		return showMetadata(x.SourcedMetadata.MetadataMatcher)
	}
	return "?"
}

func showPrincipal(p *rbacv3.Principal) string {
	switch x := p.GetIdentifier().(type) {
	case *rbacv3.Principal_Any:
		return "any"
	case *rbacv3.Principal_AndIds:
		return list(" & ", x.AndIds.Ids, showPrincipal)
	case *rbacv3.Principal_OrIds:
		return list(" | ", x.OrIds.Ids, showPrincipal)
	case *rbacv3.Principal_NotId:
		return "!" + showPrincipal(x.NotId)
	case *rbacv3.Principal_Authenticated_:
		return showString(x.Authenticated.PrincipalName)
	case *rbacv3.Principal_DirectRemoteIp:
		return "peer=" + showCIDR(x.DirectRemoteIp)
	case *rbacv3.Principal_RemoteIp:
		return "remote=" + showCIDR(x.RemoteIp)
	case *rbacv3.Principal_Header:
		return showHeader(x.Header)
	case *rbacv3.Principal_SourcedMetadata:
		return showMetadata(x.SourcedMetadata.MetadataMatcher)
	}
	return "?"
}

func showRules(r *rbacv3.RBAC) string {
	if r == nil {
		return ""
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Policies)) {
		p := r.Policies[name]
		_, short, _ := strings.Cut(strings.TrimPrefix(name, names.CustomPrefix), "-policy")
		out = append(out, short+list(" | ", p.Permissions, showPermission)+" from "+list(" | ", p.Principals, showPrincipal))
	}
	return r.Action.String() + " " + strings.Join(out, "; ")
}

// showFilters renders the filters of an HTTP or TCP chain.
func showFilters(t testing.TB, in *mesh.Inbound, tcp bool) (string, diag.List) {
	t.Helper()
	var out []string
	add := func(prefix string, enforce, shadow *rbacv3.RBAC) {
		if enforce != nil {
			out = append(out, showRules(enforce))
		}
		if shadow != nil {
			out = append(out, "shadow "+prefix+" "+showRules(shadow))
		}
	}
	if tcp {
		fs, found := TCPAuthFilters(in)
		for _, f := range fs {
			m := &rbacfilterv3.RBAC{}
			if f.Name == networkRBACFilter && f.GetTypedConfig().UnmarshalTo(m) == nil {
				add(m.ShadowRulesStatPrefix, m.Rules, m.ShadowRules)
			} else {
				out = append(out, f.Name)
			}
		}
		return strings.Join(out, "\n"), found
	}
	fs, found := HTTPAuthFilters(in)
	for _, f := range fs {
		m := &httprbacv3.RBAC{}
		if f.Name == httpRBACFilter && f.GetTypedConfig().UnmarshalTo(m) == nil {
			add(m.ShadowRulesStatPrefix, m.Rules, m.ShadowRules)
		} else {
			out = append(out, f.Name)
		}
	}
	return strings.Join(out, "\n"), found
}

func codesOf(found diag.List) string {
	var out []string
	for _, d := range found {
		out = append(out, d.Code)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

func TestAuthorizationRules(t *testing.T) {
	for _, c := range []struct{ rule, want, codes string }{
		{"{}", "(any) from (any)", ""},
		{"{to: [{operation: {paths: [/a, /b*, '*c', '*']}}]}", "((path=/a | path=/b… | path=…c | path=/(?s).+/)) from (any)", ""},
		{"{to: [{operation: {paths: ['/a/{*}/b', '/c/{**}']}}]}", "((template=/a/*/b | template=/c/**)) from (any)", ""},
		{"{to: [{operation: {notPaths: [/a], methods: [GET, 'P*'], notMethods: ['*']}}]}", "(((:method=GET | :method=P…) & !:method present & !path=/a)) from (any)", ""},
		{"{to: [{operation: {ports: ['80'], notPorts: ['81']}}, {operation: {ports: ['82']}}]}", "((port=80 & !port=81) | port=82) from (any)", ""},
		{"{from: [{source: {principals: [td/ns/a/sa/b]}}]}", "(any) from ((spiffe://td/ns/a/sa/b | spiffe://old/ns/a/sa/b))", ""},
		{"{from: [{source: {principals: [old/ns/a/sa/b]}}]}", "(any) from ((spiffe://td/ns/a/sa/b | spiffe://old/ns/a/sa/b))", ""},
		{"{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]}", "(any) from ((spiffe://td/ns/a/sa/b | spiffe://old/ns/a/sa/b))", ""},
		{"{from: [{source: {principals: [other/ns/a/sa/b, '*', '*/ns/a/sa/b', td/ns/a*]}}]}",
			"(any) from ((spiffe://other/ns/a/sa/b | /(?s).+/ | /(?s)spiffe://.*/ns/a/sa/b/ | spiffe://td/ns/a…))", ""},
		{"{from: [{source: {notPrincipals: [other/ns/a/sa/b]}}]}", "(any) from (!spiffe://other/ns/a/sa/b)", ""},
		{"{from: [{source: {namespaces: [a.b, 'c*'], notNamespaces: [d]}}]}", `(any) from (((/.*/ns/a\.b/.*/ | /.*/ns/c[^/]*/.*/) & !/.*/ns/d/.*/))`, ""},
		{"{from: [{source: {serviceAccounts: [a, b/c]}}]}", "(any) from ((/spiffe://.+/ns/shop/(.+/|)sa/a(/.+)?/ | /spiffe://.+/ns/b/(.+/|)sa/c(/.+)?/))", ""},
		{"{from: [{source: {trustDomains: [td, other, '*x']}}]}", "(any) from (((spiffe://td/… | spiffe://old/…) | spiffe://other/… | /spiffe://[^/]*x/.*/))", ""},
		{"{from: [{source: {ipBlocks: [10.1.2.3/8, '2001:db8::1', '::/0'], notRemoteIpBlocks: ['fe80::/10']}}]}",
			"(any) from ((!remote=fe80::/10 & (peer=10.0.0.0/8 | peer=2001:db8::1/128 | peer=::/0)))", ""},
		{"{from: [{source: {requestPrincipals: [iss/sub, '*', '*/sub', 'iss/*', 'https://a/b/s', x*]}}]}",
			"(any) from (((payload.iss=iss & payload.sub=sub) | (payload.iss=/(?s).+/ & payload.sub=/(?s).+/) | (payload.iss=/(?s).+/ & payload.sub=sub) | " +
				"(payload.iss=iss & payload.sub=/(?s).+/) | (payload.iss=https://a/b & payload.sub=s) | (payload.iss=x… & payload.sub=/(?s).+/)))", ""},
		{"{from: [{source: {namespaces: [a]}}, {source: {ipBlocks: [1.2.3.4]}}], when: [{key: remote.ip, values: [5.6.7.8]}]}",
			"(any) from ((/.*/ns/a/.*/ & remote=5.6.7.8/32) | (peer=1.2.3.4/32 & remote=5.6.7.8/32))", ""},
		{"{when: [{key: 'request.headers[User-Agent]', values: ['*'], notValues: [x*]}]}", "(any) from ((user-agent present & !user-agent=x…))", ""},
		{"{when: [{key: 'request.auth.claims[a][b]', values: [x, '*y']}]}", "(any) from ((payload.a.b=[x] or x | payload.a.b=[…y] or …y))", ""},
		{"{when: [{key: request.auth.audiences, values: [x]}, {key: request.auth.presenter, notValues: [z]}]}", "(any) from ((payload.aud=[x] or x & !payload.azp=[z] or z))", ""},
		{"{to: [{operation: {methods: [GET]}}], when: [{key: destination.ip, values: [1.2.3.0/24]}, {key: destination.port, notValues: ['8']}, {key: connection.sni, values: ['*.x']}]}",
			"((:method=GET & to=1.2.3.0/24 & !port=8 & sni=….x)) from (any)", ""},
		{"{when: [{key: 'experimental.envoy.filters.a.b[c]', values: [v, '[w]']}]}", "((c=v | c=[w])) from (any)", ""},
		{"{when: [{key: source.namespace, values: [a]}, {key: source.principal, values: [td/ns/a/sa/b]}, {key: source.serviceAccount, values: [c]}]}",
			"(any) from ((/.*/ns/a/.*/ & (spiffe://td/ns/a/sa/b | spiffe://old/ns/a/sa/b) & /spiffe://.+/ns/shop/(.+/|)sa/c(/.+)?/))", ""},
		{"{to: [{operation: {paths: ['/a*b']}}]}", "(path=/a*b) from (any)", "MESHC1545"},
		{"{from: [{source: {namespaces: ['a*b*']}}]}", "(any) from (/.*/ns/a[^/]*b[^/]*/.*/)", ""},
		{"{when: [{key: source.namespace, values: ['a*b*']}]}", "(any) from (/.*/ns/a[^/]*b[^/]*/.*/)", ""},
	} {
		for _, action := range []string{"ALLOW", "DENY"} {
			got, found := showFilters(t, guard(t, "", "{action: "+action+", rules: ["+c.rule+"]}"), false)
			if want := action + " [p0]-rule[0]" + c.want; got != want || codesOf(found) != c.codes {
				t.Errorf("%s\n got %s\nwant %s\nfindings %s", c.rule, got, want, codesOf(found))
			}
		}
	}
}

// What an empty list, an absent one and an empty rule mean, how several policies combine, and in which order.
func TestAuthorizationPolicies(t *testing.T) {
	const never = "(!any) from (!any)"
	for name, c := range map[string]struct {
		policies []string
		http     string
		tcp      string
		codes    string // of both
	}{
		"no policy":                  {nil, "", "", ""},
		"no rules":                   {[]string{"{}"}, "ALLOW [p0]-rule[0]" + never, "ALLOW [p0]-rule[0]" + never, ""},
		"empty rules":                {[]string{"{rules: []}"}, "ALLOW [p0]-rule[0]" + never, "ALLOW [p0]-rule[0]" + never, ""},
		"empty rule":                 {[]string{"{rules: [{}]}"}, "ALLOW [p0]-rule[0](any) from (any)", "ALLOW [p0]-rule[0](any) from (any)", ""},
		"DENY without rules":         {[]string{"{action: DENY}"}, "DENY [p0]-rule[0]" + never, "DENY [p0]-rule[0]" + never, ""},
		"two rules":                  {[]string{"{rules: [{}, {to: [{operation: {ports: ['1']}}]}]}"}, "ALLOW [p0]-rule[0](any) from (any); [p0]-rule[1](port=1) from (any)", "ALLOW [p0]-rule[0](any) from (any); [p0]-rule[1](port=1) from (any)", ""},
		"order":                      {[]string{"{rules: [{}]}", "{action: DENY}", "{action: AUDIT, rules: [{}]}"}, "LOG [p2]-rule[0](any) from (any)\nDENY [p1]-rule[0]" + never + "\nALLOW [p0]-rule[0](any) from (any)", "LOG [p2]-rule[0](any) from (any)\nDENY [p1]-rule[0]" + never + "\nALLOW [p0]-rule[0](any) from (any)", ""},
		"dry run":                    {[]string{"dry run {rules: [{}]}", "{action: DENY}", "dry run {action: DENY, rules: [{}]}"}, "DENY [p1]-rule[0]" + never + "\nshadow istio_dry_run_deny_ DENY [p2]-rule[0](any) from (any)\nshadow istio_dry_run_allow_ ALLOW [p0]-rule[0](any) from (any)", "DENY [p1]-rule[0]" + never + "\nshadow istio_dry_run_deny_ DENY [p2]-rule[0](any) from (any)\nshadow istio_dry_run_allow_ ALLOW [p0]-rule[0](any) from (any)", ""},
		"ALLOW about HTTP on TCP":    {[]string{"{rules: [{to: [{operation: {methods: [GET], ports: ['9000']}}]}]}"}, "ALLOW [p0]-rule[0]((:method=GET & port=9000)) from (any)", "ALLOW ", "MESHC1541"},
		"DENY about HTTP on TCP":     {[]string{"{action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['9000']}}]}]}"}, "DENY [p0]-rule[0]((:method=GET & port=9000)) from (any)", "DENY [p0]-rule[0](port=9000) from (any)", "MESHC1541"},
		"DENY about tokens on TCP":   {[]string{"{action: DENY, rules: [{from: [{source: {requestPrincipals: ['*'], namespaces: [a]}}]}]}"}, "DENY [p0]-rule[0](any) from (((payload.iss=/(?s).+/ & payload.sub=/(?s).+/) & /.*/ns/a/.*/))", "DENY [p0]-rule[0](any) from (/.*/ns/a/.*/)", "MESHC1541"},
		"HTTP only on HTTP ports":    {[]string{"{action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]}"}, "DENY [p0]-rule[0]((:method=GET & port=80)) from (any)", "DENY [p0]-rule[0](port=80) from (any)", ""},
		"unknown key":                {[]string{"{rules: [{when: [{key: source.user, values: [x]}]}]}"}, "ALLOW ", "ALLOW ", "MESHC1540"},
		"bad value, ALLOW":           {[]string{"{rules: [{from: [{source: {ipBlocks: [x, 1.2.3.4]}}]}]}"}, "ALLOW ", "ALLOW ", "MESHC1540"},
		"bad value, DENY":            {[]string{"{action: DENY, rules: [{from: [{source: {ipBlocks: [x, 1.2.3.4]}}]}]}"}, "DENY [p0]-rule[0](any) from (peer=1.2.3.4/32)", "DENY [p0]-rule[0](any) from (peer=1.2.3.4/32)", "MESHC1540"},
		"CUSTOM, unknown provider":   {[]string{"{action: CUSTOM, provider: {name: x}, rules: [{}]}"}, "DENY [p0]-rule[0](any) from (any)", "DENY [p0]-rule[0](any) from (any)", "MESHC1542"},
		"CUSTOM":                     {[]string{"{action: CUSTOM, provider: {name: grpc}, rules: [{}]}", "{rules: [{}]}"}, "shadow istio_ext_authz_ DENY [p0]-rule[0](any) from (any)\nenvoy.filters.http.ext_authz\nALLOW [p1]-rule[0](any) from (any)", "shadow istio_ext_authz_ DENY [p0]-rule[0](any) from (any)\nenvoy.filters.network.ext_authz\nALLOW [p1]-rule[0](any) from (any)", ""},
		"CUSTOM over HTTP":           {[]string{"{action: CUSTOM, provider: {name: http}, rules: [{}]}"}, "shadow istio_ext_authz_ DENY [p0]-rule[0](any) from (any)\nenvoy.filters.http.ext_authz", "", "MESHC1546"},
		"CUSTOM, service is missing": {[]string{"{action: CUSTOM, provider: {name: lost}, rules: [{}]}"}, "DENY [p0]-rule[0](any) from (any)", "DENY [p0]-rule[0](any) from (any)", "MESHC1542"},
		"CUSTOM, two providers":      {[]string{"{action: CUSTOM, provider: {name: http}, rules: [{}]}", "{action: CUSTOM, provider: {name: grpc}, rules: [{}]}"}, "DENY [p0]-rule[0](any) from (any); [p1]-rule[0](any) from (any)", "DENY [p0]-rule[0](any) from (any); [p1]-rule[0](any) from (any)", "MESHC1543"},
		"CUSTOM about tokens":        {[]string{"{action: CUSTOM, provider: {name: grpc}, rules: [{when: [{key: 'request.auth.claims[a]', values: [x]}]}]}"}, "shadow istio_ext_authz_ DENY [p0]-rule[0](any) from (payload.a=[x] or x)\nenvoy.filters.http.ext_authz", "shadow istio_ext_authz_ DENY [p0]-rule[0](any) from (any)\nenvoy.filters.network.ext_authz", "MESHC1540 MESHC1541"},
	} {
		in := guard(t, `extensionProviders:
- {name: http, envoyExtAuthzHttp: {service: authz.test, port: 9000}}
- {name: grpc, envoyExtAuthzGrpc: {service: shop/authz.test, port: 9000}}
- {name: lost, envoyExtAuthzGrpc: {service: lost.test, port: 9000}}`, c.policies...)
		http, found := showFilters(t, in, false)
		tcp, more := showFilters(t, in, true)
		if http != c.http || tcp != c.tcp || codesOf(append(found, more...)) != c.codes {
			t.Errorf("%s\nHTTP %s\nwant %s\nTCP  %s\nwant %s\nfindings %s, want %s", name, http, c.http, tcp, c.tcp, codesOf(append(found, more...)), c.codes)
		}
	}
}

// A port or the dot of the root behind a host is no way around a rule that takes something away.
func TestHostsOfAnyForm(t *testing.T) {
	const all = "hosts: [A.test, '*.b', c*, '*', 'd:80']"
	plain := "(:authority=A.test(i) | :authority=….b(i) | :authority=c…(i) | :authority present | :authority=d:80(i))"
	strict := `(:authority=/(?i)A\.test\.?(:[0-9]*)?/ | :authority=/(?i).*\.b\.?(:[0-9]*)?/ | :authority=c…(i) | :authority present | :authority=d:80(i))`
	for policy, want := range map[string]string{
		"rules: [{to: [{operation: {" + all + "}}]}]":                                      "ALLOW [p0]-rule[0](" + plain + ") from (any)",
		"action: DENY, rules: [{to: [{operation: {" + all + "}}]}]":                        "DENY [p0]-rule[0](" + strict + ") from (any)",
		"rules: [{to: [{operation: {notH" + all[1:] + "}}]}]":                              "ALLOW [p0]-rule[0](!" + strict + ") from (any)",
		"action: DENY, rules: [{to: [{operation: {notH" + all[1:] + "}}]}]":                "DENY [p0]-rule[0](!" + plain + ") from (any)",
		"action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {" + all + "}}]}]": "DENY [p0]-rule[0](" + strict + ") from (any)",
	} {
		if got, _ := showFilters(t, guard(t, "", "{"+policy+"}"), false); got != want {
			t.Errorf("%s\n got %s\nwant %s", policy, got, want)
		}
	}
}

// A path is no ground for a decision where the proxy does not normalise paths.
func TestPathsWithoutNormalization(t *testing.T) {
	const none = "pathNormalization: {normalization: NONE}"
	for policy, want := range map[string]string{
		"{action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]}": "MESHC1548", "{rules: [{to: [{operation: {notPaths: [/a]}}]}]}": "MESHC1548",
		"{rules: [{to: [{operation: {methods: [GET]}}]}]}": "",
	} {
		if _, found := showFilters(t, guard(t, none, policy), false); codesOf(found) != want {
			t.Errorf("%s: %s", policy, codesOf(found))
		}
		if _, found := showFilters(t, guard(t, "pathNormalization: {normalization: BASE}", policy), false); codesOf(found) != "" {
			t.Errorf("BASE, %s: %s", policy, codesOf(found))
		}
	}
}

// An authorizer that cannot be reached lets nothing pass, unless it is told to.
func TestAuthorizerFailure(t *testing.T) {
	for extra, want := range map[string]*extauthzv3.ExtAuthz{
		"":                                      {},
		", failOpen: true":                      {FailureModeAllow: true},
		", statusOnError: '503'":                {StatusOnError: nil},
		", failOpen: false, statusOnError: abc": nil,
	} {
		in := guard(t, "extensionProviders: [{name: x, envoyExtAuthzGrpc: {service: authz.test, port: 9000"+extra+"}}]", "{action: CUSTOM, provider: {name: x}, rules: [{}]}")
		fs, found := HTTPAuthFilters(in)
		got := &extauthzv3.ExtAuthz{}
		last := fs[len(fs)-1]
		if want == nil {
			if last.Name != httpRBACFilter || codesOf(found) != "MESHC1542" {
				t.Errorf("%s: %v %v", extra, last.Name, found)
			}
			continue
		}
		if err := last.GetTypedConfig().UnmarshalTo(got); err != nil {
			t.Fatal(err)
		}
		if got.FailureModeAllow != want.FailureModeAllow || got.FilterEnabledMetadata == nil || strings.Contains(extra, "503") != (got.StatusOnError.GetCode() == 503) {
			t.Errorf("%s: %v", extra, got)
		}
	}
}

// All headers at once is more than a list of headers can say.
func TestAuthorizerHeaders(t *testing.T) {
	for list, codes := range map[string]string{"[x-a, x-b*, '*-c']": "", "[x-a, '*']": "MESHC1542"} {
		in := guard(t, "extensionProviders: [{name: x, envoyExtAuthzHttp: {service: authz.test, port: 9000, headersToUpstreamOnAllow: "+list+"}}]",
			"{action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {ports: ['8080']}}]}]}")
		if _, found := HTTPAuthFilters(in); codesOf(found) != codes {
			t.Errorf("%s: %v", list, found)
		}
	}
}

// TestIdentityInPlainText: who calls without mutual TLS is nobody, so that no list of identities is about him.
func TestIdentityInPlainText(t *testing.T) {
	const named = "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}]}]}"
	for _, c := range []struct {
		policy string
		mode   mesh.MTLSMode
		ports  map[uint32]mesh.MTLSMode
		want   string
	}{
		{named, mesh.Strict, nil, ""},
		{named, mesh.Permissive, nil, "MESHC1555"},
		{named, mesh.Disable, nil, "MESHC1555"},
		{named, mesh.Strict, map[uint32]mesh.MTLSMode{1: mesh.Permissive}, "MESHC1555"},
		{"{action: DENY, rules: [{from: [{source: {principals: ['*']}}], to: [{operation: {ports: ['1']}}]}]}", mesh.Permissive, map[uint32]mesh.MTLSMode{1: mesh.Strict}, ""},
		{"{action: DENY, rules: [{when: [{key: source.serviceAccount, values: [a]}]}]}", mesh.Permissive, nil, "MESHC1555"},
		{"{action: DENY, rules: [{from: [{source: {notPrincipals: ['*']}}]}]}", mesh.Permissive, nil, ""},
		{"{rules: [{from: [{source: {notTrustDomains: [x]}}]}]}", mesh.Permissive, nil, "MESHC1555"},
		{"{rules: [{from: [{source: {namespaces: [a]}}]}]}", mesh.Permissive, nil, ""},
		{"{rules: [{from: [{source: {namespaces: [a], notPrincipals: [b]}}]}]}", mesh.Permissive, nil, ""},
		{"{action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}]}]}", mesh.Permissive, nil, ""},
		{"{rules: [{from: [{source: {remoteIpBlocks: [10.0.0.1]}}]}]}", mesh.Strict, nil, "MESHC1556"},
		{"{rules: [{from: [{source: {notRemoteIpBlocks: [10.0.0.1], namespaces: [ingress]}}]}]}", mesh.Strict, nil, ""},
		{"{action: DENY, rules: [{when: [{key: remote.ip, notValues: [10.0.0.1]}]}]}", mesh.Strict, nil, "MESHC1556"},
	} {
		in := guard(t, "", c.policy)
		in.MTLS, in.PortMTLS = c.mode, c.ports
		if _, found := HTTPAuthFilters(in); codesOf(found) != c.want {
			t.Errorf("%s, mode %v: %s", c.policy, c.mode, codesOf(found))
		}
	}
}

// TestCiphers: what Envoy does not know would make it refuse every listener of the mesh.
func TestCiphers(t *testing.T) {
	in := guard(t, "meshMTLS: {cipherSuites: [RC4, AES128-SHA, AES128-SHA]}\ntlsDefaults: {cipherSuites: [ECDH]}")
	if got := DownstreamMTLS(in, nil).CommonTlsContext.TlsParams.CipherSuites; !slices.Equal(got, []string{"AES128-SHA"}) {
		t.Error(got)
	}
	var fields []string
	for _, d := range CipherFindings(in.Mesh) {
		fields = append(fields, d.Code+" "+d.Field)
	}
	if want := "MESHC1502 mesh: meshMTLS.cipherSuites[0], MESHC1502 mesh: tlsDefaults.cipherSuites[0]"; strings.Join(fields, ", ") != want {
		t.Error(fields)
	}
	in.Mesh.Config.MeshMTLS.CipherSuites = []string{"RC4"}
	if got := DownstreamMTLS(in, nil).CommonTlsContext.TlsParams.CipherSuites; !slices.Equal(got, meshCiphers()) {
		t.Error("nothing usable is left, so Istio's suites hold:", got)
	}
}

func TestTokens(t *testing.T) {
	const key = `{"keys":[{"kty":"EC","crv":"P-256","x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY","y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}]}`
	for rule, c := range map[string]struct{ want, codes string }{
		"{issuer: b, jwks: '" + key + "'}":           {"local", ""},
		"{issuer: b, jwksUri: 'https://x.test/k'}":   {"jwks|443|https|x.test", ""},
		"{issuer: b, jwksUri: 'http://x.test:81/k'}": {"jwks|81|http|x.test", "MESHC1554"},
		"{issuer: b, jwksUri: 'http://[::1]/k'}":     {"jwks|80|http|::1", ""},
		"{issuer: b, jwksUri: 'ftp://x.test/k'}":     {"none", "MESHC1551"},
		"{issuer: b, jwksUri: 'http://x.test:0/k'}":  {"none", "MESHC1551"},
		"{issuer: b}":             {"none", "MESHC1552"},
		"{issuer: b, jwks: '{}'}": {"none", "MESHC1550"},
		`{issuer: b, jwks: '{"keys":[{"kty":"oct"}]}'}`:               {"none", "MESHC1550"},
		`{issuer: b, jwks: '{"keys":[{"kty":"EC","d":"secret"}]}'}`:   {"none", "MESHC1550"},
		`{issuer: b, jwks: '{"keys":[{"kty":"RSA"},{"kty":"XYZ"}]}'}`: {"none", "MESHC1550"},
	} {
		in := guard(t, "")
		in.RequestAuthentications = []*mesh.RequestAuthentication{
			{Object: &schema.Object{Kind: "RequestAuthentication", Namespace: "shop", Name: "r", Doc: &source.Document{}}, Spec: fromYAML(t, "{jwtRules: ["+rule+"]}", &security.RequestAuthentication{})},
			{Object: &schema.Object{Kind: "RequestAuthentication", Namespace: "shop", Name: "s", Doc: &source.Document{}}, Spec: fromYAML(t, "{jwtRules: [{issuer: a, jwks: '"+key+"', fromHeaders: [{name: x, prefix: 'P '}], forwardOriginalToken: true}]}", &security.RequestAuthentication{})},
		}
		fs, found := HTTPAuthFilters(in)
		m := &jwtv3.JwtAuthentication{}
		if err := fs[0].GetTypedConfig().UnmarshalTo(m); err != nil || len(fs) != 1 {
			t.Fatal(err, len(fs))
		}
		a, b := m.Providers["origins-0"], m.Providers["origins-1"] // by issuer
		got := b.GetRemoteJwks().GetHttpUri().GetCluster()
		if local := b.GetLocalJwks().GetInlineString(); local == key {
			got = "local"
		} else if local == keysOfNobody {
			got = "none"
		}
		if got != c.want || codesOf(found) != c.codes || a.Issuer != "a" || !a.Forward || b.Forward || a.FromHeaders[0].ValuePrefix != "P " {
			t.Errorf("%s: %s %s\n%v", rule, got, codesOf(found), m)
		}
		for _, d := range found {
			if strings.Contains(d.Message, "secret\"") {
				t.Errorf("a key is quoted: %s", d.Message)
			}
		}
		// Both missing is fine, a bad one of either is not.
		req := m.Rules[0].GetRequires().GetRequiresAny().GetRequirements()
		if len(req) != 3 || req[0].GetProviderName() != "origins-0" || len(req[2].GetRequiresAll().GetRequirements()) != 2 {
			t.Errorf("%v", req)
		}
		if err := m.ValidateAll(); err != nil {
			t.Error(err)
		}
	}
}

// The keys of nobody are a set that Envoy reads, made of a text.
func TestKeysOfNobody(t *testing.T) {
	x := sha256.Sum256([]byte("meshc: a key that nobody has 0"))
	if err := validate.JWKS(keysOfNobody); err != nil || !strings.Contains(keysOfNobody, base64.RawURLEncoding.EncodeToString(x[:])) {
		t.Error(err)
	}
}

// A client certificate has to be of the trust domain, an alias of it, or one that a further CA is for.
func TestPeerTrustDomains(t *testing.T) {
	in := guard(t, "caCertificates: [{trustDomains: [partner, td]}]\nmeshMTLS: {minProtocolVersion: TLSV1_3}")
	m := DownstreamMTLS(in, []string{"h2"})
	got := list(" ", m.CommonTlsContext.GetCombinedValidationContext().GetDefaultValidationContext().GetMatchTypedSubjectAltNames(),
		func(s *tlsv3.SubjectAltNameMatcher) string { return showString(s.Matcher) })
	if got != "(spiffe://td/… spiffe://old/… spiffe://partner/…)" || !m.RequireClientCertificate.GetValue() || m.CommonTlsContext.TlsParams.TlsMinimumProtocolVersion.String() != "TLSv1_3" {
		t.Errorf("%s %v", got, m)
	}
}

// TestDryRunOfCustom: a CUSTOM policy in a dry run asks nobody, and says so.
func TestDryRunOfCustom(t *testing.T) {
	in := guard(t, "extensionProviders: [{name: grpc, envoyExtAuthzGrpc: {service: authz.test, port: 9000}}]", "dry run {action: CUSTOM, provider: {name: grpc}, rules: [{}]}")
	if _, found := HTTPAuthFilters(in); codesOf(found) != "MESHC1547" {
		t.Errorf("%v", found)
	}
}
