package load

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/source"
	"go.yaml.in/yaml/v3"
)

// parseFile reads all documents of a file. After a syntax error the rest of the file is not read.
func parseFile(f file, lenient bool) (out *batch) {
	out = &batch{lenient: lenient}
	if len(f.data) > limit.FileBytes && !f.stream {
		out.fail(f.name, 1, "MESHC1005", fmt.Sprintf("the file has %d bytes; the limit is %d", len(f.data), limit.FileBytes), "Split the file.")
		return out
	}
	p := &parser{file: f, out: out, reader: source.NewReader(source.DefaultLimits())}
	defer func() {
		if r := recover(); r != nil {
			out.fail(f.name, 1, "MESHC1003", fmt.Sprintf("the YAML reader gave up on this file: %v", r), "Check the syntax of the file; comments in odd places are a common cause.")
		}
	}()
	p.run()
	return out
}

type parser struct {
	file   file
	out    *batch
	reader *source.Reader
}

func (p *parser) run() {
	dec := yaml.NewDecoder(bytes.NewReader(p.file.data))
	for i := 0; ; i++ {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.syntax(err)
			return
		}
		if i == limit.Documents {
			p.out.fail(p.file.name, n.Line, "MESHC1005", fmt.Sprintf("the file holds more than %d documents", limit.Documents), "Split the file.")
			return
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			p.document(n.Content[0], "", "")
		}
	}
}

var lineOf = regexp.MustCompile(`line (\d+)`)

// syntax reports text that is not YAML, naming the usual reason: a template that nobody rendered.
func (p *parser) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := lineOf.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = strings.TrimPrefix(msg, m[0]+": ")
	}
	line = max(1, min(line, bytes.Count(p.file.data, []byte("\n"))+1))
	if at, msg, help := conflict(p.file.data); at > 0 {
		p.out.fail(p.file.name, at, "MESHC1003", msg, help)
		return
	}
	if n := templateLine(p.file.data); n > 0 {
		p.template(n)
		return
	}
	if what := archiveForm(p.file.data); what != "" {
		p.out.fail(p.file.name, 1, "MESHC1003", "this is "+what+" and not YAML", "Name a directory, a tar archive by its file (.tar, .tar.gz), or a Git repository (PATH#ref=REV).")
		return
	}
	if at := tabbed(p.file.data, line); at > 0 {
		p.out.fail(p.file.name, at, "MESHC1003", "this is not YAML: the line is indented by a tab", "Indent by spaces; most editors have a command that converts tabs.")
		return
	}
	p.out.fail(p.file.name, line, "MESHC1003", "this is not YAML: "+msg, "Mend the syntax on this line or the one above it.")
}

var templateAction = regexp.MustCompile(`\{\{-?\s*[^}]*\}\}`)

// templateLine returns the first line that holds a Go template action outside of a comment, or 0.
func templateLine(data []byte) int {
	for i, l := range bytes.Split(data, []byte("\n")) {
		if !bytes.HasPrefix(bytes.TrimSpace(l), []byte("#")) && templateAction.Match(l) {
			return i + 1
		}
	}
	return 0
}

func (p *parser) template(line int) {
	p.out.fail(p.file.name, line, "MESHC1004", "this is a template that has not been rendered, not YAML",
		"Render it first, as in: helm template NAME CHART | meshc check -")
}

// document takes one value of the file: an object, a list of objects, or something else. The apiVersion and kind given
// are those an item of a typed list inherits.
func (p *parser) document(n *yaml.Node, apiVersion, kind string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!null" || n.Value == ""):
	case n.Kind == yaml.ScalarNode:
		p.text(n)
	case n.Kind == yaml.SequenceNode && p.sequence(n):
	case n.Kind == yaml.MappingNode:
		apiVersion, kind = cmp.Or(childText(n, "apiVersion"), apiVersion), cmp.Or(childText(n, "kind"), kind)
		if apiVersion == "" || kind == "" {
			p.other(n)
			return
		}
		p.typed(n, apiVersion, kind)
	default:
		p.other(n)
	}
}

