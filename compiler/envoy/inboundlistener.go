package envoy

import (
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// inbound lowers one class of proxies.
type inbound struct {
	in        *mesh.Inbound
	logs      *Logs
	tracing   *httpTracing
	httpChain []*hcmv3.HttpFilter
	tcpChain  []*listenerv3.Filter
	diags     diag.List
}

// InboundListener lowers what arrives at the proxies of a class to virtualInbound: chains for each port that a service
// sends to, or for each ingress listener of a Sidecar, and chains for all other ports, which pass through. Sidecar
// ingress listeners that are not intercepted are listeners of their own.
func InboundListener(in *mesh.Inbound) ([]*Resource, diag.List) {
	b := &inbound{in: in, logs: inboundLogs(in), tracing: inboundTracing(in)}
	var d diag.List
	b.httpChain, d = HTTPAuthFilters(in)
	b.diags.Add(d...)
	b.tcpChain, d = TCPAuthFilters(in)
	b.diags.Add(d...)
	b.diags.Add(TelemetryFindings(in)...)

	var out []*Resource
	var shared []*inboundPort
	for _, p := range b.ports() {
		if p.bind != "" {
			out = append(out, b.listener(p))
		} else {
			shared = append(shared, p)
		}
	}
	if !interceptionNone(in.Proxy) {
		out = append([]*Resource{b.virtual(shared)}, out...)
	}
	return out, b.diags
}

func (b *inbound) httpAuth() []*hcmv3.HttpFilter { return b.httpChain }

func (b *inbound) tcpAuth() []*listenerv3.Filter { return b.tcpChain }

// ports are the ports with chains of their own. Where several services send to one port, the first one gives its
// protocol; ingress listeners of a Sidecar replace the ports of all services.
func (b *inbound) ports() []*inboundPort {
	if sc := b.in.Sidecar; sc != nil && len(sc.Spec.Ingress) > 0 {
		return b.ingress(sc)
	}
	if interceptionNone(b.in.Proxy) {
		return nil
	}
	var out []*inboundPort
	seen := map[uint32]bool{}
	for _, t := range b.in.Targets {
		if t.TargetPort == 0 || t.Port.Protocol == mesh.UDP || seen[t.TargetPort] {
			continue
		}
		seen[t.TargetPort] = true
		out = append(out, &inboundPort{
			number: t.TargetPort, servicePort: t.Port.Number, protocol: t.Port.Protocol, cluster: names.Inbound(t.TargetPort),
			service: t.Service, from: portPlace(t.Service, t.Port),
		})
	}
	return out
}

// passthroughs are the ports that no service has: one entry for all, and one for each that PeerAuthentication
// portLevelMtls treats differently.
func (b *inbound) passthroughs(covered []*inboundPort) []*inboundPort {
	out := []*inboundPort{{cluster: names.InboundPassthroughCluster, passthrough: true}}
	for _, port := range slices.Sorted(maps.Keys(b.in.PortMTLS)) {
		if !slices.ContainsFunc(covered, func(p *inboundPort) bool { return p.number == port }) {
			out = append(out, &inboundPort{number: port, servicePort: port, cluster: names.InboundPassthroughCluster, passthrough: true})
		}
	}
	return out
}

func (b *inbound) modeOrigins() []Origin {
	var out []Origin
	for _, o := range b.in.MTLSOrigins {
		out = append(out, place(o, "spec")...)
	}
	return out
}

// virtual builds the listener that all intercepted inbound connections enter. A connection to its own port would loop,
// so it is closed.
func (b *inbound) virtual(ports []*inboundPort) *Resource {
	port := inboundListenPort(b.in.Mesh)
	chains := []*chain{{
		name:    names.InboundBlackHoleChain,
		match:   &listenerv3.FilterChainMatch{DestinationPort: u32(port)},
		filters: blackHole(),
	}}
	for _, p := range append(b.passthroughs(ports), ports...) {
		chains = append(chains, b.chains(p)...)
	}
	transparent := b.in.Proxy.GetInterceptionMode() == meshconfig.ProxyConfig_TPROXY
	l, r := b.build(names.VirtualInbound, address(wildcard, port), chains)
	l.ListenerFilters = inboundFilters(l.FilterChains, true, transparent)
	if dualStack(b.in.Mesh) {
		l.AdditionalAddresses = alsoIPv6(wildcard, port)
	}
	l.ConnectionBalanceConfig = balance(b.in.Proxy, "ISTIO_META_INBOUND_LISTENER_EXACT_BALANCE")
	if transparent {
		l.Transparent = boolean(true)
	}
	return r
}

// listener builds the listener of an ingress listener that binds for real.
func (b *inbound) listener(p *inboundPort) *Resource {
	chains := b.chains(p)
	for _, c := range chains {
		c.match.DestinationPort = nil // the socket says it
	}
	l, r := b.build(p.name(false), address(p.bind, p.number), chains)
	l.ListenerFilters = inboundFilters(l.FilterChains, false, false)
	return r
}

func (b *inbound) build(name string, addr *corev3.Address, chains []*chain) (*listenerv3.Listener, *Resource) {
	l := &listenerv3.Listener{
		Name:                             name,
		Address:                          addr,
		TrafficDirection:                 corev3.TrafficDirection_INBOUND,
		ContinueOnListenerFiltersTimeout: true,
		ListenerFiltersTimeout:           b.in.Mesh.Config.GetProtocolDetectionTimeout(),
	}
	if l.ListenerFiltersTimeout == nil {
		l.ListenerFiltersTimeout = seconds(0)
	}
	if b.logs != nil {
		l.AccessLog = b.logs.Listener
	}
	r := &Resource{Type: Listener, Name: name, Message: l}
	for _, c := range chains {
		l.FilterChains = append(l.FilterChains, c.lower())
		r.Origins = append(r.Origins, c.origins()...)
	}
	r.Origins = append(r.Origins, securityOrigins(b.in)...)
	return l, r
}
