package envoy

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
)

// Labels by which topology takes part in failoverPriority and trafficDistribution.
const (
	labelRegion   = "topology.kubernetes.io/region"
	labelZone     = "topology.kubernetes.io/zone"
	labelSubzone  = "topology.istio.io/subzone"
	labelNetwork  = "topology.istio.io/network"
	labelCluster  = "topology.istio.io/cluster"
	labelHostname = "kubernetes.io/hostname"
)

// localityPolicy is the one locality setting in effect for a cluster.
type localityPolicy struct {
	distribute []*networking.LocalityLoadBalancerSetting_Distribute
	failover   []*networking.LocalityLoadBalancerSetting_Failover
	priority   []string // failoverPriority
	force      bool     // fail over also without outlierDetection
	zoneAware  *networking.ZoneAwareLoadBalancerSetting
}

// localityPolicyOf settles who decides: the rule's zoneAwareLbSetting, its localityLbSetting (enabled: false switches
// all off), the service's trafficDistribution, the mesh. nil: localities take no part.
func localityPolicyOf(m *mesh.Mesh, svc *mesh.Service, lb *networking.LoadBalancerSettings) *localityPolicy {
	if z := lb.GetZoneAwareLbSetting(); z != nil {
		return zoneAwarePolicy(z)
	}
	if l := lb.GetLocalityLbSetting(); l != nil {
		return regionalPolicy(l)
	}
	switch svc.TrafficDistribution {
	case "PreferClose", "PreferSameZone":
		return &localityPolicy{priority: []string{labelNetwork, labelRegion, labelZone}, force: true}
	case "PreferSameNode":
		return &localityPolicy{priority: []string{labelNetwork, labelRegion, labelZone, labelSubzone, labelHostname}, force: true}
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

// locality returns the policy of this cluster and whether endpoints are split into priorities: only where something
// takes failed endpoints out, or the policy forces it. Endpoints by EDS do not look at the mesh's default
// outlierDetection, as in Istio.
func (b *clusterBuild) locality() (p *localityPolicy, failover bool) {
	p = localityPolicyOf(b.in.Env.Mesh, b.in.Service, b.policy.GetLoadBalancer())
	if p == nil {
		return nil, false
	}
	o := b.policy.GetOutlierDetection()
	if b.c.GetType() == clusterv3.Cluster_EDS && o != nil && o == b.in.Env.Mesh.Config.GetDefaultTrafficPolicy().GetOutlierDetection() {
		o = nil
	}
	return p, o != nil || p.force
}

// localityConfig makes Envoy look at locality weights where a policy gives them, and at zones where it is zone aware.
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
	case len(p.distribute) > 0 || len(p.failover) > 0 || len(p.priority) > 0:
		b.c.CommonLbConfig.LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{}}
	}
}

// localityGroup is the endpoints of one locality and priority.
type localityGroup struct {
	locality *corev3.Locality
	weight   uint32
	priority int
	members  []member
}

// applyLocality weighs or orders the groups for a client.
func (b *clusterBuild) applyLocality(groups []*localityGroup) []*localityGroup {
	p, failover := b.locality()
	if p == nil {
		return groups
	}
	if p.zoneAware == nil && len(p.distribute) > 0 {
		return distribute(groups, splitLocality(b.in.Locality), p.distribute)
	}
	if !failover {
		return groups
	}
	if len(p.priority) > 0 {
		groups = byFailoverPriority(groups, unpackLabels(b.in.Labels), p.priority)
		if len(p.failover) == 0 {
			return groups
		}
	}
	if p.zoneAware == nil || len(p.failover) > 0 {
		regionFailover(groups, splitLocality(b.in.Locality), p)
	}
	return groups
}

// regionFailover prefers the client's subzone, then zone, then region. Where failover names a region for the client's,
// the others come last. Priorities refine those already given, and are then numbered without gaps, as Envoy wants.
func regionFailover(groups []*localityGroup, client *corev3.Locality, p *localityPolicy) {
	for _, g := range groups {
		n := nearness(client, g.locality)
		if p.zoneAware != nil { // zones are balanced by Envoy itself; only regions are ordered
			n = max(0, n-2)
		}
		if n == nearnessOther || (p.zoneAware != nil && n > 0) {
			for _, f := range p.failover {
				if f.From == client.GetRegion() {
					if g.locality.GetRegion() != f.To {
						n++
					}
					break
				}
			}
		}
		g.priority = g.priority*5 + n
	}
	compactPriorities(groups)
}

