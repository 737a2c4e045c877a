package trace

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/trace/urlpath"
)

// group is a set of endpoints that treat a request alike.
type group struct {
	members []member
	weight  float64
}

// loadBalance sends a request to the endpoints of a cluster. Endpoints that treat it alike are one branch.
func (k *walk) loadBalance(s state, c located[*clusterv3.Cluster], ms []member, late bool, host string) (*Path, error) {
	var groups []*group
	byKey := map[string]*group{}
	total := 0.0
	for _, m := range ms {
		_, match := socketFor(c.msg, m.meta)
		key := fmt.Sprintf("%s|%s|%d", m.class, match, m.port)
		g := byKey[key]
		if g == nil {
			g = &group{}
			byKey[key] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, m)
		g.weight += m.weight
		total += m.weight
	}
	if len(groups) == 1 {
		return k.connect(s, c, groups[0], late, host)
	}
	var branches []Branch
	for _, g := range groups {
		p, err := k.connect(s.fork(), c, g, late, host)
		if err != nil {
			return nil, err
		}
		b := Branch{When: g.text(k), Path: p}
		if !late {
			b.Chance = g.weight / total
		}
		branches = append(branches, b)
	}
	if late {
		return s.choose("which endpoints there are: the input has none, these workloads will be behind the service", branches...), nil
	}
	return s.choose("the endpoint that load balancing picks", branches...), nil
}

func (g *group) text(k *walk) string {
	m := g.members[0]
	name := g.name()
	if name == "" && m.class != "" {
		name = m.class
		if v, err := k.w.view(m.class); err == nil {
			name = v.name()
		}
	}
	return fmt.Sprintf("%s:%d", cmp.Or(name, m.address), m.port)
}

// connect opens the connection to one of a group of endpoints.
func (k *walk) connect(s state, c located[*clusterv3.Cluster], g *group, late bool, host string) (*Path, error) {
	m := g.members[0]
	socket, _ := socketFor(c.msg, m.meta)
	open, effects, err := originate(c.msg, socket, s.id, host, s.proxy)
	if err != nil {
		return s.end(Depends, 0, "what goes out cannot be told: "+plain(err)), nil
	}
	text := connectionText(effects)
	if open == nil && len(s.conn.layers) > 0 {
		text = "the TLS of " + s.conn.layers[0].by + " as it is"
	}
	at := g.addresses(late)
	s.add(Step{Kind: "endpoint", Name: at, Text: text, Effects: append(effects, Effect{EffectEndpoints, "", at})})
	if strings.HasPrefix(m.address, "unix://") {
		return s.leave(m.address, "the socket "+m.address+" gets it"), nil
	}
	if m.class == "" {
		if p, ok, err := k.crossing(s, c.msg, m, open); ok || err != nil {
			return p, err
		}
		s.conn.dest = netip.AddrPortFrom(netip.Addr{}, m.port)
		return s.leave(m.address, s.outside(fmt.Sprintf("%s:%d", m.address, m.port), open)), nil
	}
	return k.deliver(s, c.msg, m, g.name(), open)
}

// crossing goes on behind the gateway of another network, which forwards mutual TLS by its server name: an endpoint at an
// address of no workload stands for it. Of several gateways that have the name, each may be the one.
func (k *walk) crossing(s state, c *clusterv3.Cluster, m member, open *layer) (*Path, bool, error) {
	if open == nil || open.sni == "" || !open.cert {
		return nil, false, nil
	}
	var found []member
	for _, class := range k.w.b.Classes {
		if !class.Gateway || class == s.v.class {
			continue
		}
		v, err := k.w.view(class.ID)
		if err != nil {
			return nil, false, err
		}
		for _, l := range v.listeners {
			at := l.msg.GetAddress().GetSocketAddress().GetPortValue()
			if !slices.ContainsFunc(l.msg.GetFilterChains(), func(fc *listenerv3.FilterChain) bool {
				return fc.GetTransportSocket() == nil && slices.Contains(fc.GetFilterChainMatch().GetServerNames(), open.sni)
			}) || !k.otherNetwork(s.v.class.ID, class.ID) {
				continue
			}
			found = append(found, k.gatewayOf(class.ID, uint16(at)))
		}
	}
	if to := k.across; to.Class != "" && to.SNI == open.sni && k.otherNetwork(s.v.class.ID, to.Class) &&
		!slices.ContainsFunc(found, func(m member) bool { return m.class == to.Class }) {
		found = append(found, k.gatewayOf(to.Class, to.Port))
	}
	if len(found) == 0 {
		return nil, false, nil
	}
	s.add(Step{Kind: "host", Name: m.address, Text: "is the address of a gateway of another network"})
	if len(found) == 1 {
		p, err := k.deliver(s, c, found[0], "", open)
		return p, true, err
	}
	var branches []Branch
	for _, g := range found {
		p, err := k.deliver(s.fork(), c, g, "", open)
		if err != nil {
			return nil, true, err
		}
		branches = append(branches, Branch{When: g.class, Path: p})
	}
	return s.choose("which gateway has the address "+m.address, branches...), true, nil
}

