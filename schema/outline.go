package schema

import (
	"encoding/json"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"cuelang.org/go/cue/ast"
	"cuelang.org/go/cue/parser"
	"cuelang.org/go/cue/token"
)

// The outline of a value is all that CUE's verdict on it can depend on. The definitions are trees: no field refers to
// another, so a value is valid if each part of it is. Parts that may be any string, any boolean or anything at all stand
// in the outline by their type alone, entries of a list or map that look alike stand there once, and everything else
// stands there as it is. So of the documents of one outline, which in a large mesh are hundreds, CUE has to see one. Only
// what CUE found valid is remembered: what it refuses it sees whole, for the message.

// formKind says how a part of a definition bears on the outline.
type formKind int

const (
	exactly  formKind = iota // any other constraint: the value itself
	text                     // string
	someText                 // string & !=""
	truth                    // bool
	record                   // {a: T, b?: U}
	dict                     // {[string]: T}
	list                     // [...T]
	referred                 // #Definition
)

// form is a part of a definition.
type form struct {
	kind   formKind
	ref    string
	names  []string
	fields map[string]*form
	open   bool
	elem   *form
}

// forms are the forms of the definitions. It is nil if the definitions are not trees: then there are no outlines.
type forms map[string]*form

// parseForms reads the embedded definitions, and nothing if one of them refers to more than other definitions.
func parseForms() forms {
	out := forms{}
	names, err := fs.Glob(files, "*.cue")
	if err != nil {
		return nil
	}
	for _, n := range names {
		b, err := files.ReadFile(n)
		if err != nil {
			return nil
		}
		f, err := parser.ParseFile(n, b)
		if err != nil || !tree(f) {
			return nil
		}
		for _, d := range f.Decls {
			fd, ok := d.(*ast.Field)
			if !ok {
				continue
			}
			name, _, err := ast.LabelName(fd.Label)
			if _, twice := out[name]; err != nil || twice {
				return nil
			}
			out[name] = formOf(fd.Value)
		}
	}
	return out
}

// tree tells whether a file holds nothing by which one part of a value could bear on another: only definitions, fields,
// literals, types, comparisons with literals, and & and | between them.
func tree(f *ast.File) bool {
	ok := true
	ast.Walk(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.File, *ast.Package, *ast.Field, *ast.StructLit, *ast.ListLit, *ast.Ellipsis, *ast.Attribute, *ast.ParenExpr,
			*ast.BasicLit, *ast.CommentGroup, *ast.Comment:
		case *ast.BinaryExpr:
			ok = ok && (n.Op == token.AND || n.Op == token.OR)
		case *ast.UnaryExpr:
			_, literal := n.X.(*ast.BasicLit)
			ok = ok && literal
		case *ast.Ident:
			ok = ok && n.Name != ""
		default:
			ok = false
		}
		return ok
	}, nil)
	return ok && closedNames(f)
}

// closedNames tells whether all identifiers in values name types or definitions, never a field.
func closedNames(f *ast.File) bool {
	for _, d := range f.Decls {
		if fd, field := d.(*ast.Field); field && !closedExpr(fd.Value) {
			return false
		}
	}
	return true
}

// closedExpr says whether an expression refers to nothing but definitions and built-in types.
func closedExpr(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		switch e.Name {
		case "string", "bool", "number", "int", "int32", "int64", "uint32", "uint64", "_", "true", "false", "null":
			return true
		}
		return len(e.Name) > 1 && e.Name[0] == '#'
	case *ast.BinaryExpr:
		return closedExpr(e.X) && closedExpr(e.Y)
	case *ast.ParenExpr:
		return closedExpr(e.X)
	case *ast.UnaryExpr, *ast.BasicLit:
		return true
	case *ast.ListLit:
		return !slices.ContainsFunc(e.Elts, func(el ast.Expr) bool {
			if x, rest := el.(*ast.Ellipsis); rest {
				return x.Type != nil && !closedExpr(x.Type)
			}
			return !closedExpr(el)
		})
	case *ast.StructLit:
		return !slices.ContainsFunc(e.Elts, func(d ast.Decl) bool { return !closedDecl(d) })
	default:
		return false
	}
}

