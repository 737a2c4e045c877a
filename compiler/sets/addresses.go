package sets

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// span is a range of addresses of one family.
type span struct{ first, last netip.Addr }

// Addresses is a set of IP addresses. IPv4 addresses and those of IPv6 are apart, as for Envoy. The zero value is empty.
type Addresses struct {
	spans []span // of IPv4 and then IPv6, sorted, apart from each other
}

func familySpan(bits int) span {
	if bits == 32 {
		return span{netip.AddrFrom4([4]byte{}), netip.AddrFrom4([4]byte{255, 255, 255, 255})}
	}
	var ones [16]byte
	for i := range ones {
		ones[i] = 255
	}
	return span{netip.AddrFrom16([16]byte{}), netip.AddrFrom16(ones)}
}

// AnyAddress has every address.
func AnyAddress() Addresses { return Addresses{[]span{familySpan(32), familySpan(128)}} }

// Prefixes has the addresses of some blocks.
func Prefixes(blocks ...netip.Prefix) Addresses {
	var spans []span
	for _, p := range blocks {
		if p.IsValid() {
			spans = append(spans, span{p.Masked().Addr(), lastOf(p)})
		}
	}
	return Addresses{join(spans)}
}

// OneAddress has single addresses.
func OneAddress(as ...netip.Addr) Addresses {
	var spans []span
	for _, a := range as {
		if a.IsValid() {
			spans = append(spans, span{a.WithZone(""), a.WithZone("")})
		}
	}
	return Addresses{join(spans)}
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := range b {
		switch free := (i+1)*8 - p.Bits(); {
		case free >= 8:
			b[i] = 255
		case free > 0:
			b[i] |= 1<<free - 1
		}
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func join(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.first.Compare(b.first) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && out[n-1].last.BitLen() == s.first.BitLen() &&
			(s.first.Compare(out[n-1].last) <= 0 || s.first == out[n-1].last.Next()) {
			if s.last.Compare(out[n-1].last) > 0 {
				out[n-1].last = s.last
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// Or has what either set has.
func (s Addresses) Or(t Addresses) Addresses { return Addresses{join(slices.Concat(s.spans, t.spans))} }

// Not has all other addresses.
func (s Addresses) Not() Addresses {
	var out []span
	for _, bits := range []int{32, 128} {
		rest := familySpan(bits)
		open := true
		for _, x := range s.spans {
			if x.first.BitLen() != bits || !open {
				continue
			}
			if rest.first.Less(x.first) {
				out = append(out, span{rest.first, x.first.Prev()})
			}
			open = x.last != rest.last
			rest.first = x.last.Next()
		}
		if open {
			out = append(out, rest)
		}
	}
	return Addresses{out}
}

// And has what both sets have.
func (s Addresses) And(t Addresses) Addresses { return s.Not().Or(t.Not()).Not() }

// Minus has what the other set lacks.
func (s Addresses) Minus(t Addresses) Addresses { return s.Not().Or(t).Not() }

// Empty tells whether there is no address in the set.
func (s Addresses) Empty() bool { return len(s.spans) == 0 }

// Has tells whether an address is in the set.
func (s Addresses) Has(a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(s.spans, a, func(x span, a netip.Addr) int { return x.first.Compare(a) })
	if found {
		return true
	}
	return i > 0 && a.Compare(s.spans[i-1].last) <= 0
}

// Equal tells whether two sets have the same addresses.
func (s Addresses) Equal(t Addresses) bool { return slices.Equal(s.spans, t.spans) }

// Address returns an address of the set, one of those preferred if it can. Else it is the second of the first range, since the first is
// often that of a network.
func (s Addresses) Address(preferred ...netip.Addr) (a netip.Addr, ok bool) {
	for _, a := range preferred {
		if s.Has(a) {
			return a, true
		}
	}
	if s.Empty() {
		return netip.Addr{}, false
	}
	return s.spans[0].example(), true
}

// example avoids the address 0.0.0.0 and those of networks.
func (x span) example() netip.Addr {
	if x.first != x.last {
		return x.first.Next()
	}
	return x.first
}

// Blocks returns the set as the fewest CIDR blocks.
func (s Addresses) Blocks() []netip.Prefix {
	var out []netip.Prefix
	for _, x := range s.spans {
		for first := x.first; ; {
			bits := first.BitLen()
			for bits > 0 {
				p := netip.PrefixFrom(first, bits-1)
				if p.Masked().Addr() != first || x.last.Less(lastOf(p)) {
					break
				}
				bits--
			}
			p := netip.PrefixFrom(first, bits)
			out = append(out, p)
			if lastOf(p) == x.last {
				break
			}
			first = lastOf(p).Next()
		}
	}
	return out
}

// String lists the blocks; of a set that has most addresses, those that it lacks.
func (s Addresses) String() string {
	if s.Empty() {
		return "no address"
	}
	if s.Equal(AnyAddress()) {
		return "any address"
	}
	list, not := s.Blocks(), ""
	if others := s.Not().Blocks(); len(others) < len(list) {
		list, not = others, "not "
	}
	var parts []string
	for _, p := range list {
		parts = append(parts, p.String())
	}
	return not + strings.Join(parts, ", ")
}

func (s Addresses) key() string { return fmt.Sprint("addresses", s.spans) }
