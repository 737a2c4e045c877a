package bootstrap_test

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/bootstrap"
)

// The group is found among other objects, and is that of the proxy or refused.
func TestWithGroup(t *testing.T) {
	const group = "# of the machine\nkind: WorkloadGroup\nmetadata: {name: ledger, namespace: shop}\nspec: {probe: {tcpSocket: {port: 8080}}}\n"
	const other = "kind: ServiceEntry\nmetadata: {name: ledger}\n---\n"
	for _, c := range []struct{ text, namespace, workload, refused string }{
		{other + group, "shop", "", ""},
		{group, "default", "shop/ledger", ""},
		{strings.Replace(group, ", namespace: shop", "", 1), "shop", "shop/ledger", ""},
		{group, "bank", "", "in the namespace shop"},
		{group, "shop", "shop/other", "shop/ledger, and the workload of the proxy shop/other"},
		{other, "shop", "", "no WorkloadGroup"},
		{group + "---\n" + group, "shop", "", "2 WorkloadGroups"},
	} {
		p, err := bootstrap.Probes(nil).WithGroup([]byte(c.text), c.namespace, c.workload)
		if c.refused != "" {
			if err == nil || !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%s: %v", c.refused, err)
			}
			continue
		}
		if err != nil || p["/app-health/ledger/readyz"].TCPSocket == nil {
			t.Errorf("%v %v", p, err)
		}
	}
}
