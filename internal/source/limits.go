package source

import (
	"github.com/meshc/meshc/internal/limit"
	"go.yaml.in/yaml/v3"
)

// Limits bound what YAML may cost. Aliases are bounded by file, since their places are few and what they stand for is not;
// the others by document.
type Limits struct {
	Depth   int // nesting of mappings and lists
	Keys    int // keys of one mapping
	Items   int // items of one list
	Nodes   int // nodes of a document, those that its aliases expand to among them
	Aliased int // nodes that the aliases of a file expand to
}

// DefaultLimits are far above any real manifest.
func DefaultLimits() Limits {
	return Limits{Depth: limit.NestingDepth, Keys: limit.MappingKeys, Items: limit.ListItems, Nodes: limit.Nodes, Aliased: limit.AliasNodes}
}

const splitHelp = "Split it into several objects."

// within counts a node in, and tells whether it is within the limits. Reading stops at the first that is not.
func (r *Reader) within(n *yaml.Node, depth int) bool {
	r.nodes++
	if len(r.aliases) > 0 {
		r.aliased++
	}
	switch {
	case r.aliased > r.limits.Aliased:
		r.stop(TooLarge, r.aliases[0], "Write the repeated part once per object.", "the aliases of the file stand for more than %d values", r.limits.Aliased)
	case r.nodes > r.limits.Nodes:
		r.stop(TooLarge, n, splitHelp, "the object holds more than %d values", r.limits.Nodes)
	case depth > r.limits.Depth:
		r.stop(TooDeep, n, "No mesh or Kubernetes object nests like this; check the indentation.", "values are nested more than %d deep", r.limits.Depth)
	case n.Kind == yaml.MappingNode && len(n.Content)/2 > r.limits.Keys:
		r.tooManyKeys(n, n.Content[2*r.limits.Keys], len(n.Content)/2)
	case n.Kind == yaml.SequenceNode && len(n.Content) > r.limits.Items:
		r.stop(TooLarge, n.Content[r.limits.Items], splitHelp, "the list that begins on line %d has %d items; the limit is %d", n.Line, len(n.Content), r.limits.Items)
	}
	return !r.stopped
}

// tooManyKeys stops at a place in a mapping.
func (r *Reader) tooManyKeys(n, at *yaml.Node, keys int) {
	r.stop(TooLarge, at, splitHelp, "the mapping that begins on line %d has %d keys; the limit is %d", n.Line, keys, r.limits.Keys)
}

// stop reports the first node that is beyond a limit.
func (r *Reader) stop(k ProblemKind, n *yaml.Node, help, format string, args ...any) {
	r.stopped = true
	r.fail(k, n, nil, help, format, args...)
}