// childText is the text below a key; "" where there is none.
func childText(n *yaml.Node, key string) string {
	if v := child(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// typed takes a mapping that says what it is.
func (p *parser) typed(n *yaml.Node, apiVersion, kind string) {
	if items := child(n, "items"); items != nil && strings.HasSuffix(kind, "List") {
		p.list(items, apiVersion, kind)
		return
	}
	if source.Classify(apiVersion, kind) != source.Foreign {
		p.object(n, apiVersion, kind)
		return
	}
	switch why, help := source.Misnamed(apiVersion, kind); {
	case why != "":
		at := n
		if f := readFragment(n); f.keys["apiVersion"] != nil {
			at = f.keys["apiVersion"]
		}
		p.misnamed(n, at, apiVersion, kind, why, help)
	case apiVersion == "v1" && kind == "List":
		p.fail(n, "MESHC1009", "this List has no items", "Write the objects below the key items.")
	default:
		p.aside(n, apiVersion, kind)
		p.deliveries(n, apiVersion, kind)
		p.leave(n, apiVersion+"/"+kind)
	}
}

// aside keeps a document that is left alone where it says how Istio is installed. What is wrong with its YAML is not looked at:
// no bundle depends on it.
func (p *parser) aside(n *yaml.Node, apiVersion, kind string) {
	d := &source.Document{File: p.file.name, Node: n, APIVersion: apiVersion, Kind: kind}
	if m := child(n, "metadata"); m != nil && m.Kind == yaml.MappingNode {
		d.Name = childText(m, "name")
	}
	if !source.Installs(apiVersion, kind, d.Name) {
		return
	}
	v, problems := p.reader.Value(n)
	if value, ok := v.(map[string]any); ok && len(problems) == 0 {
		d.Value = value
		p.out.aside = append(p.out.aside, d)
	}
}

// misnamed reports a kind that no API server has under its apiVersion, at the node that says so. A cluster refuses such an
// object alone. If it is one of Kubernetes, no policy of the mesh is lost with it, so that a lenient run goes on without it.
func (p *parser) misnamed(n, at *yaml.Node, apiVersion, kind, why, help string) {
	if p.out.lenient && source.IsKubernetes(kind) {
		p.out.diags.Add(warning(p.pos(at), "MESHC1009", why, help))
		p.leave(n, apiVersion+"/"+kind)
		return
	}
	p.fail(at, "MESHC1009", why, help)
}

// leave counts a document that is not the compiler's business.
func (p *parser) leave(n *yaml.Node, what string) {
	p.out.foreign = append(p.out.foreign, Left{What: what, Pos: p.pos(n)})
	p.unreadSettings(n)
}

func (p *parser) pos(n *yaml.Node) diag.Pos {
	return diag.Pos{File: p.file.name, Line: max(n.Line, 1), Column: max(n.Column, 1)}
}

func (p *parser) fail(n *yaml.Node, code, message, help string) {
	p.out.diags.Add(finding(p.pos(n), code, message, help))
}

func (p *parser) other(n *yaml.Node) {
	if hasTemplateKey(n, 0) {
		p.template(n.Line)
		return
	}
	if key := meshFile(p.file.name); key != "" && n.Kind == yaml.MappingNode {
		p.mesh(key)
		return
	}
	if n.Kind == yaml.MappingNode && p.half(n) {
		return
	}
	p.leave(n, NotKubernetes)
}

// meshFile tells by the name of a file whether it holds the bare settings of a mesh, and under which key of the
// ConfigMap istio they belong.
func meshFile(name string) string {
	switch strings.TrimSuffix(strings.TrimSuffix(path.Base(name), ".yaml"), ".yml") {
	case "meshconfig":
		return "mesh"
	case "meshnetworks":
		return "meshNetworks"
	}
	return ""
}

// mesh wraps a file with bare settings into the ConfigMap istio of istio-system, whose lines are those of the file.
func (p *parser) mesh(key string) {
	text := string(p.file.data)
	d := &source.Document{File: p.file.name, APIVersion: "v1", Kind: "ConfigMap", Namespace: "istio-system", Name: "istio"}
	d.Value = map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "istio", "namespace": "istio-system"}, "data": map[string]any{key: text}}
	word := func(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s, Line: 1, Column: 1} }
	d.Node = &yaml.Node{Kind: yaml.MappingNode, Line: 1, Column: 1, Content: []*yaml.Node{word("data"),
		{Kind: yaml.MappingNode, Line: 1, Column: 1, Content: []*yaml.Node{word(key), {Kind: yaml.ScalarNode, Style: yaml.LiteralStyle, Value: text, Line: 0, Column: 1}}}}}
	p.out.docs = append(p.out.docs, d)
}

