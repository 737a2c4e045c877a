package schema

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	security "istio.io/api/security/v1beta1"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// attachment checks how a policy says what it is for: a selector or targetRefs.
func (r *rules) attachment(sel *typev1beta1.WorkloadSelector, ref *typev1beta1.PolicyTargetReference, refs []*typev1beta1.PolicyTargetReference) {
	set := 0
	for _, s := range [...]bool{sel != nil, ref != nil, len(refs) > 0} {
		if s {
			set++
		}
	}
	if set > 1 {
		r.bad(at{"selector"}, "Keep one of them.", "selector, targetRef and targetRefs exclude each other")
	}
	if sel != nil {
		r.labels(at{"selector", "matchLabels"}, sel.MatchLabels)
	}
	if ref != nil {
		r.targetRef(at{"targetRef"}, ref)
	}
	for i, t := range refs {
		r.targetRef(at{"targetRefs", i}, t)
	}
}

func (r *rules) targetRef(p at, t *typev1beta1.PolicyTargetReference) {
	if t.Name == "" {
		r.bad(p.to("name"), "Name the object.", "the reference has no name")
	}
	if t.Namespace != "" && t.Namespace != r.o.Namespace {
		r.bad(p.to("namespace"), "Move the policy there.", "a policy cannot refer to an object of another namespace")
	}
	switch t.Group + "/" + t.Kind {
	case "/Service", "core/Service", "networking.istio.io/ServiceEntry", "gateway.networking.k8s.io/Gateway", "gateway.networking.k8s.io/GatewayClass":
	default:
		r.bad(p.to("kind"), "Use Service, ServiceEntry of networking.istio.io, or Gateway or GatewayClass of gateway.networking.k8s.io.", "a policy cannot refer to a %s of %q", t.Kind, t.Group)
	}
}

// peerAuthentication checks what relates the fields of a PeerAuthentication.
func (r *rules) peerAuthentication(a *security.PeerAuthentication) {
	r.attachment(a.Selector, nil, nil)
	if len(a.PortLevelMtls) > 0 && len(a.GetSelector().GetMatchLabels()) == 0 {
		r.bad(at{"portLevelMtls"}, "Add a selector.", "portLevelMtls needs a selector, because ports belong to workloads")
	}
	for port := range a.PortLevelMtls {
		if port < 1 || port > 65535 {
			r.bad(at{"portLevelMtls", strconv.Itoa(int(port))}, "Use a port from 1 to 65535.", "the port %d is not in the range 1 to 65535", port)
		}
	}
}

const dryRun = "istio.io/dry-run"

// authorizationPolicy checks what relates the fields of an AuthorizationPolicy.
func (r *rules) authorizationPolicy(a *security.AuthorizationPolicy) {
	r.attachment(a.Selector, a.TargetRef, a.TargetRefs)
	if a.Action == security.AuthorizationPolicy_CUSTOM {
		if a.GetProvider().GetName() == "" {
			r.bad(at{"provider"}, "Add provider.name, the name of an extension provider of the mesh config.", "action CUSTOM needs a provider")
		}
		if a.Rules == nil {
			r.bad(at{"rules"}, "Add an empty rule ({}) to ask for every request.", "a policy of action CUSTOM without rules never asks its provider")
		}
	} else if a.ActionDetail != nil {
		r.bad(at{"provider"}, "Use action CUSTOM.", "provider goes only with action CUSTOM")
	}
	if a.Action == security.AuthorizationPolicy_DENY && a.Rules == nil {
		r.bad(at{"rules"}, "Add an empty rule ({}) to deny everything.", "a policy of action DENY without rules never denies")
	}
	if v, ok := r.o.Annotations[dryRun]; ok {
		if _, err := strconv.ParseBool(v); err != nil {
			r.annotation(dryRun, "Use true or false.", "%q is not a boolean", v)
		}
		if a.Action != security.AuthorizationPolicy_ALLOW && a.Action != security.AuthorizationPolicy_DENY {
			r.annotation(dryRun, "Remove the annotation.", "only the actions ALLOW and DENY can be tried out, not %s", a.Action)
		}
	}
	for i, rule := range a.Rules {
		r.authorizationRule(at{"rules", i}, rule, a.Action == security.AuthorizationPolicy_CUSTOM)
	}
}

func (r *rules) annotation(key, help, format string, args ...any) {
	before := len(r.out)
	r.bad(nil, help, format, args...)
	d := &r.out[before]
	d.Pos, d.Field = r.o.Pos("metadata", "annotations", key), FieldPath("metadata", "annotations", key)
}