// closedDecl is closedExpr for a part of a struct.
func closedDecl(d ast.Decl) bool {
	switch d := d.(type) {
	case *ast.Field:
		switch l := d.Label.(type) {
		case *ast.ListLit:
			return closedExpr(l) && closedExpr(d.Value)
		case *ast.Ident, *ast.BasicLit:
			return closedExpr(d.Value)
		default:
			return false
		}
	case *ast.Ellipsis:
		return d.Type == nil
	case *ast.Attribute, *ast.CommentGroup:
		return true
	default:
		return false
	}
}

// formOf reads one expression. What it does not know is taken exactly.
func formOf(e ast.Expr) *form {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return formOf(e.X)
	case *ast.Ident:
		switch {
		case e.Name == "string":
			return &form{kind: text}
		case e.Name == "bool":
			return &form{kind: truth}
		case e.Name[0] == '#':
			return &form{kind: referred, ref: e.Name}
		}
	case *ast.BinaryExpr:
		if e.Op == token.AND {
			return bothForms(e)
		}
	case *ast.ListLit:
		if len(e.Elts) == 1 {
			if x, ok := e.Elts[0].(*ast.Ellipsis); ok && x.Type != nil {
				return &form{kind: list, elem: formOf(x.Type)}
			}
		}
	case *ast.StructLit:
		return structForm(e)
	}
	return &form{}
}

// bothForms reads string & !="" and [_, ...] & [...T]: the outline of a list says whether it is empty.
func bothForms(e *ast.BinaryExpr) *form {
	x, y := formOf(e.X), formOf(e.Y)
	if u, ok := e.Y.(*ast.UnaryExpr); ok && x.kind == text && u.Op == token.NEQ {
		if b, ok := u.X.(*ast.BasicLit); ok && b.Value == `""` {
			return &form{kind: someText}
		}
	}
	if l, ok := e.X.(*ast.ListLit); ok && y.kind == list && len(l.Elts) == 2 {
		any, first := l.Elts[0].(*ast.Ident)
		rest, more := l.Elts[1].(*ast.Ellipsis)
		if first && more && any.Name == "_" && rest.Type == nil {
			return y
		}
	}
	return &form{}
}

func structForm(s *ast.StructLit) *form {
	f := &form{kind: record, fields: map[string]*form{}}
	var pattern *form
	for _, d := range s.Elts {
		switch d := d.(type) {
		case *ast.Ellipsis:
			f.open = true
		case *ast.Attribute:
		case *ast.Field:
			if l, ok := d.Label.(*ast.ListLit); ok {
				if len(l.Elts) != 1 || formOf(l.Elts[0]).kind != text || pattern != nil {
					return &form{}
				}
				pattern = formOf(d.Value)
				continue
			}
			name, _, err := ast.LabelName(d.Label)
			if _, twice := f.fields[name]; err != nil || twice {
				return &form{}
			}
			f.names, f.fields[name] = append(f.names, name), formOf(d.Value)
		default:
			return &form{}
		}
	}
	switch {
	case pattern == nil:
		return f
	case len(f.fields) > 0 || f.open:
		return &form{}
	}
	return &form{kind: dict, elem: pattern}
}

// outliner writes outlines.
type outliner struct {
	forms forms
	buf   []byte
	fail  bool // the value holds something that has no canonical text
}

// outline returns the outline of a value for a definition; false where it has none.
func (o *outliner) outline(def string, v any) (string, bool) {
	if o.forms[def] == nil {
		return "", false
	}
	o.buf, o.fail = append(o.buf[:0], def...), false
	o.write(o.forms[def], v)
	return string(o.buf), !o.fail
}

