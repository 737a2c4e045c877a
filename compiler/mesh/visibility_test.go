package mesh

import (
	"strings"
	"testing"
)

func TestVisibility(t *testing.T) {
	for _, c := range []struct {
		exportTo, def string
		sees          string // of the namespaces own, other, third
		rank          int    // as own sees it
	}{
		{"", "", "own other third", 2},
		{"", "*", "own other third", 2},
		{"", ".", "own", 0},
		{"", "~", "", -1},
		{"", "other", "", -1}, // no other default means anything
		{"", "other,.", "own", 0},
		{"*", ".", "own other third", 2},
		{".", "*", "own", 0},
		{"~", "*", "", -1},
		{"own", "", "own", 0},
		{".,other", "", "own other", 0},
		{"~,other", "", "", -1},
		{"~,*", "", "own other third", 2},
		{" other , third", "", "other third", -1},
	} {
		list := func(s string) []string {
			if s == "" {
				return nil
			}
			return strings.Split(s, ",")
		}
		v := visibility(list(c.exportTo), list(c.def), "own")
		var sees []string
		for _, ns := range []string{"own", "other", "third"} {
			if v.In(ns) {
				sees = append(sees, ns)
			}
		}
		if got := strings.Join(sees, " "); got != c.sees || v.rank("own", "own") != c.rank {
			t.Errorf("exportTo %q, default %q: seen by %q with rank %d", c.exportTo, c.def, got, v.rank("own", "own"))
		}
	}
}

// TestOrderOfWhatANamespaceSees: private before exported by name before public; each oldest first.
func TestOrderOfWhatANamespaceSees(t *testing.T) {
	vs := func(ns, name, exportTo string) string {
		return istio("VirtualService", ns, name, "{hosts: [x.example.com], exportTo: ["+exportTo+"], http: [{directResponse: {status: 200}}]}")
	}
	m, _ := link(t, vs("shop", "a", `"*"`), vs("far", "b", "shop"), vs("shop", "c", `"."`), vs("far", "d", `"."`), vs("far", "e", `"*"`), vs("shop", "f", `"."`))
	var got []string
	for _, v := range m.visibleVirtualServices(visibleInputs{"shop", "mesh"}) {
		got = append(got, v.Object.Name)
	}
	if strings.Join(got, " ") != "c f b a e" {
		t.Error(got)
	}
}
