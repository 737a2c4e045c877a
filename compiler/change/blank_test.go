package change_test

import (
	"slices"
	"testing"

	"github.com/meshc/meshc/compiler/change"
)

// TestValuesWithBlanks: a value of a header that a command line would take apart is a value like any other. A DENY on one that is
// gone opens an access.
func TestValuesWithBlanks(t *testing.T) {
	const deny = "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: plans, namespace: shop}\nspec:\n  selector: {matchLabels: {app: reviews}}\n" +
		"  action: DENY\n  rules: [{when: [{key: 'request.headers[x-plan]', values: ['free tier', 'it''s \"free\"']}]}]\n"
	for name, states := range map[string][2]string{change.Opened: {deny, ""}, change.Closed: {"", deny}} {
		r, err := change.Compare(compile(t, routes+policy+gateway+states[0]), compile(t, routes+policy+gateway+states[1]))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(r.Differences, func(d *change.Difference) bool { return d.Kind == name }) || len(r.Undecided) > 0 {
			t.Errorf("%s: %d differences, undecided: %v", name, len(r.Differences), r.Undecided)
		}
	}
}
