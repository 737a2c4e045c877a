package listener

import (
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"

	"github.com/meshc/meshc/compiler/envoy/security"
	"github.com/meshc/meshc/compiler/envoy/telemetry"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// inbound lowers one class of proxies.
type inbound struct {
	in        *mesh.Inbound
	logs      *telemetry.Logs
	tracing   *telemetry.Tracing
	httpChain []*hcmv3.HttpFilter
	tcpChain  []*listenerv3.Filter
	diags     diag.List
}

// Inbound lowers what arrives at the proxies of a class to virtualInbound: chains for each port that a service
// sends to, or for each ingress listener of a Sidecar, and chains for all other ports, which pass through. Sidecar
// ingress listeners that are not intercepted are listeners of their own.
func Inbound(in *mesh.Inbound) ([]*xds.Resource, diag.List) {
	b := &inbound{in: in, logs: inboundLogs(in), tracing: inboundTracing(in)}
	var d diag.List
	b.httpChain, d = security.HTTPAuthFilters(in)
	b.diags.Add(d...)
	b.tcpChain, d = security.TCPAuthFilters(in)
	b.diags.Add(d...)
	b.diags.Add(TelemetryFindings(in)...)

	var out []*xds.Resource
	var shared []*inboundPort
	for _, p := range b.ports() {
		if p.bind != "" {
			out = append(out, b.listener(p))
		} else {
			shared = append(shared, p)
		}
	}
	if !interceptionNone(in.Proxy) {
		out = append([]*xds.Resource{b.virtual(shared)}, out...)
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
			service: t.Service, from: xds.OriginOfPort(t.Service, t.Port),
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

func (b *inbound) modeOrigins() []xds.Origin {
	var out []xds.Origin
	for _, o := range b.in.MTLSOrigins {
		out = append(out, xds.OriginAt(o, "spec")...)
	}
	return out
}

// virtual builds the listener that all intercepted inbound connections enter. A connection to its own port would loop,
// so it is closed.
func (b *inbound) virtual(ports []*inboundPort) *xds.Resource {
	port := inboundListenPort(b.in.Mesh)
	chains := []*xds.Chain{{
		Name:    names.InboundBlackHoleChain,
		Match:   &listenerv3.FilterChainMatch{DestinationPort: xds.UInt32(port)},
		Filters: blackHole(),
	}}
	for _, p := range append(b.passthroughs(ports), ports...) {
		chains = append(chains, b.chains(p)...)
	}
	transparent := b.in.Proxy.GetInterceptionMode() == meshconfig.ProxyConfig_TPROXY
	l, r := b.build(names.VirtualInbound, xds.Address(xds.Wildcard, port), chains)
	l.ListenerFilters = inboundFilters(l.FilterChains, true, transparent)
	if xds.DualStack(b.in.Mesh) {
		l.AdditionalAddresses = xds.AlsoIPv6(xds.Wildcard, port)
	}
	l.ConnectionBalanceConfig = xds.ConnectionBalance(mesh.BalancesInbound(b.in.Proxy))
	if transparent {
		l.Transparent = xds.Bool(true)
	}
	return r
}

// listener builds the listener of an ingress listener that binds for real.
func (b *inbound) listener(p *inboundPort) *xds.Resource {
	chains := b.chains(p)
	for _, c := range chains {
		c.Match.DestinationPort = nil // the socket says it
	}
	l, r := b.build(p.name(false), xds.Address(p.bind, p.number), chains)
	l.ListenerFilters = inboundFilters(l.FilterChains, false, false)
	return r
}

func (b *inbound) build(name string, addr *corev3.Address, chains []*xds.Chain) (*listenerv3.Listener, *xds.Resource) {
	l := &listenerv3.Listener{
		Name:                             name,
		Address:                          addr,
		TrafficDirection:                 corev3.TrafficDirection_INBOUND,
		ContinueOnListenerFiltersTimeout: true,
		ListenerFiltersTimeout:           b.in.Mesh.Config.GetProtocolDetectionTimeout(),
	}
	if l.ListenerFiltersTimeout == nil {
		l.ListenerFiltersTimeout = xds.Seconds(0)
	}
	if b.logs != nil {
		l.AccessLog = b.logs.Listener
	}
	r := &xds.Resource{Type: xds.Listener, Name: name, Message: l}
	for _, c := range chains {
		l.FilterChains = append(l.FilterChains, c.Lower())
		r.Origins = append(r.Origins, c.Origins()...)
	}
	r.Origins = append(r.Origins, security.Origins(b.in)...)
	return l, r
}
