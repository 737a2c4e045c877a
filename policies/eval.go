package policies

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
	"golang.org/x/sync/errgroup"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/schema"
)

// eval asks about every object, and once about the set.
func (e *engine) eval(ctx context.Context, objs []*schema.Object, o Options) (diag.List, error) {
	parts := make([]diag.List, len(objs)+1)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(o.Workers, 1))
	const chunk = 64
	for from := 0; from < len(objs); from += chunk {
		g.Go(fault.Guard(func() error {
			for i := from; i < min(from+chunk, len(objs)); i++ {
				l, err := e.one(ctx, objs[i], o.Deadline)
				if err != nil {
					return err
				}
				parts[i] = l
			}
			return nil
		}))
	}
	g.Go(fault.Guard(func() error {
		l, err := e.ask(ctx, wholeSet, nil, nil, o.Deadline)
		parts[len(objs)] = l
		return err
	}))
	if err := g.Wait(); err != nil {
		return nil, err
	}
	e.place(parts[len(objs)], objs)
	return slices.Concat(parts...), nil
}

func (e *engine) one(ctx context.Context, obj *schema.Object, deadline time.Duration) (diag.List, error) {
	if e.idle[obj.Kind] {
		return nil, nil
	}
	in, err := ast.InterfaceToValue(document(obj))
	if err != nil {
		return nil, fmt.Errorf("policies: %s: %w", obj.Ref(), err)
	}
	return e.ask(ctx, obj.Kind, in, obj, deadline)
}

// document is the object as written, with the namespace that it got, if it names none.
func document(obj *schema.Object) map[string]any {
	meta, _ := obj.Doc.Value["metadata"].(map[string]any)
	if obj.Namespace == "" || meta == nil || meta["namespace"] != nil {
		return obj.Doc.Value
	}
	doc, meta := maps.Clone(obj.Doc.Value), maps.Clone(meta)
	meta["namespace"] = obj.Namespace
	doc["metadata"] = meta
	return doc
}

func (e *engine) ask(ctx context.Context, kind string, in ast.Value, obj *schema.Object, deadline time.Duration) (diag.List, error) {
	limited, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	opts := []rego.EvalOption{}
	if in != nil {
		opts = append(opts, rego.EvalParsedInput(in))
	}
	rs, err := e.queries[kind].Eval(limited, opts...)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return e.blame(ctx, kind, in, obj, deadline), nil
	}
	if len(rs) == 0 {
		return nil, nil
	}
	results, _ := rs[0].Bindings["x"].(map[string]any)
	var l diag.List
	for id, v := range results {
		if r := e.rules[id]; r != nil && !excepted(results[r.pkg+".exception"], r.name) {
			l.Add(r.findings(v, obj, e.holds)...)
		}
	}
	return l, nil
}

// blame asks each rule alone, after all of them together failed or took too long, and names those at fault.
func (e *engine) blame(ctx context.Context, kind string, in ast.Value, obj *schema.Object, deadline time.Duration) diag.List {
	var l diag.List
	subject := "the whole set"
	if obj != nil {
		subject = obj.Ref().String()
	}
	store := inmem.NewFromObjectWithOpts(e.store, inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	for _, id := range slices.Sorted(maps.Keys(e.rules)) {
		r := e.rules[id]
		if r.set != (kind == wholeSet) || r.kinds != nil && !r.kinds[kind] {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, deadline)
		opts := []func(*rego.Rego){rego.Compiler(e.compiler), rego.Store(store), rego.Query("x = " + r.ref)}
		if in != nil {
			opts = append(opts, rego.ParsedInput(in))
		}
		rs, err := rego.New(opts...).Eval(limited)
		cancel()
		var failed *topdown.Error
		switch {
		case err == nil && len(rs) > 0:
			l.Add(r.findings(rs[0].Bindings["x"], obj, e.holds)...)
		case err == nil:
		case topdown.IsCancel(err) || errors.Is(err, context.DeadlineExceeded):
			l.Add(regoFinding(CodeBudget, r.file, r.line, 1, fmt.Sprintf("the rule %s took more than %s on %s", id, deadline, subject), "Use the indexes in data.meshc instead of comparing every object with every other."))
		default:
			file, line := r.file, r.line
			if errors.As(err, &failed) && failed.Location != nil {
				file, line = failed.Location.File, failed.Location.Row
			}
			l.Add(regoFinding(CodeFailed, file, line, 1, fmt.Sprintf("the rule %s failed on %s: %v", id, subject, err), "Mend the rule."))
		}
	}
	if len(l) == 0 { // each rule alone is within its time
		l.Add(regoFinding(CodeBudget, "policies", 1, 0, fmt.Sprintf("all rules together took more than %s on %s", deadline, subject), "Look for the rules that compare every object with every other."))
	}
	return l
}

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
