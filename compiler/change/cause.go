package change

import (
	"slices"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/change/places"
	"github.com/meshc/meshc/compiler/names"
)

// causes finds the places that make a cell. An object that only one side has is the likeliest, then the policy that refuses on one side, then
// an object that only one side asks, then what is behind both.
func (f *finder) causes(c cell) []Cause {
	if f.objects[0] == nil {
		f.objects[0], f.objects[1] = places.Objects(f.base.Bundle), places.Objects(f.head.Bundle)
	}
	head, base := c.head.origins, c.base.origins
	lacks := func(list []bundle.Origin, in map[places.Object]bool) []bundle.Origin {
		return slices.DeleteFunc(slices.Clone(list), func(o bundle.Origin) bool { return in[places.ObjectOf(o)] })
	}
	has := func(list []bundle.Origin) map[places.Object]bool {
		out := map[places.Object]bool{}
		for _, o := range list {
			out[places.ObjectOf(o)] = true
		}
		return out
	}
	var refusing []bundle.Origin
	switch c.category {
	case AccessWidened:
		refusing = preferred(base, c)
	case AccessNarrowed:
		refusing = preferred(head, c)
	}
	for _, list := range [][]bundle.Origin{lacks(head, f.objects[0]), lacks(base, f.objects[1]), refusing, lacks(head, has(base)), lacks(base, has(head)),
		preferred(head, c), preferred(base, c), head, base} {
		if out := places.Of(list); len(out) > 0 {
			return out
		}
	}
	return f.anyCause()
}

// preferred keeps the objects that are likeliest to say what a cell is about.
func preferred(list []bundle.Origin, c cell) []bundle.Origin {
	want := map[string][]string{
		AccessWidened:  {"AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "Gateway"},
		AccessNarrowed: {"AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication", "Gateway"},
		Encryption:     {"PeerAuthentication", "DestinationRule", "Gateway"},
		Routing:        {"VirtualService", "DestinationRule"},
		Tuning:         {"DestinationRule", "VirtualService", "EnvoyFilter"},
		Observability:  {"Telemetry", "EnvoyFilter"},
	}[c.category]
	return slices.DeleteFunc(slices.Clone(list), func(o bundle.Origin) bool { return !slices.Contains(want, o.Kind) })
}

// anyCause is a place for what has none of its own, as a setting of the whole mesh: that of a resource which differs.
func (f *finder) anyCause() []Cause {
	if f.someCause != nil {
		return f.someCause
	}
	for _, r := range f.head.Resources {
		if _, same := f.base.Find(r); !same {
			if f.someCause = places.Of(r.OriginsAt(names.Part{})); len(f.someCause) > 0 {
				return f.someCause
			}
		}
	}
	for _, r := range slices.Concat(f.head.Resources, f.base.Resources) {
		if f.someCause = places.Of(r.Origins); len(f.someCause) > 0 {
			return f.someCause
		}
	}
	f.someCause = []Cause{{File: "input", Line: 1, Object: "the input"}}
	return f.someCause
}