// gatewayOf is a gateway as an endpoint.
func (k *walk) gatewayOf(class string, port uint16) member {
	m := member{port: port, weight: 1, class: class}
	if of := k.w.workloadsOf(class); len(of) > 0 {
		m.workload = of[0]
	}
	return m
}

// otherNetwork tells whether the workloads of two classes are in different networks, or clusters.
func (k *walk) otherNetwork(a, b string) bool {
	one, other := k.w.workloadsOf(a), k.w.workloadsOf(b)
	return len(one) == 0 || len(other) == 0 || one[0].Network != other[0].Network || one[0].Cluster != other[0].Cluster
}

func (s *state) outside(to string, open *layer) string {
	switch {
	case s.call.HTTP && len(s.conn.layers) == 0:
		with := ""
		if open != nil {
			with = " over TLS"
		}
		return fmt.Sprintf("%s, which is outside the mesh, gets %s %s%s, host %s", to, s.call.Method, s.call.Path, with, s.call.Authority)
	default:
		return to + ", which is outside the mesh, gets the connection"
	}
}

func (g *group) addresses(late bool) string {
	if late {
		return fmt.Sprintf("%s, port %d (addresses come when the bundle is served)", g.members[0].workload.Namespace+"/"+g.members[0].workload.Name, g.members[0].port)
	}
	var out []string
	for _, m := range g.members {
		a := m.address
		if m.port != 0 {
			a = fmt.Sprintf("%s:%d", m.address, m.port)
		}
		if m.workload != nil {
			a += " (" + m.workload.Namespace + "/" + m.workload.Name + ")"
		}
		out = append(out, a)
	}
	slices.Sort(out)
	if len(out) > 4 {
		out = append(out[:3], fmt.Sprintf("%d more", len(out)-3))
	}
	return strings.Join(out, ", ")
}

// name of the workloads of a group: the first, and how many more.
func (g *group) name() string {
	var all []string
	for _, m := range g.members {
		if m.workload != nil && !slices.Contains(all, m.workload.Namespace+"/"+m.workload.Name) {
			all = append(all, m.workload.Namespace+"/"+m.workload.Name)
		}
	}
	slices.Sort(all)
	switch len(all) {
	case 0:
		return ""
	case 1:
		return all[0]
	}
	return fmt.Sprintf("%s and %d more", all[0], len(all)-1)
}

// deliver goes on at the proxy of the workload that is reached.
func (k *walk) deliver(s state, c *clusterv3.Cluster, m member, name string, open *layer) (*Path, error) {
	v, err := k.w.view(m.class)
	if err != nil {
		return nil, err
	}
	to := s
	to.v, to.proxy, to.arrived = v, v.name(), true
	to.id = k.w.identityOf(m.class)
	if m.workload != nil {
		to.proxy, to.id = m.workload.Namespace+"/"+m.workload.Name, k.w.identity(m.workload.Namespace, m.workload.ServiceAccount)
	}
	if name != "" {
		to.proxy = name
	}
	to.address, _ = netip.ParseAddr(m.address)
	to.conn = conn{source: s.address, dest: netip.AddrPortFrom(to.address, m.port), layers: s.conn.layers, wire: s.conn.wire}
	if open != nil {
		to.conn.layers = append([]layer{*open}, s.conn.layers...)
	}
	if c != nil && s.call.HTTP && s.parsed && len(s.conn.layers) == 0 {
		to.conn.wire = upstreamWire(c, s.conn.wire)
	}
	to.fronted, to.parsed = s.fronted || s.parsed, false
	to.call.Metadata, to.call.Principals, to.call.SNI = nil, nil, ""
	if !v.class.Gateway && m.workload != nil && !m.workload.Proxy {
		// What runs on a machine may end TLS itself, and has no certificate of the mesh.
		if open != nil && (len(open.ids) > 0 || !m.workload.Machine()) {
			p := to.end(Failed, 0, "the workload has no proxy that could end the TLS")
			p.Outcome.Unprotected = true
			return p, nil
		}
		to.add(Step{Kind: "host", Name: to.proxy, Text: "has no proxy"})
		return k.application(to), nil
	}
	return k.inbound(to)
}

// original sends a connection on to the address that the client dialed.
func (k *walk) original(s state, c located[*clusterv3.Cluster], host string) (*Path, error) {
	if !s.conn.dest.Addr().IsValid() {
		if svc, ok, err := s.v.cluster(s.called); ok && svc.msg.GetType() == clusterv3.Cluster_EDS || err != nil {
			return k.behind(s, svc, c, host, err)
		}
		if s.service != nil && (s.service.Kind == "Service") {
			p := s.end(Depends, 0, "the connection goes to the address that the client's DNS gives for "+urlpath.StripPort(host)+"; say which with --address")
			return p, nil
		}
		to := urlpath.StripPort(host)
		return s.leave(to, s.outside(fmt.Sprintf("%s:%d", to, s.conn.dest.Port()), nil)), nil
	}
	m := member{address: s.conn.dest.Addr().String(), port: s.conn.dest.Port(), weight: 1}
	if k.place(&m); m.class == "" {
		if svc, ok, err := k.serviceAt(&s); ok || err != nil {
			return k.behind(s, svc, c, host, err)
		}
	}
	return k.connect(s, c, &group{members: []member{m}}, false, host)
}

