package meshc_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/codes"
	"github.com/meshc/meshc/internal/diag"
)

// declared returns the codes by id; none is declared twice.
func declared(t *testing.T) map[string]diag.Code {
	t.Helper()
	all, err := codes.All()
	if err != nil || len(all) < 150 {
		t.Fatalf("%d codes (%v)", len(all), err)
	}
	out := map[string]diag.Code{}
	for _, c := range all {
		out[c.ID] = c
	}
	return out
}

// TestDeclarations: what is said of a code is whole, and fit for a page, a terminal and SARIF.
func TestDeclarations(t *testing.T) {
	id := regexp.MustCompile(`^(MESHC-P\d{3}|MESHC\d{4}|IST0\d{3})$`)
	for _, c := range declared(t) {
		switch {
		case !id.MatchString(c.ID):
			t.Errorf("%q is no code", c.ID)
		case c.Means == "" || c.Remedy == "" || c.Example == "" && !strings.HasPrefix(c.ID, "MESHC-P"):
			t.Errorf("%s lacks what it means, an example or what to do: %+v", c.ID, c)
		case strings.Contains(c.Means+c.Detail+c.Example+c.Remedy, "]("):
			t.Errorf("%s has a link, which is none outside of the page", c.ID)
		case c.FailsClosed && c.Severity != diag.Error:
			t.Errorf("%s stays an error under --lenient and is none", c.ID)
		}
	}
}

// sources parses the Go files that are part of the product, by directory.
func sources(t *testing.T) map[string][]*ast.File {
	t.Helper()
	return parsed(t, func(name string) bool { return !strings.HasSuffix(name, "_test.go") })
}

// testSources parses the tests, but for these, which are about all codes.
func testSources(t *testing.T) map[string][]*ast.File {
	t.Helper()
	return parsed(t, func(name string) bool { return strings.HasSuffix(name, "_test.go") && name != "codes_test.go" })
}

func parsed(t *testing.T, is func(name string) bool) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(path, ".go") || !is(d.Name()) {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		out[filepath.Dir(path)] = append(out[filepath.Dir(path)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var quotedCode = regexp.MustCompile(`^"(MESHC\d{4}|IST0\d{3})"$`)

// codeOf returns the code that a literal is.
func codeOf(x ast.Expr) string {
	if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING && quotedCode.MatchString(lit.Value) {
		s, _ := strconv.Unquote(lit.Value)
		return s
	}
	return ""
}

// TestCodesAreDeclared: a code that a check names has a declaration, and no declaration is about a code that is gone, or is
// given twice.
func TestCodesAreDeclared(t *testing.T) {
	known, used, places := declared(t), map[string]string{}, map[string]string{}
	for dir, files := range sources(t) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if kv, ok := n.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "ID") && codeOf(kv.Value) != "" {
					if at := places[codeOf(kv.Value)]; at != "" {
						t.Errorf("%s is declared in %s and in %s", codeOf(kv.Value), at, dir)
					}
					places[codeOf(kv.Value)] = dir
					return false
				}
				if x, ok := n.(ast.Expr); ok && codeOf(x) != "" {
					used[codeOf(x)] = dir
				}
				return true
			})
		}
	}
	for code, dir := range used {
		if known[code].ID == "" {
			t.Errorf("%s (in %s) has no declaration: add one to the Codes of its package, and run make docs", code, dir)
		}
	}
	for code := range known {
		if used[code] == "" && !strings.HasPrefix(code, "MESHC-P") {
			t.Errorf("%s is declared, and no check names it", code)
		}
	}
}

func isIdent(x ast.Expr, name string) bool {
	id, ok := x.(*ast.Ident)
	return ok && id.Name == name
}

// severityOf returns the severity that diag.X is.
func severityOf(x ast.Expr) (diag.Severity, bool) {
	sel, ok := x.(*ast.SelectorExpr)
	if !ok || !isIdent(sel.X, "diag") {
		return 0, false
	}
	s, ok := map[string]diag.Severity{"Error": diag.Error, "Warning": diag.Warning, "Info": diag.Info}[sel.Sel.Name]
	return s, ok
}

