package validate

import (
	"net/netip"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/internal/limit"
)

// filterChainMatches wants each connection matched once: Envoy takes no listener that has two chains for a connection, or one
// chain twice. It enters a chain under each combination of what its match lists, as Envoy does (source/common/listener_manager/
// filter_chain_manager_impl.cc), so that lists which share a value are seen.
func filterChainMatches(v *visit, chains []*listenerv3.FilterChain) {
	seen, left := map[string]int{}, limit.ChainMatches
	said := map[[2]int]bool{}
	for i, c := range chains {
		dimensions := chainDimensions(c.GetFilterChainMatch())
		size := 1
		for _, d := range dimensions {
			if size *= len(d); size > left {
				v.bad("filter_chains", "List less in one filter_chain_match.", "the filter chains match more than %d combinations", limit.ChainMatches)
				return
			}
		}
		left -= size
		combine(dimensions, "", func(key string) {
			other, twice := seen[key]
			seen[key] = i
			if pair := [2]int{other, i}; twice && !said[pair] {
				said[pair] = true
				overlap(v, chains[other], c, other == i)
			}
		})
	}
}

func overlap(v *visit, a, b *listenerv3.FilterChain, same bool) {
	if same {
		v.bad("filter_chains", "List each value once; prefixes that are the same network and names that differ in case are one.", "the filter chain %q matches the same connections twice", b.GetName())
		return
	}
	v.bad("filter_chains", "Give each chain a match of its own.", "the filter chains %q and %q match the same connections", a.GetName(), b.GetName())
}

// chainDimensions are what a match lists, each with "" where it lists nothing.
func chainDimensions(m *listenerv3.FilterChainMatch) [][]string {
	var names, ports []string
	for _, n := range m.GetServerNames() {
		names = append(names, strings.ToLower(strings.TrimPrefix(n, "*")))
	}
	for _, p := range m.GetSourcePorts() {
		ports = append(ports, strconv.Itoa(int(p)))
	}
	out := [][]string{
		{strconv.Itoa(int(m.GetDestinationPort().GetValue()))}, networks(m.GetPrefixRanges()), names, {m.GetTransportProtocol()}, m.GetApplicationProtocols(),
		networks(m.GetDirectSourcePrefixRanges()), {m.GetSourceType().String()}, networks(m.GetSourcePrefixRanges()), ports,
	}
	for i, d := range out {
		if len(d) == 0 {
			out[i] = []string{""}
		}
	}
	return out
}

// networks renders ranges of addresses in one spelling each.
func networks(ranges []*corev3.CidrRange) []string {
	var out []string
	for _, r := range ranges {
		a, err := netip.ParseAddr(r.GetAddressPrefix())
		if err != nil {
			out = append(out, r.GetAddressPrefix())
			continue
		}
		p, err := a.Prefix(min(int(r.GetPrefixLen().GetValue()), a.BitLen()))
		if err != nil {
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p.String())
	}
	return out
}

// combine calls take with each choice of one value from each dimension.
func combine(dimensions [][]string, key string, take func(string)) {
	if len(dimensions) == 0 {
		take(key)
		return
	}
	for _, value := range dimensions[0] {
		combine(dimensions[1:], key+"\x00"+value, take)
	}
}
