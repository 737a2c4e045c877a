package mesh

import (
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/endpoint"
)

// FailoverLabels are the labels by which clients of the service prefer endpoints that are like them (trafficDistribution).
func (s *Service) FailoverLabels() []string {
	switch s.TrafficDistribution {
	case "PreferClose", "PreferSameZone":
		return []string{endpoint.LabelNetwork, endpoint.LabelRegion, endpoint.LabelZone}
	case "PreferSameNode":
		return []string{endpoint.LabelNetwork, endpoint.LabelRegion, endpoint.LabelZone, endpoint.LabelSubzone, endpoint.LabelHostname}
	}
	return nil
}

// localityPolicies visits each setting of locality load balancing: those of DestinationRules and the mesh's.
func (m *Mesh) localityPolicies(visit func(*networking.LocalityLoadBalancerSetting, *networking.ZoneAwareLoadBalancerSetting)) {
	visit(m.Config.GetLocalityLbSetting(), m.Config.GetZoneAwareLbSetting())
	policy := func(p *networking.TrafficPolicy) {
		visit(p.GetLoadBalancer().GetLocalityLbSetting(), p.GetLoadBalancer().GetZoneAwareLbSetting())
		for _, x := range p.GetPortLevelSettings() {
			visit(x.GetLoadBalancer().GetLocalityLbSetting(), x.GetLoadBalancer().GetZoneAwareLbSetting())
		}
	}
	for _, r := range m.DestinationRules {
		policy(r.Spec.GetTrafficPolicy())
		for _, s := range r.Spec.GetSubsets() {
			policy(s.GetTrafficPolicy())
		}
	}
}

// failoverLabels are all labels of clients by which endpoints fail over, and if there are any, one that every injected
// proxy has.
func (m *Mesh) failoverLabels() []string {
	set, looks := map[string]bool{}, false
	m.localityPolicies(func(l *networking.LocalityLoadBalancerSetting, z *networking.ZoneAwareLoadBalancerSetting) {
		for _, list := range [][]string{l.GetFailoverPriority(), z.GetFailoverPriority()} {
			for _, p := range list {
				looks = true
				if !strings.Contains(p, "=") { // else it is compared with a fixed value
					set[p] = true
				}
			}
		}
	})
	for _, s := range m.Services {
		for _, k := range s.FailoverLabels() {
			looks, set[k] = true, true
		}
	}
	if looks {
		set[LabelTLSMode] = true
	}
	return sortedKeys(set)
}

// localitySensitive tells whether clients in different places differ: endpoints lie in more than one locality, or clients do
// and a policy distributes their requests by where they are. If not, common is the one place there is.
func (m *Mesh) localitySensitive() (sensitive bool, common string) {
	known := map[string]bool{}
	seen := false
	for _, s := range m.Services {
		for _, p := range s.Ports {
			for _, e := range p.Endpoints {
				if seen && e.Locality != common {
					return true, ""
				}
				common, seen = e.Locality, true
				known[e.Locality] = true
			}
		}
	}
	distributes := false
	m.localityPolicies(func(l *networking.LocalityLoadBalancerSetting, _ *networking.ZoneAwareLoadBalancerSetting) {
		distributes = distributes || len(l.GetDistribute()) > 0
	})
	for _, w := range m.Workloads {
		known[w.Locality] = true
	}
	delete(known, "")
	if !seen && len(known) == 1 {
		common = sortedKeys(known)[0]
	}
	return distributes && len(known) > 1, common
}
