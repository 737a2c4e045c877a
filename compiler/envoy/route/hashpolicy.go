package route

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
)

// hashSettings is loadBalancer.consistentHash of a DestinationRule.
type hashSettings = networking.LoadBalancerSettings_ConsistentHashLB

// serviceHash returns the consistent hash for requests to a service port that no VirtualService routes: that of the
// DestinationRule's entry for the port, else that of the rule, nil where requests are balanced otherwise. An entry
// without consistentHash leaves the rule's in effect here, though its cluster is balanced otherwise.
func serviceHash(v *mesh.View, svc *mesh.Service, port uint32) *hashSettings {
	policy := RuleOf(v, svc).GetTrafficPolicy()
	if h := portHash(policy, port); h != nil {
		return h
	}
	return policy.GetLoadBalancer().GetConsistentHash()
}

// hash returns the consistent hash for a destination of the block: of the subset's entry for the port that the
// destination writes, of the subset, of the rule's entry for that port, or of the rule, whichever is the first to have
// one. A layer with another load balancer does not end the search.
func (rs *routeScope) hash(d *networking.Destination) *hashSettings {
	rule := RuleOf(rs.view, rs.view.Service(d.GetHost()))
	layers := []*networking.TrafficPolicy{rule.GetTrafficPolicy()}
	for _, ss := range rule.GetSubsets() {
		if ss.GetName() == d.GetSubset() {
			layers = append([]*networking.TrafficPolicy{ss.GetTrafficPolicy()}, layers...)
			break
		}
	}
	for _, p := range layers {
		if h := portHash(p, d.GetPort().GetNumber()); h != nil {
			return h
		}
		if h := p.GetLoadBalancer().GetConsistentHash(); h != nil {
			return h
		}
	}
	return nil
}

func RuleOf(v *mesh.View, svc *mesh.Service) *networking.DestinationRule {
	if r := v.Rule(svc); r != nil {
		return r.Spec
	}
	return nil
}

// portHash is the consistent hash of the entry for a port.
func portHash(p *networking.TrafficPolicy, port uint32) *hashSettings {
	if port == 0 {
		return nil
	}
	for _, e := range p.GetPortLevelSettings() {
		if e.GetPort().GetNumber() == port {
			return e.GetLoadBalancer().GetConsistentHash()
		}
	}
	return nil
}

// hashPolicy lowers the key of consistentHash, nil when there is none.
func hashPolicy(h *hashSettings) *routev3.RouteAction_HashPolicy {
	switch k := h.GetHashKey().(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Header_{
			Header: &routev3.RouteAction_HashPolicy_Header{HeaderName: k.HttpHeaderName}}}
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		// Without ttl Envoy only reads the cookie; ttl 0s makes it set a session cookie.
		c := &routev3.RouteAction_HashPolicy_Cookie{Name: k.HttpCookie.GetName(), Path: k.HttpCookie.GetPath(), Ttl: k.HttpCookie.GetTtl()}
		for _, a := range k.HttpCookie.GetAttributes() {
			c.Attributes = append(c.Attributes, &routev3.RouteAction_HashPolicy_CookieAttribute{Name: a.GetName(), Value: a.GetValue()})
		}
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_Cookie_{Cookie: c}}
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		if k.UseSourceIp {
			return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
				ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true}}}
		}
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		return &routev3.RouteAction_HashPolicy{PolicySpecifier: &routev3.RouteAction_HashPolicy_QueryParameter_{
			QueryParameter: &routev3.RouteAction_HashPolicy_QueryParameter{Name: k.HttpQueryParameterName}}}
	}
	return nil
}
