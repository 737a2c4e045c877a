package policies

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// doubled is a chain of assignments, each of which names the one before it twice.
func doubled(first, each string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "x0 := %s; ", first)
	for i := range n {
		fmt.Fprintf(&b, "x%d := %s; ", i+1, strings.ReplaceAll(each, "X", fmt.Sprintf("x%d", i)))
	}
	return b.String()
}

// TestBudget: what would take a machine's memory or its time is ended, at the rule, before it has begun to.
func TestBudget(t *testing.T) {
	long := "a := sprintf(\"%0100000d\", [0]); "
	for name, body := range map[string]string{
		"loop":            "some i in numbers.range(1, 3000); some j in numbers.range(1, 3000); i * j == -1",
		"list":            "count(numbers.range(1, 200000000)) == 1",
		"list by steps":   "count(numbers.range_step(1, 200000000, 2)) == 1",
		"width":           "sprintf(\"%01000000000d\", [1]) != \"\"",
		"precision":       "sprintf(\"%.1000000000f\", [1]) != \"\"",
		"width by value":  "sprintf(\"%*d\", [1000000000, 1]) != \"\"",
		"texts":           "count(concat(\"\", [s | some i in numbers.range(1, 2000); s := sprintf(\"%01000000d\", [i])])) == 1",
		"concat":          doubled(`"aaaaaaaaaaaaaaaa"`, `concat("", [X, X])`, 40) + "x40 != \"\"",
		"template":        doubled(`"aaaaaaaaaaaaaaaa"`, `$"{X}{X}"`, 40) + "x40 != \"\"",
		"array.concat":    doubled("[1, 2, 3]", "array.concat(X, X)", 40) + "count(x40) == 1",
		"replace":         long + "replace(a, \"0\", a) != \"\"",
		"replace_n":       long + "strings.replace_n({\"0\": a}, a) != \"\"",
		"regex.replace":   long + "regex.replace(a, \"0\", a) != \"\"",
		"regex":           long + "some i in numbers.range(1, 1000000); regex.match(`(0|00)*(0|0)*[^0]`, a)",
		"states":          long + "regex.match(`(0{30}){30}`, a)",
		"shift":           "bits.lsh(1, 10000000000) > 0",
		"shifts":          "bits.lsh(1, 60000000) > 0",
		"sum":             "a := bits.lsh(1, 400000); sum([a | some i in numbers.range(1, 500)]) > 0",
		"multiplication":  doubled("99999999999999999999", "X * X", 40) + "x40 > 0",
		"product":         "product(numbers.range(1, 200000)) > 0",
		"values":          doubled("[1]", "[X, X]", 40) + "json.marshal(x40) != \"\"",
		"values compared": doubled("[1]", "[X, X]", 40) + doubledAs("y", "[X, X]", 40) + "x40 = y40",
		"walk":            doubled("[1]", "[X, X]", 40) + "walk(x40, [_, 7])",
		"lists of one":    "a := [x | some i in numbers.range(1, 1000); x := input]; b := [x | some i in numbers.range(1, 1000); x := a]; json.marshal(b) != \"\"",
		"result":          "false }\ndeny contains x if { input.kind == \"VirtualService\"; a := [y | some i in numbers.range(1, 1000); y := input]; x := [y | some i in numbers.range(1, 1000); y := a]",
	} {
		t.Run(name, func(t *testing.T) {
			l := evaluate(t, "package main\ndeny contains \"found\" if { input.kind == \"VirtualService\"; "+body+" }", Budget{Object: 500_000, Run: 1_000_000})
			for _, d := range l {
				if d.Code == CodeBudget && d.Pos.Line >= 2 && strings.HasSuffix(d.Pos.File, "p.rego") && d.Help != "" {
					return
				}
			}
			t.Errorf("want %s, have %+v", CodeBudget, l)
		})
	}
}

func doubledAs(v, each string, n int) string {
	return strings.NewReplacer("x", v).Replace(doubled("[1]", strings.ReplaceAll(each, "x", v), n))
}

// TestRulesInRulesAreWeighed: what nests through rules and functions is what nests through variables.
func TestRulesInRulesAreWeighed(t *testing.T) {
	var b strings.Builder
	b.WriteString("package main\nx0 := [1]\nf0(x) := [x]\n")
	for i := range 40 {
		fmt.Fprintf(&b, "x%d := [x%d, x%d]\nf%d(x) := [f%d(x), f%d(x)]\n", i+1, i, i, i+1, i, i)
	}
	b.WriteString("deny contains \"found\" if { input.kind == \"VirtualService\"; x40 == f40(1) }\n")
	if l := evaluate(t, b.String(), Budget{}); len(l) != 1 || l[0].Code != CodeBudget {
		t.Errorf("%+v", l)
	}
}