type values struct {
	name string
	list []string
}

func (r *rules) authorizationRule(p at, rule *security.Rule, custom bool) {
	if rule == nil {
		return
	}
	if rule.From != nil && len(rule.From) == 0 {
		r.bad(p.to("from"), "Remove from, or add a source.", "from is empty")
	}
	if rule.To != nil && len(rule.To) == 0 {
		r.bad(p.to("to"), "Remove to, or add an operation.", "to is empty")
	}
	for i, f := range rule.From {
		r.source(p.to("from", i, "source"), f.GetSource(), custom)
	}
	for i, t := range rule.To {
		r.operation(p.to("to", i, "operation"), t.GetOperation())
	}
	for i, c := range rule.When {
		r.condition(p.to("when", i), c, custom)
	}
}

// filled wants at least one list, and no empty values.
func (r *rules) filled(p at, what string, lists []values) {
	n := 0
	for _, l := range lists {
		n += len(l.list)
		for i, v := range l.list {
			if v == "" {
				r.bad(p.to(l.name, i), "Write a value, or * for any.", "%s holds an empty value", l.name)
			}
		}
	}
	if n == 0 {
		r.bad(p, "Add a field, or remove it to match everything.", "the %s is empty", what)
	}
}

func (r *rules) source(p at, s *security.Source, custom bool) {
	if s == nil {
		r.bad(p, "Add source with at least one field.", "the source is missing")
		return
	}
	r.filled(p, "source", []values{{"principals", s.Principals}, {"notPrincipals", s.NotPrincipals}, {"requestPrincipals", s.RequestPrincipals}, {"notRequestPrincipals", s.NotRequestPrincipals},
		{"namespaces", s.Namespaces}, {"notNamespaces", s.NotNamespaces}, {"serviceAccounts", s.ServiceAccounts}, {"notServiceAccounts", s.NotServiceAccounts},
		{"trustDomains", s.TrustDomains}, {"notTrustDomains", s.NotTrustDomains},
		{"ipBlocks", s.IpBlocks}, {"notIpBlocks", s.NotIpBlocks}, {"remoteIpBlocks", s.RemoteIpBlocks}, {"notRemoteIpBlocks", s.NotRemoteIpBlocks}})
	if len(s.ServiceAccounts)+len(s.NotServiceAccounts) > 0 && len(s.Principals)+len(s.NotPrincipals)+len(s.Namespaces)+len(s.NotNamespaces) > 0 {
		r.bad(p.to("serviceAccounts"), "Use serviceAccounts alone.", "serviceAccounts excludes principals and namespaces")
	}
	for _, l := range []values{{"serviceAccounts", s.ServiceAccounts}, {"notServiceAccounts", s.NotServiceAccounts}} {
		r.serviceAccounts(p.to(l.name), l.list)
	}
	for _, l := range []values{{"trustDomains", s.TrustDomains}, {"notTrustDomains", s.NotTrustDomains}} {
		r.wildcards(p.to(l.name), l.list, "trust domain")
		for i, v := range l.list {
			if strings.Contains(v, "/") {
				r.bad(p.to(l.name, i), "Write the trust domain alone, as cluster.local.", "%q is no trust domain: it has a slash", v)
			}
		}
	}
	for _, l := range []values{{"ipBlocks", s.IpBlocks}, {"notIpBlocks", s.NotIpBlocks}, {"remoteIpBlocks", s.RemoteIpBlocks}, {"notRemoteIpBlocks", s.NotRemoteIpBlocks}} {
		for i, v := range l.list {
			r.ip(p.to(l.name, i), v)
		}
	}
	if !custom {
		return
	}
	for _, l := range []values{{"namespaces", s.Namespaces}, {"notNamespaces", s.NotNamespaces}, {"principals", s.Principals}, {"notPrincipals", s.NotPrincipals},
		{"requestPrincipals", s.RequestPrincipals}, {"notRequestPrincipals", s.NotRequestPrincipals}, {"serviceAccounts", s.ServiceAccounts}, {"notServiceAccounts", s.NotServiceAccounts},
		{"trustDomains", s.TrustDomains}, {"notTrustDomains", s.NotTrustDomains}} {
		if len(l.list) > 0 {
			r.bad(p.to(l.name), "Ask for it in an ALLOW or DENY policy beside this one.", "%s cannot be used with action CUSTOM, which runs before identities are checked", l.name)
		}
	}
}

// maxServiceAccounts and maxServiceAccount are how many service accounts a source names, and how long a name is.
const (
	maxServiceAccounts = 16
	maxServiceAccount  = 320
)

