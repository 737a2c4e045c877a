package compiler

import (
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/re2"
)

// requirements are what resources need of a proxy: room for the largest of their regular expressions, where Envoy does not
// have it by itself, and their extensions.
func (out *loweredSets) requirements(rs []*xds.Resource) []bundle.Requirement {
	size := 0
	extensions := map[string]bool{}
	for _, r := range rs {
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
	for e := range extensions {
		list = append(list, bundle.NewRequirement(bundle.Extension, 0, e))
	}
	return list
}
