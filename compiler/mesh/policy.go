package mesh

import (
	meshconfig "istio.io/api/mesh/v1alpha1"
	networking "istio.io/api/networking/v1alpha3"
)

// PolicyOf returns the traffic policy in effect for calls to a service port under a rule, nil: none; subset "" is the
// whole service. The layers are those of a DestinationRule: rule, its port, subset, the subset's port. connectionPool,
// loadBalancer, outlierDetection and tls are taken whole from the innermost layer that has them, never field by field; a
// port entry replaces all four, also where it leaves them out. tunnel, proxyProtocol and retryBudget outlive a port entry.
// MeshConfig.defaultTrafficPolicy fills connectionPool and outlierDetection where no layer has them. The result is never
// nil and must not be changed.
func (m *Mesh) PolicyOf(r *DestinationRule, port *Port, subset string) *networking.TrafficPolicy {
	var out *networking.TrafficPolicy
	if r != nil {
		out = applyPort(r.Spec.GetTrafficPolicy(), port)
		for _, ss := range r.Spec.GetSubsets() {
			if subset != "" && ss.Name == subset {
				out = overlay(out, applyPort(ss.TrafficPolicy, port), ss.GetTrafficPolicy(), port)
				break
			}
		}
	}
	return withDefaults(out, m.Config.GetDefaultTrafficPolicy())
}

func portPolicy(p *networking.TrafficPolicy, port *Port) *networking.TrafficPolicy_PortTrafficPolicy {
	if port == nil {
		return nil
	}
	for _, pp := range p.GetPortLevelSettings() {
		if pp.GetPort().GetNumber() == port.Number {
			return pp
		}
	}
	return nil
}

// applyPort folds the port entry of one layer into it.
func applyPort(p *networking.TrafficPolicy, port *Port) *networking.TrafficPolicy {
	if p == nil {
		return nil
	}
	out := &networking.TrafficPolicy{
		ConnectionPool: p.ConnectionPool, LoadBalancer: p.LoadBalancer, OutlierDetection: p.OutlierDetection, Tls: p.Tls,
		Tunnel: p.Tunnel, ProxyProtocol: p.ProxyProtocol, RetryBudget: p.RetryBudget,
	}
	if pp := portPolicy(p, port); pp != nil {
		out.ConnectionPool, out.LoadBalancer, out.OutlierDetection, out.Tls = pp.ConnectionPool, pp.LoadBalancer, pp.OutlierDetection, pp.Tls
	}
	return out
}

// overlay lays a subset's policy over the rule's. A port entry of the subset wipes what it leaves out.
func overlay(base, sub, raw *networking.TrafficPolicy, port *Port) *networking.TrafficPolicy {
	if sub == nil {
		return base
	}
	if base == nil {
		return sub
	}
	out := &networking.TrafficPolicy{
		ConnectionPool: sub.ConnectionPool, LoadBalancer: sub.LoadBalancer, OutlierDetection: sub.OutlierDetection, Tls: sub.Tls,
		Tunnel: sub.Tunnel, ProxyProtocol: sub.ProxyProtocol, RetryBudget: sub.RetryBudget,
	}
	if portPolicy(raw, port) == nil {
		if out.ConnectionPool == nil {
			out.ConnectionPool = base.ConnectionPool
		}
		if out.LoadBalancer == nil {
			out.LoadBalancer = base.LoadBalancer
		}
		if out.OutlierDetection == nil {
			out.OutlierDetection = base.OutlierDetection
		}
		if out.Tls == nil {
			out.Tls = base.Tls
		}
	}
	if out.ProxyProtocol == nil {
		out.ProxyProtocol = base.ProxyProtocol
	}
	if out.RetryBudget == nil {
		out.RetryBudget = base.RetryBudget
	}
	return out
}

func withDefaults(p *networking.TrafficPolicy, def *meshconfig.MeshConfig_DefaultTrafficPolicy) *networking.TrafficPolicy {
	if p == nil {
		p = &networking.TrafficPolicy{}
	}
	if def == nil {
		return p
	}
	out := &networking.TrafficPolicy{
		ConnectionPool: p.ConnectionPool, LoadBalancer: p.LoadBalancer, OutlierDetection: p.OutlierDetection, Tls: p.Tls,
		Tunnel: p.Tunnel, ProxyProtocol: p.ProxyProtocol, RetryBudget: p.RetryBudget,
	}
	if out.ConnectionPool == nil {
		out.ConnectionPool = def.ConnectionPool
	}
	if out.OutlierDetection == nil {
		out.OutlierDetection = def.OutlierDetection
	}
	return out
}
