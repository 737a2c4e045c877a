package main

import (
	"errors"
	"fmt"
	"maps"
	"net"

	"github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	"github.com/argoproj/argo-rollouts/utils/plugin/types"
)

// router is the traffic router. It has no state: everything is in the Rollout and at the servers.
type router struct {
	lookup func(host string) ([]string, error) // nil: the resolver's
}

// InitPlugin implements rpc.TrafficRouterPlugin; there is nothing to do.
func (r *router) InitPlugin() types.RpcError { return types.RpcError{} }

// Type implements types.RpcTrafficRoutingReconciler, as do the methods below.
func (r *router) Type() string { return "meshc" }

// UpdateHash is told which pods are stable and canary. Destinations of a route are Services or subsets, which select them.
func (r *router) UpdateHash(*v1alpha1.Rollout, string, string, []v1alpha1.WeightDestination) types.RpcError {
	return types.RpcError{}
}

// SetHeaderRoute refuses routes by header: a server moves weights, and matches are the bundle's.
func (r *router) SetHeaderRoute(_ *v1alpha1.Rollout, s *v1alpha1.SetHeaderRoute) types.RpcError {
	if s == nil || len(s.Match) == 0 {
		return types.RpcError{}
	}
	return failed(errors.New("setHeaderRoute is not done by meshc: put the match into the VirtualService in Git"))
}

// SetMirrorRoute refuses mirrors likewise.
func (r *router) SetMirrorRoute(_ *v1alpha1.Rollout, s *v1alpha1.SetMirrorRoute) types.RpcError {
	if s == nil || len(s.Match) == 0 {
		return types.RpcError{}
	}
	return failed(errors.New("setMirrorRoute is not done by meshc: put the mirror into the VirtualService in Git"))
}

// RemoveManagedRoutes has nothing to remove: there are none.
func (r *router) RemoveManagedRoutes(*v1alpha1.Rollout) types.RpcError { return types.RpcError{} }

func failed(err error) types.RpcError {
	if err == nil {
		return types.RpcError{}
	}
	return types.RpcError{ErrorString: err.Error()}
}

// wanted are the weights of a step by destination, as the Rollout calls these.
func (s settings) wanted(canary int32, more []v1alpha1.WeightDestination) (map[string]uint32, error) {
	out := map[string]uint32{}
	rest := int64(100) - int64(canary)
	for _, d := range more {
		if d.Weight < 0 || d.ServiceName == "" {
			return nil, fmt.Errorf("the destination %q has the weight %d", d.ServiceName, d.Weight)
		}
		out[d.ServiceName] += uint32(d.Weight)
		rest -= int64(d.Weight)
	}
	if canary < 0 || rest < 0 {
		return nil, fmt.Errorf("weights beyond 100: %d for the canary, %d are left", canary, rest)
	}
	out[s.Canary], out[s.Stable] = uint32(canary), uint32(rest)
	return out, nil
}

// named gives weights to all destinations of a route, by the names that the server has for them. What the Rollout does not speak
// of gets nothing.
func named(at *route, wanted map[string]uint32) (map[string]uint32, error) {
	out := map[string]uint32{}
	left := maps.Clone(wanted)
	for _, d := range at.Destinations {
		out[d.Name] = 0
		for name, w := range wanted {
			if d.called(name) {
				out[d.Name] = w
				delete(left, name)
			}
		}
	}
	for name := range left {
		return nil, fmt.Errorf("the route %s has no destination %s", at.Route, name)
	}
	return out, nil
}

// each does something for each server, and for all of them whatever comes of one.
func (r *router) each(s settings, do func(address string) error) error {
	lookup := r.lookup
	if lookup == nil {
		lookup = net.LookupHost
	}
	all, err := s.addresses(lookup)
	if err != nil {
		return err
	}
	var errs []error
	for _, address := range all {
		errs = append(errs, do(address))
	}
	return errors.Join(errs...)
}

// SetWeight gives the canary a weight at all servers. Where that is what the bundle has at rest it is released, so that a rollout
// that is over leaves Git in charge.
func (r *router) SetWeight(rollout *v1alpha1.Rollout, weight int32, more []v1alpha1.WeightDestination) types.RpcError {
	s, err := read(rollout)
	if err != nil {
		return failed(err)
	}
	wanted, err := s.wanted(weight, more)
	if err != nil {
		return failed(err)
	}
	token, err := s.token()
	if err != nil {
		return failed(err)
	}
	return failed(r.each(s, func(address string) error {
		at, err := find(address, s.Route)
		if err != nil {
			return err
		}
		weights, err := named(at, wanted)
		if err != nil {
			return err
		}
		rests, is := true, true
		for _, d := range at.Destinations {
			rests = rests && d.Rest == weights[d.Name]
			is = is && d.Live != nil && *d.Live == weights[d.Name]
		}
		if rests {
			weights, is = nil, at.Destinations[0].Live == nil
		}
		if is {
			return nil // the controller asks again and again
		}
		return put(address, token, s.Route, weights)
	}))
}

// VerifyWeight tells whether all proxies that have the route have acknowledged the weights of the step, at all servers.
func (r *router) VerifyWeight(rollout *v1alpha1.Rollout, weight int32, more []v1alpha1.WeightDestination) (types.RpcVerified, types.RpcError) {
	s, err := read(rollout)
	if err != nil {
		return types.NotVerified, failed(err)
	}
	wanted, err := s.wanted(weight, more)
	if err != nil {
		return types.NotVerified, failed(err)
	}
	verified := types.Verified
	err = r.each(s, func(address string) error {
		at, err := find(address, s.Route)
		if err != nil {
			return err
		}
		weights, err := named(at, wanted)
		if err != nil {
			return err
		}
		for _, d := range at.Destinations {
			if d.weight() != weights[d.Name] || at.Acked < at.Proxies {
				verified = types.NotVerified
			}
		}
		return nil
	})
	if err != nil {
		return types.NotVerified, failed(err)
	}
	return verified, types.RpcError{}
}
