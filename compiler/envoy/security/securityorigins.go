package security

import (
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
)

// Origins says where the rules of the security filters of a listener come from.
func Origins(in *mesh.Inbound) []xds.Origin {
	var out []xds.Origin
	add := func(at names.Part, from []xds.Origin) {
		for _, o := range from {
			o.At = at
			out = append(out, o)
		}
	}
	for _, p := range in.AuthorizationPolicies {
		if len(p.Spec.GetRules()) == 0 {
			add(names.RulePart(ruleName(p, 0)), xds.OriginAt(p.Object, "spec"))
		}
		for i := range p.Spec.GetRules() {
			add(names.RulePart(ruleName(p, i)), xds.OriginAt(p.Object, "spec", "rules", i))
		}
	}
	for i, r := range JWTRules(in) {
		add(names.ProviderPart(names.TokenProvider(i)), xds.OriginAt(r.owner.Object, "spec", "jwtRules", r.index))
	}
	return out
}
