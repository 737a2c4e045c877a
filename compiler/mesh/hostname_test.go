package mesh

import (
	"testing"

	"github.com/meshc/meshc/compiler/hosts"
)

func TestQualify(t *testing.T) {
	m := &Mesh{Domain: "cluster.local"}
	m.index = newIndex(m)
	for host, want := range map[string]string{
		"reviews":                 "reviews.shop.svc.cluster.local",
		"Reviews":                 "reviews.shop.svc.cluster.local",
		"reviews.prod":            "reviews.prod", // a name with a dot is taken as it stands
		"*.Example.com":           "*.example.com",
		"*":                       "*",
		"":                        "",
		"2001:db8::1":             "2001:db8::1",
		"a.b.svc.cluster.local":   "a.b.svc.cluster.local",
		"unix.with.Capital.Label": "unix.with.capital.label",
	} {
		if got := m.qualify(host, "shop"); got != want {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

func TestQualifyGateway(t *testing.T) {
	for name, want := range map[string]string{
		"mesh": "mesh", "gw": "shop/gw", "./gw": "shop/gw", "./gw.infra": "shop/gw.infra", "infra/gw": "infra/gw",
		"gw.infra": "infra/gw", "gw.infra.svc.cluster.local": "infra/gw", // the old forms
	} {
		if got := qualifyGateway(name, "shop"); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, c := range []struct {
		a, b            string
		matches, within bool
	}{
		{"a.com", "a.com", true, true},
		{"a.com", "b.com", false, false},
		{"a.b.com", "*.b.com", true, true},
		{"b.com", "*.b.com", false, false},
		{"*.b.com", "a.b.com", true, false},
		{"*.a.b.com", "*.b.com", true, true},
		{"*.b.com", "*.a.b.com", true, false},
		{"*", "a.com", true, false},
		{"a.com", "*", true, true},
		{"*.x.com", "*.y.com", false, false},
	} {
		if got := hosts.Overlap(c.a, c.b); got != c.matches {
			t.Errorf("hosts.Overlap(%s, %s) = %t", c.a, c.b, got)
		}
		if got := hosts.Overlap(c.b, c.a); got != c.matches {
			t.Errorf("hosts.Overlap(%s, %s) = %t", c.b, c.a, got)
		}
		if got := hosts.Within(c.a, c.b); got != c.within {
			t.Errorf("hosts.Within(%s, %s) = %t", c.a, c.b, got)
		}
	}
}

// TestMoreSpecific walks a list in the order of precedence; every pair must agree with it, so the order is total.
func TestMoreSpecific(t *testing.T) {
	order := []string{"www.example.com", "a.com", "b.com", "*.www.example.com", "*.example.com", "*.com", "*"}
	for i, a := range order {
		for j, b := range order {
			if got := hosts.MoreSpecific(a, b); got != (i < j) {
				t.Errorf("hosts.MoreSpecific(%s, %s) = %t", a, b, got)
			}
		}
	}
}

func TestSplitHost(t *testing.T) {
	for h, want := range map[string][2]string{"a.com": {"", "a.com"}, "ns/a.com": {"ns", "a.com"}, "./*": {".", "*"}, "~/*": {"~", "*"}} {
		if ns, name := hosts.Split(h); ns != want[0] || name != want[1] {
			t.Errorf("%s: got %s and %s", h, ns, name)
		}
	}
}