// TestSeverities: a check gives its findings a severity that the declaration of the code has.
func TestSeverities(t *testing.T) {
	known, seen, elsewhere := declared(t), 0, 0
	all := sources(t)
	constantOf := constantsOf(all)
	for dir, files := range all {
		resolve := func(x ast.Expr) string {
			switch x := x.(type) {
			case *ast.Ident:
				return constantOf[dir+"."+x.Name]
			case *ast.SelectorExpr: // of another package
				if pkg, ok := x.X.(*ast.Ident); ok && constantOf[pkg.Name+"."+x.Sel.Name] != "" {
					elsewhere++
					return constantOf[pkg.Name+"."+x.Sel.Name]
				}
			}
			return codeOf(x)
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, p := range pairs(n) {
					if code := resolve(p.code); code != "" {
						seen++
						if !known[code].Has(p.severity) {
							t.Errorf("%s: a finding of %s is given the severity %s, which its declaration lacks", dir, code, p.severity)
						}
					}
				}
				return true
			})
		}
	}
	if seen < 150 || elsewhere == 0 {
		t.Errorf("%d findings were looked at, %d of them with a code that another package names", seen, elsewhere)
	}
}

type pair struct {
	severity diag.Severity
	code     ast.Expr
}

// pairs are the severities and codes that stand side by side: arguments of a call, or fields of a Diagnostic.
func pairs(n ast.Node) []pair {
	var out []pair
	switch n := n.(type) {
	case *ast.CallExpr:
		for i := 0; i+1 < len(n.Args); i++ {
			if s, ok := severityOf(n.Args[i]); ok {
				out = append(out, pair{s, n.Args[i+1]})
			}
		}
	case *ast.CompositeLit:
		var p pair
		has := false
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok && isIdent(kv.Key, "Code") {
				p.code = kv.Value
			} else if ok && isIdent(kv.Key, "Severity") {
				p.severity, has = severityOf(kv.Value)
			}
		}
		if has && p.code != nil {
			out = append(out, p)
		}
	}
	return out
}

// constants returns the codes that the constants of a package name.
func constants(files []*ast.File) map[string]string {
	out := map[string]string{}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == len(spec.Names) {
				for i, name := range spec.Names {
					if code := codeOf(spec.Values[i]); code != "" {
						out[name.Name] = code
					}
				}
			}
			return true
		})
	}
	return out
}

// constantsOf returns the codes that constants name, by directory and name, and by package and name.
func constantsOf(all map[string][]*ast.File) map[string]string {
	out := map[string]string{}
	for dir, files := range all {
		for name, code := range constants(files) {
			out[dir+"."+name], out[filepath.Base(dir)+"."+name] = code, code
		}
	}
	return out
}

var (
	wanted = regexp.MustCompile(`(?m)# want( "[^"\n]*")+$`)
	said   = regexp.MustCompile(`(?:MESHC|IST)[-P]*\d+`)
)

// TestCodesAreRaised: each code has a case that wants it at a line, a script that expects it printed, or a test that names it, by itself or by its constant.
// A code that nothing raises may never be reported, or for the wrong thing.
func TestCodesAreRaised(t *testing.T) {
	raised := map[string]bool{}
	cases, err := filepath.Glob("golden/*/*.txtar")
	if err != nil || len(cases) < 40 {
		t.Fatal(len(cases), err)
	}
	for _, file := range cases {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, mark := range wanted.FindAllString(string(text), -1) {
			for _, code := range said.FindAllString(mark, -1) {
				raised[code] = true
			}
		}
		_, rest, _ := strings.Cut(string(text), "\n-- findings --\n")
		for _, line := range strings.Split(rest, "\n") {
			if strings.HasPrefix(line, "-- ") {
				break
			}
			raised[said.FindString(line)] = true
		}
	}
	scripts, err := filepath.Glob("cmd/meshc/testdata/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal(len(scripts), err)
	}
	for _, file := range scripts {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(text), "\n") {
			verb, _, _ := strings.Cut(line, " ")
			if verb == "stdout" || verb == "stderr" || verb == "grep" {
				for _, code := range said.FindAllString(line, -1) {
					raised[code] = true
				}
			}
		}
	}
	constantOf := constantsOf(sources(t))
	for dir, files := range testSources(t) {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					for _, code := range said.FindAllString(n.Value, -1) {
						raised[code] = true
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok {
						raised[constantOf[x.Name+"."+n.Sel.Name]] = true
					}
				case *ast.Ident:
					raised[constantOf[dir+"."+n.Name]] = true
				}
				return true
			})
		}
	}
	for code := range declared(t) {
		if !raised[code] && !strings.HasPrefix(code, "MESHC-P") { // each policy of the pack has a test in Rego
			t.Errorf("no case and no test raises %s", code)
		}
	}
}
