package xds

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/schema"
)

type DownstreamTLS = tlsv3.DownstreamTlsContext

// Wildcard is the address of listeners that serve all destinations of a port.
const Wildcard = "0.0.0.0"

// Chain is a filter chain on its way into a listener.
type Chain struct {
	Name    string
	Match   *listenerv3.FilterChainMatch // nil: every connection
	Filters []*listenerv3.Filter
	TLS     *DownstreamTLS
	Patient bool     // the TLS handshake has 15 s, as on gateways
	From    []Origin // places behind it, At unset; the first one is reported when the chain is dropped
	Object  *schema.Object
}

// Lower builds the Envoy message.
func (c *Chain) Lower() *listenerv3.FilterChain {
	out := &listenerv3.FilterChain{Name: c.Name, FilterChainMatch: c.Match, Filters: c.Filters}
	if c.TLS != nil {
		out.TransportSocket = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: Any(c.TLS)},
		}
	}
	if c.Patient && c.TLS != nil {
		out.TransportSocketConnectTimeout = Seconds(15)
	}
	return out
}

// MatchesAll tells whether the chain takes every connection.
func (c *Chain) MatchesAll() bool {
	return c.Match == nil || proto.Equal(c.Match, &listenerv3.FilterChainMatch{})
}

// Origins places the chain's origins at its name.
func (c *Chain) Origins() []Origin {
	out := slices.Clone(c.From)
	for i := range out {
		out[i].At = names.ChainPart(c.Name)
	}
	return out
}

// ChainMatch builds a match on server names and destination addresses; a server name "*" and an unspecified address
// match everything. It is nil when nothing is left to match.
func ChainMatch(serverNames, destinations []string) *listenerv3.FilterChainMatch {
	m := &listenerv3.FilterChainMatch{}
	if !slices.Contains(serverNames, "*") {
		for _, n := range serverNames {
			if n = strings.ToLower(n); !slices.Contains(m.ServerNames, n) {
				m.ServerNames = append(m.ServerNames, n)
			}
		}
		slices.Sort(m.ServerNames) // the order means nothing, and equal matches have to compare equal
	}
	for _, d := range destinations {
		if p, ok := mesh.Prefix(d); ok && (p.Bits() > 0 || !p.Addr().IsUnspecified()) {
			r := &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: UInt32(uint32(p.Bits()))}
			if !slices.ContainsFunc(m.PrefixRanges, func(o *corev3.CidrRange) bool { return proto.Equal(o, r) }) {
				m.PrefixRanges = append(m.PrefixRanges, r)
			}
		}
	}
	slices.SortFunc(m.PrefixRanges, func(a, b *corev3.CidrRange) int {
		return cmp.Or(cmp.Compare(a.AddressPrefix, b.AddressPrefix), cmp.Compare(a.PrefixLen.GetValue(), b.PrefixLen.GetValue()))
	})
	if len(m.ServerNames) == 0 && len(m.PrefixRanges) == 0 {
		return nil
	}
	return m
}

// Address builds a socket address, or a pipe for a bind of the form unix://PATH.
func Address(bind string, port uint32) *corev3.Address {
	if path, ok := UnixPath(bind); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: bind, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// AlsoIPv6 is the other half of a listener on the IPv4 wildcard, for proxies that have addresses of both families.
func AlsoIPv6(bind string, port uint32) []*listenerv3.AdditionalAddress {
	if bind != Wildcard {
		return nil
	}
	return []*listenerv3.AdditionalAddress{{Address: Address("::", port)}}
}

// DualStack tells whether the mesh knows any IPv6 address of a pod or of a Kubernetes service. Only then is it safe to
// bind one: a host without IPv6 would refuse the listener.
func DualStack(m *mesh.Mesh) bool { return m.IPv6 }

func UnixPath(bind string) (string, bool) { return strings.CutPrefix(bind, "unix://") }

// IsIP tells whether a bind is an address, as opposed to a CIDR, a name or a socket.
func IsIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// ConnectionBalance is set where an even spread of connections over the worker threads of Envoy is asked for.
func ConnectionBalance(even bool) *listenerv3.Listener_ConnectionBalanceConfig {
	if !even {
		return nil
	}
	return &listenerv3.Listener_ConnectionBalanceConfig{
		BalanceType: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance_{ExactBalance: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance{}},
	}
}

// OriginAt is an origin without a position in the resource.
func OriginAt(o *schema.Object, path ...any) []Origin {
	if o == nil || o.Doc == nil {
		return nil
	}
	return []Origin{{Pos: o.Pos(path...), Object: o.Ref(), Field: schema.FieldPath(path...)}}
}

// OriginOfPort is the origin of a service port.
func OriginOfPort(svc *mesh.Service, port *mesh.Port) []Origin {
	return OriginAt(svc.Object, "spec", "ports", port.Index)
}
