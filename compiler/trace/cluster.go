package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// cluster sends a connection or request to a cluster. host is what the request calls the server.
func (k *walk) cluster(s state, name, host string) (*Path, error) {
	status := 0
	if s.parsed {
		status = 503
	}
	if name == names.BlackHoleCluster {
		s.add(Step{Kind: "cluster", Name: name})
		return s.end(Failed, status, "nothing is allowed to go there: "+names.BlackHoleCluster+" ends it"), nil
	}
	c, ok, err := s.v.cluster(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.end(Failed, status, "the proxy has no cluster "+name), nil
	}
	st := Step{Kind: "cluster", Name: name, Origins: trim(about(originsAt(c.res, names.Part{}), s.service))}
	if l := c.msg.GetLbPolicy(); c.msg.GetType() != clusterv3.Cluster_ORIGINAL_DST && l != clusterv3.Cluster_CLUSTER_PROVIDED {
		st.Text = "load balancing " + strings.ToLower(l.String())
		if p := c.msg.GetLoadBalancingPolicy().GetPolicies(); len(p) > 0 {
			st.Text = "load balancing " + strings.TrimPrefix(p[0].GetTypedExtensionConfig().GetName(), "envoy.load_balancing_policies.")
		}
	}
	s.add(st)
	switch {
	case c.msg.GetClusterType() != nil && c.msg.GetClusterType().GetName() == "envoy.clusters.dynamic_forward_proxy":
		return s.leave(urlpath.StripPort(host), fmt.Sprintf("the proxy looks up %s by DNS", urlpath.StripPort(host))), nil
	case c.msg.GetType() == clusterv3.Cluster_ORIGINAL_DST:
		return k.dialed(s, c, host)
	case s.inside() && c.msg.GetType() == clusterv3.Cluster_STATIC:
		return k.static(s, c.msg), nil
	}
	ms, late, err := k.members(s, c)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 {
		return s.end(Failed, status, "no endpoint is behind "+clusterText(name), st.Origins...), nil
	}
	return k.loadBalance(s, c, ms, late, host)
}

// dialed goes on at the address that was dialed, where the cluster does not say another port.
func (k *walk) dialed(s state, c located[*clusterv3.Cluster], host string) (*Path, error) {
	if p := c.msg.GetOriginalDstLbConfig().GetUpstreamPortOverride(); p != nil {
		s.conn.dest = netip.AddrPortFrom(s.conn.dest.Addr(), uint16(p.GetValue()))
	}
	if s.inside() {
		return k.application(s), nil
	}
	return k.original(s, c, host)
}

// inside tells whether the walk is on the inbound side of a sidecar, where clusters lead to the application.
func (s *state) inside() bool { return s.arrived && !s.v.class.Gateway }

// static is an application at the address that a Sidecar ingress listener names.
func (k *walk) static(s state, c *clusterv3.Cluster) *Path {
	for _, l := range c.GetLoadAssignment().GetEndpoints() {
		if len(l.GetLbEndpoints()) == 0 {
			continue
		}
		a := l.GetLbEndpoints()[0].GetEndpoint().GetAddress()
		if p := a.GetPipe(); p != nil {
			return s.end(Reached, 0, "the application gets it on the socket "+p.GetPath())
		}
		s.conn.dest = netip.AddrPortFrom(s.conn.dest.Addr(), uint16(a.GetSocketAddress().GetPortValue()))
		return k.application(s)
	}
	return s.end(Failed, 503, "the cluster has no endpoint")
}

// application ends a walk where the request is meant to go.
func (k *walk) application(s state) *Path {
	text := "the application gets "
	switch {
	case len(s.conn.layers) > 0:
		text += "the TLS of " + s.conn.layers[0].by + ", server name " + s.conn.layers[0].sni
	case s.call.HTTP:
		text += fmt.Sprintf("%s %s, host %s", s.call.Method, s.call.Path, s.call.Authority)
	default:
		text += "the connection"
	}
	p := s.end(Reached, 0, text)
	p.Outcome.Port = s.conn.dest.Port()
	if s.call.HTTP && len(s.conn.layers) == 0 {
		p.Outcome.Path, p.Outcome.Host = s.call.Path, s.call.Authority
	}
	return p
}

// leave ends a walk outside the mesh.
func (s state) leave(to, text string) *Path {
	p := s.end(Reached, 0, text)
	p.Outcome.At = "outside: " + to
	p.Outcome.Port = s.conn.dest.Port()
	return p
}

// member is one endpoint of a cluster.
type member struct {
	address  string
	port     uint16
	weight   float64
	priority uint32
	meta     *corev3.Metadata
	class    string // of the workload there; "" outside the mesh
	workload *bundle.Workload
}

