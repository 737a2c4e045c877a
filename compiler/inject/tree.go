package inject

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/source"
)

// say brings a YAML tree to say a value, changing as little as it can: what says it already stays as it is, with its comments,
// order and style. Items of sequences are told by their names, where all have one.
func say(n *yaml.Node, value any) *yaml.Node {
	if now, problems := source.NewReader(source.DefaultLimits()).Value(n); len(problems) == 0 && reflect.DeepEqual(now, value) {
		return n
	}
	switch v := value.(type) {
	case map[string]any:
		if n.Kind == yaml.MappingNode {
			sayMapping(n, v)
			return n
		}
	case []any:
		if n.Kind == yaml.SequenceNode {
			saySequence(n, v)
			return n
		}
	}
	out := write(value)
	out.HeadComment, out.LineComment, out.FootComment = n.HeadComment, n.LineComment, n.FootComment
	return out
}

func sayMapping(n *yaml.Node, v map[string]any) {
	had := map[string]bool{}
	var content []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		e, ok := v[key]
		if !ok {
			continue
		}
		had[key] = true
		content = append(content, n.Content[i], say(n.Content[i+1], e))
	}
	for _, key := range ordered(v) {
		if !had[key] {
			content = append(content, scalar(key), write(v[key]))
		}
	}
	n.Content = content
	unfold(n, len(had) == 0)
}

// unfold writes a mapping or sequence over lines if something in it is: in one line stands only what did so before, and {} has
// no style of its own.
func unfold(n *yaml.Node, empty bool) {
	over := func(c *yaml.Node) bool { return len(c.Content) > 0 && c.Style&yaml.FlowStyle == 0 }
	if empty || slices.ContainsFunc(n.Content, over) {
		n.Style &^= yaml.FlowStyle
	}
}

func saySequence(n *yaml.Node, v []any) {
	byName := map[string]*yaml.Node{}
	for _, c := range n.Content {
		if name := nameOf(c); name != "" && byName[name] == nil {
			byName[name] = c
		}
	}
	var content []*yaml.Node
	for i, e := range v {
		m, _ := e.(map[string]any)
		name, _ := m["name"].(string)
		switch {
		case byName[name] != nil:
			content = append(content, say(byName[name], e))
			delete(byName, name)
		case name == "" && i < len(n.Content):
			content = append(content, say(n.Content[i], e))
		default:
			content = append(content, write(e))
		}
	}
	empty := len(n.Content) == 0
	n.Content = content
	unfold(n, empty)
}

func nameOf(n *yaml.Node) string {
	if c := nodeAt(n, "name"); c != nil && c.Kind == yaml.ScalarNode {
		return c.Value
	}
	return ""
}

// nodeAt is the node under a key.
func nodeAt(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// ordered are the keys of a mapping as people write them: the name first.
func ordered(v map[string]any) []string {
	keys := slices.Sorted(maps.Keys(v))
	if i := slices.Index(keys, "name"); i > 0 {
		keys = slices.Insert(slices.Delete(keys, i, i+1), 0, "name")
	}
	return keys
}

// write makes a tree that says a value. Texts are quoted by the encoder where another reader could take them for something else.
func write(value any) *yaml.Node {
	switch v := value.(type) {
	case map[string]any:
		n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, key := range ordered(v) {
			n.Content = append(n.Content, scalar(key), write(v[key]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, e := range v {
			n.Content = append(n.Content, write(e))
		}
		return n
	}
	return scalar(value)
}

func scalar(value any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v := value.(type) { // what Encode makes of most values, for which it runs an encoder and a parser
	case string:
		if plainWord.MatchString(v) && !taken[strings.ToLower(v)] {
			n.Tag, n.Value = "!!str", v
			return n
		}
	case bool:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(v)
		return n
	case int64:
		n.Tag, n.Value = "!!int", strconv.FormatInt(v, 10)
		return n
	}
	if err := n.Encode(value); err != nil {
		panic("inject: " + err.Error()) // strings, numbers and booleans
	}
	if s, ok := value.(string); ok && (s == merge || strings.ContainsAny(s, "\u0085\u2028\u2029\ufeff")) {
		n.Style = yaml.DoubleQuotedStyle // where these are escaped; other styles break the line at them, and take the key of merges for one
	}
	return n
}

// merge is the key by which YAML merges mappings.
const merge = "<<"

// plainWord are texts that stand without quotes in YAML, but for the words in taken, which some reader or other takes for a truth
// value, a number or nothing.
var (
	plainWord = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./-]*$`)
	taken     = map[string]bool{"y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "true": true, "false": true, "null": true, "nan": true, "inf": true}
)

// expand replaces aliases by what they stand for, and merges what is merged, so that a change at one place is none at another. It
// fails for what is then larger than a document may be: nobody has counted what an object holds that is not read.
func expand(n *yaml.Node) (*yaml.Node, error) {
	e := expansion{left: limit.Nodes}
	out := e.of(n)
	if e.left < 0 {
		return nil, fmt.Errorf("with its aliases written out it has more than %d values", limit.Nodes)
	}
	return out, nil
}

// expansion is one under way: left is how many nodes more it may have.
type expansion struct{ left int }

func (e *expansion) of(n *yaml.Node) *yaml.Node {
	if e.left--; e.left < 0 {
		return n
	}
	if n.Kind == yaml.AliasNode {
		c := *n.Alias
		c.HeadComment, c.LineComment, c.FootComment = n.HeadComment, n.LineComment, n.FootComment
		return e.of(&c)
	}
	c := *n
	c.Anchor, c.Content = "", nil
	if n.Kind != yaml.MappingNode {
		for _, item := range n.Content {
			c.Content = append(c.Content, e.of(item))
		}
		return &c
	}
	var merges []*yaml.Node
	has := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], e.of(n.Content[i+1])
		if k.Kind == yaml.ScalarNode && k.Value == merge && k.Style == 0 {
			if v.Kind == yaml.SequenceNode {
				merges = append(merges, v.Content...)
			} else {
				merges = append(merges, v)
			}
			continue
		}
		has[k.Value] = true
		key := *k
		key.Anchor = ""
		c.Content = append(c.Content, &key, v)
	}
	for _, m := range merges {
		for i := 0; m.Kind == yaml.MappingNode && i+1 < len(m.Content); i += 2 {
			if key := m.Content[i].Value; !has[key] {
				has[key] = true
				c.Content = append(c.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return &c
}

// aliased tells whether a tree has aliases.
func aliased(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, aliased)
}
