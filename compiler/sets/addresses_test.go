package sets

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestAddresses(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var all []netip.Addr
	for i := range 256 {
		all = append(all, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), netip.AddrFrom4([4]byte{255, 255, 255, byte(i)}),
			netip.AddrFrom16([16]byte{15: byte(i)}), netip.AddrFrom16([16]byte{10: 255, 11: 255, 12: 10, 15: byte(i)}))
	}
	pick := func() (s Addresses) {
		var ps []netip.Prefix
		for range r.IntN(4) {
			a := all[r.IntN(len(all))]
			ps = append(ps, netip.PrefixFrom(a, a.BitLen()-r.IntN(9)))
		}
		s = Prefixes(ps...)
		for _, a := range all {
			want := false
			for _, p := range ps {
				want = want || p.Contains(a)
			}
			if s.Has(a) != want {
				t.Fatalf("%v has %s: %v", ps, a, !want)
			}
		}
		return s
	}
	for range 300 {
		a, b := pick(), pick()
		union, both, minus, not := a.Or(b), a.And(b), a.Minus(b), a.Not()
		for _, x := range all {
			switch {
			case union.Has(x) != (a.Has(x) || b.Has(x)), both.Has(x) != (a.Has(x) && b.Has(x)), minus.Has(x) != (a.Has(x) && !b.Has(x)), not.Has(x) == a.Has(x):
				t.Fatalf("%s and %s at %s", a, b, x)
			}
		}
		if !not.Not().Equal(a) || !Prefixes(a.Blocks()...).Equal(a) || !Prefixes(not.Blocks()...).Equal(not) {
			t.Fatalf("%s is not itself: %s, %s", a, not.Not(), Prefixes(a.Blocks()...))
		}
		if x, ok := minus.Address(); ok == minus.Empty() || ok && !minus.Has(x) {
			t.Fatalf("%s: %s", minus, x)
		}
	}
	if a, ok := Prefixes(prefix("10.0.0.0/8")).Address(netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("10.7.7.7")); !ok || a.String() != "10.7.7.7" {
		t.Errorf("%s is not preferred", a)
	}
	if !AnyAddress().Not().Empty() || !(Addresses{}).Not().Equal(AnyAddress()) {
		t.Error("everything is not the complement of nothing")
	}
}

func TestPortsAndNames(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	some := []uint16{0, 1, 2, 79, 80, 81, 65534, 65535}
	ports := func() Ports {
		var rs []PortRange
		for range r.IntN(3) {
			rs = append(rs, PortRange{some[r.IntN(len(some))], some[r.IntN(len(some))]})
		}
		return PortRanges(rs...)
	}
	names := func() Names {
		n := OneOf([]string{"a", "b", "c"}[r.IntN(3)], []string{"a", "b", "c"}[r.IntN(3)])
		if r.IntN(2) == 0 {
			return n.Not()
		}
		return n
	}
	for range 300 {
		a, b := ports(), ports()
		for _, p := range some {
			if a.Or(b).Has(p) != (a.Has(p) || b.Has(p)) || a.And(b).Has(p) != (a.Has(p) && b.Has(p)) || a.Minus(b).Has(p) != (a.Has(p) && !b.Has(p)) {
				t.Fatalf("%s and %s at %d", a, b, p)
			}
		}
		x, y := names(), names()
		for _, n := range []string{"a", "b", "c", "d"} {
			if x.Or(y).Has(n) != (x.Has(n) || y.Has(n)) || x.And(y).Has(n) != (x.Has(n) && y.Has(n)) || x.Minus(y).Has(n) != (x.Has(n) && !y.Has(n)) {
				t.Fatalf("%s and %s at %s", x, y, n)
			}
		}
	}
}
