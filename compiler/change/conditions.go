package change

import (
	"maps"
	"slices"
	"strings"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

const otherKind = "no request is made for conditions of this kind"

// conditions lists the conditions of access rules for which no witness is made, where the rule is in one state only. met
// are the identities that a caller has.
func (f *finder) conditions(h held, met map[string]bool) error {
	states := h.states()
	rules := make([]map[string]rule, len(states))
	for i, r := range states {
		m, err := r.Message()
		if err != nil {
			return err
		}
		rules[i] = map[string]rule{}
		if err := policies(m.ProtoReflect(), rules[i]); err != nil {
			return err
		}
	}
	for i, r := range states {
		for _, key := range slices.Sorted(maps.Keys(rules[i])) {
			if len(states) == 2 && rules[1-i][key].Policy != nil {
				continue
			}
			x := rules[i][key]
			for _, p := range x.GetPermissions() {
				f.missed(r, x.at, permission(p)...)
			}
			for _, p := range x.GetPrincipals() {
				f.missed(r, x.at, principal(p, met)...)
			}
		}
	}
	return nil
}

// rule is a policy of an RBAC filter and where it is.
type rule struct {
	*rbacv3.Policy
	at names.Part
}

// policies gathers the policies in a message by their bytes.
func policies(m protoreflect.Message, into map[string]rule) error {
	return each(m, func(x proto.Message) error {
		rules, ok := x.(*rbacv3.RBAC)
		if !ok {
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(rules.GetPolicies())) {
			p := rules.GetPolicies()[name]
			key, err := proto.MarshalOptions{Deterministic: true}.Marshal(p)
			if err != nil {
				return err
			}
			into[string(key)] = rule{p, names.RulePart(strings.TrimPrefix(name, names.CustomPrefix))}
		}
		return nil
	})
}

// permission lists what is not tried of a permission.
func permission(p *rbacv3.Permission) (out []Untried) {
	switch r := p.GetRule().(type) {
	case *rbacv3.Permission_AndRules:
		for _, x := range r.AndRules.GetRules() {
			out = append(out, permission(x)...)
		}
	case *rbacv3.Permission_OrRules:
		for _, x := range r.OrRules.GetRules() {
			out = append(out, permission(x)...)
		}
	case *rbacv3.Permission_NotRule:
		return permission(r.NotRule)
	case *rbacv3.Permission_Any:
	case *rbacv3.Permission_Header:
		return untriedHeader(r.Header)
	default:
		switch _, named, why := rulePath(p); {
		case !named:
			return []Untried{{What: "condition", Value: trace.PermissionText(p), Why: otherKind}}
		case why != "":
			return []Untried{{What: "condition", Value: trace.PermissionText(p), Why: why}}
		}
	}
	return out
}

// principal lists what is not tried of a principal.
func principal(p *rbacv3.Principal, met map[string]bool) (out []Untried) {
	switch r := p.GetIdentifier().(type) {
	case *rbacv3.Principal_AndIds:
		for _, x := range r.AndIds.GetIds() {
			out = append(out, principal(x, met)...)
		}
	case *rbacv3.Principal_OrIds:
		for _, x := range r.OrIds.GetIds() {
			out = append(out, principal(x, met)...)
		}
	case *rbacv3.Principal_NotId:
		return principal(r.NotId, met)
	case *rbacv3.Principal_Any:
	case *rbacv3.Principal_Header:
		return untriedHeader(r.Header)
	case *rbacv3.Principal_Authenticated_:
		if name := r.Authenticated.GetPrincipalName(); name != nil && !anyName(trace.StringText(name)) && !met[identityText(name)] {
			return []Untried{{What: "condition", Value: trace.PrincipalText(p), Why: "no workload of both states can be told by it"}}
		}
	default:
		return []Untried{{What: "condition", Value: trace.PrincipalText(p), Why: otherKind}}
	}
	return out
}

// anyName tells the text of a matcher that every identity meets.
func anyName(text string) bool { return text == "any" || strings.Trim(text, "*") == "spiffe://" }

func untriedHeader(m *routev3.HeaderMatcher) []Untried {
	_, _, why := sampleHeader(m)
	if why == "" && strings.HasPrefix(m.GetName(), ":") && m.GetName() != ":method" {
		why = "no witness sets this pseudo header"
	}
	if why == "" {
		return nil
	}
	return []Untried{{What: "condition", Value: trace.HeaderText(m), Why: why}}
}
