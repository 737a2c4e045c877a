package policies

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// excepted reads conftest's exceptions: lists of rule names without their prefix.
func excepted(v any, name string) bool {
	_, suffix, _ := strings.Cut(name, "_")
	lists, _ := v.([]any)
	for _, one := range lists {
		names, _ := one.([]any)
		if slices.ContainsFunc(names, func(n any) bool { return n == suffix }) {
			return true
		}
	}
	return false
}

// findings reads the value of a rule: a set or list of results, or one of them.
func (r *rule) findings(v any, obj *schema.Object, holds func(file string) bool) diag.List {
	var l diag.List
	switch v := v.(type) {
	case nil:
	case bool: // a rule without a message, as deny if {…}
		if v {
			l.Add(r.finding(r.id+" holds", nil, obj, holds)...)
		}
	case string:
		l.Add(r.finding(v, nil, obj, holds)...)
	case []any:
		for _, x := range v {
			l.Add(r.findings(x, obj, holds)...)
		}
	case map[string]any:
		msg, ok := v["msg"].(string)
		if !ok {
			return diag.List{regoFinding(CodeBadResult, r.file, r.line, 1, "a result of "+r.id+" is an object without a string msg", "Give it msg, or make it a string.")}
		}
		l.Add(r.finding(msg, v, obj, holds)...)
	default:
		l.Add(regoFinding(CodeBadResult, r.file, r.line, 1, fmt.Sprintf("a result of %s is neither a string nor an object", r.id), "Give a string, or an object with msg."))
	}
	return l
}

// overBudget is the finding about the rule with which the budget ended.
func (r *rule) overBudget(why, judged string) diag.Diagnostic {
	message := why + ", most of them for the rule " + r.id
	if judged != "" {
		message += "; " + judged
	}
	return regoFinding(CodeBudget, r.file, r.line, 1, message, "Use the indexes in data.meshc instead of comparing every object with every other, and make no texts and lists that grow with each other.")
}

// finding builds one finding. A result may carry field, code, severity and help, _loc (conftest) and, in set rules, object.
// A place outside of the sources is not taken over, and is a finding about the rule.
func (r *rule) finding(msg string, meta map[string]any, obj *schema.Object, holds func(file string) bool) diag.List {
	d := diag.Diagnostic{Code: r.code, Severity: r.severity, Message: msg, Help: r.help, Pos: diag.Pos{File: r.file, Line: r.line, Column: 1}}
	if s, ok := meta["field"].(string); ok {
		d.Field = s
	}
	if s, ok := meta["code"].(string); ok && s != "" {
		d.Code = s
	}
	if s, ok := meta["severity"].(string); ok {
		d.Severity = severity(s, d.Severity)
	}
	if s, ok := meta["help"].(string); ok {
		d.Help = s
	}
	if o, ok := meta["object"].(map[string]any); ok {
		d.Object.Kind, _ = o["kind"].(string)
		d.Object.Namespace, _ = o["namespace"].(string)
		d.Object.Name, _ = o["name"].(string)
	}
	if obj != nil {
		d.Object = obj.Ref()
		d.Pos = obj.Pos(parsePath(d.Field)...)
	}
	l := diag.List{}
	if at, ok := meta["_loc"].(map[string]any); ok {
		if f, ok := at["file"].(string); ok && f != "" && !holds(f) {
			return append(l, d, regoFinding(CodeBadPlace, r.file, r.line, 1, fmt.Sprintf("a result of %s has the place %.200q in _loc, which is no file of the sources", r.id, f),
				"Name a file by its path inside the sources, or leave _loc out: the finding then stands at the object, or at the field that the result names."))
		} else if ok && f != "" {
			d.Pos = diag.Pos{File: f, Line: 1}
		}
		if n, err := strconv.Atoi(fmt.Sprint(at["line"])); err == nil && n > 0 {
			d.Pos.Line, d.Pos.Column = n, 0
		}
	}
	return append(l, d)
}

// place gives findings about the set the place of the object they name.
func (e *engine) place(l diag.List, objs []*schema.Object) {
	if len(l) == 0 {
		return
	}
	index := map[diag.Ref]*schema.Object{}
	for _, o := range objs {
		index[o.Ref()] = o
	}
	for i, d := range l {
		if o := index[d.Object]; o != nil {
			l[i].Pos = o.Pos(parsePath(d.Field)...)
		}
	}
}

// parsePath reads spec.http[0].timeout or metadata.annotations["a/b.c"].
func parsePath(s string) []any {
	var out []any
	for s != "" {
		switch {
		case s[0] == '.':
			s = s[1:]
		case s[0] == '[':
			end := strings.IndexByte(s, ']')
			if end < 0 {
				return out
			}
			in := s[1:end]
			s = s[end+1:]
			if n, err := strconv.Atoi(in); err == nil {
				out = append(out, n)
			} else {
				out = append(out, strings.Trim(in, `"'`))
			}
		default:
			end := strings.IndexAny(s, ".[")
			if end < 0 {
				end = len(s)
			}
			out = append(out, s[:end])
			s = s[end:]
		}
	}
	return out
}
