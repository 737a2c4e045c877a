package endpoint

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// TransportSocketMatch is the key of endpoint metadata by which a cluster chooses the transport socket of an endpoint;
// there TLSModeKey: TLSModeIstio says that the endpoint accepts Istio mutual TLS.
const (
	TransportSocketMatch = "envoy.transport_socket_match"
	TLSModeKey           = "tlsMode"
	TLSModeIstio         = "istio"
)

// Client is how the clients of a cluster see endpoints. Clusters of many services have the same.
type Client struct {
	Network  string            `json:"network,omitempty"`  // of the client, when the mesh has network gateways
	View     string            `json:"view,omitempty"`     // networks that the client wants to see, separated by commas; empty: all
	Cluster  string            `json:"cluster,omitempty"`  // of the client, when the host is cluster-local
	Locality string            `json:"locality,omitempty"` // region/zone/subzone of the client, when the policy looks at it
	Labels   map[string]string `json:"labels,omitempty"`   // of the client with its topology, when the policy looks at them
	MTLSOnly bool              `json:"mtlsOnly,omitempty"` // clusters in SNI form: only endpoints that accept mutual TLS
	TLS      Ruled             `json:"tls,omitempty"`      // what a rule says of all endpoints
	PanicOff bool              `json:"panicOff,omitempty"` // no panic routing: unhealthy endpoints may be told
	Policy   *Policy           `json:"policy,omitempty"`   // nil: localities take no part
}

// Ruled tells whether a rule decides which endpoints are called by mutual TLS; empty: each endpoint says whether it can.
type Ruled string

// The outcomes of a rule.
const (
	AllMutual  Ruled = "mutual"
	NoneMutual Ruled = "other"
)

// mutual tells whether an endpoint is called by mutual TLS.
func (c *Client) mutual(e *Endpoint) bool {
	return c.TLS == AllMutual || c.TLS == "" && e.MTLS
}

// Cluster is one cluster to fill: which endpoints are candidates, and which of them its clients may use.
type Cluster struct {
	Labels    map[string]string // of the subset
	NotReady  bool              // the service publishes endpoints that are not ready
	Client    *Client
	Gateways  map[string][]Gateway // of the mesh, by network
	Endpoints []*Endpoint          // in the order of Sort
}

// LoadAssignment makes the message for EDS.
func (c *Cluster) LoadAssignment(name string) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: c.Localities()}
}

// Localities groups the endpoints by locality and priority, as Envoy wants them.
func (c *Cluster) Localities() []*endpointv3.LocalityLbEndpoints {
	groups := c.Client.apply(c.groups())
	slices.SortStableFunc(groups, func(x, y *group) int {
		return cmp.Or(cmp.Compare(x.priority, y.priority), compareLocality(x.locality, y.locality))
	})
	var out []*endpointv3.LocalityLbEndpoints
	for _, g := range groups {
		l := &endpointv3.LocalityLbEndpoints{Locality: g.locality, LoadBalancingWeight: wrapperspb.UInt32(max(1, g.weight)), Priority: uint32(g.priority)}
		for _, m := range g.members {
			l.LbEndpoints = append(l.LbEndpoints, m.lower())
		}
		out = append(out, l)
	}
	return out
}

// member is one endpoint of a cluster with what locality policies look at.
type member struct {
	address  string
	port     uint32
	weight   uint32 // at least 1
	explicit bool   // weight is to be written
	mtls     bool
	health   corev3.HealthStatus
	network  string
	of       *Endpoint // nil: a gateway
}

