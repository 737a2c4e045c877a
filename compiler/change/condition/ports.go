package condition

import (
	"slices"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	httprbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	networkrbacv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/rbac/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// PredicatePorts lists the borders of the port ranges in which a listener filter is off.
func PredicatePorts(p *listenerv3.ListenerFilterChainMatchPredicate) []uint16 {
	var out []uint16
	if r := p.GetDestinationPortRange(); r != nil {
		out = append(out, uint16(r.GetStart()), uint16(r.GetEnd()))
	}
	for _, x := range slices.Concat(p.GetOrMatch().GetRules(), p.GetAndMatch().GetRules()) {
		out = append(out, PredicatePorts(x)...)
	}
	if p.GetNotMatch() != nil {
		out = append(out, PredicatePorts(p.GetNotMatch())...)
	}
	return out
}

// RulePorts lists the ports that access rules of a chain name, of ranges the borders. Those of rules in shadow are among them: they say when an external authorizer is
// asked, and people who try a policy out ask what becomes of its ports.
func RulePorts(c *listenerv3.FilterChain) (out []uint16) {
	var visit func(p *rbacv3.Permission)
	visit = func(p *rbacv3.Permission) {
		out = append(out, uint16(p.GetDestinationPort()))
		if r := p.GetDestinationPortRange(); r != nil {
			out = append(out, uint16(r.GetStart()), uint16(r.GetEnd()))
		}
		for _, x := range slices.Concat(p.GetAndRules().GetRules(), p.GetOrRules().GetRules()) {
			visit(x)
		}
		if n := p.GetNotRule(); n != nil {
			visit(n)
		}
	}
	for _, r := range rulesOf(c) {
		for _, p := range r.GetPolicies() {
			for _, x := range p.GetPermissions() {
				visit(x)
			}
		}
	}
	return out
}

// rulesOf lists the access rules of a chain, those in shadow with them.
func rulesOf(c *listenerv3.FilterChain) (out []*rbacv3.RBAC) {
	for _, f := range c.GetFilters() {
		if m, ok := unpack(f.GetTypedConfig(), &networkrbacv3.RBAC{}); ok {
			out = append(out, m.GetRules(), m.GetShadowRules())
		}
		m, ok := unpack(f.GetTypedConfig(), &hcmv3.HttpConnectionManager{})
		if !ok {
			continue
		}
		for _, x := range m.GetHttpFilters() {
			if r, ok := unpack(x.GetTypedConfig(), &httprbacv3.RBAC{}); ok {
				out = append(out, r.GetRules(), r.GetShadowRules())
			}
		}
	}
	return out
}

func unpack[M proto.Message](a *anypb.Any, m M) (M, bool) {
	if a == nil || !a.MessageIs(m) {
		return m, false
	}
	return m, a.UnmarshalTo(m) == nil
}
