package trace

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/meshc/meshc/compiler/bundle"
)

const (
	httpRBAC     = "envoy.filters.http.rbac"
	customPrefix = "istio-ext-authz-"
)

// next is the rest of a filter chain.
type next func(state) (*Path, error)

// ruleOrigins are the places of an RBAC policy.
func ruleOrigins(res *bundle.Resource, policy string) []bundle.Origin {
	if res == nil {
		return nil
	}
	var out []bundle.Origin
	for _, o := range res.Origins {
		if o.At == "rbac/"+strings.TrimPrefix(policy, customPrefix) {
			out = append(out, o)
		}
	}
	return out
}

// rbac judges an RBAC filter.
func (k *walk) rbac(s state, http bool, res *bundle.Resource, filter string, rules, shadow *rbacv3.RBAC, prefix string, goOn next) (*Path, error) {
	was := s.call.HTTP
	s.call.HTTP = http
	if shadow != nil {
		v, err := Shadow(shadow, filter, prefix, &s.call)
		st := Step{Kind: "rbac", Name: ruleText(v.Policy), Origins: ruleOrigins(res, v.Policy)}
		custom := prefix == "istio_ext_authz_"
		switch {
		case err != nil && custom:
			return k.unknownCustom(s, was, err, shadow, filter, prefix, goOn)
		case err != nil:
			st.Name, st.Text = "dry run", "a dry run cannot be judged: "+plain(err)
			s.add(st)
		case custom && v.Policy != "":
			st.Text = "a CUSTOM rule matches, so an external authorizer is asked"
			s.add(st)
		case custom:
		case v.Policy != "" || shadow.GetAction() == rbacv3.RBAC_ALLOW:
			st.Text = "a dry run would " + map[bool]string{true: "allow", false: "deny"}[v.Allowed] + " this request; nothing is enforced"
			if v.Policy == "" {
				st.Name, st.Text = "dry run", "no ALLOW rule of the dry run matches: enforced, it would deny this request"
			}
			s.add(st)
		}
	}
	if rules == nil {
		s.call.HTTP = was
		return goOn(s)
	}
	v, err := Authorize(rules, &s.call)
	reasons := explainAll(rules, &s.call)
	s.call.HTTP = was
	action := rules.GetAction().String()
	status := 0
	if http {
		status = 403
	}
	if err != nil && rules.GetAction() != rbacv3.RBAC_LOG {
		yes, no := s.fork(), s.fork()
		onYes, onNo := yes.end(Denied, status, "a DENY rule matches"), (*Path)(nil)
		var e error
		if rules.GetAction() == rbacv3.RBAC_ALLOW {
			if onYes, e = goOn(yes); e == nil {
				onNo = no.end(Denied, status, "no ALLOW rule matches")
			}
		} else {
			onNo, e = goOn(no)
		}
		if e != nil {
			return nil, e
		}
		return s.undecided("whether a "+action+" rule matches", err, "a rule matches", "no rule matches", onYes, onNo), nil
	}
	st := Step{Kind: "rbac", Name: ruleText(v.Policy), Origins: ruleOrigins(res, v.Policy)}
	switch {
	case !v.Allowed && v.Policy != "":
		return s.end(Denied, status, "DENY rule "+ruleText(v.Policy)+" matches", st.Origins...), nil
	case !v.Allowed:
		p := s.end(Denied, status, "no ALLOW rule matches", allOrigins(res, rules)...)
		p.Steps = append(slices.Clip(p.Steps), k.reasons(s, res, rules, reasons))
		return p, nil
	case v.Policy != "" && rules.GetAction() == rbacv3.RBAC_LOG:
		st.Text = "an AUDIT rule matches"
		s.add(st)
	case v.Policy != "":
		st.Text = action + " rule matches"
		s.add(st)
	case rules.GetAction() == rbacv3.RBAC_DENY:
		s.add(k.reasons(s, res, rules, reasons))
	}
	return goOn(s)
}

func plain(err error) string { return strings.TrimPrefix(err.Error(), "cannot be judged: ") }

// unknownCustom splits where it is not known whether a CUSTOM rule matches.
func (k *walk) unknownCustom(s state, http bool, err error, shadow *rbacv3.RBAC, filter, prefix string, goOn next) (*Path, error) {
	s.call.HTTP = http
	yes, no := s.fork(), s.fork()
	name := ""
	for _, n := range slices.Sorted(maps.Keys(shadow.GetPolicies())) {
		name = n
	}
	yes.call.setMetadata(filter, prefix+"shadow_effective_policy_id", name)
	onYes, e := goOn(yes)
	if e != nil {
		return nil, e
	}
	onNo, e := goOn(no)
	if e != nil {
		return nil, e
	}
	return s.undecided("whether a CUSTOM rule matches", err, "a rule matches", "no rule matches", onYes, onNo), nil
}

