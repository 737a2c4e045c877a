package change

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/meshc/meshc/compiler/change/transport"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace"
)

// follow compares what servers do with the requests of a workload that is somebody else now: that runs under another
// account, or has gained or lost its proxy. What the proxy of the workload does is compared by client.
func (f *finder) follow(p pair) error {
	if p.base.account == p.head.account && p.base.proxy == p.head.proxy {
		return nil
	}
	was, is, err := f.proxies(p)
	if err != nil {
		return err
	}
	targets, err := f.targetsOf(was, is)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.host == anyHost {
			continue
		}
		if err := f.followTo(p, t, was, is); err != nil {
			return err
		}
	}
	return nil
}

func (f *finder) followTo(p pair, t target, was, is *trace.Proxy) error {
	base, http, err := f.base.reached(t, was)
	if err != nil {
		return err
	}
	head, also, err := f.head.reached(t, is)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(base)) {
		b, h := f.base.byName[name], f.head.byName[name]
		if h == nil || b == nil || head[name].port != base[name].port || head[name].port == 0 {
			continue
		}
		cells, err := f.asked(pair{b, h}, t, http || also, f.base.arrival(p.base, b, base[name]), f.head.arrival(p.head, h, head[name]))
		if err != nil {
			return err
		}
		for i, c := range cells {
			// What servers do otherwise is theirs, but what a workload asks of itself is about both.
			if c.kind == Opened || c.kind == Closed || name == p.head.key() && base[name].tls == head[name].tls {
				f.report(&cells[i], []Ref{p.ref()}, []Ref{h.ref()})
			}
		}
	}
	return nil
}

// arrival is how a connection of a client comes to a server: its port, its TLS and the identity in it.
type arrival struct {
	serverAt
	peer string // "" without mutual TLS
}

func (s *side) arrival(client, server *workload, at serverAt) arrival {
	a := arrival{serverAt: at}
	if client.proxy && (strings.HasPrefix(at.tls, transport.Mesh) || at.tls == lateTLS && server.proxy) {
		a.peer = s.identity(client)
	}
	return a
}

// lateTLS stands for the TLS to endpoints that are not known yet: what the server takes.
const lateTLS = "late"

// asked compares what a server does with the requests of one client.
func (f *finder) asked(server pair, t target, http bool, was, is arrival) ([]placed, error) {
	b, err := f.base.proxyOf(server.base)
	if err != nil {
		return nil, err
	}
	h, err := f.head.proxyOf(server.head)
	if err != nil {
		return nil, err
	}
	address := firstAddress(server.head, server.base)
	meet := func(s *side, proxy *trace.Proxy, a arrival) connection {
		c := trace.Connection{HTTP: http, To: netip.AddrPortFrom(address, a.port), Source: peerAddress}
		if a.peer != "" {
			c.TLS, c.ALPN, c.SNI = true, alpnOfMesh[http], names.ServerName(uint32(t.port), "", t.host)
		}
		return connection{side: s, proxy: proxy, place: atServer, conn: c, host: t.call, principal: a.peer, anonymous: a.peer == ""}
	}
	if !http && was.tls+is.tls == "" { // what no proxy of the client reads is what the server reads it as
		http = true
		one, other := meet(f.base, b, was), meet(f.head, h, is)
		http = one.isHTTP() || other.isHTTP()
	}
	a, z := meet(f.base, b, was), meet(f.head, h, is)
	x, err := f.compare(a, z)
	if err != nil {
		return nil, err
	}
	var out []placed
	for _, c := range x.cells {
		plain := a.conn
		plain.TLS = false // what the client itself speaks
		out = append(out, placed{cell: c, at: t, scheme: map[bool]string{true: "http", false: "tcp"}[http], conn: plain, connections: [2]connection{a, z}})
	}
	if x.open != "" {
		f.undecided(Undecided{Servers: []Ref{server.ref()}, Host: t.host, Port: t.port, Resource: "Listener " + names.VirtualInbound, Why: x.open})
	}
	return out, nil
}

// reached lists the workloads that the requests of a client for a target come to, and whether a proxy reads them as HTTP.
func (s *side) reached(t target, p *trace.Proxy) (map[string]serverAt, bool, error) {
	out := map[string]serverAt{}
	if p == nil {
		s.dial(t, out)
		return out, false, nil
	}
	m := connection{side: s, proxy: p, place: atClient, conn: trace.Connection{HTTP: true, To: s.dialed(t)}, host: t.call, anonymous: true}
	http := m.isHTTP()
	m.conn.HTTP = http
	h, _, err := m.hop()
	if err != nil {
		return nil, http, err
	}
	for _, r := range append(slices.Clone(h.rules), rule{outcome: h.otherwise}) {
		if r.untouched {
			s.dial(t, out)
		}
		for _, c := range r.clusters {
			d, err := s.destination(p, c)
			if err != nil {
				return nil, http, err
			}
			for name, at := range d.servers {
				out[name] = at
			}
		}
	}
	return out, http, nil
}

// dial adds the workloads that a service leads to, for connections that no proxy sends anywhere else.
func (s *side) dial(t target, servers map[string]serverAt) {
	if s.served == nil {
		s.serve()
	}
	for workload, ports := range s.served {
		for _, port := range slices.Sorted(maps.Keys(ports)) {
			if slices.Contains(ports[port], t) {
				servers[workload] = serverAt{port: port}
			}
		}
	}
}
