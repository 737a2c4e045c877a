package validate

import (
	"regexp"
	"strings"
	"time"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	ratelimitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	uritemplatev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/path/match/uri_template/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"
)

// authzServiceRule: source/extensions/filters/common/ext_authz/ext_authz_http_impl.cc.
func authzServiceRule(v *visit, m proto.Message) {
	if p := m.(*extauthzv3.HttpService).GetPathPrefix(); p != "" && !strings.HasPrefix(p, "/") {
		v.bad("path_prefix", "Begin it with a slash.", "the path %q does not begin with a slash", p)
	}
}

// leastFill is the shortest time between two fills of a bucket.
const leastFill = 50 * time.Millisecond

// rateLimitRule: source/extensions/filters/common/local_ratelimit/local_ratelimit_impl.cc.
func rateLimitRule(v *visit, m proto.Message) {
	l := m.(*ratelimitv3.LocalRateLimit)
	fillRule(v, l.GetTokenBucket())
	seen := map[string]bool{}
	for _, d := range l.GetDescriptors() {
		key := ""
		for _, e := range d.GetEntries() {
			key += e.GetKey() + "=" + e.GetValue() + ";"
		}
		if seen[key] {
			v.bad("descriptors", "Keep one of them.", "the descriptor %s is there twice", strings.TrimSuffix(key, ";"))
		}
		seen[key] = true
	}
}

func fillRule(v *visit, b *typev3.TokenBucket) {
	if b != nil && b.GetFillInterval().AsDuration() < leastFill {
		v.bad("token_bucket.fill_interval", "Fill less often, with more tokens.", "the bucket is filled more often than every %s", leastFill)
	}
}

// bucketRule is rateLimitRule for connections.
func bucketRule(v *visit, m proto.Message) {
	fillRule(v, m.(interface{ GetTokenBucket() *typev3.TokenBucket }).GetTokenBucket())
}

// templateRule: Envoy ends at a template that it cannot read, where a policy names it (source/extensions/path/uri_template_lib).
func templateRule(v *visit, m proto.Message) {
	if t := m.(*uritemplatev3.UriTemplateMatchConfig).GetPathTemplate(); !template.MatchString(t) {
		v.bad("path_template", "Write segments as text, *, {name} or {name=*}, and ** at most once and last.", "%q is no template of a path", t)
	}
}

// template is what Envoy takes for the template of a path, a little narrower.
var template = regexp.MustCompile(`^(/([-A-Za-z0-9._~%!$&'()+,;:@=]*|\*|\*\*|\{[A-Za-z][A-Za-z0-9_]{0,15}(=(\*\*?|[^{}=]*))?\}))+$`)

// rbacPolicyRule: source/extensions/filters/common/expr/evaluator.cc.
func rbacPolicyRule(v *visit, m proto.Message) {
	if c := m.(*rbacv3.Policy).GetCondition(); c != nil && c.GetExprKind() == nil {
		v.bad("condition", "Write an expression, or remove the condition.", "the condition is empty")
	}
}

// jwtRule: requirements name providers that are there, and Envoy can read the keys that a provider holds
// (source/extensions/filters/http/jwt_authn).
func jwtRule(v *visit, m proto.Message) {
	j := m.(*jwtv3.JwtAuthentication)
	for _, name := range keys(j.GetProviders()) {
		jwks, local := j.GetProviders()[name].GetJwksSourceSpecifier().(*jwtv3.JwtProvider_LocalJwks)
		if !local {
			continue
		}
		text := jwks.LocalJwks.GetInlineString() + string(jwks.LocalJwks.GetInlineBytes())
		if err := JWKS(text); err != nil && jwks.LocalJwks.GetFilename() == "" && jwks.LocalJwks.GetEnvironmentVariable() == "" {
			v.bad("providers["+name+"].local_jwks", "Write a JSON Web Key Set with public keys.", "Envoy cannot read the keys: %v", err)
		}
	}
	check := func(field string, r *jwtv3.JwtRequirement) {
		for _, name := range required(r) {
			if j.GetProviders()[name] == nil {
				v.bad(field, "Name one of providers.", "the provider %q is not there", name)
			}
		}
	}
	for _, r := range j.GetRules() {
		check("rules", r.GetRequires())
		if name := r.GetRequirementName(); name != "" && j.GetRequirementMap()[name] == nil {
			v.bad("rules", "Name one of requirement_map.", "the requirement %q is not there", name)
		}
	}
	for _, name := range keys(j.GetRequirementMap()) {
		check("requirement_map["+name+"]", j.GetRequirementMap()[name])
	}
}

// required are the providers that a requirement names.
func required(r *jwtv3.JwtRequirement) []string {
	var out []string
	switch x := r.GetRequiresType().(type) {
	case *jwtv3.JwtRequirement_ProviderName:
		out = append(out, x.ProviderName)
	case *jwtv3.JwtRequirement_ProviderAndAudiences:
		out = append(out, x.ProviderAndAudiences.GetProviderName())
	}
	for _, s := range append(r.GetRequiresAny().GetRequirements(), r.GetRequiresAll().GetRequirements()...) {
		out = append(out, required(s)...)
	}
	return out
}