// ruleText turns the name of an RBAC policy into namespace/name rule N.
func ruleText(name string) string {
	name = strings.TrimPrefix(name, customPrefix)
	var ns, policy string
	var rule int
	rest, ok := strings.CutPrefix(name, "ns[")
	if !ok {
		return name
	}
	if ns, rest, ok = strings.Cut(rest, "]-policy["); !ok {
		return name
	}
	if policy, rest, ok = strings.Cut(rest, "]-rule["); !ok {
		return name
	}
	if _, err := fmt.Sscanf(rest, "%d]", &rule); err != nil {
		return name
	}
	return fmt.Sprintf("%s/%s rule %d", ns, policy, rule)
}

func allOrigins(res *bundle.Resource, rules *rbacv3.RBAC) []bundle.Origin {
	var out []bundle.Origin
	for _, n := range slices.Sorted(maps.Keys(rules.GetPolicies())) {
		out = append(out, ruleOrigins(res, n)...)
	}
	return trim(out)
}

// reasons says for each rule why it does not match.
func (k *walk) reasons(s state, res *bundle.Resource, rules *rbacv3.RBAC, why map[string]string) Step {
	st := Step{Proxy: s.proxy, Kind: "rbac", Name: rules.GetAction().String(), Text: fmt.Sprintf("no %s rule matches", rules.GetAction())}
	const most = 12
	for i, n := range slices.Sorted(maps.Keys(why)) {
		if i == most {
			st.Notes = append(st.Notes, fmt.Sprintf("%d more rules", len(why)-most))
			break
		}
		note := ruleText(n) + ": " + why[n]
		if o := ruleOrigins(res, n); len(o) > 0 {
			note += fmt.Sprintf(" (%s:%d)", o[0].File, o[0].Line)
		}
		st.Notes = append(st.Notes, note)
	}
	return st
}

// external asks an external authorizer, whose answer nobody knows. status is 0 on a connection without requests.
func (k *walk) external(s state, enabled *matcherv3.MetadataMatcher, authorizer string, open bool, status int, goOn next) (*Path, error) {
	if enabled != nil {
		if on, err := matchMetadata(enabled, &s.call); err == nil && !on {
			return goOn(s)
		}
	}
	text := "asks " + clusterText(authorizer)
	if open {
		text += "; a request passes when it does not answer"
	}
	s.add(Step{Kind: "ext_authz", Name: authorizer, Text: text})
	yes, no := s.fork(), s.fork()
	onYes, err := goOn(yes)
	if err != nil {
		return nil, err
	}
	return s.choose("the external authorizer "+clusterText(authorizer),
		Branch{When: "it allows", Path: onYes}, Branch{When: "it denies", Path: no.end(Denied, status, "the external authorizer "+clusterText(authorizer)+" denies it")}), nil
}

// tokens runs a JWT filter.
func (k *walk) tokens(s state, res *bundle.Resource, cfg *jwtv3.JwtAuthentication, goOn next, again func(*state)) (*Path, error) {
	before := s.call
	status, err := VerifyTokens(cfg, &s.call, k.req.Tokens)
	st := Step{Kind: "jwt", Name: "RequestAuthentication"}
	for _, n := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		st.Notes = append(st.Notes, "issuer "+cfg.GetProviders()[n].GetIssuer())
		for _, o := range originsAt(res, "jwt/"+n) {
			if o.At != "" {
				st.Origins = append(st.Origins, o)
			}
		}
	}
	if err != nil {
		st.Text = "cannot be judged: " + plain(err)
		s.add(st)
		return goOn(s)
	}
	switch {
	case status == 401:
		st.Text = "the token is not one of an accepted issuer, or not valid"
		s.add(st)
		return s.end(Denied, 401, "RequestAuthentication refuses the token", st.Origins...), nil
	case status == 403:
		st.Text = "the token is meant for another audience"
		s.add(st)
		return s.end(Denied, 403, "RequestAuthentication refuses the token: its audience is another", st.Origins...), nil
	}
	claims := s.call.Metadata[tokenFilter]
	if len(claims) > len(before.Metadata[tokenFilter]) {
		st.Text = "the token is accepted; its signature counts as good here"
		if clears(cfg) {
			again(&s)
		}
	} else {
		st.Text = "no token, so the request has no claims"
	}
	s.add(st)
	return goOn(s)
}

func clears(cfg *jwtv3.JwtAuthentication) bool {
	for _, p := range cfg.GetProviders() {
		if p.GetClearRouteCache() {
			return true
		}
	}
	return false
}
