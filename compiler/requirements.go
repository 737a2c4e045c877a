package compiler

import (
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/re2"
)

// weighedLive tells whether a resource has routes whose weights may be set while the mesh runs.
func weighedLive(r *xds.Resource) bool {
	var hosts []*routev3.VirtualHost
	switch m := r.Message.(type) {
	case *routev3.VirtualHost:
		hosts = []*routev3.VirtualHost{m}
	case *routev3.RouteConfiguration:
		hosts = m.GetVirtualHosts()
	}
	for _, h := range hosts {
		for _, r := range h.GetRoutes() {
			if r.GetRoute().GetWeightedClusters().GetRuntimeKeyPrefix() != "" {
				return true
			}
		}
	}
	return false
}

// requirements are what resources need of a proxy: room for the largest of their regular expressions, where Envoy does not
// have it by itself, and their extensions.
func (out *loweredSets) requirements(rs []*xds.Resource) []bundle.Requirement {
	size := 0
	extensions := map[string]bool{}
	live := false
	for _, r := range rs {
		live = live || weighedLive(r)
		checked := out.checked[r]
		if checked == nil { // sealed without a check, as tests of the lowering do
			continue
		}
		size = max(size, checked.ProgramSize)
		for _, e := range checked.Extensions {
			extensions[e] = true
		}
	}
	var list []bundle.Requirement
	if size > re2.Default {
		list = append(list, bundle.NewRequirement(bundle.ProgramSize, size, ""))
	}
	if live {
		list = append(list, bundle.NewRequirement(bundle.LiveWeights, 0, ""))
	}
	for e := range extensions {
		list = append(list, bundle.NewRequirement(bundle.Extension, 0, e))
	}
	return list
}
