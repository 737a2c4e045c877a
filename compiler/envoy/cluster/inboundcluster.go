package cluster

import (
	"net"
	"net/netip"
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/internal/diag"
)

// Source addresses of connections from a sidecar to its application. Interception lets them through, so that the
// connection does not come back to the sidecar.
const (
	inboundBindIPv4 = "127.0.0.6"
	inboundBindIPv6 = "::6"
)

// Inbound returns the clusters by which a sidecar reaches its own application: one per workload port, named
// inbound|PORT||, and InboundPassthroughCluster for ports nobody declared. Ingress listeners of a Sidecar replace those
// derived from services. Gateways have none.
func Inbound(in *mesh.Inbound) ([]*xds.Resource, diag.List) {
	if in.Gateway {
		return nil, nil
	}
	last := passthrough(names.InboundPassthroughCluster, in.Mesh)
	last.UpstreamBindConfig = inboundBind(in)
	out := []*xds.Resource{{Type: xds.Cluster, Name: last.Name, Message: last}}
	if ls := ingressListeners(in.Sidecar); len(ls) > 0 {
		rs, ds := ingressClusters(in, ls)
		return append(out, rs...), ds
	}
	seen := map[uint32]bool{}
	for _, t := range in.Targets {
		if t.Port.Protocol == mesh.UDP || seen[t.TargetPort] {
			continue
		}
		seen[t.TargetPort] = true
		out = append(out, inboundTarget(in, t))
	}
	return out, nil
}

func ingressListeners(s *mesh.Sidecar) []*networking.IstioIngressListener {
	if s == nil {
		return nil
	}
	return s.Spec.GetIngress()
}

// inboundTarget is the cluster of a service's target port.
func inboundTarget(in *mesh.Inbound, t mesh.Target) *xds.Resource {
	pool, origins := inboundPool(in, t.Service, t.Port)
	c := newInboundCluster(in, t.TargetPort, t.Port.Protocol, pool)
	if p := in.Mesh.Config.GetInboundClusterStatName(); p != "" {
		c.AltStatName = expandStatName(p, t.Service, t.Port, "") + ";"
	}
	if in.Mesh.Config.GetInboundTrafficPolicy().GetMode() == meshconfig.MeshConfig_InboundTrafficPolicy_LOCALHOST {
		staticEndpoint(c, loopback(in), t.TargetPort)
	}
	if o := t.Service.Object; o != nil {
		origins = append([]xds.Origin{clusterOrigin(o, "spec", "ports", t.Port.Index)}, origins...)
	}
	return &xds.Resource{Type: xds.Cluster, Name: c.Name, Message: c, Origins: origins}
}

// newInboundCluster forwards to the address the connection was made to, from an address interception lets through.
func newInboundCluster(in *mesh.Inbound, port uint32, protocol mesh.Protocol, pool *networking.ConnectionPoolSettings) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                 names.Inbound(port),
		AltStatName:          names.Inbound(port) + ";",
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_ORIGINAL_DST},
		LbPolicy:             clusterv3.Cluster_CLUSTER_PROVIDED,
		ConnectTimeout:       connectTimeout(in.Mesh),
		UpstreamBindConfig:   inboundBind(in),
	}
	h := upstreamHTTP{kind: portProtocol(protocol, false), keepCase: xds.KeepsCase(in.Proxy) && casePreserved(protocol)}
	if pool.GetHttp().GetUseClientProtocol() {
		h.kind = upstreamDownstream
	}
	applyPool(c, &h, pool, in.Mesh)
	applyHTTP2(&h, pool.GetHttp())
	h.attach(c)
	return c
}

// inboundPool is the connection pool towards the application: the Sidecar's, else the DestinationRule's of the service
// as its own namespace sees it, else the mesh's.
func inboundPool(in *mesh.Inbound, svc *mesh.Service, port *mesh.Port) (*networking.ConnectionPoolSettings, []xds.Origin) {
	if p := in.Sidecar; p != nil && p.Spec.GetInboundConnectionPool() != nil {
		return p.Spec.InboundConnectionPool, []xds.Origin{clusterOrigin(p.Object, "spec", "inboundConnectionPool")}
	}
	var rule *mesh.DestinationRule
	if svc != nil {
		rule = in.Mesh.InboundRule(svc, in.Sidecar)
	}
	policy := in.Mesh.PolicyOf(rule, port, "")
	if rule != nil && rule.Spec.GetTrafficPolicy() != nil && rule.Object != nil {
		return policy.GetConnectionPool(), []xds.Origin{clusterOrigin(rule.Object, "spec", "trafficPolicy")}
	}
	return policy.GetConnectionPool(), nil
}