func (r *rules) serviceAccounts(p at, list []string) {
	if len(list) > maxServiceAccounts {
		r.bad(p, "Write several sources.", "%d service accounts are named; at most %d are taken", len(list), maxServiceAccounts)
	}
	for i, v := range list {
		ns, name, both := strings.Cut(v, "/")
		if strings.Contains(v, "*") || len(v) > maxServiceAccount || both && (ns == "" || name == "" || strings.Contains(name, "/")) {
			r.bad(p.to(i), "Write NAMESPACE/NAME or NAME.", "%q is not the name of a service account", v)
		}
	}
}

// wildcards holds values to one *, at the beginning or the end.
func (r *rules) wildcards(p at, list []string, what string) {
	for i, v := range list {
		if n := strings.Count(v, "*"); n > 1 || n == 1 && !strings.HasPrefix(v, "*") && !strings.HasSuffix(v, "*") {
			r.bad(p.to(i), "Write one * at the beginning or the end.", "the %s %q has a * elsewhere than at one end", what, v)
		}
	}
}

func (r *rules) ip(p at, v string) {
	if _, err := netip.ParseAddr(v); err == nil {
		return
	}
	if _, err := netip.ParsePrefix(v); err != nil {
		r.bad(p, "Write 10.0.0.1 or 10.0.0.0/8.", "%q is not an IP address or CIDR block", v)
	}
}

func (r *rules) operation(p at, o *security.Operation) {
	if o == nil {
		r.bad(p, "Add operation with at least one field.", "the operation is missing")
		return
	}
	r.filled(p, "operation", []values{{"ports", o.Ports}, {"notPorts", o.NotPorts}, {"methods", o.Methods}, {"notMethods", o.NotMethods},
		{"hosts", o.Hosts}, {"notHosts", o.NotHosts}, {"paths", o.Paths}, {"notPaths", o.NotPaths}})
	for _, l := range []values{{"ports", o.Ports}, {"notPorts", o.NotPorts}} {
		for i, v := range l.list {
			r.portText(p.to(l.name, i), v)
		}
	}
	for _, l := range []values{{"paths", o.Paths}, {"notPaths", o.NotPaths}} {
		for i, v := range l.list {
			r.pathTemplate(p.to(l.name, i), v)
		}
	}
}

func (r *rules) portText(p at, v string) {
	if n, err := strconv.ParseUint(v, 10, 32); err != nil || n < 1 || n > 65535 {
		r.bad(p, "Use a number from 1 to 65535.", "%q is not a port", v)
	}
}

// segment is what a segment of a path can hold beside {*} and {**}.
var segment = regexp.MustCompile(`^[-a-zA-Z0-9._~%!$&'()+,;:@=]+$`)

// pathTemplate checks a path with {*} and {**}; braces mean nothing else.
func (r *rules) pathTemplate(p at, v string) {
	template := strings.Contains(v, "{*}") || strings.Contains(v, "{**}")
	if !template && !strings.ContainsAny(v, "{}") {
		return
	}
	const help = "Each {*} or {**} stands for whole segments; {**} may be there once, at the end or followed by literals only."
	double := false
	for _, s := range strings.Split(strings.Trim(v, "/"), "/") {
		switch {
		case s == "{**}" && double, s == "{*}" && double:
			r.bad(p, help, "the path template %q has a wildcard after {**}", v)
			return
		case s == "{**}":
			double = true
		case s == "{*}":
		case strings.ContainsAny(s, "{}"), template && strings.Contains(s, "*"):
			r.bad(p, help, "the path template %q mixes a wildcard with other text in one segment", v)
			return
		case template && !segment.MatchString(s):
			r.bad(p, help, "the path template %q has the segment %q, which no template can hold", v, s)
			return
		}
	}
}

