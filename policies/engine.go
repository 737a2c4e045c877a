package policies

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

const (
	enginePackage = "meshc_engine"
	otherKinds    = "*" // the query for objects of a kind that no rule names
	wholeSet      = ""  // the query of packages that look at the set only
)

// A rule that reports. Rules of one name in one package are one rule.
type rule struct {
	id       string // package.name, as main.deny_latest
	ref      string // data.main.deny_latest
	name     string
	pkg      string
	kinds    map[string]bool // nil: every kind
	set      bool            // its package never looks at input
	builtin  bool
	code     string
	title    string
	about    string
	help     string
	severity diag.Severity
	file     string
	line     int
}

// asks tells whether the rule is about objects of a kind, or about the whole set.
func (r *rule) asks(kind string) bool {
	return r.set == (kind == wholeSet) && (kind == wholeSet || r.kinds == nil || r.kinds[kind])
}

type engine struct {
	rules    map[string]*rule
	packages map[string][]*rule
	excepts  map[string]bool // packages with conftest's exception rule
	compiler *ast.Compiler
	queries  map[string]ast.Body // by kind
	idle     map[string]bool     // kinds that no rule asks about
	store    storage.Store
	holds    func(file string) bool // tells the files of the sources
}

var reporting = regexp.MustCompile(`^(deny|violation|warn)(_[a-zA-Z0-9]+)*$`)

