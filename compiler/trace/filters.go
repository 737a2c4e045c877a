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
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/match"
)

const httpRBAC = "envoy.filters.http.rbac"

// next is the rest of a filter chain.
type next func(state) (*Path, error)

// ruleOrigins are the places of an RBAC policy.
func ruleOrigins(res *bundle.Resource, policy string) []bundle.Origin {
	if res == nil {
		return nil
	}
	return res.OriginsOf(names.RulePart(strings.TrimPrefix(policy, names.CustomPrefix)))
}

// rbacFilter is one RBAC filter, of a connection or of requests.
type rbacFilter struct {
	res           *bundle.Resource // the listener
	name          string           // under which its shadow rules leave metadata
	http          bool
	rules, shadow *rbacv3.RBAC
	prefix        string // of the metadata
}

// rbac judges an RBAC filter.
func (k *walk) rbac(s state, f rbacFilter, goOn next) (*Path, error) {
	was := s.call.HTTP
	s.call.HTTP = f.http
	if f.shadow != nil {
		custom := f.prefix == "istio_ext_authz_"
		v, err := match.Shadow(f.shadow, f.name, f.prefix, &s.call)
		if err != nil && custom {
			s.call.HTTP = was
			return k.unknownCustom(s, f, err, goOn)
		}
		if st := f.dryRun(v, err, custom); st.Text != "" {
			s.add(st)
		}
	}
	if f.rules == nil {
		s.call.HTTP = was
		return goOn(s)
	}
	v, err := match.Authorize(f.rules, &s.call)
	why := match.Explain(f.rules, &s.call)
	s.call.HTTP = was
	if err != nil && f.rules.GetAction() != rbacv3.RBAC_LOG {
		return k.unknownRule(s, f, err, goOn)
	}
	st := Step{Kind: "rbac", Name: ruleText(v.Policy), Text: f.rules.GetAction().String() + " rule matches", Origins: ruleOrigins(f.res, v.Policy)}
	switch {
	case !v.Allowed && v.Policy != "":
		return s.end(Denied, f.status(), "DENY rule "+ruleText(v.Policy)+" matches", st.Origins...), nil
	case !v.Allowed:
		s.add(f.reasons(why))
		return s.end(Denied, f.status(), "no ALLOW rule matches", allOrigins(f.res, f.rules)...), nil
	case v.Policy != "" && f.rules.GetAction() == rbacv3.RBAC_LOG:
		st.Text, st.Effects = "an AUDIT rule matches", []Effect{{EffectAudit, st.Name, ""}}
		s.add(st)
	case v.Policy != "":
		s.add(st)
	case f.rules.GetAction() == rbacv3.RBAC_DENY:
		s.add(f.reasons(why))
	}
	return goOn(s)
}

// status of a refusal: a connection is just closed.
func (f rbacFilter) status() int {
	if f.http {
		return 403
	}
	return 0
}

// dryRun says what shadow rules found, with an empty text when there is nothing to say.
func (f rbacFilter) dryRun(v match.Verdict, err error, custom bool) Step {
	st := Step{Kind: "rbac", Name: ruleText(v.Policy), Origins: ruleOrigins(f.res, v.Policy)}
	switch {
	case err != nil:
		st.Name, st.Text, st.Effects = "dry run", "a dry run cannot be judged: "+plain(err), []Effect{{EffectUnjudged, "dry run", ""}}
	case custom && v.Policy != "":
		st.Text = "a CUSTOM rule matches, so an external authorizer is asked"
	case custom:
	case v.Policy != "":
		would := map[bool]string{true: "allow", false: "deny"}[v.Allowed]
		st.Text, st.Effects = "a dry run would "+would+" this request; nothing is enforced", []Effect{{EffectDryRun, "", would}}
	case f.shadow.GetAction() == rbacv3.RBAC_ALLOW:
		st.Name, st.Text, st.Effects = "dry run", "no ALLOW rule of the dry run matches: enforced, it would deny this request", []Effect{{EffectDryRun, "", "deny"}}
	}
	return st
}

// unknownRule splits where it is not known whether a rule matches.
func (k *walk) unknownRule(s state, f rbacFilter, err error, goOn next) (*Path, error) {
	yes, no := s.fork(), s.fork()
	pass, refuse, text := no, yes, "a DENY rule matches"
	if f.rules.GetAction() == rbacv3.RBAC_ALLOW {
		pass, refuse, text = yes, no, "no ALLOW rule matches"
	}
	passed, e := goOn(pass)
	if e != nil {
		return nil, e
	}
	refused := refuse.end(Denied, f.status(), text)
	if f.rules.GetAction() == rbacv3.RBAC_ALLOW {
		return s.undecided("whether an ALLOW rule matches", err, "a rule matches", "no rule matches", passed, refused), nil
	}
	return s.undecided("whether a DENY rule matches", err, "a rule matches", "no rule matches", refused, passed), nil
}

