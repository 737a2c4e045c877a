package policies

import (
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/meshc/meshc/internal/limit"
)

// expansion weighs the variables of a rule by how many parts they stand for. The evaluator writes out what a variable stands
// for wherever it is named, the type checker does with rules as well, and neither counts: x1 := [x0, x0]; x2 := [x1, x1]; and
// so on to x40 is more than any memory.
type expansion struct {
	weights map[ast.Var]int64
	rules   *ruleWeights
	grown   bool
}

// ruleWeights are those of the values of rules.
type ruleWeights struct {
	compiler *ast.Compiler
	known    map[*ast.Rule]int64
}

// expansions reports rules that write out too much. It runs as a stage of the compiler, once no rule calls itself.
func expansions(c *ast.Compiler) *ast.Error {
	w := &ruleWeights{compiler: c, known: map[*ast.Rule]int64{}}
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		for _, r := range c.Modules[name].Rules {
			if w.of(r) > limit.PolicyExpansion {
				return ast.NewError(expansionErr, r.Location, "a value in the rule %s has more than %d parts once its variables are written out", ruleName(r), limit.PolicyExpansion)
			}
		}
	}
	return nil
}

const expansionErr = "meshc_expansion_error"

// of is the weight of the value of a rule, or of the largest term in it if that is too large.
func (w *ruleWeights) of(r *ast.Rule) int64 {
	if n, ok := w.known[r]; ok {
		return n
	}
	var out, most int64
	for one := r; one != nil; one = one.Else {
		x := &expansion{weights: map[ast.Var]int64{}, rules: w}
		most = max(most, x.body(one.Body))
		for _, t := range []*ast.Term{one.Head.Key, one.Head.Value} {
			if t != nil {
				out = max(out, x.weight(t))
			}
		}
	}
	if most > limit.PolicyExpansion {
		out = most
	}
	w.known[r] = max(out, 1)
	return w.known[r]
}

// named is the weight of what a reference stands for.
func (w *ruleWeights) named(ref ast.Ref) int64 {
	n := int64(1)
	if len(ref) == 0 || !ref[0].Equal(ast.DefaultRootDocument) {
		return n
	}
	for _, r := range w.compiler.GetRules(ref) {
		n = max(n, w.of(r))
	}
	return n
}

// body weighs the variables of a body, and returns the largest weight of a term in it.
func (x *expansion) body(b ast.Body) int64 {
	for range len(b) + 1 { // expressions may stand in any order
		x.grown = false
		var most int64
		for _, e := range b {
			most = max(most, x.expr(e))
		}
		if !x.grown || most > limit.PolicyExpansion {
			return most
		}
	}
	return 0
}

func (x *expansion) expr(e *ast.Expr) int64 {
	var most int64
	each := func(ts ...*ast.Term) {
		for _, t := range ts {
			if t != nil {
				most = max(most, x.weight(t))
			}
		}
	}
	switch t := e.Terms.(type) {
	case *ast.Term:
		each(t)
	case []*ast.Term:
		each(t[1:]...)
		if e.IsEquality() && len(t) == 3 {
			x.unify(t[1], t[2])
		} else if f, ok := t[0].Value.(ast.Ref); ok && len(t) > 1 {
			x.raise(t[len(t)-1], x.rules.named(f)) // the result, if it is caught
		}
	case *ast.Every:
		each(t.Domain)
		most = max(most, x.body(t.Body))
	case *ast.Not:
		most = max(most, x.body(t.Body))
	}
	for _, w := range e.With {
		each(w.Value)
	}
	return most
}

// unify passes the weight of one side of an equation to the variables of the other.
func (x *expansion) unify(a, b *ast.Term) {
	l, ok := a.Value.(*ast.Array)
	r, also := b.Value.(*ast.Array)
	if ok && also && l.Len() == r.Len() {
		for i := range l.Len() {
			x.unify(l.Elem(i), r.Elem(i))
		}
		return
	}
	left, right := x.weight(a), x.weight(b)
	x.raise(a, right)
	x.raise(b, left)
}

func (x *expansion) raise(t *ast.Term, weight int64) {
	v, ok := t.Value.(ast.Var)
	if ok && weight > max(x.weights[v], 1) {
		x.weights[v], x.grown = weight, true
	}
}

// weight is how many parts a term has.
func (x *expansion) weight(t *ast.Term) int64 {
	n := int64(1)
	add := func(t *ast.Term) { n = min(n+x.weight(t), endless) }
	switch v := t.Value.(type) {
	case ast.Var:
		return max(x.weights[v], 1)
	case ast.Ref:
		return x.rules.named(v)
	case *ast.Array:
		v.Foreach(add)
	case ast.Set:
		v.Foreach(add)
	case ast.Object:
		v.Foreach(func(k, val *ast.Term) { add(k); add(val) })
	case *ast.ArrayComprehension:
		return x.nested(v.Body, v.Term)
	case *ast.SetComprehension:
		return x.nested(v.Body, v.Term)
	case *ast.ObjectComprehension:
		return x.nested(v.Body, v.Key, v.Value)
	}
	return n
}

// nested is the weight of a comprehension: 1, unless something in it is too large.
func (x *expansion) nested(b ast.Body, terms ...*ast.Term) int64 {
	inner := &expansion{weights: maps.Clone(x.weights), rules: x.rules}
	most := inner.body(b)
	for _, t := range terms {
		most = max(most, inner.weight(t))
	}
	if most > limit.PolicyExpansion {
		return most
	}
	return 1
}
