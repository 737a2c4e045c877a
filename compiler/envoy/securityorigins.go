package envoy

import (
	"strconv"

	"github.com/meshc/meshc/compiler/mesh"
)

// securityOrigins says where the rules of the security filters of a listener come from: "rbac/NAME" is a policy in an
// RBAC filter, "jwt/NAME" a provider of jwt_authn.
func securityOrigins(in *mesh.Inbound) []Origin {
	var out []Origin
	add := func(at string, from []Origin) {
		for _, o := range from {
			o.At = at
			out = append(out, o)
		}
	}
	for _, p := range in.AuthorizationPolicies {
		if len(p.Spec.GetRules()) == 0 {
			add("rbac/"+ruleName(p, 0), place(p.Object, "spec"))
		}
		for i := range p.Spec.GetRules() {
			add("rbac/"+ruleName(p, i), place(p.Object, "spec", "rules", i))
		}
	}
	for i, r := range jwtRules(in) {
		add("jwt/"+jwtProviderName(i), place(r.owner.Object, "spec", "jwtRules", r.index))
	}
	return out
}

// jwtProviderName names the provider of the i-th rule, as Istio does.
func jwtProviderName(i int) string { return "origins-" + strconv.Itoa(i) }
