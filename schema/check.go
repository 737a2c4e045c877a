package schema

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"cuelang.org/go/cue/errors"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/internal/suggest"
)

// checker checks objects one after the other.
type checker struct {
	*engine
	shapes shapes
	opts   Options
	rules  map[string]valueRule
}

func newChecker(s shapes, e *engine, opts Options) *checker {
	return &checker{engine: e, shapes: s, opts: opts, rules: valueRules()}
}

// target is a value that is checked against a definition, and where it stands in its document.
type target struct {
	doc    *source.Document
	ref    diag.Ref
	prefix []any  // path of the value in doc
	label  string // put before field paths, for a document inside a document
	def    string
	value  any
}

func (t *target) finding(sev diag.Severity, code, message, help string, path []any) diag.Diagnostic {
	full := append(slices.Clone(t.prefix), path...)
	return diag.Diagnostic{Code: code, Severity: sev, Pos: t.doc.Pos(full...), Object: t.ref, Field: t.label + FieldPath(full...), Message: message, Help: help}
}

// lenient is the severity of what Istio lets pass.
func (c *checker) lenient() diag.Severity {
	if c.opts.Lenient {
		return diag.Warning
	}
	return diag.Error
}

// validate holds a value against its definition.
func (c *checker) validate(t *target) diag.List {
	var out diag.List
	if err := c.judge(t.def, t.value); err != nil {
		out.Add(c.explain(t, err)...)
	}
	c.attributes(t, c.shapes[t.def], t.value, nil, &out)
	return out
}

// explain turns CUE's errors into findings, one for each place.
func (c *checker) explain(t *target, err error) diag.List {
	var out diag.List
	seen := map[string]bool{}
	for _, e := range errors.Errors(err) {
		f := c.explainOne(t, c.dataPath(t, e.Path()), e)
		if key := f.Code + " " + f.Field; !seen[key] {
			seen[key] = true
			out.Add(f)
		}
	}
	return out
}

// dataPath drops what CUE puts before the path, and makes list elements indices.
func (c *checker) dataPath(t *target, path []string) []any {
	for len(path) > 0 && strings.HasPrefix(path[0], "#") {
		path = path[1:]
	}
	v := t.value
	out := make([]any, 0, len(path))
	for _, p := range path {
		if u, err := strconv.Unquote(p); err == nil {
			p = u
		}
		if l, ok := v.([]any); ok {
			if i, err := strconv.Atoi(p); err == nil {
				out = append(out, i)
				v = nil
				if i >= 0 && i < len(l) {
					v = l[i]
				}
				continue
			}
		}
		out = append(out, p)
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return out
}

func (c *checker) explainOne(t *target, path []any, e errors.Error) diag.Diagnostic {
	sh := c.shapes[t.def]
	v := t.value
	var f *field
	for i, p := range path {
		switch p := p.(type) {
		case int:
			l, ok := v.([]any)
			if !ok || p < 0 || p >= len(l) {
				return c.wrong(t, f, v, path[:i])
			}
			v = l[p]
		case string:
			if sh == nil {
				return c.wrong(t, f, v, path[:i])
			}
			m, ok := v.(map[string]any)
			if !ok {
				return c.wrong(t, f, v, path[:i])
			}
			next := sh.get(p)
			if next == nil && !sh.open {
				return c.unknown(t, sh, p, path[:i+1])
			}
			child, present := m[p]
			if !present {
				return t.finding(diag.Error, shapeCode, fmt.Sprintf("%s needs the field %s", where(path[:i], t.ref.Kind), p), wantHelp(next, nil), path[:i+1])
			}
			f, v = next, child
			sh = c.shapes.of(next)
		}
	}
	format, args := e.Msg()
	if m := fmt.Sprintf(format, args...); strings.Contains(m, "required but not present") || strings.Contains(m, "incompatible list lengths") {
		if l, ok := v.([]any); ok && len(l) == 0 {
			return t.finding(diag.Error, shapeCode, where(path, t.ref.Kind)+" must not be empty", wantHelp(f, nil), path)
		}
	}
	return c.wrong(t, f, v, path)
}

func where(path []any, kind string) string {
	if len(path) == 0 {
		return "the spec of a " + kind
	}
	return FieldPath(path...)
}

func (c *checker) unknown(t *target, sh *shape, key string, path []any) diag.Diagnostic {
	names := sh.names()
	help := "Remove it."
	if n := suggest.Word(key, names); n != "" {
		help = "Did you mean " + n + "?"
	} else if len(names) > 0 {
		sort.Strings(names)
		help = "Fields here are " + strings.Join(names, ", ") + "."
	}
	owner := sh.name
	if owner == "" {
		owner = where(path[:len(path)-1], t.ref.Kind)
	}
	return t.finding(diag.Error, shapeCode, fmt.Sprintf("%s has no field %q", owner, key), help, path)
}

func (c *checker) wrong(t *target, f *field, v any, path []any) diag.Diagnostic {
	if f != nil && f.list && isElement(path) {
		element := *f
		element.list = false
		f = &element
	}
	return t.finding(diag.Error, shapeCode, fmt.Sprintf("%s is %s, but must be %s", where(path, t.ref.Kind), show(v), wantText(f)), wantHelp(f, v), path)
}

// isElement tells whether a path leads to an element of a list.
func isElement(path []any) bool {
	if len(path) == 0 {
		return false
	}
	_, ok := path[len(path)-1].(int)
	return ok
}

// show quotes a value for a message, shortened.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "empty"
	case string:
		if len(v) > 60 {
			v = v[:60] + "…"
		}
		return "the string " + strconv.Quote(v)
	case bool:
		return "the boolean " + strconv.FormatBool(v)
	case int64:
		return "the number " + strconv.FormatInt(v, 10)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	default:
		return fmt.Sprint(v)
	}
}

