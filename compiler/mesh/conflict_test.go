package mesh

import "testing"

func TestVisibilityOverlaps(t *testing.T) {
	in := func(list ...string) Visibility {
		v := Visibility{Namespaces: map[string]bool{}}
		for _, n := range list {
			v.Namespaces[n] = true
		}
		return v
	}
	public := Visibility{Public: true}
	for _, c := range []struct {
		a, b Visibility
		want bool
	}{
		{public, public, true}, {public, in("a"), true}, {in("a"), public, true}, {in("a", "b"), in("b"), true},
		{in("a"), in("b"), false}, {in(), public, false}, {in(), in(), false},
	} {
		if got := c.a.overlaps(c.b); got != c.want {
			t.Errorf("%v and %v overlap: %v", c.a, c.b, got)
		}
	}
}