// newEngine compiles the modules and prepares one query per kind that occurs.
func newEngine(l *loader, objs []*schema.Object) (*engine, diag.List, error) {
	e := &engine{rules: map[string]*rule{}, packages: map[string][]*rule{}, excepts: map[string]bool{}, queries: map[string]ast.Body{}, idle: map[string]bool{}}
	found := e.collect(l)
	if found.HasErrors() {
		return e, found, nil
	}
	kinds := map[string]bool{otherKinds: true}
	for _, o := range objs {
		kinds[o.Kind] = true
	}
	found.Add(e.neverMet(kinds)...)
	kinds[wholeSet] = true
	modules := maps.Clone(l.modules)
	generated, err := ast.ParseModuleWithOpts(packName("engine.rego"), e.generate(kinds), ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		return e, nil, fmt.Errorf("policies: generated query: %w", err)
	}
	modules[packName("engine.rego")] = generated
	e.compiler = newCompiler()
	if e.compiler.Compile(modules); e.compiler.Failed() {
		found.Add(regoErrors(e.compiler.Errors, "policies")...)
		return e, found, nil
	}
	bind(e.compiler.Modules)
	e.store = inmem.NewFromObjectWithOpts(l.with(facts(objs, usesSet(l))), inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	for k := range kinds {
		q, err := e.query("data." + enginePackage + "." + resultsOf(k))
		if err != nil {
			return e, nil, err
		}
		e.queries[k] = q
		e.idle[k] = !slices.ContainsFunc(slices.Collect(maps.Values(e.rules)), func(r *rule) bool { return r.asks(k) })
	}
	return e, found, nil
}

// query compiles the question what a reference stands for; the answer is x.
func (e *engine) query(ref string) (ast.Body, error) {
	body, err := ast.ParseBodyWithOpts("x = "+ref, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err == nil {
		body, err = e.compiler.QueryCompiler().Compile(body)
	}
	if err != nil {
		return nil, fmt.Errorf("policies: query %s: %w", ref, err)
	}
	return body, nil
}

// collect finds the rules that report, in all modules.
func (e *engine) collect(l *loader) diag.List {
	var found diag.List
	looksAtInput := map[string]bool{}
	where := map[string]*ast.Package{}
	user := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(l.modules)) {
		m := l.modules[name]
		pkg := strings.TrimPrefix(m.Package.Path.String(), "data.")
		where[pkg] = cmp.Or(where[pkg], m.Package)
		user[pkg] = user[pkg] || !l.builtin[name]
		ast.WalkRefs(m, func(r ast.Ref) bool {
			looksAtInput[pkg] = looksAtInput[pkg] || r.HasPrefix(ast.InputRootRef)
			return false
		})
		found.Add(replacements(m, name)...)
		for _, r := range m.Rules {
			e.add(pkg, name, r, m, l.builtin[name])
		}
	}
	imported := importedPackages(l.modules)
	for _, pkg := range slices.Sorted(maps.Keys(where)) {
		for _, r := range e.packages[pkg] {
			r.set = !looksAtInput[pkg]
		}
		if len(e.packages[pkg]) == 0 && user[pkg] && !imported[pkg] {
			at := where[pkg].Location
			found.Add(regoFinding(CodeNoRule, at.File, at.Row, at.Col, "package "+pkg+" has no deny, violation or warn rule, so it can never find anything", "Name a rule deny, deny_NAME, warn or warn_NAME; a library is fine once another package imports it."))
		}
	}
	return found
}

// replacements reports builtins that a policy puts something else in the place of, or puts in the place of something: which
// builtin is called, and so what it costs, is known before anything is evaluated.
func replacements(m *ast.Module, file string) diag.List {
	var l diag.List
	ast.WalkExprs(m, func(x *ast.Expr) bool {
		for _, w := range x.With {
			for _, t := range []*ast.Term{w.Target, w.Value} {
				if _, ok := ast.BuiltinMap[t.Value.String()]; ok {
					l.Add(regoFinding(CodeRego, file, w.Location.Row, w.Location.Col, "with replaces a function by another, and one of them is the builtin "+t.Value.String(), "Call it in a function of your own, which tests may replace."))
				}
			}
		}
		return false
	})
	return l
}

func importedPackages(modules map[string]*ast.Module) map[string]bool {
	out := map[string]bool{}
	for _, m := range modules {
		own := m.Package.Path.String()
		ast.WalkRefs(m, func(r ast.Ref) bool {
			if r.HasPrefix(ast.DefaultRootRef) && r.ConstantPrefix().String() != own {
				for p := r.ConstantPrefix(); len(p) > 1; p = p[:len(p)-1] {
					out[strings.TrimPrefix(p.String(), "data.")] = true
				}
			}
			return false
		})
	}
	return out
}

func (e *engine) add(pkg, file string, r *ast.Rule, m *ast.Module, builtin bool) {
	name := ruleName(r)
	if name == "exception" {
		e.excepts[pkg] = true
	}
	if !reporting.MatchString(name) {
		return
	}
	id := pkg + "." + name
	known := e.rules[id]
	kinds := kindsOf(r.Body)
	if known != nil {
		if known.kinds != nil && kinds != nil {
			maps.Copy(known.kinds, kinds)
		} else {
			known.kinds = nil
		}
		return
	}
	n := &rule{id: id, ref: "data." + id, name: name, pkg: pkg, kinds: kinds, builtin: builtin, code: id, severity: diag.Error, file: file, line: r.Location.Row}
	if strings.HasPrefix(name, "warn") {
		n.severity = diag.Warning
	}
	for _, a := range m.Annotations {
		if a.Scope == "package" {
			n.annotate(a)
		}
	}
	for _, a := range r.Annotations {
		n.annotate(a)
	}
	if n.help == "" {
		n.help = fmt.Sprintf("The rule stands at %s:%d.", file, n.line)
	}
	e.rules[id] = n
	e.packages[pkg] = append(e.packages[pkg], n)
}

func ruleName(r *ast.Rule) string {
	if len(r.Head.Reference) > 0 {
		if v, ok := r.Head.Reference[0].Value.(ast.Var); ok {
			return string(v)
		}
	}
	return string(r.Head.Name)
}

// annotate takes code, texts, severity and help from METADATA.
func (r *rule) annotate(a *ast.Annotations) {
	if a.Scope != "package" {
		if s, ok := a.Custom["code"].(string); ok && s != "" {
			r.code = s
		}
		r.title, r.about = strings.TrimSpace(a.Title), strings.TrimSpace(a.Description)
	}
	if s, ok := a.Custom["severity"].(string); ok {
		r.severity = severity(s, r.severity)
	}
	if s, ok := a.Custom["help"].(string); ok {
		r.help = s
	}
	for _, link := range a.RelatedResources {
		r.help = strings.TrimSpace(r.help + " See " + link.Ref.String())
	}
}

func severity(s string, otherwise diag.Severity) diag.Severity {
	switch strings.ToLower(s) {
	case "error", "high", "critical":
		return diag.Error
	case "warning", "warn", "medium":
		return diag.Warning
	case "info", "low":
		return diag.Info
	}
	return otherwise
}

// kindsOf reads input.kind == "X" and input.kind in {"X", "Y"} off a body; nil means that it names none.
func kindsOf(body ast.Body) map[string]bool {
	for _, x := range body {
		if x.Negated || !x.IsCall() || len(x.Operands()) != 2 {
			continue
		}
		a, b := x.Operand(0), x.Operand(1)
		switch x.Operator().String() {
		case "equal", "eq", "assign":
			if isKind(b) {
				a, b = b, a
			}
			if s, ok := b.Value.(ast.String); ok && isKind(a) {
				return map[string]bool{string(s): true}
			}
		case "internal.member_2":
			if kinds := stringsOf(b.Value); kinds != nil && isKind(a) {
				return kinds
			}
		}
	}
	return nil
}

func isKind(t *ast.Term) bool {
	r, ok := t.Value.(ast.Ref)
	return ok && r.String() == "input.kind"
}

func stringsOf(v ast.Value) map[string]bool {
	out := map[string]bool{}
	ok := true
	take := func(t *ast.Term) {
		s, is := t.Value.(ast.String)
		out[string(s)] = true
		ok = ok && is
	}
	switch v := v.(type) {
	case ast.Set:
		v.Foreach(take)
	case *ast.Array:
		v.Foreach(take)
	default:
		return nil
	}
	if !ok {
		return nil
	}
	return out
}

// neverMet reports the user's packages whose rules all look for kinds that do not occur.
func (e *engine) neverMet(kinds map[string]bool) diag.List {
	var l diag.List
	for _, pkg := range slices.Sorted(maps.Keys(e.packages)) {
		rules := e.packages[pkg]
		wanted := map[string]bool{}
		met := false
		for _, r := range rules {
			met = met || r.builtin || r.set || r.kinds == nil
			for k := range r.kinds {
				wanted[k] = true
				met = met || kinds[k]
			}
		}
		if !met {
			l.Add(regoFinding(CodeNeverMet, rules[0].file, rules[0].line, 1,
				fmt.Sprintf("no rule of package %s met a document: the rules look for %s, and there is none", pkg, strings.Join(slices.Sorted(maps.Keys(wanted)), ", ")),
				"Correct the kind, or take the policy out; "+CodeNeverMet+": warning in meshc.yaml lets it pass."))
		}
	}
	return l
}

func resultsOf(kind string) string { return "results_" + fmt.Sprintf("%x", kind) }

// generate writes the package that collects results: a partial object, so that an undefined rule is merely absent.
func (e *engine) generate(kinds map[string]bool) string {
	var b strings.Builder
	b.WriteString("package " + enginePackage + "\n")
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		name := resultsOf(kind)
		b.WriteString(name + "[\"\"] := 0\n")
		for _, id := range slices.Sorted(maps.Keys(e.rules)) {
			r := e.rules[id]
			if !r.asks(kind) {
				continue
			}
			fmt.Fprintf(&b, "%s[%s] := %s\n", name, strconv.Quote(id), r.ref)
		}
		for _, pkg := range slices.Sorted(maps.Keys(e.excepts)) {
			fmt.Fprintf(&b, "%s[%s] := data.%s.exception\n", name, strconv.Quote(pkg+".exception"), pkg)
		}
	}
	return b.String()
}
