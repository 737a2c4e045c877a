// Package intercept says how the connections of a pod come to its proxy: one description, Settings, gives one list of rules,
// and that list is written for iptables-restore and for nft. Injection puts the description on the command line of an init
// container, meshc intercept installs it, and the project's own pods with real proxies are redirected by the same rules.
//
// What arrives goes to the listener virtualInbound, what the application sends goes to virtualOutbound, and the proxy's own
// connections, told by its user, pass. The inbound listener calls the application at the address of the pod from 127.0.0.6
// (::6), which marks those connections. The application's calls to itself stay inside, but those that the proxy sends to the
// pod's own address, for a service that leads back to it, arrive as others do. Rules are in chains of their own, which are
// filled anew each time: installing twice is the same as once, and rules of others stay.
package intercept

import (
	"net/netip"
	"slices"
)

// ProxyUID is the user that proxies run as: its connections are not redirected.
const ProxyUID = 1337

// Ports of a proxy that connections are redirected to.
const (
	OutboundPort = 15001
	InboundPort  = 15006
	DNSPort      = 15053
)

// Ports of a proxy at which it serves probes and Prometheus: connections to them arrive as they are.
const (
	ProbePort  = 15020 // probes of the application, by way of the proxy
	HealthPort = 15021 // health of the proxy
	StatsPort  = 15090 // its statistics
)

// All stands for every port or address in a list.
const All = "*"

// Settings describe what of a pod's traffic goes through its proxy. The zero value is: nothing; see Default.
type Settings struct {
	InboundPorts         Ports
	ExcludeInboundPorts  []uint16
	Outbound             Ranges
	ExcludeOutbound      []netip.Prefix
	OutboundPorts        []uint16 // of connections to addresses that Outbound leaves out
	ExcludeOutboundPorts []uint16
	ExcludeInterfaces    []string // by name: what comes and goes there passes
	RerouteInterfaces    []string // what comes from there is of a machine inside of the pod, and treated as sent
	DNS                  bool     // look-ups of names go to the proxy, too
}

// Ports are some, or all with All.
type Ports struct {
	All  bool
	List []uint16
}

// Ranges are some ranges of addresses, or all with All.
type Ranges struct {
	All  bool
	List []netip.Prefix
}

// Default sends all TCP through the proxy.
func Default() Settings { return Settings{InboundPorts: Ports{All: true}, Outbound: Ranges{All: true}} }

// family is what differs between IPv4 and IPv6.
type family struct {
	six      bool
	loopback string
	marked   string // source of the proxy's calls to the application
}

var (
	ipv4 = family{loopback: "127.0.0.1/32", marked: "127.0.0.6/32"}
	ipv6 = family{six: true, loopback: "::1/128", marked: "::6/128"}
)

// chain names are those of this package; the others are the kernel's.
const (
	prerouting = "PREROUTING"
	output     = "OUTPUT"
	inbound    = "MESH_INBOUND"
	inRedirect = "MESH_IN_REDIRECT"
	outbound   = "MESH_OUTPUT"
	redirected = "MESH_REDIRECT"
	chosen     = "MESH_OUTBOUND_CHOICE" // of what is sent, that which goes to the proxy
	lookups    = "MESH_DNS"             // of names, which the proxy answers by UDP; by TCP they are sent as all else is
)

// chains lists the chains of this package in the order in which they are written: a chain stands behind those it leads to.
var chains = []string{lookups, redirected, inRedirect, chosen, inbound, outbound}

// verdict is where a rule sends a connection: another chain, a port of the proxy, or on its way.
type verdict struct {
	jump string
	port uint16
}

var pass = verdict{}

// rule is one line of a chain. Zero values match everything.
type rule struct {
	chain           string
	in, out         string // interface
	udp             bool   // else TCP
	from, to, notTo string // prefix
	port            uint16 // destination
	proxy, notProxy bool   // sent by the proxy's user
	then            verdict
}

// rules lists the rules of a family, chain by chain.
func (s Settings) rules(f family) []rule {
	out := []rule{{chain: redirected, then: verdict{port: OutboundPort}}, {chain: inRedirect, then: verdict{port: InboundPort}}}
	if s.DNS {
		out = append(out, rule{chain: lookups, udp: true, port: 53, notProxy: true, then: verdict{port: DNSPort}})
	}
	out = append(out, s.choice(f)...)
	out = append(out, s.arriving()...)
	out = append(out, s.sent(f)...)
	return append(out, s.hooks()...)
}

// choice is what becomes of a connection that the application sends out of the pod.
func (s Settings) choice(f family) []rule {
	out := []rule{{chain: chosen, to: f.loopback, then: pass}}
	for _, p := range s.ExcludeOutbound {
		if p.Addr().Is6() == f.six {
			out = append(out, rule{chain: chosen, to: p.String(), then: pass})
		}
	}
	for _, p := range s.OutboundPorts {
		out = append(out, rule{chain: chosen, port: p, then: verdict{jump: redirected}})
	}
	if s.Outbound.All {
		return append(out, rule{chain: chosen, then: verdict{jump: redirected}})
	}
	for _, p := range s.Outbound.List {
		if p.Addr().Is6() == f.six {
			out = append(out, rule{chain: chosen, to: p.String(), then: verdict{jump: redirected}})
		}
	}
	return out
}

func (s Settings) arriving() []rule {
	var out []rule
	for _, i := range s.ExcludeInterfaces {
		out = append(out, rule{chain: inbound, in: i, then: pass})
	}
	for _, i := range s.RerouteInterfaces {
		out = append(out, rule{chain: inbound, in: i, then: verdict{jump: chosen}}, rule{chain: inbound, in: i, then: pass})
	}
	for _, p := range append([]uint16{ProbePort, HealthPort, StatsPort}, s.ExcludeInboundPorts...) {
		out = append(out, rule{chain: inbound, port: p, then: pass})
	}
	if s.InboundPorts.All {
		return append(out, rule{chain: inbound, then: verdict{jump: inRedirect}})
	}
	for _, p := range s.InboundPorts.List {
		out = append(out, rule{chain: inbound, port: p, then: verdict{jump: inRedirect}})
	}
	return out
}

func (s Settings) sent(f family) []rule {
	var out []rule
	add := func(r rule) {
		r.chain = outbound
		out = append(out, r)
	}
	for _, i := range s.ExcludeInterfaces {
		add(rule{out: i, then: pass})
	}
	for _, p := range s.ExcludeOutboundPorts {
		add(rule{port: p, then: pass})
	}
	add(rule{from: f.marked, out: "lo", then: pass})
	add(rule{notTo: f.loopback, out: "lo", proxy: true, then: verdict{jump: inRedirect}})
	add(rule{out: "lo", notProxy: true, then: pass})
	add(rule{proxy: true, then: pass})
	add(rule{then: verdict{jump: chosen}})
	return out
}

// hooks lead from the kernel's chains to those of this package.
func (s Settings) hooks() []rule {
	out := []rule{{chain: prerouting, then: verdict{jump: inbound}}}
	if s.DNS {
		out = append(out, rule{chain: output, udp: true, then: verdict{jump: lookups}})
	}
	return append(out, rule{chain: output, then: verdict{jump: outbound}})
}

func (s Settings) of(f family, chain string) []rule {
	return slices.DeleteFunc(s.rules(f), func(r rule) bool { return r.chain != chain })
}
