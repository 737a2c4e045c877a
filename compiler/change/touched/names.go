package touched

import (
	"net/netip"
	"slices"
	"strings"
)

// MainDomains are those of a virtual host that are no short form and no address of another.
func MainDomains(domains []string) []string {
	var out []string
	for _, d := range domains {
		short := slices.ContainsFunc(domains, func(o string) bool {
			return o != d && strings.HasPrefix(o, strings.TrimSuffix(d, ".")+".") && len(o) > len(d)+1
		})
		if _, err := netip.ParseAddr(strings.Trim(d, "[]")); err == nil || short || strings.HasSuffix(d, ".") || strings.Contains(d, ":") && d != "*" {
			continue
		}
		out = append(out, d)
	}
	if len(out) == 0 && len(domains) > 0 {
		out = domains[:1]
	}
	return out
}

// Borders are the first address of a range and the first behind it.
func Borders(cidr string) []netip.Addr {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil
	}
	last := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(last)*8; i++ {
		last[i/8] |= 1 << (7 - i%8)
	}
	out := []netip.Addr{p.Masked().Addr()}
	if end, ok := netip.AddrFromSlice(last); ok && end.Next().IsValid() {
		out = append(out, end.Next())
	}
	return out
}
