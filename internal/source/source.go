// Package source holds a document of the input: one YAML value with the place of every part of it.
//
// The YAML syntax tree is parsed once. The plain value (maps, lists, scalars as kubectl reads them) and every position
// that later phases ask for come from that same tree: Pos walks the tree along a path and answers with the line of the
// deepest part that exists, so that a finding about a missing field still points at the object that lacks it.
package source

import (
	"github.com/meshc/meshc/internal/diag"
	"go.yaml.in/yaml/v3"
)

// Document is one object as written in the input, before its kind is known to be right.
type Document struct {
	File       string         // path inside the sources, forward slashes: see load.Sources
	Node       *yaml.Node     // mapping node of the object
	Value      map[string]any // the same as plain data: string, bool, int64, float64, nil, []any, map[string]any
	APIVersion string
	Kind       string
	Namespace  string // after the default namespace was applied
	Name       string
	LineOffset int       // added to lines of Node, where the tree came out of a larger file
	Overlays   []Overlay // what patches have set, the last first
}

// Ref names the object for a finding.
func (d *Document) Ref() diag.Ref {
	return diag.Ref{Kind: d.Kind, Namespace: d.Namespace, Name: d.Name}
}

// Pos returns the place of the part at path, whose elements are string (a key) or int (an index). Where the path leaves
// the tree, the place of the last part that exists is returned: for a key that exists, the key's own place.
func (d *Document) Pos(path ...any) diag.Pos {
	for i := range d.Overlays {
		if p, ok := d.Overlays[i].pos(d, path); ok {
			return p
		}
	}
	n := d.Node
	p := diag.Pos{File: d.File, Line: 1, Column: 1}
	if n == nil {
		return p
	}
	at := func(n *yaml.Node) { p.Line, p.Column = n.Line+d.LineOffset, n.Column }
	at(n)
	for _, e := range path {
		if n.Kind == yaml.AliasNode && n.Alias != nil {
			n = n.Alias
		}
		var next *yaml.Node
		switch e := e.(type) {
		case string:
			if n.Kind != yaml.MappingNode {
				return p
			}
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == e {
					at(n.Content[i])
					next = n.Content[i+1]
					break
				}
			}
		case int:
			if n.Kind != yaml.SequenceNode || e < 0 || e >= len(n.Content) {
				return p
			}
			next = n.Content[e]
			at(next)
		}
		if next == nil {
			return p
		}
		n = next
	}
	return p
}
