//go:build linux

package lab

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change"
	"github.com/meshc/meshc/internal/clustertest"
)

// TestIdentitiesThatCanBe: a policy that admits one identity more admits more only if Kubernetes takes the names in it: the authority of the mesh
// signs no others. The API server says which it takes.
func TestIdentitiesThatCanBe(t *testing.T) {
	api := clustertest.Start(t)
	admitting := func(more string) *bundle.Bundle {
		all := maps.Clone(baseParts)
		all["more"] = policyFor("gamma", "ALLOW", `{from: [{source: {principals: ["cluster.local/ns/lab/sa/nobody"`+more+`]}}]}`)
		return compiled(t, parted(all).write(t))
	}
	base := admitting("")
	for _, c := range []struct {
		namespace, account string
		can                bool
	}{
		{"shop-2", "web.v1", true},
		{"rule[0]", "web", false},
		{"GET", "web", false},
		{"a.b", "web", false},
		{"shop", "from[0]-principal[0]", false},
		{"shop", "Web", false},
	} {
		namespace := api.Accepts(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": c.namespace}})
		account := api.Accepts(map[string]any{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": c.account, "namespace": "default"}})
		if can := namespace == nil && account == nil; can != c.can {
			t.Errorf("%+v: the API server says %v, %v", c, namespace, account)
		}
		r, err := change.Compare(base, admitting(`, "cluster.local/ns/`+c.namespace+`/sa/`+c.account+`"`))
		if err != nil {
			t.Fatal(err)
		}
		opened := slices.ContainsFunc(r.Differences, func(d *change.Difference) bool {
			return d.Kind == change.Opened && d.Category == change.AccessWidened && strings.HasSuffix(d.Witness.Principal, "/ns/"+c.namespace+"/sa/"+c.account)
		})
		if opened != c.can || r.Differs() != c.can {
			for _, d := range r.Differences {
				t.Logf("%s, %s: %s", d.Kind, d.Category, d.Witness.String())
			}
			t.Errorf("%+v: differs %t, opened %t; undecided %v", c, r.Differs(), opened, r.Undecided)
		}
	}
}