func (o *outliner) write(f *form, v any) {
	for f.kind == referred {
		next := o.forms[f.ref]
		if next == nil {
			o.fail = true
			return
		}
		f = next
	}
	switch f.kind {
	case text, someText:
		if s, ok := v.(string); ok && utf8.ValidString(s) && (f.kind == text || s != "") {
			o.buf = append(o.buf, 's')
			return
		}
	case truth:
		if _, ok := v.(bool); ok {
			o.buf = append(o.buf, 'b')
			return
		}
	case record:
		if m, ok := v.(map[string]any); ok {
			o.record(f, m)
			return
		}
	case dict:
		if m, ok := v.(map[string]any); ok {
			o.dict(f, m)
			return
		}
	case list:
		if l, ok := v.([]any); ok {
			o.list(f, l)
			return
		}
	case exactly, referred:
	}
	o.exactly(v)
}

func (o *outliner) record(f *form, m map[string]any) {
	o.buf = append(o.buf, '{')
	known := 0
	for _, name := range f.names {
		if v, ok := m[name]; ok {
			known++
			o.buf = append(append(o.buf, name...), ':')
			o.write(f.fields[name], v)
			o.buf = append(o.buf, ';')
		}
	}
	if known < len(m) {
		for _, k := range sortedKeys(m) {
			switch {
			case f.fields[k] != nil:
			case f.open:
				o.plain(k)
				o.plain(m[k]) // may be anything
			default:
				o.exactly(k)
				o.exactly(m[k])
				o.buf = append(o.buf, ';')
			}
		}
	}
	o.buf = append(o.buf, '}')
}

func (o *outliner) dict(f *form, m map[string]any) {
	o.buf = append(o.buf, '<')
	var e entries
	for _, k := range sortedKeys(m) {
		o.plain(k)
		at := len(o.buf)
		o.write(f.elem, m[k])
		o.buf = e.keep(o.buf, at)
	}
	o.buf = append(o.buf, '>')
}

func (o *outliner) list(f *form, l []any) {
	o.buf = append(o.buf, '[')
	var e entries
	for _, v := range l {
		at := len(o.buf)
		o.write(f.elem, v)
		o.buf = e.keep(o.buf, at)
	}
	o.buf = append(o.buf, ']')
}

// entries drops outlines of entries that are there already.
type entries struct {
	spans [][2]int
}

func (e *entries) keep(buf []byte, at int) []byte {
	for _, s := range e.spans {
		if string(buf[s[0]:s[1]]) == string(buf[at:]) {
			return buf[:at]
		}
	}
	if len(e.spans) < 32 { // beyond that, a longer outline is cheaper
		e.spans = append(e.spans, [2]int{at, len(buf)})
	}
	return append(buf, ',')
}

// exactly writes the value.
func (o *outliner) exactly(v any) {
	if o.plain(v); o.fail {
		return
	}
	switch v := v.(type) {
	case int64:
		o.buf = strconv.AppendInt(append(o.buf, 'i'), v, 10)
	case float64:
		o.buf = strconv.AppendFloat(append(o.buf, 'f'), v, 'x', -1, 64)
	default:
		o.nested(v)
	}
}

func (o *outliner) nested(v any) {
	switch v := v.(type) {
	case map[string]any:
		o.buf = append(o.buf, '{')
		for _, k := range sortedKeys(v) {
			o.nested(k)
			o.exactly(v[k])
			o.buf = append(o.buf, ';')
		}
		o.buf = append(o.buf, '}')
	case []any:
		o.buf = append(o.buf, '[')
		for _, e := range v {
			o.exactly(e)
			o.buf = append(o.buf, ',')
		}
		o.buf = append(o.buf, ']')
	default:
		b, err := json.Marshal(v) // string, bool, nil
		if err != nil {
			o.fail = true
			return
		}
		o.buf = append(o.buf, b...)
	}
}

// plain refuses data that YAML does not make.
func (o *outliner) plain(v any) {
	switch v := v.(type) {
	case nil, bool, int64:
	case float64:
		o.fail = o.fail || math.IsNaN(v) || math.IsInf(v, 0)
	case string:
		o.fail = o.fail || !utf8.ValidString(v)
	case []any:
		for _, e := range v {
			o.plain(e)
		}
	case map[string]any:
		for k, e := range v {
			o.plain(k)
			o.plain(e)
		}
	default:
		o.fail = true
	}
}
