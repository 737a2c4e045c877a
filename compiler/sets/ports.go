package sets

import (
	"fmt"
	"slices"
	"strings"
)

// PortRange is a range of ports, both ends in it.
type PortRange struct{ First, Last uint16 }

// Ports is a set of ports. The zero value is empty.
type Ports struct {
	ranges []PortRange // sorted, apart from each other
}

// AnyPort has every port.
func AnyPort() Ports { return Ports{[]PortRange{{0, 65535}}} }

// OnePort has single ports.
func OnePort(ports ...uint16) Ports {
	var rs []PortRange
	for _, p := range ports {
		rs = append(rs, PortRange{p, p})
	}
	return PortRanges(rs...)
}

// PortRanges has the ports of some ranges.
func PortRanges(rs ...PortRange) Ports {
	rs = slices.DeleteFunc(slices.Clone(rs), func(r PortRange) bool { return r.First > r.Last })
	slices.SortFunc(rs, func(a, b PortRange) int { return int(a.First) - int(b.First) })
	var out []PortRange
	for _, r := range rs {
		if n := len(out); n > 0 && int(r.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return Ports{out}
}

// Or has what either set has.
func (s Ports) Or(t Ports) Ports { return PortRanges(slices.Concat(s.ranges, t.ranges)...) }

// Not has all other ports.
func (s Ports) Not() Ports {
	var out []PortRange
	next := 0
	for _, r := range s.ranges {
		if next < int(r.First) {
			out = append(out, PortRange{uint16(next), r.First - 1})
		}
		next = int(r.Last) + 1
	}
	if next <= 65535 {
		out = append(out, PortRange{uint16(next), 65535})
	}
	return Ports{out}
}

// And has what both sets have.
func (s Ports) And(t Ports) Ports { return s.Not().Or(t.Not()).Not() }

// Minus has what the other set lacks.
func (s Ports) Minus(t Ports) Ports { return s.Not().Or(t).Not() }

// Empty tells whether there is no port in the set.
func (s Ports) Empty() bool { return len(s.ranges) == 0 }

// Has tells whether a port is in the set.
func (s Ports) Has(p uint16) bool {
	return slices.ContainsFunc(s.ranges, func(r PortRange) bool { return r.First <= p && p <= r.Last })
}

// Equal tells whether two sets have the same ports.
func (s Ports) Equal(t Ports) bool { return slices.Equal(s.ranges, t.ranges) }

// Ranges are the ports as ranges, in order.
func (s Ports) Ranges() []PortRange { return slices.Clone(s.ranges) }

// String lists the ranges.
func (s Ports) String() string {
	if s.Empty() {
		return "no port"
	}
	if s.Equal(AnyPort()) {
		return "any port"
	}
	list, not := s.ranges, ""
	if others := s.Not(); len(others.ranges) < len(list) {
		list, not = others.ranges, "not "
	}
	var parts []string
	for _, r := range list {
		if r.First == r.Last {
			parts = append(parts, fmt.Sprint(r.First))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", r.First, r.Last))
		}
	}
	return not + strings.Join(parts, ", ")
}

func (s Ports) key() string { return fmt.Sprint("ports", s.ranges) }
