package listener

import (
	"fmt"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/cluster"
	"github.com/meshc/meshc/compiler/envoy/route"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/memo"
)

type filterChainMatch = listenerv3.FilterChainMatch

// servicePort is one service port as one outbound listener sees it.
type servicePort struct {
	svc             *mesh.Service
	port            *mesh.Port
	number          uint32        // of the listener
	protocol        mesh.Protocol // of the listener: that of the Sidecar port where it has one
	bind            string        // "" until resolved
	bindToPort      bool
	locked          bool
	egress          *mesh.EgressListener
	virtualServices []*mesh.VirtualService // with a host that overlaps the service's
}

type entryKey struct {
	bind string
	port uint32
}

// Inputs is everything that outbound listeners depend on.
type Inputs struct {
	route.OutboundInputs
	Telemetries memo.List[*mesh.Telemetry] // mesh, namespace, workload, in this order
	Spans       telemetry.Spans            // zero where spans do not say who made them
}

// outbound collects the outbound listeners of one scope.
type outbound struct {
	Inputs
	logs    *telemetry.Logs
	tracing *telemetry.Tracing
	dual    bool // the mesh has IPv6 addresses
	dynamic bool // the scope has services whose hosts are looked up
	tcp     tcpSide
	entries map[entryKey]*entry
	order   []entryKey
	keys    []route.Key
	seen    map[string]bool
	diags   diag.List
}

// Outbound lowers what proxies may call to listeners: virtualOutbound, which takes every connection and hands it
// to the listener of its original destination, and one listener per HTTP port, per address of TCP and sniffed ports, and
// per Sidecar egress listener. It returns the route configurations that they refer to.
func Outbound(in Inputs) ([]*xds.Resource, []route.Key, diag.List) {
	o := &outbound{Inputs: in, logs: outboundLogs(&in), tracing: outboundTracing(&in), dual: xds.DualStack(in.Mesh), dynamic: slices.ContainsFunc(in.View.Services, cluster.LookedUp),
		entries: map[entryKey]*entry{}, seen: map[string]bool{}}
	o.tcp = tcpSide{mesh: in.Mesh, view: in.View, proxy: in.Proxy, logs: o.logs}
	for _, el := range in.Listeners.All() {
		if el.Spec.GetPort() != nil {
			o.portListener(el)
		} else {
			o.catchAll(el)
		}
	}
	var out []*xds.Resource
	if v := o.virtualOutbound(); v != nil {
		out = append(out, v)
	}
	for _, k := range o.order {
		out = append(out, o.lower(o.entries[k]))
	}
	if p := o.httpProxy(); p != nil {
		out = append(out, p)
	}
	if d := o.dnsProxy(); d != nil {
		out = append(out, d)
	}
	return out, o.keys, o.diags
}

// none tells whether the proxies intercept nothing, so that listeners have to bind for real.
func (o *outbound) none() bool { return interceptionNone(o.Proxy) }

// portListener adds the services of a Sidecar egress listener that has a port.
func (o *outbound) portListener(el *mesh.EgressListener) {
	bind, real := o.bindOf(el)
	for _, svc := range el.Services {
		u := servicePort{
			svc: svc, number: el.Spec.Port.Number, protocol: mesh.ParseProtocol(el.Spec.Port.Protocol), bind: bind,
			bindToPort: real, locked: true, egress: el, virtualServices: virtualServicesOf(el, svc),
		}
		if u.port = portOf(svc, u.number); u.port == nil {
			continue
		}
		o.addPort(u)
	}
}

// bindOf is the address that an egress listener names, "" to resolve it by each service, and whether it binds for real.
func (o *outbound) bindOf(el *mesh.EgressListener) (bind string, real bool) {
	bind, real = el.Spec.GetBind(), o.none() || el.Spec.GetCaptureMode() == networking.CaptureMode_NONE
	if real && bind == "" {
		bind = "127.0.0.1"
	}
	return bind, real
}

// portOf is the port of a service behind a Sidecar listener: the one of the same number, else the only one it has.
func portOf(svc *mesh.Service, number uint32) *mesh.Port {
	for _, p := range svc.Ports {
		if p.Number == number {
			return p
		}
	}
	if len(svc.Ports) > 0 {
		return svc.Ports[0]
	}
	return nil
}

// catchAll adds every port of every service of a listener without port.
func (o *outbound) catchAll(el *mesh.EgressListener) {
	bind, real := o.bindOf(el)
	for _, svc := range el.Services {
		vss := virtualServicesOf(el, svc)
		for _, p := range svc.Ports {
			u := servicePort{svc: svc, port: p, number: p.Number, protocol: p.Protocol, bind: bind, bindToPort: real, egress: el, virtualServices: vss}
			o.addPort(u)
		}
	}
}