func (r *rules) condition(p at, c *security.Condition, custom bool) {
	if c.Key == "" {
		r.bad(p.to("key"), "See the list of condition keys, as request.headers[NAME].", "the condition has no key")
		return
	}
	if len(c.Values)+len(c.NotValues) == 0 {
		r.bad(p, "Add values or notValues.", "the condition %s has no values", c.Key)
	}
	known, shape := conditionKey(c.Key)
	if !known {
		r.bad(p.to("key"), "Use request.headers[NAME], source.ip, remote.ip, source.namespace, source.principal, source.serviceAccount, request.auth.principal, .audiences, .presenter, .claims[NAME], destination.ip, destination.port, connection.sni or experimental.envoy.filters.NAME.",
			"%q is not a condition key", c.Key)
		return
	}
	if custom && (strings.HasPrefix(c.Key, "request.auth.") || c.Key == "source.principal" || c.Key == "source.namespace" || c.Key == "source.serviceAccount" || c.Key == "source.trustDomain") {
		r.bad(p.to("key"), "Ask for it in an ALLOW or DENY policy beside this one.", "%s cannot be used with action CUSTOM, which runs before identities are checked", c.Key)
	}
	for _, l := range []values{{"values", c.Values}, {"notValues", c.NotValues}} {
		switch c.Key {
		case "source.serviceAccount":
			r.serviceAccounts(p.to(l.name), l.list)
		case "source.trustDomain":
			r.wildcards(p.to(l.name), l.list, "trust domain")
		}
		for i, v := range l.list {
			switch {
			case v == "":
				r.bad(p.to(l.name, i), "Write a value.", "%s holds an empty value", l.name)
			case shape == "ip":
				r.ip(p.to(l.name, i), v)
			case shape == "port":
				r.portText(p.to(l.name, i), v)
			}
		}
	}
}

// conditionKey tells whether a key exists and what its values are.
func conditionKey(k string) (known bool, shape string) {
	switch k {
	case "source.ip", "remote.ip", "destination.ip":
		return true, "ip"
	case "destination.port":
		return true, "port"
	case "source.namespace", "source.principal", "source.serviceAccount", "source.trustDomain", "request.auth.principal", "request.auth.audiences", "request.auth.presenter", "connection.sni":
		return true, ""
	}
	for _, prefix := range [...]string{"request.headers", "request.auth.claims", "experimental.envoy.filters."} {
		if strings.HasPrefix(k, prefix) {
			open := strings.Index(k, "[")
			return strings.HasSuffix(k, "]") && open > 0 && open < len(k)-2, ""
		}
	}
	return false, ""
}

// requestAuthentication checks what relates the fields of a RequestAuthentication.
func (r *rules) requestAuthentication(a *security.RequestAuthentication) {
	r.attachment(a.Selector, a.TargetRef, a.TargetRefs)
	if _, ok := r.o.Annotations[dryRun]; ok {
		r.annotation(dryRun, "Remove the annotation.", "a RequestAuthentication cannot be tried out")
	}
	for i, j := range a.JwtRules {
		r.jwtRule(at{"jwtRules", i}, j)
	}
}

func (r *rules) jwtRule(p at, j *security.JWTRule) {
	if j.Issuer == "" && j.JwksUri == "" {
		r.bad(p, "Add issuer.", "the rule has neither issuer nor jwksUri")
	}
	if j.JwksUri != "" {
		u, err := url.Parse(j.JwksUri)
		switch {
		case err != nil:
			r.bad(p.to("jwksUri"), "Write a URL.", "%q is not a URL", j.JwksUri)
		case u.Scheme != "http" && u.Scheme != "https":
			r.bad(p.to("jwksUri"), "Use http:// or https://.", "keys cannot be fetched by the scheme %q", u.Scheme)
		case u.Hostname() == "":
			r.bad(p.to("jwksUri"), "Add a host.", "%q names no host", j.JwksUri)
		}
	}
	if j.Jwks != "" {
		if j.JwksUri != "" {
			r.bad(p.to("jwks"), "Keep one of the two.", "jwks and jwksUri exclude each other")
		}
		var set struct {
			Keys []json.RawMessage `json:"keys"`
		}
		if err := json.Unmarshal([]byte(j.Jwks), &set); err != nil {
			r.bad(p.to("jwks"), "Paste the JSON document that holds \"keys\".", "jwks is not a set of keys in JSON: %v", err)
		}
	}
	for i, h := range j.FromHeaders {
		if h.Name == "" {
			r.bad(p.to("fromHeaders", i, "name"), "Name the header.", "the header has no name")
		}
	}
	for _, l := range []values{{"audiences", j.Audiences}, {"fromParams", j.FromParams}, {"fromCookies", j.FromCookies}} {
		for i, v := range l.list {
			if v == "" {
				r.bad(p.to(l.name, i), "Write a value.", "%s holds an empty value", l.name)
			}
		}
	}
	for i, c := range j.OutputClaimToHeaders {
		if c.Header == "" || c.Claim == "" {
			r.bad(p.to("outputClaimToHeaders", i), "Give both.", "outputClaimToHeaders needs header and claim")
		} else {
			r.headerName(p.to("outputClaimToHeaders", i, "header"), c.Header)
		}
	}
}
