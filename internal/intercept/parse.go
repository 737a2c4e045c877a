package intercept

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Option is one setting with its names: that on the command line of meshc intercept, and the annotations of pods that say the
// same, the one that counts first.
type Option struct {
	Flag        string
	Annotations []string
	Usage       string
	set         func(s *Settings, list []string) error
	get         func(s Settings) []string
}

// Options lists all settings that have text, in the order of the command line.
var Options = []Option{
	{"include-inbound-ports", []string{traffic + "includeInboundPorts"}, "ports at which connections arrive at the proxy, * for all",
		func(s *Settings, l []string) (err error) {
			s.InboundPorts.All, l = cutAll(l)
			s.InboundPorts.List, err = ports(l)
			return err
		}, func(s Settings) []string { return withAll(s.InboundPorts.All, texts(s.InboundPorts.List)) }},
	{"exclude-inbound-ports", []string{traffic + "excludeInboundPorts"}, "ports at which they arrive as they are",
		func(s *Settings, l []string) (err error) { s.ExcludeInboundPorts, err = ports(l); return err },
		func(s Settings) []string { return texts(s.ExcludeInboundPorts) }},
	{"include-outbound-ranges", []string{traffic + "includeOutboundIPRanges"}, "addresses, as CIDR, to which connections go through the proxy, * for all",
		func(s *Settings, l []string) (err error) {
			s.Outbound.All, l = cutAll(l)
			s.Outbound.List, err = ranges(l)
			return err
		}, func(s Settings) []string { return withAll(s.Outbound.All, texts(s.Outbound.List)) }},
	{"exclude-outbound-ranges", []string{traffic + "excludeOutboundIPRanges"}, "addresses, as CIDR, to which they go directly",
		func(s *Settings, l []string) (err error) { s.ExcludeOutbound, err = ranges(l); return err },
		func(s Settings) []string { return texts(s.ExcludeOutbound) }},
	{"include-outbound-ports", []string{traffic + "includeOutboundPorts"}, "ports to which connections go through the proxy, to all addresses that are not excluded",
		func(s *Settings, l []string) (err error) { s.OutboundPorts, err = ports(l); return err },
		func(s Settings) []string { return texts(s.OutboundPorts) }},
	{"exclude-outbound-ports", []string{traffic + "excludeOutboundPorts"}, "ports to which they go directly",
		func(s *Settings, l []string) (err error) { s.ExcludeOutboundPorts, err = ports(l); return err },
		func(s Settings) []string { return texts(s.ExcludeOutboundPorts) }},
	{"exclude-interfaces", []string{traffic + "excludeInterfaces"}, "network interfaces whose connections are left alone",
		func(s *Settings, l []string) (err error) { s.ExcludeInterfaces, err = interfaces(l); return err },
		func(s Settings) []string { return s.ExcludeInterfaces }},
	{"reroute-interfaces", []string{"istio.io/reroute-virtual-interfaces", traffic + "kubevirtInterfaces"}, "network interfaces of virtual machines inside of the pod: what they send goes through the proxy",
		func(s *Settings, l []string) (err error) { s.RerouteInterfaces, err = interfaces(l); return err },
		func(s Settings) []string { return s.RerouteInterfaces }},
}

const traffic = "traffic.sidecar.istio.io/"

// Set reads the text of a setting: a list, separated by commas.
func (o Option) Set(s *Settings, text string) error {
	var list []string
	for _, e := range strings.Split(text, ",") {
		if e = strings.TrimSpace(e); e != "" {
			list = append(list, e)
		}
	}
	return o.set(s, list)
}

// Text is a setting as Set reads it.
func (o Option) Text(s Settings) string { return strings.Join(o.get(s), ",") }

// Of returns the annotation among those of a pod that gives a setting.
func (o Option) Of(annotations map[string]string) (key, text string, ok bool) {
	for _, k := range o.Annotations {
		if v, ok := annotations[k]; ok {
			return k, v, true
		}
	}
	return "", "", false
}

// Args are the settings as arguments of meshc intercept: those that differ from Default.
func (s Settings) Args() []string {
	var out []string
	for _, o := range Options {
		if v := o.Text(s); v != o.Text(Default()) {
			out = append(out, "--"+o.Flag+"="+v)
		}
	}
	if s.DNS {
		out = append(out, "--dns")
	}
	return out
}

func cutAll(list []string) (bool, []string) {
	rest := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == All })
	return len(rest) < len(list), rest
}

func withAll(all bool, list []string) []string {
	if all {
		return []string{All}
	}
	return list
}

func texts[T any](list []T) []string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprint(e))
	}
	return out
}

func ports(list []string) ([]uint16, error) {
	var out []uint16
	for _, e := range list {
		p, err := strconv.ParseUint(e, 10, 16)
		if err != nil || p == 0 {
			return nil, fmt.Errorf("%q is no port: write numbers from 1 to 65535, separated by commas", e)
		}
		out = append(out, uint16(p))
	}
	return out, nil
}

func ranges(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, e := range list {
		p, err := netip.ParsePrefix(e)
		if a, failed := netip.ParseAddr(e); failed == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is no range of addresses: write them as 10.96.0.0/12, separated by commas", e)
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

// interfaceName is what Linux takes, without what a reader of rules would take for more than a name.
var interfaceName = regexp.MustCompile(`^[A-Za-z0-9._@-]{1,15}$`)

func interfaces(list []string) ([]string, error) {
	for _, e := range list {
		if !interfaceName.MatchString(e) || strings.HasPrefix(e, "-") {
			return nil, fmt.Errorf("%q is no name of a network interface", e)
		}
	}
	return list, nil
}
