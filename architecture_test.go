package meshc_test

import (
	"context"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler"
)

// TestArchitecturePhases: the table of phases has those of the compiler, in their order.
func TestArchitecturePhases(t *testing.T) {
	var want, got []string
	for _, row := range rows(section(t, architecture(t), "Phases")) {
		want = append(want, row[0])
	}
	r, findings, err := compiler.Compile(context.Background(), []string{"examples/bookinfo/overlays/demo"}, compiler.Options{Begin: func(phase string) { got = append(got, phase) }})
	if err != nil || r.Bundle == nil {
		t.Fatal(err, findings)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the phases are\n%v\nand docs/architecture.md has\n%v", got, want)
	}
}

// TestArchitectureTerms: a term that the page explains names a type, or a function that makes or asks for one.
func TestArchitectureTerms(t *testing.T) {
	declared := map[string]bool{}
	for _, files := range sources(t) {
		for _, f := range files {
			for name := range declarations(f) {
				declared[strings.ToLower(name)] = true
			}
		}
	}
	for _, row := range rows(section(t, architecture(t), "Terms")) {
		for _, term := range strings.Split(row[0], ", ") {
			if !declared[strings.ToLower(strings.ReplaceAll(term, " ", ""))] {
				t.Errorf("docs/architecture.md explains %q, and nothing in the code has the name", term)
			}
		}
	}
}

// declarations are the types and functions of a file.
func declarations(f *ast.File) map[string]bool {
	out := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			out[d.Name.Name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if s, ok := s.(*ast.TypeSpec); ok {
					out[s.Name.Name] = true
				}
			}
		}
	}
	return out
}

// TestNoPackageVariableChanges: what a package declares as a variable is a constant in truth, so that nothing but arguments
// decides what a function does.
func TestNoPackageVariableChanges(t *testing.T) {
	assigned := 0
	for dir, files := range sources(t) {
		variables := map[string]bool{}
		for _, f := range files {
			for _, d := range f.Decls {
				if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
					for _, s := range g.Specs {
						for _, n := range s.(*ast.ValueSpec).Names {
							variables[n.Name] = true
						}
					}
				}
			}
		}
		for _, f := range files {
			for _, d := range f.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok || fn.Body == nil {
					continue
				}
				if fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init", dir)
				}
				local := locals(fn)
				for _, name := range targets(fn.Body) {
					assigned++
					if variables[name] && !local[name] {
						t.Errorf("%s: %s changes the package variable %s", dir, fn.Name.Name, name)
					}
				}
			}
		}
	}
	if assigned < 1000 {
		t.Fatalf("only %d assignments found", assigned)
	}
}

// locals are the names that a function declares for itself.
func locals(fn *ast.FuncDecl) map[string]bool {
	out := map[string]bool{}
	ast.Inspect(fn, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, x := range n.Names {
				out[x.Name] = true
			}
		case *ast.ValueSpec:
			for _, x := range n.Names {
				out[x.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, x := range n.Lhs {
					out[root(x)] = true
				}
			}
		case *ast.RangeStmt:
			if n.Tok == token.DEFINE {
				out[root(n.Key)], out[root(n.Value)] = true, true
			}
		}
		return true
	})
	return out
}

// targets are the names of the variables that statements assign to, whole or in part.
func targets(body *ast.BlockStmt) (out []string) {
	ast.Inspect(body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, x := range n.Lhs {
					out = append(out, root(x))
				}
			}
		case *ast.IncDecStmt:
			out = append(out, root(n.X))
		}
		return true
	})
	return out
}

// root is the name of the variable that an expression is a part of.
func root(x ast.Expr) string {
	for {
		switch y := x.(type) {
		case *ast.Ident:
			return y.Name
		case *ast.SelectorExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.StarExpr:
			x = y.X
		case *ast.ParenExpr:
			x = y.X
		default:
			return ""
		}
	}
}

// TestNamesAreReadInOnePlace: compiler/names builds and takes apart what clusters, listeners and server names are called; who
// needs something of a name asks there.
func TestNamesAreReadInOnePlace(t *testing.T) {
	form := regexp.MustCompile(`^"(outbound\||inbound\||outbound_\.|InboundPassthroughCluster|PassthroughCluster|BlackHoleCluster|virtualInbound|virtualOutbound)`)
	seen := 0
	for dir, files := range sources(t) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				lit, ok := n.(*ast.BasicLit)
				switch {
				case !ok || !form.MatchString(lit.Value):
				case dir == "compiler/names":
					seen++
				case !strings.HasPrefix(dir, "internal/"): // tests and their tools say what is to come out
					t.Errorf("%s has the name %s: compiler/names knows its form", dir, lit.Value)
				}
				return true
			})
		}
	}
	if seen < 5 {
		t.Fatalf("compiler/names has %d such names", seen)
	}
}

// TestStepsArePure: what a stream is sent next and which bundle a proxy is led to are steps from values to values; the server has the
// network, the clock and the goroutines.
func TestStepsArePure(t *testing.T) {
	for dir, files := range sources(t) {
		if !slices.Contains([]string{"server/ads", "server/waves", "server/live"}, dir) {
			continue
		}
		for _, f := range files {
			for _, i := range f.Imports {
				path := strings.Trim(i.Path.Value, `"`)
				if path == "os" || path == "context" || strings.HasPrefix(path, "net/http") || path == "net" || path == "google.golang.org/grpc" {
					t.Errorf("%s imports %s", dir, path)
				}
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if _, ok := n.(*ast.GoStmt); ok {
					t.Errorf("%s starts a goroutine", dir)
				}
				if sel, ok := n.(*ast.SelectorExpr); ok && isIdent(sel.X, "time") && slices.Contains([]string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker"}, sel.Sel.Name) {
					t.Errorf("%s asks the clock: time.%s", dir, sel.Sel.Name)
				}
				return true
			})
		}
	}
}
