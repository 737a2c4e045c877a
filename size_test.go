package meshc_test

import (
	"bytes"
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// How large things may be, outside tests. What has outgrown its bound is taken apart; the bounds stay.
const (
	mostBranches  = 20   // of a function: its cyclomatic complexity
	usualBranches = 15   // of 95 of 100 functions
	mostLines     = 70   // of a function, without comments and blank lines
	packageLines  = 6000 // of a package, all lines counted
)

// sized is a function with its size.
type sized struct {
	place           string
	branches, lines int
}

// TestSizes holds functions and packages to their bounds, the tools of the project itself included.
func TestSizes(t *testing.T) {
	var functions []sized
	packages := map[string]int{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "dist"):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		packages[filepath.Dir(path)] += bytes.Count(text, []byte("\n"))
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			return err
		}
		lines := strings.Split(string(text), "\n")
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Body != nil {
				from, to := set.Position(f.Body.Lbrace), set.Position(f.Body.Rbrace)
				functions = append(functions, sized{from.String() + " " + f.Name.Name, branches(f), codeLines(lines[from.Line : max(to.Line, from.Line+1)-1])})
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Sorted(func(yield func(string) bool) {
		for dir, n := range packages {
			if n > packageLines && !yield(dir) {
				return
			}
		}
	}) {
		t.Errorf("package %s has %d lines, more than %d: part of it is a package of its own", dir, packages[dir], packageLines)
	}
	for _, f := range functions {
		if f.branches > mostBranches {
			t.Errorf("%s: cyclomatic complexity %d, more than %d", f.place, f.branches, mostBranches)
		}
		if f.lines > mostLines {
			t.Errorf("%s: %d lines, more than %d", f.place, f.lines, mostLines)
		}
	}
	if len(functions) < 1000 {
		t.Fatalf("only %d functions found", len(functions))
	}
	slices.SortFunc(functions, func(a, b sized) int { return cmp.Compare(b.branches, a.branches) })
	if f := functions[len(functions)/20]; f.branches > usualBranches {
		t.Errorf("more than 5 of 100 functions have a cyclomatic complexity above %d: %s has %d", usualBranches, f.place, f.branches)
	}
	t.Logf("%d functions, the most complex %d (%s), p95 %d", len(functions), functions[0].branches, functions[0].place, functions[len(functions)/20].branches)
}

// branches is the cyclomatic complexity of a function: one, and one for each place where its way parts.
func branches(f *ast.FuncDecl) int {
	n := 1
	ast.Inspect(f, func(x ast.Node) bool {
		switch x := x.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if x.List != nil {
				n++
			}
		case *ast.CommClause:
			if x.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if x.Op == token.LAND || x.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

// codeLines counts lines that are neither blank nor comments alone.
func codeLines(lines []string) (n int) {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "//") {
			n++
		}
	}
	return n
}
