package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meshc/meshc/server/ads"
)

// TestArrived: a proxy counts when it has all of the bundle, and not before.
func TestArrived(t *testing.T) {
	st := Status{Nodes: []NodeStatus{
		{ID: "a", Bundle: "d", Synced: true},
		{ID: "b", Bundle: "d"},
		{ID: "c", Bundle: "e", Synced: true},
		{ID: "d", Bundle: "d", Synced: true, Kept: "no class"},
		{ID: "e", Bundle: "d", Synced: true, NACKs: []ads.NACK{{Resources: []string{"80/a"}, Origins: []string{"mesh.yaml:3"}, Error: "bad"}}},
	}}
	acked, all, waiting := st.Arrived("d")
	want := "[b: has not acknowledged all of it yet c: is led to e d: no class e: refuses 80/a (mesh.yaml:3): bad]"
	if acked != 1 || all != 5 || fmt.Sprint(waiting) != want {
		t.Errorf("%d of %d, %s", acked, all, strings.Join(waiting, "; "))
	}
}
