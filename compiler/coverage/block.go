package coverage

import (
	"slices"
	"strconv"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshc/meshc/compiler/mesh"
	"github.com/meshc/meshc/schema"
)

// block is one entry of http, tcp or tls of a VirtualService, where it was written.
type block struct {
	object       *schema.Object
	kind         string
	index        int
	matches      []match
	destinations []destination
}

func (b *block) path() []any   { return []any{"spec", b.kind, b.index} }
func (b *block) field() string { return "spec." + b.kind + "[" + strconv.Itoa(b.index) + "]" }

// match is a match of a block; index is its place in the object, -1 for one that a root gave to its delegate.
type match struct {
	index     int
	port      uint32
	gateways  []string
	labels    map[string]string
	namespace string
}

// blocks returns the blocks of a VirtualService.
func (c *checker) blocks(v *mesh.VirtualService) []*block {
	out, ok := c.read[v]
	if !ok {
		out = blocksOf(v)
		c.read[v] = out
	}
	return out
}

// blocksOf are the blocks of a VirtualService, those of its delegates included.
func blocksOf(v *mesh.VirtualService) (out []*block) {
	for i, h := range v.Spec.Http {
		at := v.HTTP[i]
		b := &block{object: at.Object, kind: "http", index: at.Index}
		add := func(d *networking.Destination, path ...any) {
			if d != nil {
				b.destinations = append(b.destinations, destination{at.Object, slices.Concat(b.path(), path), d})
			}
		}
		for j, r := range h.Route {
			add(r.Destination, "route", j, "destination")
		}
		add(h.Mirror, "mirror")
		for j, x := range h.Mirrors {
			add(x.Destination, "mirrors", j, "destination")
		}
		for j, m := range h.Match {
			if j < len(at.Match) {
				j = at.Match[j]
			}
			b.matches = append(b.matches, match{j, m.Port, m.Gateways, m.SourceLabels, m.SourceNamespace})
		}
		out = append(out, b)
	}
	for i, t := range v.Spec.Tcp {
		b := &block{object: v.Object, kind: "tcp", index: i, destinations: opaque(v.Object, "tcp", i, t.Route)}
		for j, m := range t.Match {
			b.matches = append(b.matches, match{j, m.Port, m.Gateways, m.SourceLabels, m.SourceNamespace})
		}
		out = append(out, b)
	}
	for i, t := range v.Spec.Tls {
		b := &block{object: v.Object, kind: "tls", index: i, destinations: opaque(v.Object, "tls", i, t.Route)}
		for j, m := range t.Match {
			b.matches = append(b.matches, match{j, m.Port, m.Gateways, m.SourceLabels, m.SourceNamespace})
		}
		out = append(out, b)
	}
	return out
}

func opaque(o *schema.Object, kind string, index int, routes []*networking.RouteDestination) (out []destination) {
	for j, r := range routes {
		out = append(out, destination{o, []any{"spec", kind, index, "route", j, "destination"}, r.Destination})
	}
	return out
}
