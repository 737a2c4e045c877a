package intercept

import (
	"fmt"
	"slices"
	"strings"
)

// Table is the name of the table that holds the rules under nftables.
const Table = "meshc"

// NFT writes the rules as nft -f reads them: a table of the family that replaces the one that was there.
func (s Settings) NFT(six bool) string {
	f, name := ipv4, "ip "+Table
	if six {
		f, name = ipv6, "ip6 "+Table
	}
	var b strings.Builder
	fmt.Fprintf(&b, "add table %s\ndelete table %s\ntable %s {\n", name, name, name)
	for _, c := range slices.Concat(chains, []string{prerouting, output}) {
		fmt.Fprintf(&b, "\tchain %s {\n", c)
		switch c {
		case prerouting:
			b.WriteString("\t\ttype nat hook prerouting priority -100; policy accept;\n")
		case output:
			b.WriteString("\t\ttype nat hook output priority -100; policy accept;\n")
		}
		for _, r := range s.of(f, c) {
			b.WriteString("\t\t" + r.nft(f) + "\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

func (r rule) nft(f family) string {
	ip, proto := "ip", "tcp"
	if f.six {
		ip = "ip6"
	}
	if r.udp {
		proto = "udp"
	}
	var w []string
	add := func(on bool, format string, args ...any) {
		if on {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	add(r.in != "", "iifname %q", r.in)
	add(r.out != "", "oifname %q", r.out)
	add(r.from != "", "%s saddr %s", ip, r.from)
	add(r.to != "", "%s daddr %s", ip, r.to)
	add(r.notTo != "", "%s daddr != %s", ip, r.notTo)
	add(r.port == 0, "meta l4proto %s", proto)
	add(r.port != 0, "%s dport %d", proto, r.port)
	add(r.proxy, "meta skuid %d", ProxyUID)
	add(r.notProxy, "meta skuid != %d", ProxyUID)
	switch {
	case r.then.jump != "":
		w = append(w, "jump "+r.then.jump)
	case r.then.port != 0:
		w = append(w, fmt.Sprintf("redirect to :%d", r.then.port))
	default:
		w = append(w, "return")
	}
	return strings.Join(w, " ")
}
