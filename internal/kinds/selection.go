package kinds

import (
	networking "istio.io/api/networking/v1alpha3"
	typev1beta1 "istio.io/api/type/v1beta1"
)

// Selection is how the objects of a kind choose the workloads that they are for.
type Selection struct {
	Field  string                                              // of the selector, below spec
	Labels func(spec any) (labels map[string]string, has bool) // what a spec selects by, and whether it has a selector
	Reach  Reach
}

// Reach says in which namespaces an object is for the workloads that it selects.
type Reach int

// The reaches. The root namespace is MeshConfig.rootNamespace.
const (
	// Own is the object's namespace. Without a selector it is for no workload in particular.
	Own Reach = iota
	// Everywhere is every namespace, wherever the object is.
	Everywhere
	// Root is the object's namespace, or every one where that is the root namespace. All that reach a workload hold for it.
	Root
	// Layered is the object's namespace, and without a selector in the root namespace every one: that is the default of the
	// mesh, over which lies that of a namespace, and over this what selects the workload.
	Layered
	// LayeredNoRoot is the same, but with a selector in the root namespace an object is for nobody.
	LayeredNoRoot
)

// policyLabels reads Istio's selector of policies. One without labels selects like none.
func policyLabels(spec any) (map[string]string, bool) {
	s, ok := spec.(interface {
		GetSelector() *typev1beta1.WorkloadSelector
	})
	if !ok {
		return nil, false
	}
	labels := s.GetSelector().GetMatchLabels()
	return labels, len(labels) > 0
}

// clientLabels reads the selector of a DestinationRule, for the clients whose calls it is about.
func clientLabels(spec any) (map[string]string, bool) {
	r, ok := spec.(*networking.DestinationRule)
	return r.GetWorkloadSelector().GetMatchLabels(), ok && r.GetWorkloadSelector() != nil
}

// workloadLabels reads the older selector of networking. Where it is there and has no labels, it selects all.
func workloadLabels(spec any) (map[string]string, bool) {
	s, ok := spec.(interface {
		GetWorkloadSelector() *networking.WorkloadSelector
	})
	if !ok {
		return nil, false
	}
	return s.GetWorkloadSelector().GetLabels(), s.GetWorkloadSelector() != nil
}

func gatewayLabels(spec any) (map[string]string, bool) {
	g, ok := spec.(*networking.Gateway)
	return g.GetSelector(), ok && len(g.GetSelector()) > 0
}

// TargetField is the field in which a spec names what it is for in place of selecting it, targetRef or targetRefs; "" where
// it does not. Only waypoints and gateways of the Gateway API can be named.
func TargetField(spec any) string {
	if one, ok := spec.(interface {
		GetTargetRef() *typev1beta1.PolicyTargetReference
	}); ok && one.GetTargetRef() != nil {
		return "targetRef"
	}
	if many, ok := spec.(interface {
		GetTargetRefs() []*typev1beta1.PolicyTargetReference
	}); ok && len(many.GetTargetRefs()) > 0 {
		return "targetRefs"
	}
	return ""
}