func plain(err error) string { return strings.TrimPrefix(err.Error(), "cannot be judged: ") }

// unknownCustom splits where it is not known whether a CUSTOM rule matches.
func (k *walk) unknownCustom(s state, f rbacFilter, err error, goOn next) (*Path, error) {
	yes, no := s.fork(), s.fork()
	name := ""
	for _, n := range slices.Sorted(maps.Keys(f.shadow.GetPolicies())) {
		name = n
	}
	yes.call.SetMetadata(f.name, f.prefix+"shadow_effective_policy_id", name)
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
	p, ok := names.ParsePolicy(name)
	if !ok {
		return strings.TrimPrefix(name, names.CustomPrefix)
	}
	return fmt.Sprintf("%s/%s rule %d", p.Namespace, p.Name, p.Rule)
}

func allOrigins(res *bundle.Resource, rules *rbacv3.RBAC) []bundle.Origin {
	var out []bundle.Origin
	for _, n := range slices.Sorted(maps.Keys(rules.GetPolicies())) {
		out = append(out, ruleOrigins(res, n)...)
	}
	return trim(out)
}

// reasons says for each rule why it does not match.
func (f rbacFilter) reasons(why map[string]string) Step {
	st := Step{Kind: "rbac", Name: f.rules.GetAction().String(), Text: fmt.Sprintf("no %s rule matches", f.rules.GetAction())}
	const most = 12
	for i, n := range slices.Sorted(maps.Keys(why)) {
		if i == most {
			st.Notes = append(st.Notes, fmt.Sprintf("%d more rules", len(why)-most))
			break
		}
		note := ruleText(n) + ": " + why[n]
		if o := ruleOrigins(f.res, n); len(o) > 0 {
			note += fmt.Sprintf(" (%s:%d)", o[0].File, o[0].Line)
		}
		st.Notes = append(st.Notes, note)
	}
	return st
}

// external asks an external authorizer, whose answer nobody knows. status is 0 on a connection without requests.
func (k *walk) external(s state, enabled *matcherv3.MetadataMatcher, authorizer string, open bool, status int, goOn next) (*Path, error) {
	if enabled != nil {
		if on, err := match.Metadata(enabled, &s.call); err == nil && !on {
			return goOn(s)
		}
	}
	text, effect := "asks "+clusterText(authorizer), Effect{Kind: EffectAuthorizer, Name: authorizer}
	if open {
		text, effect.Value = text+"; a request passes when it does not answer", "open"
	}
	s.add(Step{Kind: "ext_authz", Name: authorizer, Text: text, Effects: []Effect{effect}})
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
	judged, err := match.JudgeTokens(cfg, &s.call, k.req.Tokens)
	st := Step{Kind: "jwt", Name: "RequestAuthentication"}
	for _, n := range slices.Sorted(maps.Keys(cfg.GetProviders())) {
		st.Effects = append(st.Effects, Effect{EffectIssuer, "", cfg.GetProviders()[n].GetIssuer()})
		st.Origins = append(st.Origins, res.OriginsOf(names.ProviderPart(n))...)
	}
	if err != nil {
		st.say("cannot be judged: "+plain(err), "not judged")
		s.add(st)
		return goOn(s)
	}
	switch judged {
	case match.TokenOK:
	case match.TokenMissing:
		st.say("no token, and one is required", "refused")
		s.add(st)
		return s.end(Denied, 401, "RequestAuthentication wants a token, and there is none", st.Origins...), nil
	case match.TokenOtherAudience:
		st.say("the token is meant for another audience", "another audience")
		s.add(st)
		return s.end(Denied, 403, "RequestAuthentication refuses the token: its audience is another", st.Origins...), nil
	default:
		st.say("the token is not one of an accepted issuer, or not valid", "refused")
		s.add(st)
		return s.end(Denied, 401, "RequestAuthentication refuses the token", st.Origins...), nil
	}
	claims := s.call.Metadata[match.TokenFilter]
	if len(claims) > len(before.Metadata[match.TokenFilter]) {
		st.say("the token is accepted; its signature counts as good here", "accepted")
		if clears(cfg) {
			again(&s)
		}
	} else {
		st.say("no token, so the request has no claims", "none")
	}
	s.add(st)
	return goOn(s)
}

// say tells what became of the token of a request.
func (s *Step) say(text, outcome string) {
	s.Text = text
	s.Effects = append(s.Effects, Effect{EffectToken, "", outcome})
}

func clears(cfg *jwtv3.JwtAuthentication) bool {
	for _, p := range cfg.GetProviders() {
		if p.GetClearRouteCache() {
			return true
		}
	}
	return false
}
