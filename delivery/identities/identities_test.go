package identities

import (
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
)

// Whatever stands where an account is named, no entry has an ID that is another's or none.
func TestAccountsWithoutAnID(t *testing.T) {
	const parent = "spiffe://cluster.local/nodes"
	of := func(account string, o Options) ([]Entry, error) {
		entries, _, err := Of(&bundle.Bundle{TrustDomain: "cluster.local", Workloads: []bundle.Workload{{Kind: "WorkloadGroup", Namespace: "shop", Name: "w", ServiceAccount: account, Proxy: true}}}, o)
		return entries, err
	}
	vms := Options{Parent: parent, VMParent: "spiffe://cluster.local/vms", VMSelector: []string{"unix:uid:1337"}}
	if entries, err := of("ledger", vms); err != nil || len(entries) != 1 || entries[0].ID != "spiffe://cluster.local/ns/shop/sa/ledger" {
		t.Errorf("%v %v", entries, err)
	}
	for _, account := range []string{"a b", "a/../b", "..", "a/b", "ä", "a?b", "a%2fb"} {
		if entries, err := of(account, vms); err == nil || !strings.Contains(err.Error(), "no service account") {
			t.Errorf("%q: %v %v", account, entries, err)
		}
	}
	for _, id := range []string{"vms", "spiffe://cluster.local/", "spiffe://cluster.local/a b", "spiffe://cluster.local/../x", "spiffe://other/vms"} {
		o := vms
		o.VMParent = id
		if _, err := of("ledger", o); err == nil || !strings.Contains(err.Error(), "vm-parent") {
			t.Errorf("%q: %v", id, err)
		}
	}
}
