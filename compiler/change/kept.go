package change

import (
	"net/netip"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	jwtv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/condition"
	"github.com/meshc/meshc/compiler/trace"
)

// hopKey is what the hop of a client or server is made of, but for the clusters that it names. Clients of many classes have most of it in
// common: often only the short names of virtual hosts differ, which no rule of a hop asks for. Servers of one class have all of it, at all
// ports that lead to the same chain.
type hopKey struct {
	place           string
	listener        *listenerv3.Listener
	chain           *listenerv3.FilterChain
	routes          *routev3.RouteConfiguration
	host            string // the virtual host without its domains
	name, sni, http string
	tls, anonymous  bool
	to              netip.AddrPort // of a client
	waits           string         // of a server: for which protocols its listener waits
}

// keptHop is a hop that was made for one class, and what it found in it.
type keptHop struct {
	hop  *hop
	is   condition.Assumptions
	host proto.Message // of the class for which it was made
	deps []destKey
	conn trace.Connection
}

// takes tells whether the hop is that of a connection, too, by what its conditions ask for.
func (k *keptHop) takes(c trace.Connection) bool {
	return (!k.is.AsksServer || k.conn.To.Addr() == c.To.Addr()) && (!k.is.AsksPort || k.conn.To.Port() == c.To.Port()) && (!k.is.AsksSNI || k.conn.SNI == c.SNI)
}

// keptHops are those of one side.
type keptHops struct {
	clients  map[hopKey][]keptHop
	servers  map[hopKey][]keptHop // of the class that is compared
	managers map[*listenerv3.FilterChain]*hcmv3.HttpConnectionManager
	tokens   map[*listenerv3.FilterChain][]*jwtv3.JwtAuthentication
	bare     map[*bundle.Resource]string // virtual hosts without their domains
}

func newKeptHops() *keptHops {
	return &keptHops{clients: map[hopKey][]keptHop{}, servers: map[hopKey][]keptHop{}, managers: map[*listenerv3.FilterChain]*hcmv3.HttpConnectionManager{}, tokens: map[*listenerv3.FilterChain][]*jwtv3.JwtAuthentication{}, bare: map[*bundle.Resource]string{}}
}

// of are those of clients or of servers.
func (k *keptHops) of(place string) map[hopKey][]keptHop {
	if place == atServer {
		return k.servers
	}
	return k.clients
}

// manager is the connection manager of a filter chain, read once; nil: there is none.
func (k *keptHops) manager(c *listenerv3.FilterChain) *hcmv3.HttpConnectionManager {
	if m, ok := k.managers[c]; ok {
		return m
	}
	k.managers[c] = nil
	for _, f := range c.GetFilters() {
		if m, ok := unpack(f.GetTypedConfig(), &hcmv3.HttpConnectionManager{}); ok {
			k.managers[c] = m
			break
		}
	}
	return k.managers[c]
}

// withoutDomains identifies what a virtual host does.
func (k *keptHops) withoutDomains(h *trace.Found[*routev3.VirtualHost]) string {
	if s, ok := k.bare[h.Resource]; ok {
		return s
	}
	one := proto.CloneOf(h.Message)
	one.Domains = nil
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(one)
	if err != nil {
		b = h.Resource.Digest[:] // like no other
	}
	k.bare[h.Resource] = condition.Fingerprint(b)
	return k.bare[h.Resource]
}

// keyOf is the key of the hop of a client or server, and its virtual host; false: it is made anew each time.
func (m *connection) keyOf(l *trace.Found[*listenerv3.Listener]) (key hopKey, host proto.Message, ok bool) {
	if m.place == atGateway || l == nil || m.token != nil || m.principal != "" || m.source.IsValid() {
		return key, nil, false
	}
	key = hopKey{place: m.place, listener: l.Message, chain: m.chain(), tls: m.conn.TLS, anonymous: m.anonymous}
	if m.place == atServer {
		key.waits = strings.Join(waits(l.Message, m.conn.To.Port()), " ")
	} else {
		key.name, key.sni, key.to = m.host, m.conn.SNI, m.conn.To
	}
	if key.chain == nil { // what wants another kind of connection at that port is a cause
		return key, nil, false
	}
	if !m.conn.HTTP {
		return key, nil, true
	}
	key.http = "http" + m.conn.Version
	manager := m.kept.manager(key.chain)
	if manager == nil {
		return key, nil, true
	}
	return m.keyOfHost(key, manager)
}

// keyOfHost completes the key of a hop with the virtual host that a connection manager picks.
func (m *connection) keyOfHost(key hopKey, manager *hcmv3.HttpConnectionManager) (_ hopKey, host proto.Message, ok bool) {
	rc, err := m.proxy.RouteConfiguration(manager)
	inline := err == nil && rc != nil && rc.Resource == nil && m.place == atServer // a part of the chain
	if err != nil || rc == nil || rc.Resource == nil && !inline {
		return key, nil, false
	}
	hosts, err := m.proxy.VirtualHosts(rc.Message)
	if err != nil {
		return key, nil, false
	}
	h := hosts.Pick(authorityOf(m.host, manager))
	if !inline {
		key.routes = rc.Message
	}
	switch {
	case h == nil:
		return key, nil, true
	case inline:
		key.host = h.Message.GetName()
		return key, nil, true
	case h.Resource == nil:
		return key, nil, false
	}
	key.host = h.Resource.Name + m.kept.withoutDomains(h)
	return key, h.Message, true
}

// find returns the hop that was made for another class, if the clusters that it names are the same here.
func (m *connection) find(key hopKey, host proto.Message) (*hop, condition.Assumptions, bool) {
	for _, k := range m.kept.of(m.place)[key] {
		same := k.takes(m.conn)
		for _, d := range k.deps {
			now, _, _, err := m.destKey(m.proxy, d.name)
			if same = same && err == nil && now == d; !same {
				break
			}
		}
		if !same {
			continue
		}
		h := *k.hop
		if host != nil && host != k.host {
			h.read = append(h.read[:len(h.read):len(h.read)], host)
		}
		return &h, k.is, true
	}
	return nil, condition.Assumptions{}, false
}