// hasTemplateKey finds {{ x }}, which YAML reads as a mapping used as a key.
func hasTemplateKey(n *yaml.Node, depth int) bool {
	if depth > 4 {
		return false
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && c.Kind == yaml.MappingNode {
			return true
		}
		if hasTemplateKey(c, depth+1) {
			return true
		}
	}
	return false
}

func (p *parser) list(items *yaml.Node, apiVersion, kind string) {
	if kind == "List" {
		apiVersion, kind = "", ""
	} else {
		kind = strings.TrimSuffix(kind, "List")
	}
	if items.Kind == yaml.AliasNode {
		items = items.Alias
	}
	if items.Kind == yaml.ScalarNode && items.ShortTag() == "!!null" {
		return
	}
	if items.Kind != yaml.SequenceNode {
		p.out.fail(p.file.name, items.Line, "MESHC1009", "items of a list of objects must be a list", "Write each object as an item that starts with a dash.")
		return
	}
	for _, c := range items.Content {
		p.document(c, apiVersion, kind)
	}
}

// child is the value of a key, as reading the mapping gives it: its own, else that of the mappings it merges (<<).
func child(n *yaml.Node, key string) *yaml.Node {
	left := maxMerged
	return merged(n, key, &left)
}

// maxMerged bounds how many mappings are looked into for one key: aliases of aliases can stand for billions.
const maxMerged = 1000

