package security

import (
	"fmt"
	"slices"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	rbacfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	security "istio.io/api/security/v1beta1"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// Names of the RBAC filters, which are also the namespaces of the metadata that shadow rules write.
const (
	httpRBACFilter    = "envoy.filters.http.rbac"
	networkRBACFilter = "envoy.filters.network.rbac"
	tcpRBACStatPrefix = "tcp."
)

// HTTPAuthFilters lowers AuthorizationPolicy and RequestAuthentication to the HTTP filters of an inbound or gateway
// connection manager, in the order they take effect: CUSTOM, token verification, AUDIT, DENY, ALLOW.
func HTTPAuthFilters(in *mesh.Inbound) ([]*hcmv3.HttpFilter, diag.List) {
	return HTTPFiltersOn(in, targetPorts(in))
}

func HTTPFiltersOn(in *mesh.Inbound, ports OpenPorts) ([]*hcmv3.HttpFilter, diag.List) {
	l := newAuthz(in, false, ports)
	var out []*hcmv3.HttpFilter
	for _, f := range l.custom() {
		out = append(out, f.http())
	}
	jwt, found := jwtAuthn(in)
	l.findings.Add(found...)
	if jwt != nil {
		out = append(out, xds.HTTPFilter(jwtFilter, jwt))
	}
	for _, f := range l.builtin() {
		out = append(out, f.http())
	}
	return out, l.findings
}

// TCPAuthFilters lowers AuthorizationPolicy to the network filters of a chain that does not parse requests. Conditions
// on requests cannot be judged there: ALLOW rules with one never match, other rules lose the condition.
func TCPAuthFilters(in *mesh.Inbound) ([]*listenerv3.Filter, diag.List) {
	return TCPFiltersOn(in, targetPorts(in))
}

func TCPFiltersOn(in *mesh.Inbound, ports OpenPorts) ([]*listenerv3.Filter, diag.List) {
	l := newAuthz(in, true, ports)
	var out []*listenerv3.Filter
	for _, f := range append(l.custom(), l.builtin()...) {
		out = append(out, f.network())
	}
	return out, l.findings
}

// authFilter is an RBAC filter, or the ext_authz filter behind it, before it is known for which kind of chain.
type authFilter struct {
	enforce, shadow *rbacv3.RBAC
	shadowPrefix    string
	extAuthz        *extAuthz
}

func (f authFilter) http() *hcmv3.HttpFilter {
	if f.extAuthz != nil {
		return xds.HTTPFilter(httpExtAuthzFilter, f.extAuthz.http())
	}
	return xds.HTTPFilter(httpRBACFilter, &httprbacv3.RBAC{Rules: f.enforce, ShadowRules: f.shadow, ShadowRulesStatPrefix: f.shadowPrefix})
}

func (f authFilter) network() *listenerv3.Filter {
	if f.extAuthz != nil {
		return xds.NetworkFilter(networkExtAuthzFilter, f.extAuthz.network())
	}
	return xds.NetworkFilter(networkRBACFilter, &rbacfilterv3.RBAC{Rules: f.enforce, ShadowRules: f.shadow,
		ShadowRulesStatPrefix: f.shadowPrefix, StatPrefix: tcpRBACStatPrefix})
}

// OpenPorts are the ports of a proxy that take what is not HTTP.
type OpenPorts struct {
	TCP     []uint32 // by declaration: only for them the loss of conditions is reported
	sniffed []uint32 // no protocol is declared: what does not look like HTTP is taken for TCP
}

// targetPorts are the open ports of a workload, by the services that send to it.
func targetPorts(in *mesh.Inbound) OpenPorts {
	var out OpenPorts
	for _, t := range in.Targets {
		switch p := t.Port.Protocol; {
		case p.IsTCP() && !slices.Contains(out.TCP, t.TargetPort):
			out.TCP = append(out.TCP, t.TargetPort)
		case p.IsAuto() && !slices.Contains(out.sniffed, t.TargetPort):
			out.sniffed = append(out.sniffed, t.TargetPort)
		}
	}
	return out
}

// authz lowers the policies of one workload for one kind of chain.
type authz struct {
	in       *mesh.Inbound
	tcp      bool
	domains  []string
	ports    OpenPorts
	findings diag.List
}

func newAuthz(in *mesh.Inbound, tcp bool, ports OpenPorts) *authz {
	return &authz{in: in, tcp: tcp, domains: TrustDomains(in.Mesh), ports: ports}
}

func (l *authz) withAction(a security.AuthorizationPolicy_Action) []*mesh.AuthorizationPolicy {
	var out []*mesh.AuthorizationPolicy
	for _, p := range l.in.AuthorizationPolicies {
		if p.Spec.GetAction() == a {
			out = append(out, p)
		}
	}
	return out
}

// builtin returns the filters of AUDIT, DENY and ALLOW, one for each action in use.
func (l *authz) builtin() []authFilter {
	var out []authFilter
	for _, a := range []struct {
		action security.AuthorizationPolicy_Action
		rbac   rbacv3.RBAC_Action
		prefix string
	}{
		{security.AuthorizationPolicy_AUDIT, rbacv3.RBAC_LOG, ""},
		{security.AuthorizationPolicy_DENY, rbacv3.RBAC_DENY, "istio_dry_run_deny_"},
		{security.AuthorizationPolicy_ALLOW, rbacv3.RBAC_ALLOW, "istio_dry_run_allow_"},
	} {
		var f authFilter
		for _, p := range l.withAction(a.action) {
			rules := &f.enforce
			if p.DryRun {
				rules, f.shadowPrefix = &f.shadow, a.prefix
			}
			if *rules == nil {
				*rules = &rbacv3.RBAC{Action: a.rbac, Policies: map[string]*rbacv3.Policy{}}
			}
			l.policy((*rules).Policies, p, "")
		}
		if f.enforce != nil || f.shadow != nil {
			out = append(out, f)
		}
	}
	return out
}

// policy adds the rules of one AuthorizationPolicy. A policy without rules is one that never matches: ALLOW then
// allows nothing.
func (l *authz) policy(into map[string]*rbacv3.Policy, p *mesh.AuthorizationPolicy, prefix string) {
	name := func(i int) string { return prefix + ruleName(p, i) }
	if len(p.Spec.GetRules()) == 0 {
		into[name(0)] = &rbacv3.Policy{Permissions: []*rbacv3.Permission{permissionNot(permissionAny())},
			Principals: []*rbacv3.Principal{principalNot(principalAny())}}
	}
	for i, r := range p.Spec.GetRules() {
		rule := &authzRule{authz: l, policy: p, index: i, allow: p.Spec.GetAction() == security.AuthorizationPolicy_ALLOW}
		if out := rule.lower(r); out != nil {
			into[name(i)] = out
		}
	}
}

// ruleName names a rule in an RBAC filter.
func ruleName(p *mesh.AuthorizationPolicy, i int) string {
	return names.Policy{Namespace: p.Object.Namespace, Name: p.Object.Name, Rule: i}.String()
}

// authzRule lowers one rule.
type authzRule struct {
	*authz
	policy  *mesh.AuthorizationPolicy
	index   int
	allow   bool
	dropped bool // an ALLOW rule with a condition that cannot be judged must never match
}

// lower combines from (or), to (or) and when (and). nil: the rule never matches here.
func (r *authzRule) lower(spec *security.Rule) *rbacv3.Policy {
	at := []any{"spec", "rules", r.index}
	sources := principals{namespace: r.policy.Object.Namespace, domains: r.domains}
	var request []permissionCondition
	var sender []principalCondition
	for i, w := range spec.GetWhen() {
		path := pathTo(at, "when", i)
		if match, ok := whenPermission(w.GetKey()); ok {
			request = append(request, permissionCondition{field: w.GetKey(), values: w.GetValues(), notValues: w.GetNotValues(),
				path: pathTo(path, "values"), notPath: pathTo(path, "notValues"), match: match})
		} else if c, ok := sources.when(w.GetKey()); ok {
			c.values, c.notValues, c.path, c.notPath = w.GetValues(), w.GetNotValues(), pathTo(path, "values"), pathTo(path, "notValues")
			sender = append(sender, c)
		} else {
			r.refuse(fmt.Sprintf("key %q is none that a condition can look at", w.GetKey()), pathTo(path, "key"))
		}
	}
	ports := rulePorts(spec)
	out := &rbacv3.Policy{}
	for i, to := range spec.GetTo() {
		c := append(operationConditions(to.GetOperation(), pathTo(at, "to", i, "operation")), request...)
		out.Permissions = append(out.Permissions, r.permission(c, ports))
	}
	if len(out.Permissions) == 0 {
		out.Permissions = append(out.Permissions, r.permission(request, ports))
	}
	for i, from := range spec.GetFrom() {
		c := append(sources.sourceConditions(from.GetSource(), pathTo(at, "from", i, "source")), sender...)
		out.Principals = append(out.Principals, r.principal(c, ports))
	}
	if len(out.Principals) == 0 {
		out.Principals = append(out.Principals, r.principal(sender, ports))
	}
	if r.dropped {
		return nil
	}
	return out
}

// rulePorts returns the ports that the operations of a rule are limited to, nil when one is not.
func rulePorts(spec *security.Rule) []string {
	var out []string
	for _, to := range spec.GetTo() {
		if len(to.GetOperation().GetPorts()) == 0 {
			return nil
		}
		out = append(out, to.GetOperation().GetPorts()...)
	}
	return out
}

func (r *authzRule) permission(cs []permissionCondition, ports []string) *rbacv3.Permission {
	var and []*rbacv3.Permission
	for _, c := range cs {
		if c.field == "paths" && !r.tcp {
			r.checkNormalized(c)
		}
		if len(c.values)+len(c.notValues) == 0 || !r.judge(c.field, c.httpOnly, ports, c.path, len(c.values) == 0, c.notPath) {
			continue
		}
		match, matchNot := c.match, c.match
		if c.strict != nil {
			switch r.policy.Spec.GetAction() {
			case security.AuthorizationPolicy_DENY, security.AuthorizationPolicy_CUSTOM:
				match = c.strict
			case security.AuthorizationPolicy_ALLOW:
				matchNot = c.strict
			}
		}
		if or := collect(r, c.values, c.path, match, false); len(or) > 0 {
			and = append(and, permissionOr(or))
		}
		if or := collect(r, c.notValues, c.notPath, matchNot, false); len(or) > 0 {
			and = append(and, permissionNot(permissionOr(or)))
		}
	}
	if len(and) == 0 {
		return permissionAny()
	}
	return permissionAnd(and)
}

func (r *authzRule) principal(cs []principalCondition, ports []string) *rbacv3.Principal {
	var and []*rbacv3.Principal
	r.checkForwarded(cs)
	for _, c := range cs {
		if len(c.values)+len(c.notValues) == 0 {
			continue
		}
		if c.token && r.policy.Spec.GetAction() == security.AuthorizationPolicy_CUSTOM {
			r.refuse(fmt.Sprintf("%s looks at a verified token, but CUSTOM runs before tokens are verified", c.field), c.path)
		}
		if !r.judge(c.field, c.httpOnly, ports, c.path, len(c.values) == 0, c.notPath) {
			continue
		}
		r.checkIdentity(c, cs, ports)
		if or := collect(r, c.values, c.path, c.match, c.globs); len(or) > 0 {
			and = append(and, principalOr(or))
		}
		if or := collect(r, c.notValues, c.notPath, c.match, c.globs); len(or) > 0 {
			and = append(and, principalNot(principalOr(or)))
		}
	}
	if len(and) == 0 {
		return principalAny()
	}
	return principalAnd(and)
}

// collect lowers alternatives. A value that cannot be compiled is an error; the rule shrinks to nothing for ALLOW. globs
// tells that a star may stand anywhere in a value.
func collect[T any](r *authzRule, values []string, path []any, match func(string) (*T, error), globs bool) []*T {
	var out []*T
	for i, v := range values {
		m, err := match(v)
		if err != nil {
			r.refuse(err.Error(), pathTo(path, i))
			continue
		}
		if !globs {
			r.checkStar(v, pathTo(path, i))
		}
		out = append(out, m)
	}
	return out
}

// judge tells whether a condition can be evaluated on this kind of chain.
func (r *authzRule) judge(field string, httpOnly bool, ports []string, path []any, negated bool, notPath []any) bool {
	if !httpOnly || !r.tcp {
		return true
	}
	r.dropped = r.dropped || r.allow
	if r.reachesTCP(ports) {
		if negated {
			path = notPath
		}
		effect := "the rule applies to all TCP connections that its other conditions match"
		if r.allow {
			effect = "the rule allows no TCP connection"
		}
		r.findings.Add(r.policy.Object.Finding(diag.Warning, "MESHC1541",
			fmt.Sprintf("%s can only be judged for HTTP, and this workload has TCP ports: on them %s", field, effect),
			"limit the rule to HTTP ports with operation.ports, or write a separate rule for the TCP ports", path...))
	}
	return false
}

// reachesTCP tells whether a rule can meet a port that is TCP by declaration.
func (r *authzRule) reachesTCP(ports []string) bool {
	return slices.ContainsFunc(r.authz.ports.TCP, func(p uint32) bool {
		return ports == nil || slices.Contains(ports, fmt.Sprint(p))
	})
}

// refuse reports a part that has no meaning in Envoy. The rest of the rule is lowered, so that all faults show at once.
func (r *authzRule) refuse(what string, path []any) {
	r.dropped = r.dropped || r.allow
	r.findings.Add(r.policy.Object.Finding(diag.Error, "MESHC1540",
		"this AuthorizationPolicy cannot be enforced as written: "+what,
		"correct the value; a policy that is only partly enforced would let requests pass that it means to stop", path...))
}

// checkNormalized refuses to decide by a path that callers may write in many ways.
func (r *authzRule) checkNormalized(c permissionCondition) {
	path := c.path
	if len(c.values) == 0 {
		path = c.notPath
	}
	if len(c.values)+len(c.notValues) == 0 || r.in.Mesh.Config.GetPathNormalization().GetNormalization() != meshconfig.MeshConfig_ProxyPathNormalization_NONE {
		return
	}
	r.findings.Add(r.policy.Object.Finding(diag.Error, "MESHC1548",
		"the policy decides by path, and pathNormalization NONE leaves paths as callers write them: /x/../admin and /%61dmin are not /admin to the proxy, but they are to the application",
		"set MeshConfig.pathNormalization.normalization to BASE, MERGE_SLASHES or DECODE_AND_MERGE_SLASHES", path...))
}

// checkStar reports stars that mean themselves where a pattern was surely meant.
func (r *authzRule) checkStar(v string, path []any) {
	inner := strings.TrimPrefix(v, "*")
	if inner == v {
		inner = strings.TrimSuffix(v, "*")
	}
	if strings.Contains(inner, "*") && !isPathTemplate(v) {
		r.findings.Add(r.policy.Object.Finding(diag.Warning, "MESHC1545",
			fmt.Sprintf("%q has more than one star or one inside: only a star at one end is a wildcard, the others match themselves", v),
			"use exact values, prefix* or *suffix; for paths {*} stands for one segment and {**} for any rest", path...))
	}
}
