package source

import (
	"fmt"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Problem is a fault of the YAML text itself, at a node.
type Problem struct {
	Node    *yaml.Node
	Related *yaml.Node // the earlier place, for a repeated key
	Kind    ProblemKind
	Message string
	Help    string
}

// ProblemKind tells the faults of YAML apart.
type ProblemKind int

// The faults that reading a syntax tree can find.
const (
	BadScalar ProblemKind = iota
	DuplicateKey
	BadKey
	BadAlias
	BadMerge
	TooDeep
	TooLarge
)

// Reader turns syntax trees into plain data and counts nodes against its limits; one Reader serves one file. Of a document
// that is beyond a limit it reads nothing more.
type Reader struct {
	limits   Limits
	nodes    int          // of the document
	aliased  int          // of the file
	aliases  []*yaml.Node // being expanded, to find loops
	problems []Problem
	stopped  bool
}

// NewReader returns a reader with the limits.
func NewReader(l Limits) *Reader { return &Reader{limits: l} }

// Value returns the plain data of a tree: string, bool, int64, float64, nil, []any, map[string]any; and what is wrong
// with it. Aliases are expanded, merge keys are merged, repeated keys are refused.
func (r *Reader) Value(n *yaml.Node) (any, []Problem) {
	r.problems, r.nodes, r.stopped = nil, 0, false
	v := r.value(n, 0)
	return v, r.problems
}

func (r *Reader) fail(k ProblemKind, n, related *yaml.Node, help, format string, args ...any) {
	r.problems = append(r.problems, Problem{Node: n, Related: related, Kind: k, Message: fmt.Sprintf(format, args...), Help: help})
}

func (r *Reader) value(n *yaml.Node, depth int) any {
	if r.stopped || n == nil || !r.within(n, depth) {
		return nil
	}
	switch n.Kind {
	case yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil
		}
		return r.value(n.Content[0], depth)
	case yaml.AliasNode:
		return r.alias(n, depth)
	case yaml.SequenceNode:
		r.checkTag(n, "!!seq")
		out := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			out = append(out, r.value(c, depth+1))
		}
		return out
	case yaml.MappingNode:
		r.checkTag(n, "!!map")
		return r.mapping(n, depth)
	default:
		v, err := scalar(n)
		if err != nil {
			r.fail(BadScalar, n, nil, "Quote the value if a string is meant.", "%v", err)
		}
		return v
	}
}

func (r *Reader) checkTag(n *yaml.Node, want string) {
	if n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != want {
		r.fail(BadScalar, n, nil, "Remove the tag.", "the YAML tag %s has no meaning in a Kubernetes object", n.Tag)
	}
}

func (r *Reader) alias(n *yaml.Node, depth int) any {
	for _, a := range r.aliases {
		if a.Alias == n.Alias {
			r.fail(BadAlias, n, a.Alias, "Write the value out.", "the alias *%s contains itself", n.Value)
			return nil
		}
	}
	r.aliases = append(r.aliases, n)
	v := r.value(n.Alias, depth)
	r.aliases = r.aliases[:len(r.aliases)-1]
	return v
}

func (r *Reader) mapping(n *yaml.Node, depth int) map[string]any {
	out := make(map[string]any, len(n.Content)/2)
	seen := make(map[string]*yaml.Node, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Style == 0 {
			merges = append(merges, v)
			continue
		}
		key, ok := r.key(k)
		if !ok {
			continue
		}
		if before := seen[key]; before != nil {
			r.fail(DuplicateKey, k, before, "Keep one of the two; Kubernetes would use the last and drop the other.", "the key %q is given twice, first on line %d", key, before.Line)
			continue
		}
		seen[key] = k
		out[key] = r.value(v, depth+1)
	}
	for _, m := range merges {
		r.merge(out, m, depth)
	}
	if len(out) > r.limits.Keys {
		r.tooManyKeys(n, n, len(out))
	}
	return out
}

func (r *Reader) key(k *yaml.Node) (string, bool) {
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode {
		r.fail(BadKey, k, nil, "Quote the text if braces or brackets belong to it; if this is a template, render it first.", "a key must be a plain word, not a %s", kindName(k.Kind))
		return "", false
	}
	v, err := scalar(k)
	if err != nil {
		r.fail(BadKey, k, nil, "Quote the key.", "%v", err)
		return "", false
	}
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	default:
		return "null", true
	}
}

// merge adds the keys of a merge value (<<) that the mapping does not have itself. In a list of merge values the
// earlier wins.
func (r *Reader) merge(out map[string]any, n *yaml.Node, depth int) {
	target := n
	if target.Kind == yaml.AliasNode {
		target = target.Alias
	}
	switch target.Kind {
	case yaml.MappingNode:
		m, _ := r.value(n, depth+1).(map[string]any)
		for k, v := range m {
			if _, ok := out[k]; !ok {
				out[k] = v
			}
		}
	case yaml.SequenceNode:
		for _, c := range target.Content {
			if c.Kind == yaml.SequenceNode || depth > r.limits.Depth {
				r.fail(BadMerge, c, nil, "Merge mappings only.", "a merge key (<<) takes a mapping or a list of mappings")
				continue
			}
			r.merge(out, c, depth+1)
		}
	default:
		r.fail(BadMerge, n, nil, "Merge mappings only.", "a merge key (<<) takes a mapping or a list of mappings, not a %s", kindName(target.Kind))
	}
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "mapping"
	case yaml.SequenceNode:
		return "list"
	default:
		return "scalar"
	}
}
