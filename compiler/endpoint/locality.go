package endpoint

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Labels by which topology takes part in failoverPriority and trafficDistribution.
const (
	LabelRegion   = "topology.kubernetes.io/region"
	LabelZone     = "topology.kubernetes.io/zone"
	LabelSubzone  = "topology.istio.io/subzone"
	LabelNetwork  = "topology.istio.io/network"
	LabelCluster  = "topology.istio.io/cluster"
	LabelHostname = "kubernetes.io/hostname"
)

// Policy is what a locality setting does with the endpoints of a cluster.
type Policy struct {
	Distribute []Distribute `json:"distribute,omitempty"`
	Prioritize bool         `json:"spread,omitempty"` // endpoints are split into priorities
	Failover   []Failover   `json:"failover,omitempty"`
	Priority   []string     `json:"priority,omitempty"`  // failoverPriority
	ZoneAware  bool         `json:"zoneAware,omitempty"` // zones are balanced by Envoy itself; only regions are ordered
}

// Distribute is LocalityLoadBalancerSetting.Distribute: the shares of localities for clients of one.
type Distribute struct {
	From string            `json:"from"`
	To   map[string]uint32 `json:"to"`
}

// Failover is LocalityLoadBalancerSetting.Failover: the region that takes over from another.
type Failover struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Normal returns the policy without what has no effect, nil if nothing is left.
func (p *Policy) Normal() *Policy {
	switch {
	case p == nil:
		return nil
	case !p.ZoneAware && len(p.Distribute) > 0:
		return &Policy{Distribute: p.Distribute}
	case p.ByLabels() || p.ByLocality():
		return &Policy{Prioritize: true, Failover: p.Failover, Priority: p.Priority, ZoneAware: p.ZoneAware}
	}
	return nil
}

// ByLocality tells whether the outcome depends on where the client is.
func (p *Policy) ByLocality() bool {
	switch {
	case p == nil:
		return false
	case !p.ZoneAware && len(p.Distribute) > 0:
		return true
	}
	return p.Prioritize && (len(p.Failover) > 0 || !p.ZoneAware && len(p.Priority) == 0)
}

// ByLabels tells whether the outcome depends on the labels of the client.
func (p *Policy) ByLabels() bool {
	return p != nil && (p.ZoneAware || len(p.Distribute) == 0) && p.Prioritize && len(p.Priority) > 0
}

// Narrow returns those labels of a client that the policy looks at. A client that has labels, but none of them, keeps
// one: without any it would take part in nothing.
func (p *Policy) Narrow(labels map[string]string) map[string]string {
	out := map[string]string{}
	for _, l := range p.Priority {
		key, _, _ := strings.Cut(l, "=")
		if v, ok := labels[key]; ok {
			out[key] = v
		}
	}
	if len(out) == 0 && len(labels) > 0 {
		first := slices.Min(slices.Collect(maps.Keys(labels)))
		out[first] = labels[first]
	}
	return out
}

// group is the endpoints of one locality and priority.
type group struct {
	locality *corev3.Locality
	weight   uint32
	priority int
	members  []member
}

// apply weighs or orders the groups for the client.
func (c *Client) apply(groups []*group) []*group {
	p := c.Policy
	if p == nil {
		return groups
	}
	if !p.ZoneAware && len(p.Distribute) > 0 {
		return distribute(groups, SplitLocality(c.Locality), p.Distribute)
	}
	if p.ByLabels() {
		groups = byFailoverPriority(groups, c.Labels, p.Priority)
	}
	if p.ByLocality() {
		regionFailover(groups, SplitLocality(c.Locality), p)
	}
	return groups
}

// regionFailover prefers the client's subzone, then zone, then region. Where failover names a region for the client's,
// the others come last. Priorities refine those already given, and are then numbered without gaps, as Envoy wants.
func regionFailover(groups []*group, client *corev3.Locality, p *Policy) {
	for _, g := range groups {
		n := nearness(client, g.locality)
		if p.ZoneAware {
			n = max(0, n-2)
		}
		if n == nearnessOther || (p.ZoneAware && n > 0) {
			for _, f := range p.Failover {
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

func compactPriorities(groups []*group) {
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
func byFailoverPriority(groups []*group, client map[string]string, labels []string) []*group {
	if len(client) == 0 {
		return groups
	}
	var out []*group
	for _, g := range groups {
		split := map[int]*group{}
		for _, m := range g.members {
			topology := m.topology()
			n := 0
			for i, l := range labels {
				key, want, fixed := strings.Cut(l, "=")
				if !fixed {
					want = client[key]
				}
				if want != topology[key] {
					n = len(labels) - i
					break
				}
			}
			if split[n] == nil {
				split[n] = &group{locality: g.locality, priority: n}
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
func distribute(groups []*group, client *corev3.Locality, rules []Distribute) []*group {
	i := slices.IndexFunc(rules, func(d Distribute) bool { return localityMatches(client, d.From) })
	if i < 0 {
		return groups
	}
	patterns := slices.SortedFunc(maps.Keys(rules[i].To), func(a, b string) int {
		return cmp.Or(strings.Count(a, "*")-strings.Count(b, "*"), strings.Count(b, "/")-strings.Count(a, "/"), cmp.Compare(a, b))
	})
	taken := map[*group]bool{}
	for _, pattern := range patterns {
		var hit []*group
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
	return slices.DeleteFunc(groups, func(g *group) bool { return !taken[g] })
}

// localityMatches compares a locality with a pattern region/zone/subzone whose parts may be "*" or left out at the end.
func localityMatches(l *corev3.Locality, pattern string) bool {
	p := SplitLocality(pattern)
	return p != nil && (p.Region == "*" || p.Region == l.GetRegion()) &&
		(p.Zone == "*" || p.Zone == "" || p.Zone == l.GetZone()) &&
		(p.SubZone == "*" || p.SubZone == "" || p.SubZone == l.GetSubZone())
}

func compareLocality(a, b *corev3.Locality) int {
	return cmp.Or(cmp.Compare(a.GetRegion(), b.GetRegion()), cmp.Compare(a.GetZone(), b.GetZone()), cmp.Compare(a.GetSubZone(), b.GetSubZone()))
}

// SplitLocality reads region/zone/subzone; nil for "".
func SplitLocality(s string) *corev3.Locality {
	if s == "" {
		return nil
	}
	region, rest, _ := strings.Cut(s, "/")
	zone, sub, _ := strings.Cut(rest, "/")
	return &corev3.Locality{Region: region, Zone: zone, SubZone: sub}
}

// topology returns the labels of a member with where it is. Gateways have none.
func (m member) topology() map[string]string {
	if m.of == nil {
		return nil
	}
	return Topology(m.of.Labels, m.of.Locality, m.network, m.of.Cluster, m.of.NodeName)
}

// Topology returns labels with where their owner is.
func Topology(labels map[string]string, locality, network, cluster, node string) map[string]string {
	out := maps.Clone(labels)
	if out == nil {
		out = map[string]string{}
	}
	l := SplitLocality(locality)
	for k, v := range map[string]string{
		LabelRegion: l.GetRegion(), LabelZone: l.GetZone(), LabelSubzone: l.GetSubZone(),
		LabelNetwork: network, LabelCluster: cluster, LabelHostname: node,
	} {
		if v != "" {
			out[k] = v
		}
	}
	return out
}
