package cluster

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
	"github.com/meshc/meshc/compiler/mesh"
)

// localityPolicy is the one locality setting in effect for a cluster.
type localityPolicy struct {
	distribute []*networking.LocalityLoadBalancerSetting_Distribute
	failover   []*networking.LocalityLoadBalancerSetting_Failover
	priority   []string // failoverPriority
	force      bool     // fail over also without outlierDetection
	zoneAware  *networking.ZoneAwareLoadBalancerSetting
}

// localityPolicyOf resolves who decides: the rule's zoneAwareLbSetting, its localityLbSetting (enabled: false switches
// all off), the service's trafficDistribution, the mesh. nil: localities take no part.
func localityPolicyOf(m *mesh.Mesh, svc *mesh.Service, lb *networking.LoadBalancerSettings) *localityPolicy {
	if z := lb.GetZoneAwareLbSetting(); z != nil {
		return zoneAwarePolicy(z)
	}
	if l := lb.GetLocalityLbSetting(); l != nil {
		return regionalPolicy(l)
	}
	if labels := svc.FailoverLabels(); len(labels) > 0 {
		return &localityPolicy{priority: labels, force: true}
	}
	if z := m.Config.GetZoneAwareLbSetting(); z != nil {
		return zoneAwarePolicy(z)
	}
	if l := m.Config.GetLocalityLbSetting(); l != nil {
		return regionalPolicy(l)
	}
	return &localityPolicy{} // on by default
}

func regionalPolicy(l *networking.LocalityLoadBalancerSetting) *localityPolicy {
	if l.Enabled != nil && !l.Enabled.Value {
		return nil
	}
	return &localityPolicy{distribute: l.Distribute, failover: l.Failover, priority: l.FailoverPriority}
}

func zoneAwarePolicy(z *networking.ZoneAwareLoadBalancerSetting) *localityPolicy {
	p := &localityPolicy{zoneAware: z, priority: z.FailoverPriority}
	for _, f := range z.Failover {
		p.failover = append(p.failover, &networking.LocalityLoadBalancerSetting_Failover{From: f.From, To: f.To})
	}
	return p
}

// localitySensitive tells whether where the client is, or its labels, change the clusters of a service.
func localitySensitive(m *mesh.Mesh, rule *mesh.DestinationRule, svc *mesh.Service) (byLocality, byLabels bool) {
	look := func(port *mesh.Port, subset string) {
		p := m.PolicyOf(rule, port, subset)
		l := localityPolicyOf(m, svc, p.GetLoadBalancer())
		if l == nil || (!l.force && p.GetOutlierDetection() == nil && len(l.distribute) == 0) {
			return
		}
		byLocality = true
		byLabels = byLabels || len(l.priority) > 0
	}
	if rule == nil {
		look(nil, "")
		return byLocality, byLabels
	}
	for _, port := range svc.Ports {
		look(port, "")
		for _, ss := range rule.Spec.GetSubsets() {
			look(port, ss.Name)
		}
	}
	return byLocality, byLabels
}

// locality returns what the policy does with the endpoints of this cluster. They are split into priorities only where
// something takes failed endpoints out, or the policy forces it. Endpoints by EDS do not look at the mesh's default
// outlierDetection, as in Istio.
func (b *clusterBuild) locality() *endpoint.Policy {
	p := localityPolicyOf(b.in.Env.Mesh, b.in.Service, b.policy.GetLoadBalancer())
	if p == nil {
		return nil
	}
	o := b.policy.GetOutlierDetection()
	if b.c.GetType() == clusterv3.Cluster_EDS && o != nil && o == b.in.Env.Mesh.Config.GetDefaultTrafficPolicy().GetOutlierDetection() {
		o = nil
	}
	out := &endpoint.Policy{Prioritize: o != nil || p.force, Priority: p.priority, ZoneAware: p.zoneAware != nil}
	for _, d := range p.distribute {
		out.Distribute = append(out.Distribute, endpoint.Distribute{From: d.From, To: d.To})
	}
	for _, f := range p.failover {
		out.Failover = append(out.Failover, endpoint.Failover{From: f.From, To: f.To})
	}
	return out
}

// localityConfig makes Envoy look at locality weights where a policy gives them, and at zones where it is zone aware. An order
// of failover gives none as long as nothing takes failed endpoints out: then weights would only disturb the algorithm.
func (b *clusterBuild) localityConfig() {
	p := localityPolicyOf(b.in.Env.Mesh, b.in.Service, b.policy.GetLoadBalancer())
	switch {
	case p == nil:
	case p.zoneAware != nil:
		z := &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig{}
		if e := p.zoneAware.Enabled; e != nil && !e.Value {
			z.RoutingEnabled = &typev3.Percent{Value: 0}
		}
		if n := p.zoneAware.MinClusterSize; n != nil {
			z.MinClusterSize = wrapperspb.UInt64(uint64(n.Value))
		}
		b.c.CommonLbConfig.LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_ZoneAwareLbConfig_{ZoneAwareLbConfig: z}
	case len(p.distribute) > 0, (p.force || b.policy.GetOutlierDetection() != nil) && (len(p.failover) > 0 || len(p.priority) > 0):
		b.c.CommonLbConfig.LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{}}
	}
}