func merged(n *yaml.Node, key string, left *int) *yaml.Node {
	if *left--; *left < 0 {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return follow(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := n.Content[i]; k.Kind != yaml.ScalarNode || k.Value != "<<" || k.Style != 0 {
			continue
		}
		from := []*yaml.Node{n.Content[i+1]}
		if list := follow(n.Content[i+1]); list.Kind == yaml.SequenceNode {
			from = list.Content
		}
		for _, m := range from {
			if m = follow(m); m.Kind == yaml.MappingNode {
				if v := merged(m, key, left); v != nil {
					return v
				}
			}
		}
	}
	return nil
}

// follow is what an alias stands for.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

func (p *parser) object(n *yaml.Node, apiVersion, kind string) {
	d := &source.Document{File: p.file.name, Node: n, APIVersion: apiVersion, Kind: kind}
	if m := child(n, "metadata"); m != nil && m.Kind == yaml.MappingNode {
		if v := child(m, "name"); v != nil && v.Kind == yaml.ScalarNode {
			d.Name = v.Value
		}
		if v := child(m, "namespace"); v != nil && v.Kind == yaml.ScalarNode && v.ShortTag() != "!!null" {
			d.Namespace = v.Value
		}
	}
	if p.unseparated(n) {
		return
	}
	v, problems := p.reader.Value(n)
	for _, pr := range problems {
		p.problem(d, pr)
	}
	if len(problems) > 0 {
		return
	}
	d.Value = v.(map[string]any)
	d.Value["apiVersion"], d.Value["kind"] = apiVersion, kind
	if meta, ok := d.Value["metadata"].(map[string]any); ok && meta["name"] == nil {
		begin, _ := meta["generateName"].(string)
		d.Name = source.Generated(kind, begin)
	}
	if source.Classify(apiVersion, kind) != source.Installer && !p.named(d) {
		return
	}
	p.placeholders(d)
	p.unreadValues(n, kind, d.Name)
	p.out.docs = append(p.out.docs, d)
}

func (p *parser) problem(d *source.Document, pr source.Problem) {
	pos := diag.Pos{File: d.File, Line: pr.Node.Line, Column: pr.Node.Column}
	code := "MESHC1008"
	switch pr.Kind {
	case source.DuplicateKey:
		code = "MESHC1007"
	case source.TooDeep, source.TooLarge:
		code = "MESHC1005"
	case source.BadKey:
		if p.isTemplate(pr.Node.Line) {
			p.template(pr.Node.Line)
			return
		}
	case source.BadScalar, source.BadAlias, source.BadMerge:
	}
	f := finding(pos, code, pr.Message, pr.Help)
	f.Object = d.Ref()
	if pr.Related != nil {
		f.Related = []diag.Related{{Pos: diag.Pos{File: d.File, Line: pr.Related.Line, Column: pr.Related.Column}, Object: d.Ref(), Message: "first here"}}
	}
	p.out.diags.Add(f)
}

func (p *parser) isTemplate(line int) bool {
	lines := bytes.Split(p.file.data, []byte("\n"))
	return line >= 1 && line <= len(lines) && templateAction.Match(lines[line-1])
}

var (
	shellVariable = regexp.MustCompile(`\$\{?[A-Za-z_][A-Za-z0-9_]*`)
	plainName     = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.:]*[A-Za-z0-9])?$`)
)

// named checks the name and namespace, on which every later phase builds.
func (p *parser) named(d *source.Document) bool {
	bad := func(code, msg, help string, at ...any) bool {
		f := finding(d.Pos(at...), code, msg, help)
		f.Object, f.Field = d.Ref(), joinPath(at)
		p.out.diags.Add(f)
		return false
	}
	meta, ok := d.Value["metadata"].(map[string]any)
	if !ok {
		return bad("MESHC1009", "the "+d.Kind+" has no metadata", "Add metadata with a name.", "metadata")
	}
	for _, k := range []string{"name", "namespace"} {
		v, present := meta[k]
		if k == "name" && v == nil && d.Name != "" {
			v, present = d.Name, true
		}
		if !present || v == nil {
			if k == "name" {
				if _, gen := meta["generateName"].(string); gen {
					return bad("MESHC1009", "the "+d.Kind+" has only a generateName, so nothing can refer to it", "Give it a name.", "metadata", "generateName")
				}
				return bad("MESHC1009", "the "+d.Kind+" has no name", "Add metadata.name.", "metadata")
			}
			continue
		}
		s, ok := v.(string)
		if !ok {
			return bad("MESHC1008", fmt.Sprintf("metadata.%s must be a string, but %v is read as a %s", k, v, typeName(v)), "Quote it.", "metadata", k)
		}
		if templateAction.MatchString(s) || shellVariable.MatchString(s) {
			return bad("MESHC1004", fmt.Sprintf("metadata.%s %q holds a placeholder that has not been replaced", k, s), "Render the file first (helm template, envsubst, kustomize) and compile the result.", "metadata", k)
		}
		if !plainName.MatchString(s) || len(s) > 253 {
			return bad("MESHC1008", fmt.Sprintf("metadata.%s %q is not a Kubernetes name", k, s), "Use lower-case letters, digits, '-' and '.', at most 253 of them.", "metadata", k)
		}
	}
	return true
}

func joinPath(elems []any) string {
	parts := make([]string, 0, len(elems))
	for _, e := range elems {
		parts = append(parts, fmt.Sprint(e))
	}
	return strings.Join(parts, ".")
}

// splitPath is the path that joinPath has joined, as far as no key holds a dot.
func splitPath(s string) []any {
	var out []any
	for _, e := range strings.Split(s, ".") {
		if i, err := strconv.Atoi(e); err == nil {
			out = append(out, i)
		} else {
			out = append(out, e)
		}
	}
	return out
}

func typeName(v any) string {
	switch v.(type) {
	case bool:
		return "boolean"
	case int64, float64:
		return "number"
	case []any:
		return "list"
	case map[string]any:
		return "mapping"
	default:
		return "string"
	}
}