// serviceAt finds the service whose address a connection was dialed to: the node sends it on to one of its endpoints.
func (k *walk) serviceAt(s *state) (located[*clusterv3.Cluster], bool, error) {
	for _, svc := range s.v.services() {
		if len(svc.Addresses) > 0 && !slices.ContainsFunc(svc.Addresses, s.conn.dialed) {
			continue
		}
		name := names.Outbound(uint32(s.conn.dest.Port()), "", svc.Hostname)
		res := s.v.resource(bundle.ClusterType, name)
		if res == nil {
			continue
		}
		one := *s
		one.service = serviceOf(res)
		if k.addressOf(&one, svc.Hostname, s.conn.dest.Port()) == s.conn.dest.Addr() {
			return s.v.cluster(name)
		}
	}
	return located[*clusterv3.Cluster]{}, false, nil
}

// behind goes on at the endpoints of a service, with the TLS of the cluster that sent the connection to its address.
func (k *walk) behind(s state, svc, via located[*clusterv3.Cluster], host string, err error) (*Path, error) {
	if err != nil {
		return nil, err
	}
	ms, late, err := k.members(s, svc)
	if err != nil {
		return nil, err
	}
	if len(ms) == 0 && svc.msg.GetType() == clusterv3.Cluster_ORIGINAL_DST && svc.res.Selector == nil {
		return s.end(Depends, 0, "the node picks one of the endpoints of "+clusterText(svc.msg.GetName())+", which the bundle does not know; say which with --address"), nil
	}
	if len(ms) == 0 {
		return s.end(Failed, 0, "no endpoint is behind "+clusterText(svc.msg.GetName())), nil
	}
	st := Step{Kind: "host", Name: s.conn.dest.Addr().String(), Text: "is the address of ", Origins: trim(originsAt(svc.res, names.Part{}))}
	if !s.conn.dest.Addr().IsValid() {
		st.Name, st.Text = urlpath.StripPort(host), "is called at an address that is not known here, that of "
	}
	st.Text += clusterText(svc.msg.GetName()) + ": the node picks one of its endpoints"
	s.add(st)
	return k.loadBalance(s, located[*clusterv3.Cluster]{msg: &clusterv3.Cluster{Name: via.msg.GetName(), TransportSocket: via.msg.GetTransportSocket()}, res: via.res}, ms, late, host)
}

// forwardOriginal is a connection that no proxy of the client touches.
func (k *walk) forwardOriginal(s state, why string) (*Path, error) {
	s.add(Step{Kind: "host", Name: s.proxy, Text: why})
	m := member{weight: 1, port: s.conn.dest.Port()}
	if s.conn.dest.Addr().IsValid() {
		m.address = s.conn.dest.Addr().String()
		k.place(&m)
	}
	if m.class == "" {
		to := "where the client's DNS says"
		if s.conn.dest.Addr().IsValid() {
			to = s.conn.dest.Addr().String()
		}
		return s.leave(to, s.outside(to, nil)), nil
	}
	return k.deliver(s, nil, m, "", nil)
}

// fromOutside is a client without a proxy that knows the endpoints of a service and calls them directly.
func (k *walk) fromOutside(s state, t target) (*Path, error) {
	if s.proxy == "" {
		s.proxy = "outside"
	}
	s.address, s.id = k.req.Source, ""
	if a := s.conn.dest.Addr(); a.IsValid() {
		m := member{address: a.String(), port: t.port, weight: 1}
		if k.place(&m); m.class != "" {
			return k.deliver(s, nil, m, "", nil)
		}
	}
	for _, class := range k.w.b.Classes {
		v, err := k.w.view(class.ID)
		if err != nil {
			return nil, err
		}
		s.v = v
		name := v.clusterOf(t.host, t.port, cmp.Or(class.Namespace, "default"))
		if name == "" {
			continue
		}
		c, ok, err := v.cluster(name)
		if err != nil || !ok {
			return nil, err
		}
		ms, late, err := k.members(s, c)
		if err != nil {
			return nil, err
		}
		if len(ms) == 0 {
			continue
		}
		plain := located[*clusterv3.Cluster]{msg: &clusterv3.Cluster{Name: name}, res: c.res}
		s.service = serviceOf(c.res)
		return k.loadBalance(s, plain, ms, late, t.host)
	}
	return nil, fmt.Errorf("no service %s with port %d has endpoints or workloads in the bundle", t.host, t.port)
}

func serviceOf(r *bundle.Resource) *bundle.Origin {
	for i, o := range r.Origins {
		if o.Kind == "Service" || o.Kind == "ServiceEntry" {
			return &r.Origins[i]
		}
	}
	return nil
}
