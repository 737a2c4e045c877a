package policies

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/schema"
)

// asker evaluates one thing after the other, and counts its steps.
type asker struct {
	*engine
	ctx      context.Context
	meter    *meter
	builtins map[string]*topdown.Builtin
	txn      storage.Transaction
}

func (e *engine) asker(ctx context.Context) (*asker, error) {
	txn, err := e.store.NewTransaction(ctx)
	if err != nil {
		return nil, fmt.Errorf("policies: %w", err)
	}
	m := &meter{ctx: ctx}
	return &asker{engine: e, ctx: ctx, meter: m, builtins: bound(m), txn: txn}, nil
}

func (a *asker) close() { a.store.Abort(a.ctx, a.txn) }

// about asks all rules about an object, or about the set.
func (a *asker) about(obj *schema.Object, steps int64) (verdict, error) {
	kind := kindOf(obj)
	if a.idle[kind] {
		return verdict{}, nil
	}
	in, err := input(obj)
	if err != nil {
		return verdict{}, err
	}
	a.meter.reset(steps)
	v, err := a.ask(a.queries[kind], in)
	out := verdict{used: a.meter.used()}
	switch {
	case a.ctx.Err() != nil:
		return out, a.ctx.Err()
	case err == nil:
		results, _ := v.(map[string]any)
		for id, v := range results {
			if r := a.rules[id]; r != nil && !excepted(results[r.pkg+".exception"], r.name) {
				out.findings.Add(r.findings(v, obj, a.holds)...)
			}
		}
	case a.meter.isOver(err):
		out.over = true
	default:
		out.findings, err = a.each(obj, in, steps)
		out.used = min(out.used+a.meter.used(), steps)
		return out, err
	}
	return out, nil
}

func input(obj *schema.Object) (*ast.Term, error) {
	if obj == nil {
		return nil, nil
	}
	v, err := ast.InterfaceToValue(document(obj))
	if err != nil {
		return nil, fmt.Errorf("policies: %s: %w", obj.Ref(), err)
	}
	return ast.NewTerm(v), nil
}

// ask evaluates a query, whose answer is x; nil if there is none. The meter has to be set.
func (a *asker) ask(query ast.Body, in *ast.Term) (any, error) {
	q := topdown.NewQuery(query).WithCompiler(a.compiler).WithStore(a.store).WithTransaction(a.txn).WithCancel(a.meter).WithBuiltins(a.builtins)
	if in != nil {
		q = q.WithInput(in)
	}
	var out any
	err := q.Iter(a.ctx, func(r topdown.QueryResult) error {
		x := r["x"]
		if x == nil || out != nil {
			return nil
		}
		if !a.meter.spend(size(x, a.meter.left)) {
			return errOver.Err
		}
		var err error
		out, err = ast.JSON(x.Value)
		return err
	})
	return out, err
}

// alone asks one rule about an object, or about the set.
func (a *asker) alone(r *rule, in *ast.Term, obj *schema.Object) (diag.List, error) {
	q, err := a.query(r.ref)
	if err != nil {
		return nil, err
	}
	v, err := a.ask(q, in)
	if err != nil {
		return nil, err
	}
	return r.findings(v, obj, a.holds), nil
}

// each asks each rule alone, after all of them together failed, and names those at fault. All of them have the steps of one.
func (a *asker) each(obj *schema.Object, in *ast.Term, steps int64) (diag.List, error) {
	var l diag.List
	a.meter.reset(steps)
	for _, r := range a.engine.about(obj) {
		found, err := a.alone(r, in, obj)
		if a.ctx.Err() != nil {
			return nil, a.ctx.Err()
		}
		if a.meter.isOver(err) {
			l.Add(r.overBudget(fmt.Sprintf("the policies took more than %d steps on %s", steps, name(obj)), ""))
			return l, nil
		}
		if err != nil {
			file, line := r.file, r.line
			if failed := (*topdown.Error)(nil); errors.As(err, &failed) && failed.Location != nil {
				file, line = failed.Location.File, failed.Location.Row
			}
			l.Add(regoFinding(CodeFailed, file, line, 1, fmt.Sprintf("the rule %s failed on %s: %v", r.id, name(obj), err), "Mend the rule."))
		}
		l.Add(found...)
	}
	return l, nil
}

// blame asks each rule alone, after the budget came to its end, and names the one that takes the most steps of it.
func (a *asker) blame(obj *schema.Object, steps int64, why, judged string) (diag.List, error) {
	in, err := input(obj)
	if err != nil {
		return nil, err
	}
	var l diag.List
	var worst *rule
	var most, sum int64
	for _, r := range a.engine.about(obj) {
		a.meter.reset(steps)
		found, err := a.alone(r, in, obj)
		if a.ctx.Err() != nil {
			return nil, a.ctx.Err()
		}
		if err == nil {
			l.Add(found...)
		}
		if used := a.meter.used(); worst == nil || used > most {
			worst, most = r, used
		}
		if sum += a.meter.used(); sum > 2*steps {
			break
		}
	}
	return append(l, worst.overBudget(why+" "+name(obj), judged)), nil
}

func name(obj *schema.Object) string {
	if obj == nil {
		return "the whole set"
	}
	return obj.Ref().String()
}
