package envoy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestScopesEnd holds all but lower.go and inputs.go, and the packages below, to their inputs: a scope or class that reached them could be read past the
// key under which its outcome is shared. What they are given of either has to be a field of inputs. Nor does a workload reach
// them, which is one of several in its class; only findings about each of them look at workloads.
func TestScopesEnd(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("*/*.go")
	if err != nil || len(below) < 50 {
		t.Fatal(len(below), err)
	}
	files = append(files, below...)
	allowed := []string{"lower.go", "inputs.go"}
	seen := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if (s.Sel.Name == "Workload" || s.Sel.Name == "Workloads") && name != "proxymetadata.go" {
				t.Errorf("%s looks at workloads", name)
			}
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "mesh" && (s.Sel.Name == "Scope" || s.Sel.Name == "Class") {
				if seen[name] = true; !slices.Contains(allowed, name) {
					t.Errorf("%s takes a mesh.%s", name, s.Sel.Name)
				}
			}
			return true
		})
	}
	for _, name := range allowed {
		if !seen[name] {
			t.Errorf("%s takes none: the test looks for something else than is there", name)
		}
	}
}
