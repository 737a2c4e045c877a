package schema

import (
	"io/fs"
	"strconv"
	"strings"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/format"
	"cuelang.org/go/cue/parser"
)

// shape is what a CUE file says about one struct: its fields, and the rules written as attributes.
type shape struct {
	name   string // definition, without '#'
	fields []*field
	byName map[string]*field
	rest   *field // pattern [string]: T
	open   bool
	oneofs [][]string
	key    string // value type of the keys of a mapping
}

// field is one field of a struct, or the element of a map.
type field struct {
	name        string
	doc         string
	required    bool
	want        string // the type, as written
	enum        []string
	ref         string // definition of the value, or of its elements
	inline      *shape // a struct written in place
	list        bool
	unsupported string   // reason; empty if supported
	always      bool     // unsupported in Istio too: an error even when lenient
	ignored     string   // reason why the field has no effect
	warn        bool     // who sets it expects an effect: a warning
	on          []string // of an annotation or label: kinds that it means something on; empty: any
	deprecated  bool     // of an annotation
	value       string   // value type; see value.go
	uint        bool     // of an annotation: its text must be a whole number
}

// shapes maps definitions to their shape.
type shapes map[string]*shape

// parseShapes parses the embedded files.
func parseShapes() (shapes, error) {
	out := shapes{}
	names, err := fs.Glob(files, "*.cue")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		b, err := files.ReadFile(n)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(n, b, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if fd, ok := d.(*ast.Field); ok {
				name, _, _ := ast.LabelName(fd.Label)
				if s, ok := fd.Value.(*ast.StructLit); ok {
					out[name] = readStruct(strings.TrimPrefix(name, "#"), s)
				}
			}
		}
	}
	return out, nil
}

func readStruct(name string, s *ast.StructLit) *shape {
	sh := &shape{name: name, byName: map[string]*field{}}
	for _, d := range s.Elts {
		switch d := d.(type) {
		case *ast.Ellipsis:
			sh.open = true
		case *ast.Attribute:
			if key, body := d.Split(); key == "oneof" {
				sh.oneofs = append(sh.oneofs, strings.Split(body, ","))
			}
		case *ast.Field:
			f := readField(d)
			if _, pattern := d.Label.(*ast.ListLit); pattern {
				sh.rest = f
				continue
			}
			sh.fields = append(sh.fields, f)
			sh.byName[f.name] = f
		}
	}
	return sh
}

func readField(d *ast.Field) *field {
	f := &field{required: d.Constraint.String() == "!"}
	f.name, _, _ = ast.LabelName(d.Label)
	for _, c := range ast.Comments(d) {
		if c.Doc {
			f.doc = strings.Join(strings.Fields(c.Text()), " ")
		}
	}
	f.readType(d.Value)
	for _, a := range d.Attrs {
		key, body := a.Split()
		reason, rest := quoted(body)
		switch key {
		case "unsupported":
			f.unsupported, f.always = reason, rest == ",always"
		case "ignored":
			f.ignored, f.warn = reason, rest == ",warn"
		case "on":
			f.on = strings.Split(body, ",")
		case "deprecated":
			f.deprecated = true
		case "uint":
			f.uint = true
		case "value":
			f.value = body
		case "key":
			f.inline.key = body
		}
	}
	if f.ref == "#PositiveDuration" && f.value == "" {
		f.value = "milliseconds"
	}
	if f.inline != nil && f.inline.rest != nil {
		f.inline.rest.value, f.value = f.value, ""
	}
	return f
}

func quoted(body string) (text, rest string) {
	q, err := strconv.QuotedPrefix(body)
	if err != nil {
		return body, ""
	}
	text, _ = strconv.Unquote(q)
	return text, body[len(q):]
}

func (f *field) readType(e ast.Expr) {
	if b, err := format.Node(e); err == nil {
		f.want = string(b)
	}
	f.descend(e)
}

// descend finds what the value is made of: the definition referred to, the elements of a list, the values of a map.
func (f *field) descend(e ast.Expr) {
	switch e := e.(type) {
	case *ast.Ident:
		if strings.HasPrefix(e.Name, "#") {
			f.ref = e.Name
		}
	case *ast.ParenExpr:
		f.descend(e.X)
	case *ast.BinaryExpr:
		f.descend(e.X)
		f.descend(e.Y)
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			f.enum = append(f.enum, s)
		}
	case *ast.StructLit:
		f.inline = readStruct("", e)
	case *ast.ListLit:
		for _, el := range e.Elts {
			if x, ok := el.(*ast.Ellipsis); ok && x.Type != nil {
				f.list = true
				f.descend(x.Type)
			}
		}
	}
}

// of returns the shape of a field's value or elements; nil for a scalar and for what is not described.
func (s shapes) of(f *field) *shape {
	if f == nil {
		return nil
	}
	if f.inline != nil {
		return f.inline
	}
	return s[f.ref]
}

// get returns the field a key stands for; nil if the struct does not know it.
func (s *shape) get(key string) *field {
	if f := s.byName[key]; f != nil {
		return f
	}
	return s.rest
}

func (s *shape) names() []string {
	out := make([]string, 0, len(s.fields))
	for _, f := range s.fields {
		out = append(out, f.name)
	}
	return out
}
