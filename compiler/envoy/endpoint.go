package envoy

import (
	"cmp"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/mesh"
)

// member is one endpoint of a cluster with what locality policies look at.
type member struct {
	address  string
	port     uint32
	weight   uint32 // at least 1
	explicit bool   // weight is to be written
	mtls     bool
	health   corev3.HealthStatus
	labels   map[string]string // with topology
}

// loadAssignment lowers the endpoints of the port that belong to the subset, as the client sees them: those of other
// networks behind their gateways, grouped by locality, weighed or ordered by the locality policy.
func (b *clusterBuild) loadAssignment() []*endpointv3.LocalityLbEndpoints {
	groups := b.applyLocality(b.groups())
	slices.SortStableFunc(groups, func(x, y *localityGroup) int {
		return cmp.Or(cmp.Compare(x.priority, y.priority), compareLocality(x.locality, y.locality))
	})
	var out []*endpointv3.LocalityLbEndpoints
	for _, g := range groups {
		l := &endpointv3.LocalityLbEndpoints{Locality: g.locality, LoadBalancingWeight: u32(max(1, g.weight)), Priority: uint32(g.priority)}
		for _, m := range g.members {
			l.LbEndpoints = append(l.LbEndpoints, m.lower())
		}
		out = append(out, l)
	}
	return out
}

// groups collects the endpoints by locality.
func (b *clusterBuild) groups() []*localityGroup {
	svc := b.in.Service
	byLocality := map[string][]*mesh.Endpoint{}
	var order []string
	for _, e := range b.endpoints() {
		if !b.belongs(e) {
			continue
		}
		if _, ok := byLocality[e.Locality]; !ok {
			order = append(order, e.Locality)
		}
		byLocality[e.Locality] = append(byLocality[e.Locality], e)
	}
	slices.Sort(order)
	panicOff := b.policy.GetOutlierDetection().GetMinHealthPercent() <= 0
	var out []*localityGroup
	for _, l := range order {
		g := &localityGroup{locality: splitLocality(l)}
		for _, e := range byLocality[l] {
			m, ok := newMember(e, svc.PublishNotReady, panicOff)
			if ok {
				m.labels = topologyLabels(e.Labels, e.Locality, b.in.Env.networkOf(e), e.Cluster, e.NodeName)
				g.members = append(g.members, m)
			}
		}
		g.members = b.in.Env.splitHorizon(g.members, b.in.Network)
		for _, m := range g.members {
			g.weight += m.weight
		}
		if len(g.members) > 0 {
			out = append(out, g)
		}
	}
	return out
}

// endpoints are those of the port; a service found by DNS that lists none is its own host name, unless that is a
// wildcard. Another service of the same namespace that declares the same host adds its endpoints to ports of the same
// name: discovery goes by host.
func (b *clusterBuild) endpoints() []*mesh.Endpoint {
	svc := b.in.Service
	if twins := b.in.Env.twins[declaredHost{svc.Hostname, svc.Namespace}]; b.c.GetType() == clusterv3.Cluster_EDS && len(twins) > 0 {
		out := slices.Clone(b.port.Endpoints)
		for _, other := range twins {
			for _, p := range other.Ports {
				if p != b.port && other.Resolution == mesh.Static && p.Name == b.port.Name && !slices.Equal(p.Endpoints, b.port.Endpoints) {
					out = append(out, p.Endpoints...)
				}
			}
		}
		return out
	}
	byName := svc.Resolution == mesh.DNS || svc.Resolution == mesh.DNSRoundRobin
	if len(b.port.Endpoints) > 0 || !byName || strings.HasPrefix(svc.Hostname, "*") {
		return b.port.Endpoints
	}
	return []*mesh.Endpoint{{Address: svc.Hostname, Port: cmp.Or(b.port.TargetPort, b.port.Number), Ready: true}}
}

// belongs tells whether an endpoint carries the labels of the subset and may be used from the client at all.
func (b *clusterBuild) belongs(e *mesh.Endpoint) bool {
	for k, v := range b.subset.GetLabels() {
		if e.Labels[k] != v {
			return false
		}
	}
	if b.in.SNI && !e.MTLS || !inView(b.in.View, b.in.Env.networkOf(e)) {
		return false
	}
	return b.in.Cluster == "" || e.Cluster == "" || e.Cluster == b.in.Cluster
}

// inView tells whether a network is among those a client asked for. Endpoints of no network are in every view.
func inView(view, network string) bool {
	return view == "" || network == "" || slices.Contains(strings.FieldsFunc(view, func(r rune) bool { return r == ',' || r == ' ' }), network)
}

// newMember reads one endpoint. An unhealthy one is kept and marked where panic routing is off, because it makes
// priorities spill over as Envoy should see it; with a panic threshold it could get traffic, so it is left out.
func newMember(e *mesh.Endpoint, notReady, panicOff bool) (member, bool) {
	m := member{address: e.Address, port: e.Port, weight: max(1, e.Weight), explicit: e.Weight > 0, mtls: e.MTLS}
	switch {
	case e.Health == mesh.Draining:
		m.health = corev3.HealthStatus_DRAINING
	case e.Health == mesh.Unhealthy, !e.Ready && !notReady:
		m.health = corev3.HealthStatus_UNHEALTHY
		return m, panicOff
	}
	return m, true
}

func (m member) lower() *endpointv3.LbEndpoint {
	out := &endpointv3.LbEndpoint{HealthStatus: m.health, HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
		Endpoint: &endpointv3.Endpoint{Address: socketAddress(m.address, m.port)},
	}}
	if m.explicit {
		out.LoadBalancingWeight = u32(m.weight)
	}
	if m.mtls {
		out.Metadata = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			transportSocketMatch: {Fields: map[string]*structpb.Value{tlsModeKey: structpb.NewStringValue(tlsModeIstio)}},
		}}
	}
	return out
}

// socketAddress is an IP or host name with a port, or a unix domain socket written unix:///path or unix://@abstract.
func socketAddress(address string, port uint32) *corev3.Address {
	if path, ok := pipePath(address); ok {
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: path}}}
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// pipePath cuts the scheme off a unix domain socket.
func pipePath(address string) (string, bool) { return strings.CutPrefix(address, "unix://") }

func compareLocality(a, b *corev3.Locality) int {
	return cmp.Or(cmp.Compare(a.GetRegion(), b.GetRegion()), cmp.Compare(a.GetZone(), b.GetZone()), cmp.Compare(a.GetSubZone(), b.GetSubZone()))
}
