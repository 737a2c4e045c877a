package intercept

import (
	"fmt"
	"slices"
	"strings"
)

// IPTables writes the rules as iptables-restore --noflush reads them, or ip6tables-restore with six. before is what iptables-save
// writes of the table nat: jumps of the kernel's chains to ours that are in it are taken out, so that installing again adds
// none. It may be empty.
func (s Settings) IPTables(six bool, before string) string {
	f := ipv4
	if six {
		f = ipv6
	}
	var b strings.Builder
	b.WriteString("*nat\n")
	for _, c := range chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, line := range strings.Split(before, "\n") {
		if rest, ok := strings.CutPrefix(line, "-A "); ok && hooks(rest) {
			b.WriteString("-D " + rest + "\n")
		}
	}
	for _, r := range s.rules(f) {
		b.WriteString(r.iptables() + "\n")
	}
	b.WriteString("COMMIT\n")
	return b.String()
}

// hooks tells whether a rule of iptables-save leads from a chain of the kernel's to one of ours.
func hooks(rule string) bool {
	chain, _, _ := strings.Cut(rule, " ")
	return (chain == prerouting || chain == output) && slices.ContainsFunc(chains, func(c string) bool { return strings.HasSuffix(strings.TrimSpace(rule), "-j "+c) })
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
