package policies

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/meshc/meshc/internal/diag"
)

// TestResult is the outcome of one test of a policy.
type TestResult struct {
	File string
	Line int
	Name string // data.PACKAGE.test_NAME
	OK   bool
	Why  string // it is not
}

// Test runs the tests of the user's policies: rules test_NAME in files *_test.rego, each within the budget of one object. What
// is wrong with the policies are findings, and then nothing runs.
func Test(ctx context.Context, o Options) ([]TestResult, diag.List, error) {
	l := newLoader()
	l.tests = true
	if err := l.pack(); err != nil {
		return nil, nil, err
	}
	if err := l.folders(o.Folders); err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(l.modules)), func(name string) bool { return strings.HasSuffix(name, "_test.rego") }) {
		return nil, diag.List{}, nil // a check says what is wrong with the policies
	}
	for name, m := range l.modules {
		if !l.builtin[name] {
			l.list.Add(replacements(m, name)...)
		}
	}
	if l.list.HasErrors() {
		return nil, l.list, nil
	}
	e := &engine{compiler: newCompiler()}
	if e.compiler.Compile(l.modules); e.compiler.Failed() {
		return nil, regoErrors(e.compiler.Errors, "policies"), nil
	}
	bind(e.compiler.Modules)
	e.store = inmem.NewFromObjectWithOpts(l.with(facts(nil, true)), inmem.OptRoundTripOnWrite(false), inmem.OptReturnASTValuesOnRead(true))
	budget := o.Budget
	if budget == (Budget{}) {
		budget = DefaultBudget()
	}
	a, err := e.asker(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer a.close()
	var out []TestResult
	for _, file := range slices.Sorted(maps.Keys(l.modules)) {
		if l.builtin[file] || !strings.HasSuffix(file, "_test.rego") {
			continue
		}
		done := map[string]bool{}
		for _, r := range l.modules[file].Rules {
			name := ruleName(r)
			if !strings.HasPrefix(name, "test_") || done[name] {
				continue
			}
			done[name] = true
			t, err := a.test(l.modules[file].Package.Path.String()+"."+name, budget.Object)
			if err != nil {
				return nil, nil, err
			}
			t.File, t.Line = file, r.Location.Row
			out = append(out, t)
		}
	}
	return out, diag.List{}, nil
}

// test evaluates one test: it holds, or is wrong.
func (a *asker) test(ref string, steps int64) (TestResult, error) {
	t := TestResult{Name: ref}
	q, err := a.query(ref)
	if err != nil {
		return t, err
	}
	a.meter.reset(steps)
	v, err := a.ask(q, nil)
	switch {
	case a.ctx.Err() != nil:
		return t, a.ctx.Err()
	case a.meter.isOver(err):
		t.Why = fmt.Sprintf("the test takes more than %d steps", steps)
	case err != nil:
		t.Why = "the test failed: " + err.Error()
	case v == nil:
		t.Why = "the test does not hold: it is undefined"
	case v == false:
		t.Why = "the test does not hold: it is false"
	default:
		t.OK = true
	}
	return t, nil
}

// newCompiler makes a compiler for policies, which know only what is bounded.
func newCompiler() *ast.Compiler {
	return ast.NewCompiler().WithCapabilities(capabilities()).WithDefaultRegoVersion(ast.RegoV1).
		WithStageAfterID(ast.StageCheckRecursion, ast.CompilerStageDefinition{Name: "CheckExpansions", MetricName: "compile_stage_check_expansions", Stage: expansions})
}