// addPort adds one port of a service under each address it is called by.
func (o *outbound) addPort(u servicePort) {
	switch {
	case u.protocol == mesh.UDP || u.svc.Resolution == mesh.Alias:
		return // datagrams are not proxied; an alias has no address of its own
	case o.reserved(u):
		o.diags.Add(u.svc.Object.Finding(diag.Error, CodeDroppedChain,
			fmt.Sprintf("port %d of %s gets no listener: the proxy listens on it itself", u.number, u.svc.Hostname),
			"give the service another port, or change proxyListenPort or proxyInboundListenPort of MeshConfig", "spec", "ports", u.port.Index))
	case u.bind != "" || u.protocol.IsHTTP():
		o.add(u, nil)
	case !u.locked && u.svc.Resolution == mesh.Passthrough && len(u.svc.Addresses) == 0:
		o.addHeadless(u)
	case u.svc.Unaddressed():
		o.addUnaddressed(u)
	case len(u.svc.Addresses) == 0:
		o.add(u, nil)
	case u.svc.Kubernetes:
		// The other addresses are those of a second IP family.
		u.bind = u.svc.Addresses[0]
		o.add(u, nil)
	default:
		for _, a := range u.svc.Addresses {
			v := u
			p, ok := mesh.Prefix(a)
			switch {
			case !ok:
				continue
			case p.Addr().IsUnspecified():
				o.add(v, nil)
			case p.IsSingleIP():
				v.bind = p.Addr().String()
				o.add(v, nil)
			default:
				v.bind = xds.Wildcard
				o.add(v, []string{p.String()})
			}
		}
	}
}

// addUnaddressed adds a port of a Service whose address, or those of its endpoints where it is headless, nobody knows. A listener for all addresses may take of it only what it
// can know without one: TLS by its server name, and requests by their host. Anything else on the port may be meant for others.
func (o *outbound) addUnaddressed(u servicePort) {
	switch {
	case u.protocol.IsTLS():
		o.add(u, nil)
	case u.protocol.IsAuto():
		u.protocol = mesh.HTTP
		o.add(u, nil)
	}
}

// reserved tells whether a listener for all addresses would stand where intercepted connections enter.
func (o *outbound) reserved(u servicePort) bool {
	all := u.bind == xds.Wildcard || u.bind == "" && u.protocol.IsHTTP()
	return all && (u.number == listenPort(o.Mesh) || u.number == inboundListenPort(o.Mesh))
}

// addHeadless adds a listener per endpoint of a headless service, since clients call the endpoints by their addresses.
// A ServiceEntry without any known endpoint is reached at whatever address the client has: the wildcard.
func (o *outbound) addHeadless(u servicePort) {
	if len(u.port.Endpoints) == 0 {
		switch {
		case u.svc.Kubernetes:
			o.addUnaddressed(u)
		case len(u.svc.Selector) == 0:
			o.add(u, nil)
		}
		return
	}
	for _, e := range u.port.Endpoints {
		if xds.IsIP(e.Address) && o.Mesh.Own(e) {
			v := u
			v.bind = e.Address
			o.add(v, nil)
		}
	}
}

// add puts one service port on one listener.
func (o *outbound) add(u servicePort, cidrs []string) {
	if u.svc.Resolution == mesh.Alias {
		return
	}
	if u.bind == "" {
		u.bind = xds.Wildcard
	}
	k := entryKey{u.bind, u.number}
	e := o.entries[k]
	if e != nil && e.locked && !u.locked {
		return
	}
	a := addition{family: familyOf(u.protocol), protocol: u.protocol, svc: u.svc, port: u.port}
	if e == nil || a.family != httpFamily || e.family == tcpFamily {
		a.chains = o.chains(u, a.family, cidrs)
	}
	if e != nil {
		o.diags.Add(e.merge(a)...)
		e.origins = append(e.origins, xds.OriginOfPort(u.svc, u.port)...)
		return
	}
	if a.family == httpFamily && u.bind == xds.Wildcard && u.protocol != mesh.HTTPProxy {
		a.family = autoFamily // other bytes may pass through, and TCP services may join
	}
	o.entries[k] = &entry{
		bind: u.bind, port: u.number, protocol: u.protocol, family: a.family, bindToPort: u.bindToPort, locked: u.locked,
		chains: a.chains, origins: xds.OriginOfPort(u.svc, u.port), object: u.svc.Object,
	}
	o.order = append(o.order, k)
}

// chains builds the chains of a service port.
func (o *outbound) chains(u servicePort, f family, cidrs []string) []*xds.Chain {
	var out []*xds.Chain
	if f != httpFamily {
		if u.protocol.IsTLS() {
			out = o.tlsChains(u, cidrs)
		} else {
			out = o.tcpChains(u, cidrs)
		}
	}
	if f != tcpFamily {
		out = append(out, o.httpChain(u, f))
	}
	return out
}