// wantText says in words what a field takes.
func wantText(f *field) string {
	if f == nil {
		return "a mapping of fields"
	}
	if len(f.enum) > 1 {
		return "one of " + strings.Join(f.enum, ", ")
	}
	w := f.want
	switch {
	case strings.Contains(w, "#Duration") || strings.Contains(w, "#PositiveDuration"):
		w = "a duration"
	case strings.Contains(w, "#PortNumber"):
		w = "a port number from 1 to 65535"
	case f.ref != "" || f.inline != nil:
		w = "a mapping"
	case strings.HasPrefix(w, "string & !="):
		w = "a string that is not empty"
	case strings.HasPrefix(w, "string"), strings.HasPrefix(w, "[...string"), strings.HasPrefix(w, "[_, ...]"):
		w = "a string" + strings.TrimPrefix(strings.TrimSuffix(strings.TrimPrefix(w, "[..."), "]"), "string")
	case strings.HasPrefix(w, "bool"):
		w = "true or false"
	case strings.HasPrefix(w, "number"):
		w = "a number" + bounds(w)
	case strings.HasPrefix(w, "int"), strings.HasPrefix(w, "uint"):
		w = "a whole number" + bounds(w)
	}
	if f.list {
		return "a list, each element " + w
	}
	return w
}

func bounds(w string) string {
	_, rest, ok := strings.Cut(w, " & ")
	if !ok {
		return ""
	}
	rest = strings.NewReplacer(">=", "at least ", "<=", "at most ", " & ", " and ").Replace(rest)
	return ", " + rest
}

// wantHelp says what to write in place of a value. It speaks of nothing but the value: what becomes of a field stands in the
// page of fields.
func wantHelp(f *field, v any) string {
	text, isText := v.(string)
	switch {
	case f == nil:
		return "Check the indentation and the field's name."
	case len(f.enum) > 1 && isText && suggest.Word(text, f.enum) != "":
		return "Did you mean " + suggest.Word(text, f.enum) + "?"
	case strings.Contains(f.want, "Duration"):
		return "Write a number with its unit, as in 300ms, 10s or 1h30m."
	case wantText(f) == "a string" && isScalar(v):
		return fmt.Sprintf("Quote the value: %q.", fmt.Sprint(v))
	default:
		return "Write " + wantText(f) + "."
	}
}

// isScalar tells whether YAML took a value without quotes for a number or a truth value.
func isScalar(v any) bool {
	switch v.(type) {
	case bool, int64:
		return true
	}
	return false
}

// attributes reports fields that are unsupported or have no effect, and one-ofs of which several are set.
func (c *checker) attributes(t *target, sh *shape, v any, path []any, out *diag.List) {
	if sh == nil {
		return
	}
	if l, ok := v.([]any); ok {
		for i, e := range l {
			c.attributes(t, sh, e, append(slices.Clip(path), i), out)
		}
		return
	}
	m, ok := v.(map[string]any)
	if !ok {
		return
	}
	for _, group := range sh.oneofs {
		c.oneof(t, group, m, path, out)
	}
	for _, key := range sortedKeys(m) {
		f := sh.get(key)
		if f == nil {
			continue
		}
		at := append(slices.Clip(path), key)
		switch {
		case f.unsupported != "":
			sev, code := c.lenient(), "MESHC1110"
			if f.always {
				sev, code = diag.Error, shapeCode
			}
			out.Add(t.finding(sev, code, fmt.Sprintf("%s is not supported: %s", key, f.unsupported), "Remove the field.", at))
		case f.ignored != "":
			sev := diag.Info
			if f.warn {
				sev = diag.Warning
			}
			out.Add(t.finding(sev, "MESHC1111", fmt.Sprintf("%s has no effect on the bundle: %s", key, f.ignored), "Leave it to the part that reads it, or remove it.", at))
		}
		c.attributes(t, c.shapes.of(f), m[key], at, out)
	}
}

func (c *checker) oneof(t *target, group []string, m map[string]any, path []any, out *diag.List) {
	var set []string
	for _, g := range group {
		if _, ok := m[g]; ok {
			set = append(set, g)
		}
	}
	if len(set) > 1 {
		out.Add(t.finding(diag.Error, shapeCode, fmt.Sprintf("%s sets %s, but takes only one of %s", where(path, t.ref.Kind), strings.Join(set, " and "), strings.Join(group, ", ")),
			"Keep the one that is meant.", append(slices.Clip(path), set[1])))
	}
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
