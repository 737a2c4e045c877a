package mesh

import (
	networking "istio.io/api/networking/v1alpha3"
)

// index holds the look-up tables of link and scope.
type index struct{}

// Service returns the service of a host as this scope sees it, nil when it is not visible.
func (s *Scope) Service(host string) *Service { return s.hosts[host] }

// DestinationRule returns the rule in effect for calls to a service, nil when there is none.
func (s *Scope) DestinationRule(svc *Service) *DestinationRule { return s.rules[svc] }

// ServiceForDestination resolves a route destination: its service and port, nil where undefined.
func (s *Scope) ServiceForDestination(d *networking.Destination, listenerPort uint32) (*Service, *Port) {
	svc := s.Service(d.GetHost())
	if svc == nil {
		return nil, nil
	}
	number := d.GetPort().GetNumber()
	if number == 0 {
		if len(svc.Ports) == 1 {
			return svc, svc.Ports[0]
		}
		number = listenerPort
	}
	for _, p := range svc.Ports {
		if p.Number == number {
			return svc, p
		}
	}
	return svc, nil
}
