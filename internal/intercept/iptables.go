package intercept

import (
	"fmt"
	"strings"
)

// IPTables writes the rules as iptables-restore --noflush reads them, or ip6tables-restore with six.
func (s Settings) IPTables(six bool) string {
	f := ipv4
	if six {
		f = ipv6
	}
	var b strings.Builder
	b.WriteString("*nat\n")
	for _, c := range chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, r := range s.rules(f) {
		b.WriteString(r.iptables() + "\n")
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

func (r rule) iptables() string {
	proto := "tcp"
	if r.udp {
		proto = "udp"
	}
	w := []string{"-A", r.chain, "-p", proto}
	add := func(on bool, words ...string) {
		if on {
			w = append(w, words...)
		}
	}
	add(r.in != "", "-i", r.in)
	add(r.out != "", "-o", r.out)
	add(r.from != "", "-s", r.from)
	add(r.to != "", "-d", r.to)
	add(r.notTo != "", "!", "-d", r.notTo)
	add(r.port != 0, "--dport", fmt.Sprint(r.port))
	add(r.notPort != 0, "!", "--dport", fmt.Sprint(r.notPort))
	add(r.proxy, "-m", "owner", "--uid-owner", fmt.Sprint(ProxyUID))
	add(r.notProxy, "-m", "owner", "!", "--uid-owner", fmt.Sprint(ProxyUID))
	switch {
	case r.then.jump != "":
		w = append(w, "-j", r.then.jump)
	case r.then.port != 0:
		w = append(w, "-j", "REDIRECT", "--to-ports", fmt.Sprint(r.then.port))
	default:
		w = append(w, "-j", "RETURN")
	}
	return strings.Join(w, " ")
}
