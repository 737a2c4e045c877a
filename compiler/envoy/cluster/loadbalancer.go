package cluster

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	utilizationv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/client_side_weighted_round_robin/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/envoy/xds"
)

func (b *clusterBuild) simpleLB() networking.LoadBalancerSettings_SimpleLB {
	return b.policy.GetLoadBalancer().GetSimple()
}

// loadBalancer lowers TrafficPolicy.loadBalancer: the algorithm, slow start, and how localities take part. Unready
// endpoints are never a reason to spread traffic over them, so panic routing is off unless outlierDetection sets it.
func (b *clusterBuild) loadBalancer() {
	lb := b.policy.GetLoadBalancer()
	b.c.CommonLbConfig.HealthyPanicThreshold = &typev3.Percent{Value: 0}
	b.localityConfig()
	if b.c.GetType() == clusterv3.Cluster_ORIGINAL_DST && b.c.GetClusterType() == nil {
		b.c.LbPolicy = clusterv3.Cluster_CLUSTER_PROVIDED
		b.c.CommonLbConfig.LocalityConfigSpecifier = nil
		return
	}
	if b.c.GetClusterType() != nil {
		return // the dynamic forward proxy balances by itself
	}
	if hash := lb.GetConsistentHash(); hash != nil {
		consistentHash(b.c, hash)
		return
	}
	if u := lb.GetBackendUtilization(); u != nil {
		backendUtilization(b.c, u)
		return
	}
	switch lb.GetSimple() {
	case networking.LoadBalancerSettings_RANDOM:
		b.c.LbPolicy = clusterv3.Cluster_RANDOM
	case networking.LoadBalancerSettings_ROUND_ROBIN:
		b.c.LbPolicy = clusterv3.Cluster_ROUND_ROBIN
		if s := slowStart(lb); s != nil {
			b.c.LbConfig = &clusterv3.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &clusterv3.Cluster_RoundRobinLbConfig{SlowStartConfig: s}}
		}
	default: // UNSPECIFIED, LEAST_CONN and LEAST_REQUEST
		b.c.LbPolicy = clusterv3.Cluster_LEAST_REQUEST
		if s := slowStart(lb); s != nil {
			b.c.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{SlowStartConfig: s}}
		}
	}
}

// defaultRingSize is the minimum ring size of a consistentHash that says nothing about its algorithm.
const defaultRingSize = 1024

// consistentHash chooses the ring; what is hashed is a matter of the routes.
func consistentHash(c *clusterv3.Cluster, hash *networking.LoadBalancerSettings_ConsistentHashLB) {
	if m := hash.GetMaglev(); m != nil {
		c.LbPolicy = clusterv3.Cluster_MAGLEV
		if m.TableSize > 0 {
			c.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(m.TableSize)}}
		}
		return
	}
	size := uint64(defaultRingSize)
	if n := hash.GetMinimumRingSize(); n > 0 {
		size = n
	}
	if r := hash.GetRingHash(); r != nil {
		if size = r.MinimumRingSize; size == 0 {
			size = defaultRingSize
		}
	}
	c.LbPolicy = clusterv3.Cluster_RING_HASH
	c.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(size)}}
}

// backendUtilization weighs endpoints by the load that they report with their answers. Envoy takes this policy only without
// weights of localities and zones; and where Istio leaves errors out, Envoy would count them.
func backendUtilization(c *clusterv3.Cluster, in *networking.LoadBalancerSettings_BackendUtilizationLB) {
	c.CommonLbConfig.LocalityConfigSpecifier = nil
	c.LbPolicy = clusterv3.Cluster_LOAD_BALANCING_POLICY_CONFIG
	c.LoadBalancingPolicy = &clusterv3.LoadBalancingPolicy{Policies: []*clusterv3.LoadBalancingPolicy_Policy{{
		TypedExtensionConfig: &corev3.TypedExtensionConfig{
			Name: "envoy.load_balancing_policies.client_side_weighted_round_robin",
			TypedConfig: xds.Any(&utilizationv3.ClientSideWeightedRoundRobin{
				BlackoutPeriod:                     in.GetWeightStabilizationPeriod(),
				WeightExpirationPeriod:             in.GetWeightExpirationPeriod(),
				WeightUpdatePeriod:                 in.GetWeightUpdatePeriod(),
				ErrorUtilizationPenalty:            wrapperspb.Float(float32(in.GetErrorUtilizationPenaltyPercent()) / 100),
				MetricNamesForComputingUtilization: in.GetMetricNamesForComputingUtilization(),
			}),
		},
	}}}
}

// slowStart lowers warmup, or the older warmupDurationSecs where warmup is not set.
func slowStart(lb *networking.LoadBalancerSettings) *clusterv3.Cluster_SlowStartConfig {
	w := lb.GetWarmup()
	if w == nil {
		if d := lb.GetWarmupDurationSecs(); d != nil {
			return &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: d}
		}
		return nil
	}
	out := &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: w.Duration}
	if a := w.Aggression; a != nil {
		out.Aggression = &corev3.RuntimeDouble{DefaultValue: a.Value, RuntimeKey: "meshc.slow_start_aggression"}
	}
	if p := w.MinimumPercent; p != nil {
		out.MinWeightPercent = &typev3.Percent{Value: p.Value}
	}
	return out
}
