package compiler

import (
	"context"
	"slices"
	"strconv"
	"strings"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/compiler/envoy"
	"github.com/meshc/meshc/compiler/envoy/patch"
	"github.com/meshc/meshc/compiler/envoy/xds"
	"github.com/meshc/meshc/compiler/names"
	"github.com/meshc/meshc/compiler/validate"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
)

// refusals says what Envoy would refuse in the resources, each looked at once, however many classes share it. It notes what
// they need and refer to.
func (out *loweredSets) refusals(ctx context.Context, opts Options) (diag.List, error) {
	resources := out.resources()
	checker := validate.New()
	results := make([]validate.Result, len(resources))
	group, ctx := errgroup.WithContext(ctx)
	n := workers(opts)
	for w := range n {
		group.Go(fault.Guard(func() error {
			pass := checker.Pass()
			for i := w; i < len(resources); i += n {
				results[i] = pass.Check(resources[i].Message)
			}
			return ctx.Err()
		}))
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var findings diag.List
	out.checked = make(map[*xds.Resource]*validate.Result, len(resources))
	for i, r := range resources {
		out.checked[r] = &results[i]
		if len(results[i].Problems) == 0 {
			continue
		}
		before := map[string]bool{} // what no patch has to answer for
		if r.Before != nil {
			for _, p := range checker.Pass().Check(r.Before.Message).Problems {
				before[p.Says] = true
			}
		}
		for _, p := range results[i].Problems {
			findings.Add(refusal(r, p, before[p.Says]))
		}
	}
	return findings, nil
}

// resources are the distinct resources of all scopes and classes.
func (out *loweredSets) resources() []*xds.Resource {
	seen := map[*xds.Resource]bool{}
	var list []*xds.Resource
	add := func(rs []*xds.Resource) {
		for _, r := range rs {
			if !seen[r] {
				seen[r] = true
				list = append(list, r)
			}
		}
	}
	groups := map[*xds.Group]bool{}
	for _, gs := range out.scopes {
		for _, g := range gs {
			if !groups[g] {
				groups[g] = true
				add(g.Resources)
			}
		}
	}
	for _, rs := range out.classes {
		add(rs)
	}
	return list
}

// refusal makes a finding at the object behind the part of the resource that Envoy would refuse.
func refusal(r *xds.Resource, p validate.Problem, before bool) diag.Diagnostic {
	d := diag.Diagnostic{Code: envoy.CodeRefused, Severity: diag.Error, Help: p.Help, Message: "Envoy would refuse the " + r.Type.String() + " " + r.Name + ": " + p.String()}
	if d.Help == "" {
		d.Help = "Correct what the object says, so that Envoy takes the value."
	}
	if blame(&d, r, p.Path, before) {
		d.Code = patch.CodePatchInvalid
		d.Message = "with the patches of EnvoyFilters " + d.Message
	}
	return d
}

// blame puts a finding at the object behind the part of a resource that a path leads into: at the patches of EnvoyFilters,
// unless there are none or it was so before them. It tells whether it was the patches.
func blame(d *diag.Diagnostic, r *xds.Resource, path string, before bool) (patched bool) {
	origins := patches(r)
	patched = len(origins) > 0 && !before
	if !patched {
		origins = behind(r, path)
	}
	for i, o := range origins {
		if i == 0 {
			d.Pos, d.Object, d.Field = o.Pos, o.Object, o.Field
			continue
		}
		d.Related = append(d.Related, diag.Related{Pos: o.Pos, Object: o.Object, Message: "has a part in it, too"})
	}
	return patched
}

// patches are the patches that changed a resource, the last first.
func patches(r *xds.Resource) []xds.Origin {
	var out []xds.Origin
	for _, o := range slices.Backward(r.Origins) {
		if o.Object.Kind == "EnvoyFilter" {
			out = append(out, o)
		}
	}
	return out
}

// behind returns the origins of a part of a resource: of the route or filter chain that a path leads into, or of all of it.
func behind(r *xds.Resource, path string) []xds.Origin {
	for _, part := range []names.Part{partAt(r, path), {}} {
		var out []xds.Origin
		for _, o := range r.Origins {
			if o.At == part {
				out = append(out, o)
			}
		}
		if len(out) > 0 {
			return out
		}
	}
	return r.Origins[:min(len(r.Origins), 1)]
}

// partAt is the part of a resource that a path leads into, as routes[3].match or filter_chains[0].filters.
func partAt(r *xds.Resource, path string) names.Part {
	field, rest, _ := strings.Cut(path, "[")
	index, _, _ := strings.Cut(rest, "]")
	i, err := strconv.Atoi(index)
	if err != nil {
		return names.Part{}
	}
	switch m := r.Message.(type) {
	case *routev3.VirtualHost:
		if field == "routes" {
			return names.RoutePart(i)
		}
	case *listenerv3.Listener:
		if field == "filter_chains" && i < len(m.GetFilterChains()) {
			return names.ChainPart(m.GetFilterChains()[i].GetName())
		}
	}
	return names.Part{}
}