// groups collects the endpoints by locality.
func (c *Cluster) groups() []*group {
	byLocality := map[string][]*Endpoint{}
	var order []string
	for _, e := range c.Endpoints {
		if !c.belongs(e) {
			continue
		}
		if _, ok := byLocality[e.Locality]; !ok {
			order = append(order, e.Locality)
		}
		byLocality[e.Locality] = append(byLocality[e.Locality], e)
	}
	slices.Sort(order)
	var out []*group
	for _, l := range order {
		g := &group{locality: SplitLocality(l)}
		for _, e := range byLocality[l] {
			if m, ok := newMember(e, c.NotReady, c.Client); ok {
				g.members = append(g.members, m)
			}
		}
		g.members = splitHorizon(c.Gateways, g.members, c.Client.Network)
		for _, m := range g.members {
			g.weight += m.weight
		}
		if len(g.members) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// belongs tells whether an endpoint carries the labels of the subset and may be used from the client at all.
func (c *Cluster) belongs(e *Endpoint) bool {
	for k, v := range c.Labels {
		if e.Labels[k] != v {
			return false
		}
	}
	if c.Client.MTLSOnly && !c.Client.mutual(e) || !inView(c.Client.View, e.Network) {
		return false
	}
	return c.Client.Cluster == "" || e.Cluster == "" || e.Cluster == c.Client.Cluster
}

// inView tells whether a network is among those a client asked for. Endpoints of no network are in every view.
func inView(view, network string) bool {
	return view == "" || network == "" || slices.Contains(strings.FieldsFunc(view, func(r rune) bool { return r == ',' || r == ' ' }), network)
}

// newMember reads one endpoint. An unhealthy one is kept and marked where panic routing is off, because it makes
// priorities spill over as Envoy should see it; with a panic threshold it could get traffic, so it is left out.
func newMember(e *Endpoint, notReady bool, c *Client) (member, bool) {
	m := member{
		address: e.Address, port: e.Port, weight: max(1, e.Weight), explicit: e.Weight > 0, mtls: c.mutual(e),
		network: cmp.Or(e.Network, e.Labels[LabelNetwork]), of: e,
	}
	switch {
	case e.Health == Draining:
		m.health = corev3.HealthStatus_DRAINING
	case e.Health == Unhealthy, !e.Ready && !notReady:
		m.health = corev3.HealthStatus_UNHEALTHY
		return m, c.PanicOff
	}
	return m, true
}

func (m member) lower() *endpointv3.LbEndpoint {
	out := &endpointv3.LbEndpoint{HealthStatus: m.health, HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: Address(m.address, m.port)},
	}}
	if m.explicit {
		out.LoadBalancingWeight = wrapperspb.UInt32(m.weight)
	}
	if m.mtls {
		out.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			TransportSocketMatch: {Fields: map[string]*structpb.Value{TLSModeKey: structpb.NewStringValue(TLSModeIstio)}},
		}}
	}
	return out
}

// Address is an IP or host name with a port, or a unix domain socket written unix:///path or unix://@abstract.
func Address(address string, port uint32) *corev3.Address {
	if path, ok := PipePath(address); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// PipePath cuts the scheme off a unix domain socket.
func PipePath(address string) (string, bool) { return strings.CutPrefix(address, "unix://") }

// Gateway is where a network is entered from others, by mutual TLS and SNI.
type Gateway struct {
	Address string `json:"address"`
	Port    uint32 `json:"port"`
}

// Compare orders gateways.
func (g Gateway) Compare(o Gateway) int {
	return cmp.Or(cmp.Compare(g.Address, o.Address), cmp.Compare(g.Port, o.Port))
}

// splitHorizon replaces the members of other networks by the gateways of those networks, which carry their weight and
// forward by SNI, so only members that accept mutual TLS can be reached there. A network without gateways is reached
// directly.
func splitHorizon(gateways map[string][]Gateway, ms []member, client string) []member {
	if len(gateways) == 0 || client == "" {
		return ms
	}
	scale := uint32(1)
	for _, gws := range gateways {
		scale = lcm(scale, uint32(len(gws)))
	}
	var out []member
	weights := map[Gateway]uint32{}
	for _, m := range ms {
		gws := gateways[m.network]
		if m.network == "" || m.network == client || len(gws) == 0 {
			m.weight *= scale
			m.explicit = m.explicit || scale > 1
			out = append(out, m)
			continue
		}
		if !m.mtls || m.health != 0 {
			continue
		}
		for _, g := range gws {
			weights[g] += m.weight * scale / uint32(len(gws))
		}
	}
	for _, g := range slices.SortedFunc(maps.Keys(weights), Gateway.Compare) {
		out = append(out, member{address: g.Address, port: g.Port, weight: weights[g], explicit: true, mtls: true})
	}
	return out
}

func lcm(a, b uint32) uint32 {
	x, y := a, b
	for y != 0 {
		x, y = y, x%y
	}
	return a / max(1, x) * b
}
