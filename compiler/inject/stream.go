package inject

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// Objects finds the object that was read under a name, nil if it is none of the mesh's.
type Objects func(diag.Ref) *schema.Object

// Result is what became of a text.
type Result struct {
	Text     []byte
	Before   []byte // the text as it would be if nothing were added, written as Text is: what differs is what was added
	Outcomes []Outcome
}

// Text gives the workloads in a text their proxy. The text is one of YAML documents or JSON, also Lists and the ResourceList of
// a KRM function; namespace is that of objects that name none.
func (in *Injector) Text(text []byte, namespace string, find Objects) (*Result, diag.List) {
	res := &Result{}
	var findings diag.List
	for _, doc := range documents(text) {
		changed, before, found := in.document(doc, namespace, find, res)
		findings.Add(found...)
		res.Text, res.Before = append(res.Text, changed...), append(res.Before, before...)
	}
	return res, findings
}

// documents splits a text where a document of YAML begins: the pieces together are the text. A line that begins with three
// dashes begins one, wherever it stands.
func documents(text []byte) [][]byte {
	var out [][]byte
	start, at := 0, 0
	for at < len(text) {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		if at > start && separates(text[at:end]) && len(directives(text[start:at])) < at-start {
			out, start = append(out, text[start:at]), at
		}
		at = end
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

// directive is a line before a document that says how it is to be read.
var directive = regexp.MustCompile(`^%[A-Z][^\n]*\n`)

// directives is what stands before a document: lines of directives and of comments, if one of a directive is among them, and nothing
// else before the line of dashes.
func directives(text []byte) []byte {
	at, is := 0, false
	for at < len(text) {
		end := len(text)
		if i := bytes.IndexByte(text[at:], '\n'); i >= 0 {
			end = at + i + 1
		}
		line := bytes.TrimSpace(text[at:end])
		switch {
		case directive.Match(text[at:end]):
			is = true
		case len(line) > 0 && line[0] != '#':
			if !is || !separates(text[at:end]) {
				return nil
			}
			return text[:at]
		}
		at = end
	}
	if !is {
		return nil
	}
	return text
}

func separates(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0])))
}

// Join puts texts behind each other, as documents of one stream.
func Join(texts [][]byte) []byte {
	var out []byte
	for _, t := range texts {
		if len(bytes.TrimSpace(t)) == 0 {
			continue
		}
		if len(out) > 0 {
			if out[len(out)-1] != '\n' {
				out = append(out, '\n')
			}
			if !separates(t) {
				out = append(out, "---\n"...)
			}
		}
		out = append(out, t...)
	}
	return out
}

// document gives the workloads of one document their proxy. A document without one stays as it is.
func (in *Injector) document(text []byte, namespace string, find Objects, res *Result) (changed, before []byte, findings diag.List) {
	whole := text
	text = text[len(directives(text)):]
	var root yaml.Node
	err := yaml.Unmarshal(text, &root)
	if err == nil && aliased(&root) {
		var out *yaml.Node
		if out, err = expand(&root); err == nil {
			root = *out
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		findings.Add(diag.Diagnostic{Code: "MESHC1904", Severity: diag.Error, Message: "this document cannot be read: " + err.Error(), Help: "correct it"})
	}
	if err != nil || len(root.Content) != 1 {
		return whole, whole, findings
	}
	style := styleOf(&root, text)
	was := style.write(&root)
	touched := false
	for _, n := range objects(root.Content[0], found{}) {
		ref := refOf(n, namespace)
		o := find(ref)
		if o == nil || source.Classify(n.apiVersion, n.kind) != source.Kubernetes { // kinds of other groups may have its name
			if n.apiVersion != "" && runsPods(n.Node) {
				res.Outcomes = append(res.Outcomes, Outcome{Ref: ref, Reason: fmt.Sprintf("%s of %s has pods and is no kind that injection knows; meshc webhook gives its pods their proxy", n.kind, n.apiVersion)})
			}
			continue
		}
		with, outcome, found := in.Object(o)
		findings.Add(found...)
		if outcome != nil {
			res.Outcomes = append(res.Outcomes, *outcome)
		}
		if with != nil {
			touched = true
			inject(n.Node, with)
		}
	}
	if !touched {
		return whole, whole, findings
	}
	return style.write(&root), was, findings
}

// inject brings the node of an object to say what it is with a proxy. An item of a typed list does not say its kind.
func inject(n *yaml.Node, whole map[string]any) {
	for _, key := range []string{"apiVersion", "kind"} {
		if nodeAt(n, key) == nil {
			delete(whole, key)
		}
	}
	*n = *say(n, whole)
}

// runsPods tells whether an object that is not known has the template of a pod somewhere below it.
func runsPods(n *yaml.Node) bool {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		v := n.Content[i+1]
		if spec := nodeAt(v, "spec"); spec != nil {
			if c := nodeAt(spec, "containers"); c != nil && c.Kind == yaml.SequenceNode {
				return true
			}
		}
	}
	return n.Kind != yaml.ScalarNode && slices.ContainsFunc(n.Content, runsPods)
}