// httpChain routes requests by the route configuration of the port; a sniffed service with an address has its own.
func (o *outbound) httpChain(u servicePort, f family) *xds.Chain {
	routed := o.routedBy(u)
	key := route.Key{Name: names.Routes(u.number), Listener: routed, Port: u.number}
	switch {
	case u.number == 0:
		key.Name = u.bind
	case u.protocol == mesh.HTTPProxy:
		key.Port = 0 // a forward proxy has all ports of its services, told apart by host:port
	case f == autoFamily && u.bind != xds.Wildcard && !u.bindToPort:
		key.Name = names.HostRoutes(u.svc.Hostname, u.number)
		key.Host = u.svc.Hostname
	}
	o.route(key)
	m := manager{
		role: outboundRole, mesh: o.Mesh, proxy: o.Proxy, protocol: u.protocol, rds: key.Name,
		stat: "outbound_" + names.Listener(u.bind, u.number), logs: o.logs, tracing: o.tracing,
	}
	if o.dynamic && cluster.DynamicRequests(o.View, routed.Services, routed.VirtualServices, key.Port) {
		m.dynamic = cluster.DynamicHost(o.Mesh)
	}
	c := &xds.Chain{Name: names.HTTPChain(key.Name), Filters: xds.HTTPChainFilters(m.build())}
	if f == autoFamily || u.bind == xds.Wildcard && u.protocol != mesh.HTTPProxy {
		c.Match = &listenerv3.FilterChainMatch{ApplicationProtocols: plainHTTP(), TransportProtocol: "raw_buffer"}
	}
	return c
}

// routedBy is the egress listener whose hosts the requests at a port are routed to: the one that names the port, whatever
// its protocol, and only if there is none the one without a port.
func (o *outbound) routedBy(u servicePort) *mesh.EgressListener {
	if u.number == 0 {
		return u.egress
	}
	for _, el := range o.Listeners.All() {
		if el.Spec.GetPort().GetNumber() == u.number || el.Spec.GetPort() == nil {
			return el
		}
	}
	return u.egress
}

func (o *outbound) route(k route.Key) {
	if !o.seen[k.Name] {
		o.seen[k.Name] = true
		o.keys = append(o.keys, k)
	}
}

// lower builds the listener of an entry. A chain that matches everything is the default one where there are others;
// where there is none, connections that no chain takes are treated as on virtualOutbound.
func (o *outbound) lower(e *entry) *xds.Resource {
	l := &listenerv3.Listener{
		Name:                             e.listener(),
		Address:                          xds.Address(e.bind, e.port),
		TrafficDirection:                 corev3.TrafficDirection_OUTBOUND,
		ContinueOnListenerFiltersTimeout: true,
		ListenerFiltersTimeout:           xds.Seconds(0),
	}
	if _, unix := xds.UnixPath(e.bind); unix {
		l.Name = e.bind
	} else if !e.bindToPort {
		l.BindToPort = xds.Bool(false)
	}
	if o.dual || !e.bindToPort && e.ipv6() {
		l.AdditionalAddresses = xds.AlsoIPv6(e.bind, e.port)
	}
	if o.logs != nil {
		l.AccessLog = o.logs.Listener
	}
	r := &xds.Resource{Type: xds.Listener, Name: l.Name, Message: l, Origins: e.origins}
	hasAll := false
	for _, c := range e.chains {
		r.Origins = append(r.Origins, c.Origins()...)
		all := c.MatchesAll()
		hasAll = hasAll || all
		if all && len(e.chains) > 1 {
			l.DefaultFilterChain = c.Lower()
			continue
		}
		l.FilterChains = append(l.FilterChains, c.Lower())
	}
	if !hasAll {
		l.DefaultFilterChain = &listenerv3.FilterChain{Name: names.PassthroughChain, Filters: o.fallthroughFilters()}
	}
	l.ListenerFilters = outboundInspectors(l.FilterChains)
	if t := o.Mesh.Config.GetProtocolDetectionTimeout(); t != nil && anyOf(inspect(l.FilterChains).http) {
		l.ListenerFiltersTimeout = t // a server name is waited for however long it takes
	}
	return r
}

// virtualServicesOf are the VirtualServices of a listener that may route connections to a service.
func virtualServicesOf(el *mesh.EgressListener, svc *mesh.Service) []*mesh.VirtualService {
	var out []*mesh.VirtualService
	for _, vs := range el.VirtualServices {
		if (len(vs.Spec.Tcp) > 0 || len(vs.Spec.Tls) > 0) && matchesHost(vs.Spec, svc.Hostname) {
			out = append(out, vs)
		}
	}
	return out
}