// TestOneBudgetForTheRun: documents that are each within their budget are not so together; where it ends does not depend on
// how many are judged at a time.
func TestOneBudgetForTheRun(t *testing.T) {
	dir := t.TempDir()
	rego := "package main\ndeny contains sprintf(\"%s of %d\", [input.metadata.name, count(x)]) if { input.kind == \"VirtualService\"; x := [i | some i in numbers.range(1, 1000); i > 0] }"
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(rego), 0o644); err != nil {
		t.Fatal(err)
	}
	var docs []string
	for i := range 200 {
		docs = append(docs, strings.Replace(mesh, "{name: a}", fmt.Sprintf("{name: a%d}", i), 1))
	}
	objs := objects(t, strings.Join(docs, "---\n"))
	var want any
	for _, workers := range []int{1, 2, 16} {
		l, _, err := Eval(context.Background(), objs, Options{Folders: folders(dir), Workers: workers, Budget: Budget{Object: 50_000, Run: 200_000}})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = l
			n := 0
			for _, d := range l {
				if d.Code == CodeBudget {
					n++
					if !strings.Contains(d.Message, "of 400 objects were judged") || !strings.Contains(d.Message, "main.deny") {
						t.Error(d.Message)
					}
				}
			}
			if n != 1 {
				t.Errorf("%d findings about the budget", n)
			}
		}
		if !reflect.DeepEqual(want, any(l)) {
			t.Errorf("%d workers give other findings", workers)
		}
	}
}

// TestStepsAreCounted: an evaluation takes the same steps each time, and the pack takes a small part of what there is.
func TestStepsAreCounted(t *testing.T) {
	objs := objects(t, strings.Repeat("---\n"+mesh, 100))
	var first int64
	for range 3 {
		_, r, err := Eval(context.Background(), objs, Options{Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		if first == 0 {
			first = r.Steps
		}
		if r.Steps != first || first <= 0 {
			t.Errorf("%d steps, then %d", first, r.Steps)
		}
	}
	t.Logf("%d steps an object", first/int64(len(objs)))
	if each := first / int64(len(objs)); each > DefaultBudget().RunObject/10 {
		t.Errorf("the pack takes %d steps on an object", each)
	}
}

// TestEveryBuiltinIsBound: each builtin that a policy may call is known to OPA and has an implementation, and none that costs
// is called by its own name once modules are bound.
func TestEveryBuiltinIsBound(t *testing.T) {
	for name, cost := range costs() {
		if ast.BuiltinMap[name] == nil || cost != nil && topdown.GetBuiltin(name) == nil {
			t.Errorf("%s is no builtin that can be bound", name)
		}
	}
	l := newLoader()
	if err := l.pack(); err != nil {
		t.Fatal(err)
	}
	e, found, err := newEngine(l, objects(t, mesh))
	if err != nil || len(found) > 0 {
		t.Fatal(err, found)
	}
	calls := 0
	for _, m := range e.compiler.Modules {
		ast.WalkTerms(m, func(x *ast.Term) bool {
			if c, ok := x.Value.(ast.Call); ok {
				t.Errorf("%s: a call is left in a term", c)
			}
			return false
		})
		ast.WalkExprs(m, func(x *ast.Expr) bool {
			if x.IsCall() {
				calls++
				if cost := costs()[x.Operator().String()]; cost != nil {
					t.Errorf("%s is not bound", x)
				}
			}
			return false
		})
	}
	if calls == 0 {
		t.Error("no call was seen")
	}
}

// TestNoBuiltinIsReplaced: what is counted is known before evaluation.
func TestNoBuiltinIsReplaced(t *testing.T) {
	for _, with := range []string{"count(input) == 1 with count as 1", "f(1) == 1 with f as abs"} {
		l := evaluate(t, "package main\nf(x) := x\ndeny contains \"found\" if { input.kind == \"VirtualService\"; "+with+" }", Budget{})
		if len(l) != 1 || l[0].Code != CodeRego || l[0].Pos.Line != 3 {
			t.Errorf("%s: %+v", with, l)
		}
	}
}

// TestEvaluationEndsWithItsContext: an evaluation looks at the context now and then.
func TestEvaluationEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	rego := "package main\ndeny contains \"found\" if { some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i * j == -1; input.kind }"
	if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(rego), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Eval(ctx, objects(t, mesh), Options{Folders: folders(dir), Budget: Budget{Object: endless, Run: endless}}); err == nil {
		t.Error("it did not end with the context")
	}
}
