package endpoint

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

// Slices are the EndpointSlices that a cluster makes of the Endpoints of a service: one for each subset and IP family.
func Slices(e *corev1.Endpoints) []*discoveryv1.EndpointSlice { //nolint:staticcheck // deprecated, and still what sources hold
	var out []*discoveryv1.EndpointSlice
	for i := range e.Subsets {
		s := &e.Subsets[i]
		for _, family := range []discoveryv1.AddressType{discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6} {
			slice := &discoveryv1.EndpointSlice{ObjectMeta: e.ObjectMeta, AddressType: family}
			slice.Endpoints = append(mirrored(family, s.Addresses, true), mirrored(family, s.NotReadyAddresses, false)...)
			for j := range s.Ports {
				p := &s.Ports[j]
				slice.Ports = append(slice.Ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
			}
			if len(slice.Endpoints) > 0 {
				out = append(out, slice)
			}
		}
	}
	return out
}

func mirrored(family discoveryv1.AddressType, list []corev1.EndpointAddress, ready bool) []discoveryv1.Endpoint {
	var out []discoveryv1.Endpoint
	for i := range list {
		a := &list[i]
		if strings.Contains(a.IP, ":") != (family == discoveryv1.AddressTypeIPv6) {
			continue
		}
		e := discoveryv1.Endpoint{Addresses: []string{a.IP}, Conditions: discoveryv1.EndpointConditions{Ready: &ready}, NodeName: a.NodeName, TargetRef: a.TargetRef}
		if a.Hostname != "" {
			e.Hostname = &a.Hostname
		}
		out = append(out, e)
	}
	return out
}
