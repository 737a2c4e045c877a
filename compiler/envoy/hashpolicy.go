package envoy

import (
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
)

// hashSettings is loadBalancer.consistentHash of a DestinationRule.
type hashSettings = networking.LoadBalancerSettings_ConsistentHashLB

// hashOf returns the consistent hash in effect for a destination, nil where requests are balanced otherwise.
func hashOf(s *mesh.Scope, svc *mesh.Service, port *mesh.Port, subset string) *hashSettings {
	if svc == nil {
		return nil
	}
	h := s.Policy(svc, port, subset).GetLoadBalancer().GetConsistentHash()
	if hashPolicy(h) == nil {
		return nil
	}
	return h
}

// hash returns the consistent hash for a destination of the block.
func (rs *routeScope) hash(d *networking.Destination) *hashSettings {
	svc, port := rs.scope.ServiceForDestination(d, rs.port)
	return hashOf(rs.scope, svc, port, d.GetSubset())
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

// hashDigest writes a consistent hash as text, so that equal policies give equal keys.
func hashDigest(b *strings.Builder, h *hashSettings) {
	q := func(s string) { b.WriteString(strconv.Quote(s)) }
	switch k := h.GetHashKey().(type) {
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpHeaderName:
		b.WriteByte('h')
		q(k.HttpHeaderName)
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpCookie:
		b.WriteByte('c')
		q(k.HttpCookie.GetName())
		q(k.HttpCookie.GetPath())
		if t := k.HttpCookie.GetTtl(); t != nil {
			b.WriteString(t.AsDuration().String())
		}
		for _, a := range k.HttpCookie.GetAttributes() {
			q(a.GetName())
			q(a.GetValue())
		}
	case *networking.LoadBalancerSettings_ConsistentHashLB_UseSourceIp:
		b.WriteByte('s')
	case *networking.LoadBalancerSettings_ConsistentHashLB_HttpQueryParameterName:
		b.WriteByte('q')
		q(k.HttpQueryParameterName)
	}
}