// members lists the endpoints that get requests: those of the first priority that has any. Where the endpoints
// of Kubernetes come when the bundle is served, late is true for a service in the mesh, and the workloads of the input that the
// service selects stand for them.
func (k *walk) members(s state, c located[*clusterv3.Cluster]) (out []member, late bool, err error) {
	load := c.msg.GetLoadAssignment()
	if c.msg.GetType() == clusterv3.Cluster_EDS {
		name := cmp.Or(c.msg.GetEdsClusterConfig().GetServiceName(), c.msg.GetName())
		e, ok, err := s.v.endpoints(name)
		if err != nil {
			return nil, false, err
		}
		if ok {
			load = e.msg
		}
	}
	all := 0
	for _, l := range load.GetEndpoints() {
		total := 0.0
		for _, e := range l.GetLbEndpoints() {
			total += float64(max(1, e.GetLoadBalancingWeight().GetValue()))
		}
		for _, e := range l.GetLbEndpoints() {
			all++
			if h := e.GetHealthStatus(); h == corev3.HealthStatus_UNHEALTHY || h == corev3.HealthStatus_DRAINING {
				continue
			}
			out = append(out, k.member(e, l, total))
		}
	}
	byNode := c.msg.GetType() == clusterv3.Cluster_ORIGINAL_DST // whatever endpoints others have, it has none
	if all == 0 && c.res.Selector != nil && len(c.res.Selector.Workloads) > 0 && (byNode || k.w.late || k.w.unseen(c.res.Selector)) {
		return k.selected(c.res), true, nil
	}
	first := uint32(1 << 31)
	for _, m := range out {
		first = min(first, m.priority)
	}
	return slices.DeleteFunc(out, func(m member) bool { return m.priority != first }), false, nil
}

func (k *walk) member(e *endpointv3.LbEndpoint, l *endpointv3.LocalityLbEndpoints, total float64) member {
	a := e.GetEndpoint().GetAddress()
	m := member{address: a.GetSocketAddress().GetAddress(), port: uint16(a.GetSocketAddress().GetPortValue()), priority: l.GetPriority(), meta: e.GetMetadata()}
	if p := a.GetPipe(); p != nil {
		m.address = "unix://" + p.GetPath()
	}
	m.weight = float64(max(1, e.GetLoadBalancingWeight().GetValue())) / total * float64(max(1, l.GetLoadBalancingWeight().GetValue()))
	k.place(&m)
	return m
}

// place finds the workload at the address of an endpoint. One that is a gateway and has a sidecar too is a gateway where
// the gateway listens on the port.
func (k *walk) place(m *member) {
	ip, err := netip.ParseAddr(m.address)
	if err != nil {
		return
	}
	for _, x := range k.w.byAddress[ip] {
		v, err := k.w.view(x.Class)
		if err != nil || v.class.Gateway && m.class != "" && v.listenerFor(netip.AddrPortFrom(ip, m.port), true) == nil {
			continue
		}
		if m.class == "" || v.class.Gateway {
			m.class, m.workload = x.Class, x
		}
	}
}

// selected are the workloads of the input that the service of a cluster selects, one member per class, and one for those in
// it that have no proxy.
func (k *walk) selected(r *bundle.Resource) []member {
	sel := r.Selector
	var out []member
	type kind struct {
		class string
		proxy bool
	}
	seen := map[kind]bool{}
	for i := range k.w.b.Workloads {
		x := &k.w.b.Workloads[i]
		if x.Namespace != sel.Namespace || x.Class == "" || seen[kind{x.Class, x.Proxy}] || !endpoint.Subset(sel.Workloads, x.Labels) || !endpoint.Subset(sel.Labels, x.Labels) {
			continue
		}
		seen[kind{x.Class, x.Proxy}] = true
		m := member{port: uint16(sel.TargetPort), class: x.Class, workload: x, weight: 1}
		if m.port == 0 {
			m.port = k.namedPort(x.Class, r)
		}
		if x.Proxy && k.speaksTLS(x.Class, m.port) {
			m.meta = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.transport_socket_match": {Fields: map[string]*structpb.Value{"tlsMode": structpb.NewStringValue("istio")}}}}
		}
		out = append(out, m)
	}
	return out
}

// namedPort is the number of a named port on a workload: the chain that its proxy has for the port of the service.
func (k *walk) namedPort(class string, r *bundle.Resource) uint16 {
	v, err := k.w.view(class)
	if err != nil {
		return 0
	}
	for _, from := range r.Origins {
		if from.Kind != "Service" {
			continue
		}
		for _, l := range v.listeners {
			for _, o := range l.res.Origins {
				if sameObject(o, from) && o.Field == from.Field && o.At.Kind == names.Chain {
					if n, ok := names.ListenerPort(o.At.Name); ok {
						return uint16(n)
					}
				}
			}
		}
	}
	return 0
}

// speaksTLS tells whether the proxies of a class end TLS on a port.
func (k *walk) speaksTLS(class string, port uint16) bool {
	v, err := k.w.view(class)
	if err != nil {
		return false
	}
	l := v.named(names.VirtualInbound)
	if l == nil {
		return false
	}
	own, rest := false, false
	for _, fc := range l.msg.GetFilterChains() {
		tls := fc.GetTransportSocket() != nil
		switch p := fc.GetFilterChainMatch().GetDestinationPort(); {
		case p == nil:
			rest = rest || tls
		case p.GetValue() == uint32(port):
			own = own || tls
			rest = false
		}
	}
	return own || rest
}
