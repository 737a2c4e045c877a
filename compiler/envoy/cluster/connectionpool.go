package cluster

import (
	"math"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/mesh"
)

// unlimited turns off a circuit breaker whose default in Envoy is 1024 (3 for retries).
const unlimited = math.MaxUint32

// connectionPool lowers TrafficPolicy.connectionPool and retryBudget, with MeshConfig underneath.
func (b *clusterBuild) connectionPool() {
	pool := b.policy.GetConnectionPool()
	applyPool(b.c, &b.http, pool, b.in.Env.Mesh)
	b.c.CircuitBreakers.Thresholds[0].RetryBudget = retryBudget(b.policy.GetRetryBudget())
	applyHTTP2(&b.http, pool.GetHttp())
}

// applyPool sets what inbound and outbound clusters have in common: connect timeout, circuit breakers (unlimited unless
// set; 0 in the API means unset), keepalive and the limits of one connection.
func applyPool(c *clusterv3.Cluster, h *upstreamHTTP, pool *networking.ConnectionPoolSettings, m *mesh.Mesh) {
	tcp, http := pool.GetTcp(), pool.GetHttp()
	if t := tcp.GetConnectTimeout(); t != nil {
		c.ConnectTimeout = t
	}
	c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     xds.UInt32(limitOr(tcp.GetMaxConnections())),
		MaxPendingRequests: xds.UInt32(limitOr(http.GetHttp1MaxPendingRequests())),
		MaxRequests:        xds.UInt32(limitOr(http.GetHttp2MaxRequests())),
		MaxRetries:         xds.UInt32(limitOr(http.GetMaxRetries())),
	}}}
	idle := http.GetIdleTimeout()
	if idle == nil {
		idle = tcp.GetIdleTimeout()
	}
	if idle != nil {
		h.common().IdleTimeout = idle
	}
	if d := tcp.GetMaxConnectionDuration(); d != nil {
		h.common().MaxConnectionDuration = d
	}
	if n := http.GetMaxRequestsPerConnection(); n > 0 {
		h.common().MaxRequestsPerConnection = xds.UInt32(uint32(n))
	}
	if k := keepalive(m.Config.GetTcpKeepalive(), tcp.GetTcpKeepalive()); k != nil {
		c.UpstreamConnectionOptions = &clusterv3.UpstreamConnectionOptions{TcpKeepalive: k}
	}
}

func limitOr(n int32) uint32 {
	if n > 0 {
		return uint32(n)
	}
	return unlimited
}

// keepalive lays the policy's tcpKeepalive over the mesh's, field by field. Envoy counts in whole seconds.
func keepalive(base, over *networking.ConnectionPoolSettings_TCPSettings_TcpKeepalive) *corev3.TcpKeepalive {
	if base == nil && over == nil {
		return nil
	}
	out := &corev3.TcpKeepalive{}
	for _, k := range []*networking.ConnectionPoolSettings_TCPSettings_TcpKeepalive{base, over} {
		if k.GetProbes() > 0 {
			out.KeepaliveProbes = xds.UInt32(k.Probes)
		}
		if k.GetTime() != nil {
			out.KeepaliveTime = xds.UInt32(wholeSeconds(k.Time))
		}
		if k.GetInterval() != nil {
			out.KeepaliveInterval = xds.UInt32(wholeSeconds(k.Interval))
		}
	}
	return out
}

func wholeSeconds(d *durationpb.Duration) uint32 {
	return uint32(max(0, min(d.GetSeconds(), math.MaxUint32)))
}

// applyHTTP2 sets the knobs that only an upstream that is HTTP/2 by declaration has.
func applyHTTP2(h *upstreamHTTP, http *networking.ConnectionPoolSettings_HTTPSettings) {
	if h.kind != upstreamHTTP2 {
		return
	}
	if n := http.GetMaxConcurrentStreams(); n > 0 {
		h.streams = uint32(n)
	}
	if k := http.GetHttp2KeepAlive(); k.GetInterval() != nil && k.GetTimeout() != nil { // Envoy wants both
		h.keepalive = &corev3.KeepaliveSettings{Interval: k.Interval, Timeout: k.Timeout}
	}
}

// retryBudget is 20 % of the active requests and at least 3 where the message leaves them out.
func retryBudget(r *networking.TrafficPolicy_RetryBudget) *clusterv3.CircuitBreakers_Thresholds_RetryBudget {
	if r == nil {
		return nil
	}
	out := &clusterv3.CircuitBreakers_Thresholds_RetryBudget{
		BudgetPercent: &typev3.Percent{Value: 20}, MinRetryConcurrency: xds.UInt32(3),
	}
	if r.Percent != nil {
		out.BudgetPercent.Value = r.Percent.Value
	}
	out.BudgetInterval = r.BudgetInterval
	if r.MinRetryConcurrency > 0 {
		out.MinRetryConcurrency = xds.UInt32(r.MinRetryConcurrency)
	}
	return out
}