// found is an object in a tree.
type found struct {
	*yaml.Node
	apiVersion, kind string
}

// objects finds those in a document: itself, or the items of a list. of is what an item is that does not say so.
func objects(n *yaml.Node, of found) []found {
	switch n.Kind {
	case yaml.SequenceNode:
		var out []found
		for _, c := range n.Content {
			out = append(out, objects(c, found{})...)
		}
		return out
	case yaml.MappingNode:
		of.Node = n
		for key, to := range map[string]*string{"apiVersion": &of.apiVersion, "kind": &of.kind} {
			if v := nodeAt(n, key); v != nil && v.Value != "" {
				*to = v.Value
			}
		}
		items := nodeAt(n, "items")
		if items == nil || !strings.HasSuffix(of.kind, "List") || items.Kind != yaml.SequenceNode {
			return []found{of}
		}
		item := found{apiVersion: of.apiVersion, kind: strings.TrimSuffix(of.kind, "List")}
		if of.kind == "List" || of.kind == resourceList {
			item = found{}
		}
		var out []found
		for _, c := range items.Content {
			out = append(out, objects(c, item)...)
		}
		return out
	default: // no object
		return nil
	}
}

// resourceList is what a KRM function reads and writes.
const resourceList = "ResourceList"

func refOf(n found, namespace string) diag.Ref {
	ref := diag.Ref{Kind: n.kind, Namespace: namespace}
	if m := nodeAt(n.Node, "metadata"); m != nil {
		if v := nodeAt(m, "name"); v != nil {
			ref.Name = v.Value
		} else if v := nodeAt(m, "generateName"); v != nil {
			ref.Name = source.Generated(n.kind, v.Value)
		}
		if v := nodeAt(m, "namespace"); v != nil && v.ShortTag() != "!!null" && v.Value != "" {
			ref.Namespace = v.Value
		}
	}
	return ref
}

// style is how a document is written.
type style struct {
	first   string // the line with dashes before it
	indent  int
	compact bool // sequences are not indented
}

func styleOf(root *yaml.Node, text []byte) style {
	s := style{indent: 2}
	if line, _, _ := bytes.Cut(text, []byte("\n")); separates(line) {
		s.first = "---\n"
	}
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) || bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
		block(root) // JSON: written as YAML, the way of other filters of manifests
		return s
	}
	if d := step(root); d > 0 {
		s.indent = min(max(d, 2), 9)
	}
	s.compact = compact(root)
	return s
}

// block takes the style of JSON off a tree. Texts, also those that are keys, keep the quotes that some reader of YAML wants.
func block(n *yaml.Node) {
	n.Style &^= yaml.FlowStyle
	if n.Kind == yaml.ScalarNode && n.Style&yaml.DoubleQuotedStyle != 0 {
		n.Style = scalar(n.Value).Style
	}
	for _, c := range n.Content {
		block(c)
	}
}

// step is how far a mapping below another is indented, 0 if there is none.
func step(n *yaml.Node) int {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.MappingNode && v.Style&yaml.FlowStyle == 0 && v.Line > k.Line {
			return v.Column - k.Column
		}
	}
	for _, c := range n.Content {
		if d := step(c); d > 0 {
			return d
		}
	}
	return 0
}

// compact tells whether the first sequence of mappings stands below its key without being indented.
func compact(n *yaml.Node) bool {
	c, known := compactAt(n)
	return c && known
}

func compactAt(n *yaml.Node) (is, known bool) {
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle == 0 && v.Line > k.Line {
			return v.Column == k.Column, true
		}
	}
	for _, c := range n.Content {
		if is, known := compactAt(c); known {
			return is, true
		}
	}
	return false, false
}

func (s style) write(root *yaml.Node) []byte {
	var b bytes.Buffer
	b.WriteString(s.first)
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(s.indent)
	if s.compact {
		enc.CompactSeqIndent()
	}
	if err := enc.Encode(root); err != nil {
		panic(fmt.Sprintf("inject: a tree cannot be written: %v", err)) // it was read from a text, and changed by plain data
	}
	_ = enc.Close() // into memory
	return b.Bytes()
}
