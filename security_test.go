package meshc_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityPromises: each test that SECURITY.md names as the one that holds a promise is a test of this module.
func TestSecurityPromises(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`).FindAllString(string(text), -1)
	if len(named) < 30 {
		t.Fatalf("only %d tests are named; is the table still read?", len(named))
	}
	tests := testNames(t)
	for _, name := range named {
		if !tests[name] {
			t.Errorf("SECURITY.md: %s is no test; name the one that holds the promise now", name)
		}
	}
	for _, line := range strings.Split(string(text), "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 4 && strings.Trim(cells[2], "- ") == "" && !strings.HasPrefix(line, "|---") {
			t.Errorf("SECURITY.md: a promise without a test: %s", line)
		}
	}
}

// testNames lists the tests and fuzz targets of all packages.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil {
				names[f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
