package source

import (
	"reflect"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
)

// AnyIndex stands in the prefix of an overlay for an index of a list that is not known.
const AnyIndex = -1

// Overlay is a part of a document that another text has set: a patch. Values that stand in it are placed there.
type Overlay struct {
	File       string
	LineOffset int   // added to lines of Node
	Prefix     []any // where in the document Node belongs
	Node       *yaml.Node
}

// pos returns the place of the part at a path, if the overlay has set it: it holds the value that the document has there. What
// is made of several texts stands in none of them, unless it is an entry of a list, which patches replace as a whole.
func (o *Overlay) pos(d *Document, path []any) (diag.Pos, bool) {
	if len(path) < len(o.Prefix) || len(path) == 0 {
		return diag.Pos{}, false
	}
	listed := false
	for i, e := range path {
		_, index := e.(int)
		listed = listed || index
		if i < len(o.Prefix) && e != o.Prefix[i] && !(index && o.Prefix[i] == AnyIndex) {
			return diag.Pos{}, false
		}
	}
	at, n := o.Node, o.Node
	for _, e := range path[len(o.Prefix):] {
		key, value := part(n, e)
		if value == nil {
			return diag.Pos{}, false
		}
		at, n = key, value
	}
	if n.Kind != yaml.ScalarNode && !listed {
		return diag.Pos{}, false
	}
	has, ok := d.at(path)
	set, problems := NewReader(DefaultLimits()).Value(n)
	if !ok || len(problems) > 0 || !reflect.DeepEqual(has, set) {
		return diag.Pos{}, false
	}
	return diag.Pos{File: o.File, Line: at.Line + o.LineOffset, Column: at.Column}, true
}

// part is a value in a mapping or a sequence, and where it stands: the key of it, or the value itself.
func part(n *yaml.Node, e any) (at, value *yaml.Node) {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	switch e := e.(type) {
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == e {
				return n.Content[i], n.Content[i+1]
			}
		}
	case int:
		if n.Kind == yaml.SequenceNode && e >= 0 && e < len(n.Content) {
			return n.Content[e], n.Content[e]
		}
	}
	return nil, nil
}

// at is the value of the document at a path.
func (d *Document) at(path []any) (any, bool) {
	var v any = d.Value
	for _, e := range path {
		switch e := e.(type) {
		case string:
			m, _ := v.(map[string]any)
			var ok bool
			if v, ok = m[e]; !ok {
				return nil, false
			}
		case int:
			l, ok := v.([]any)
			if !ok || e < 0 || e >= len(l) {
				return nil, false
			}
			v = l[e]
		}
	}
	return v, true
}
