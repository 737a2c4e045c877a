package names

import (
	"fmt"
	"strconv"
	"strings"
)

// CustomPrefix stands before the names of rules whose matches go to an external authorizer.
const CustomPrefix = "istio-ext-authz-"

// Policy is a rule of an AuthorizationPolicy.
type Policy struct {
	Namespace, Name string
	Rule            int
}

// String names the rule in an RBAC filter: ns[NAMESPACE]-policy[NAME]-rule[0].
func (p Policy) String() string {
	return fmt.Sprintf("ns[%s]-policy[%s]-rule[%d]", p.Namespace, p.Name, p.Rule)
}

// ParsePolicy reads such a name; CustomPrefix may stand before it.
func ParsePolicy(name string) (Policy, bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, CustomPrefix), "ns[")
	if !ok {
		return Policy{}, false
	}
	var p Policy
	if p.Namespace, rest, ok = strings.Cut(rest, "]-policy["); !ok {
		return Policy{}, false
	}
	if p.Name, rest, ok = strings.Cut(rest, "]-rule["); !ok {
		return Policy{}, false
	}
	n, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
	p.Rule = n
	return p, err == nil && strings.HasSuffix(rest, "]")
}

// TokenProvider names the provider of the i-th rule for tokens in a jwt_authn filter: origins-0.
func TokenProvider(i int) string { return "origins-" + strconv.Itoa(i) }
