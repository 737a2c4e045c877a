package schema

import (
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/internal/diag"
)

// liveAnnotation names the http routes of a VirtualService whose weights may be set while the mesh runs.
const liveAnnotation = "meshc.dev/live-weights"

// liveCode is for routes that cannot be live.
const liveCode = "MESHC1852"

// Live tells whether the weights of the http route at a position may be set while the mesh runs, and the name by which they are.
func Live(o *Object, i int) (name string, live bool) {
	vs, ok := o.Spec.(*networking.VirtualService)
	text := o.Annotations[liveAnnotation]
	if !ok || text == "" || i >= len(vs.Http) || len(vs.Http[i].Route) < 2 {
		return "", false
	}
	name = vs.Http[i].Name
	list := liveNames(text)
	return name, name != "" && (slices.Contains(list, name) || slices.Contains(list, "*"))
}

func liveNames(text string) (out []string) {
	for n := range strings.SplitSeq(text, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return out
}

// liveWeights checks what a VirtualService says of live weights: each name is that of one http route with several destinations,
// and with * all that have several have a name.
func liveWeights(o *Object, vs *networking.VirtualService) (out diag.List) {
	text, ok := o.Annotations[liveAnnotation]
	if !ok {
		return nil
	}
	bad := func(help, format string, args ...any) {
		out.Add(o.Finding(diag.Error, liveCode, fmt.Sprintf(format, args...), help, "metadata", "annotations", liveAnnotation))
	}
	list := liveNames(text)
	if len(list) == 0 {
		bad("Write the names of http routes, separated by commas, or *.", "%s names no route", liveAnnotation)
	}
	split := 0
	for _, h := range vs.Http {
		if len(h.Route) < 2 {
			continue
		}
		split++
		if h.Name == "" && slices.Contains(list, "*") {
			bad("Set name on each http route with several destinations.", "%s is *, and a route with several destinations has no name by which its weights could be set", liveAnnotation)
		}
	}
	for _, n := range list {
		if n == "*" && split == 0 {
			bad("Remove the annotation.", "%s is *, and no http route has several destinations", liveAnnotation)
		}
		if n == "*" {
			continue
		}
		count, several := 0, false
		for _, h := range vs.Http {
			if h.Name == n {
				count++
				several = several || len(h.Route) > 1
			}
		}
		switch {
		case count == 0:
			bad("Write the name of an http route.", "%s names the route %s, which the VirtualService does not have", liveAnnotation, n)
		case count > 1:
			bad("Give each a name of its own.", "%s names the route %s, and %d http routes have this name", liveAnnotation, n, count)
		case !several:
			bad("Add the other destinations, with weight 0 if they are to get nothing.", "%s names the route %s, which has one destination: there is nothing to weigh", liveAnnotation, n)
		}
	}
	if slices.Contains(list, "*") {
		out.Add(repeatedNames(o, vs)...)
	}
	return out
}

// repeatedNames reports routes with several destinations that share a name.
func repeatedNames(o *Object, vs *networking.VirtualService) (out diag.List) {
	seen := map[string]bool{}
	for i, h := range vs.Http {
		if len(h.Route) < 2 || h.Name == "" {
			continue
		}
		if seen[h.Name] {
			out.Add(o.Finding(diag.Error, liveCode, fmt.Sprintf("%s is *, and another http route has the name %s", liveAnnotation, h.Name), "Give each a name of its own.", "spec", "http", i, "name"))
		}
		seen[h.Name] = true
	}
	return out
}