const nearnessOther = 3

// nearness is 0 in the same subzone, 1 in the same zone, 2 in the same region, else 3.
func nearness(a, b *corev3.Locality) int {
	switch {
	case a.GetRegion() != b.GetRegion():
		return nearnessOther
	case a.GetZone() != b.GetZone():
		return 2
	case a.GetSubZone() != b.GetSubZone():
		return 1
	}
	return 0
}

func compactPriorities(groups []*localityGroup) {
	used := map[int]bool{}
	for _, g := range groups {
		used[g.priority] = true
	}
	rank := map[int]int{}
	for i, p := range slices.Sorted(maps.Keys(used)) {
		rank[p] = i
	}
	for _, g := range groups {
		g.priority = rank[g.priority]
	}
}

// byFailoverPriority orders endpoints by how many leading labels of the list they share with the client; an entry
// "label=value" stands for a client that has that value.
func byFailoverPriority(groups []*localityGroup, client map[string]string, labels []string) []*localityGroup {
	if len(client) == 0 {
		return groups
	}
	var out []*localityGroup
	for _, g := range groups {
		split := map[int]*localityGroup{}
		for _, m := range g.members {
			n := 0
			for i, l := range labels {
				key, want, fixed := strings.Cut(l, "=")
				if !fixed {
					want = client[key]
				}
				if want != m.labels[key] {
					n = len(labels) - i
					break
				}
			}
			if split[n] == nil {
				split[n] = &localityGroup{locality: g.locality, priority: n}
			}
			split[n].members = append(split[n].members, m)
			split[n].weight += m.weight
		}
		for _, n := range slices.Sorted(maps.Keys(split)) {
			out = append(out, split[n])
		}
	}
	compactPriorities(out)
	return out
}

// distribute gives each locality the share that the first entry matching the client's locality says. Localities it does
// not name get nothing. A pattern that covers several localities divides its share by their weights.
func distribute(groups []*localityGroup, client *corev3.Locality, rules []*networking.LocalityLoadBalancerSetting_Distribute) []*localityGroup {
	i := slices.IndexFunc(rules, func(d *networking.LocalityLoadBalancerSetting_Distribute) bool {
		return localityMatches(client, d.From)
	})
	if i < 0 {
		return groups
	}
	patterns := slices.SortedFunc(maps.Keys(rules[i].To), func(a, b string) int {
		return cmp.Or(strings.Count(a, "*")-strings.Count(b, "*"), strings.Count(b, "/")-strings.Count(a, "/"), cmp.Compare(a, b))
	})
	taken := map[*localityGroup]bool{}
	for _, pattern := range patterns {
		var hit []*localityGroup
		var total uint64
		for _, g := range groups {
			if !taken[g] && localityMatches(g.locality, pattern) {
				taken[g] = true
				hit = append(hit, g)
				total += uint64(g.weight)
			}
		}
		for _, g := range hit {
			share := float64(g.weight) * float64(rules[i].To[pattern]) / float64(max(1, total))
			if share == 0 {
				taken[g] = false
				continue
			}
			g.weight = uint32(math.Ceil(share))
		}
	}
	return slices.DeleteFunc(groups, func(g *localityGroup) bool { return !taken[g] })
}

// localityMatches compares a locality with a pattern region/zone/subzone whose parts may be "*" or left out at the end.
func localityMatches(l *corev3.Locality, pattern string) bool {
	p := splitLocality(pattern)
	return p != nil && (p.Region == "*" || p.Region == l.GetRegion()) &&
		(p.Zone == "*" || p.Zone == "" || p.Zone == l.GetZone()) &&
		(p.SubZone == "*" || p.SubZone == "" || p.SubZone == l.GetSubZone())
}

// topologyLabels are labels with where their owner is.
func topologyLabels(labels map[string]string, locality, network, cluster, node string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	l := splitLocality(locality)
	for k, v := range map[string]string{
		labelRegion: l.GetRegion(), labelZone: l.GetZone(), labelSubzone: l.GetSubZone(),
		labelNetwork: network, labelCluster: cluster, labelHostname: node,
	} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}
