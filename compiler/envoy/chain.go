package envoy

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/schema"
)

type tlsContext = tlsv3.DownstreamTlsContext

// chain is a filter chain on its way into a listener.
type chain struct {
	name    string
	match   *listenerv3.FilterChainMatch // nil: every connection
	filters []*listenerv3.Filter
	tls     *tlsContext
	patient bool     // the TLS handshake has 15 s, as on gateways
	from    []Origin // places behind it, At unset; the first one is reported when the chain is dropped
	object  *schema.Object
}

// lower builds the Envoy message.
func (c *chain) lower() *listenerv3.FilterChain {
	out := &listenerv3.FilterChain{Name: c.name, FilterChainMatch: c.match, Filters: c.filters}
	if c.tls != nil {
		out.TransportSocket = &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.tls",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: Any(c.tls)},
		}
	}
	if c.patient && c.tls != nil {
		out.TransportSocketConnectTimeout = seconds(15)
	}
	return out
}

// matchesAll tells whether the chain takes every connection.
func (c *chain) matchesAll() bool {
	return c.match == nil || proto.Equal(c.match, &listenerv3.FilterChainMatch{})
}

// origins places the chain's origins at its name.
func (c *chain) origins() []Origin {
	out := slices.Clone(c.from)
	for i := range out {
		out[i].At = names.ChainPart(c.name)
	}
	return out
}

// chainMatch builds a match on server names and destination addresses; a server name "*" and an unspecified address
// match everything. It is nil when nothing is left to match.
func chainMatch(serverNames, destinations []string) *listenerv3.FilterChainMatch {
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
			r := &corev3.CidrRange{AddressPrefix: p.Addr().String(), PrefixLen: u32(uint32(p.Bits()))}
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

// address builds a socket address, or a pipe for a bind of the form unix://PATH.
func address(bind string, port uint32) *corev3.Address {
	if path, ok := unixPath(bind); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: bind, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// alsoIPv6 is the other half of a listener on the IPv4 wildcard, for proxies that have addresses of both families.
func alsoIPv6(bind string, port uint32) []*listenerv3.AdditionalAddress {
	if bind != wildcard {
		return nil
	}
	return []*listenerv3.AdditionalAddress{{Address: address("::", port)}}
}

// dualStack tells whether the mesh knows any IPv6 address of a pod or of a Kubernetes service. Only then is it safe to
// bind one: a host without IPv6 would refuse the listener.
func dualStack(m *mesh.Mesh) bool { return m.IPv6 }

func unixPath(bind string) (string, bool) { return strings.CutPrefix(bind, "unix://") }

// isIP tells whether a bind is an address, as opposed to a CIDR, a name or a socket.
func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// balance is set where proxyMetadata asks for an even spread of connections over the worker threads of Envoy.
func balance(p *meshconfig.ProxyConfig, key string) *listenerv3.Listener_ConnectionBalanceConfig {
	if p.GetProxyMetadata()[key] != "true" {
		return nil
	}
	return &listenerv3.Listener_ConnectionBalanceConfig{
		BalanceType: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance_{ExactBalance: &listenerv3.Listener_ConnectionBalanceConfig_ExactBalance{}},
	}
}

// place is an origin without a position in the resource.
func place(o *schema.Object, path ...any) []Origin {
	if o == nil || o.Doc == nil {
		return nil
	}
	return []Origin{{Pos: o.Pos(path...), Object: o.Ref(), Field: schema.FieldPath(path...)}}
}

// portPlace is the origin of a service port.
func portPlace(svc *mesh.Service, port *mesh.Port) []Origin {
	return place(svc.Object, "spec", "ports", port.Index)
}