// ingressClusters lowers Sidecar.ingress: the listener's port gives the name, defaultEndpoint the destination.
func ingressClusters(in *mesh.Inbound, ls []*networking.IstioIngressListener) ([]*xds.Resource, diag.List) {
	var out []*xds.Resource
	var ds diag.List
	seen := map[uint32]bool{}
	for i, l := range ls {
		port := l.GetPort().GetNumber()
		if seen[port] {
			continue
		}
		seen[port] = true
		// Settings for a port of the DestinationRule count by the number of the listener.
		pool, origins := inboundPool(in, IngressService(in, port), &mesh.Port{Number: port})
		if l.ConnectionPool != nil {
			pool, origins = l.ConnectionPool, nil
		}
		c := newInboundCluster(in, port, mesh.ParseProtocol(l.GetPort().GetProtocol()), pool)
		if msg := ingressEndpoint(in, c, port, l.GetDefaultEndpoint()); msg != "" {
			ds.Add(in.Sidecar.Object.Finding(diag.Error, codeIngressEndpoint, msg,
				"Write 127.0.0.1:PORT, 0.0.0.0:PORT, their IPv6 forms, or unix:///PATH.", "spec", "ingress", i, "defaultEndpoint"))
			continue
		}
		origins = append([]xds.Origin{clusterOrigin(in.Sidecar.Object, "spec", "ingress", i)}, origins...)
		out = append(out, &xds.Resource{Type: xds.Cluster, Name: c.Name, Message: c, Origins: origins})
	}
	return out, ds
}

// IngressService finds the service whose requests arrive at an ingress listener.
func IngressService(in *mesh.Inbound, port uint32) *mesh.Service {
	for _, t := range in.Targets {
		if t.TargetPort == port {
			return t.Service
		}
	}
	return nil
}

// ingressEndpoint points the cluster at a defaultEndpoint. The result says what is wrong with it.
func ingressEndpoint(in *mesh.Inbound, c *clusterv3.Cluster, port uint32, target string) string {
	if target == "" {
		return ""
	}
	if _, ok := endpoint.PipePath(target); ok {
		staticEndpoint(c, target, 0)
		return ""
	}
	host, p, err := net.SplitHostPort(target)
	n, perr := strconv.ParseUint(p, 10, 16)
	addr, aerr := netip.ParseAddr(host)
	if err != nil || perr != nil || n == 0 || aerr != nil {
		return "defaultEndpoint " + strconv.Quote(target) + " of the ingress listener on port " + strconv.Itoa(int(port)) + " is neither IP:PORT nor a unix domain socket"
	}
	switch {
	case addr.IsLoopback():
		staticEndpoint(c, host, uint32(n))
	case addr.IsUnspecified():
		instanceEndpoint(in, c, port, uint32(n))
	default:
		return "defaultEndpoint " + strconv.Quote(target) + " leads away from the workload; only its own addresses are allowed"
	}
	return ""
}

// instanceEndpoint reaches a port on the workload's own address. Where several instances share the configuration the
// original destination is that address, and only the port is replaced.
func instanceEndpoint(in *mesh.Inbound, c *clusterv3.Cluster, port, target uint32) {
	if in.Address != "" {
		staticEndpoint(c, in.Address, target)
		return
	}
	if port != target {
		c.LbConfig = &clusterv3.Cluster_OriginalDstLbConfig_{OriginalDstLbConfig: &clusterv3.Cluster_OriginalDstLbConfig{UpstreamPortOverride: xds.UInt32(target)}}
	}
}

func staticEndpoint(c *clusterv3.Cluster, address string, port uint32) {
	c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
	c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
	if a, err := netip.ParseAddr(address); err != nil || a.IsLoopback() {
		c.UpstreamBindConfig = nil // nothing intercepts connections to loopback addresses and sockets
	}
	c.LoadAssignment = &endpointv3.ClusterLoadAssignment{ClusterName: c.Name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: endpoint.Address(address, port)}}}},
	}}}
}

// families tells which IP families the proxies have; IPv4 where that is not known.
func families(in *mesh.Inbound) (v4, v6 bool) { return in.IPv4 || !in.IPv6, in.IPv6 }

func loopback(in *mesh.Inbound) string {
	if v4, _ := families(in); v4 {
		return "127.0.0.1"
	}
	return "::1"
}

func inboundBind(in *mesh.Inbound) *corev3.BindConfig {
	v4, v6 := families(in)
	source := func(a string) *corev3.SocketAddress {
		return &corev3.SocketAddress{Address: a, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 0}}
	}
	if !v4 {
		return &corev3.BindConfig{SourceAddress: source(inboundBindIPv6)}
	}
	out := &corev3.BindConfig{SourceAddress: source(inboundBindIPv4)}
	if v6 {
		out.ExtraSourceAddresses = []*corev3.ExtraSourceAddress{{Address: source(inboundBindIPv6)}}
	}
	return out
}
