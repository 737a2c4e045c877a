package envoy

import (
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// securityOrigins says where the rules of the security filters of a listener come from.
func securityOrigins(in *mesh.Inbound) []Origin {
	var out []Origin
	add := func(at names.Part, from []Origin) {
		for _, o := range from {
			o.At = at
			out = append(out, o)
		}
	}
	for _, p := range in.AuthorizationPolicies {
		if len(p.Spec.GetRules()) == 0 {
			add(names.RulePart(ruleName(p, 0)), place(p.Object, "spec"))
		}
		for i := range p.Spec.GetRules() {
			add(names.RulePart(ruleName(p, i)), place(p.Object, "spec", "rules", i))
		}
	}
	for i, r := range jwtRules(in) {
		add(names.ProviderPart(names.TokenProvider(i)), place(r.owner.Object, "spec", "jwtRules", r.index))
	}
	return out
}
