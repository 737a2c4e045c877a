package limit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTables: each constant of the package is a row once, with something in each column.
func TestTables(t *testing.T) {
	rows := map[string]int{}
	for _, table := range Tables() {
		for _, b := range table.Bounds {
			rows[b.Name]++
			if table.Of == "" || b.What == "" || b.Most == "" || b.Beyond == "" {
				t.Errorf("%s: a column is empty: %+v", b.Name, b)
			}
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, s := range g.Specs {
				for _, id := range s.(*ast.ValueSpec).Names {
					if id.IsExported() && rows[id.Name] != 1 {
						t.Errorf("%s is in %d rows", id.Name, rows[id.Name])
					}
					delete(rows, id.Name)
				}
			}
		}
	}
	for name := range rows {
		t.Errorf("the row %s is of no constant", name)
	}
}

// TestRowsSayTheirNumber: a row names the constant whose number it shows.
func TestRowsSayTheirNumber(t *testing.T) {
	text, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range Tables() {
		for _, b := range table.Bounds {
			if !strings.Contains(string(text), "("+b.Name+")") {
				t.Errorf("the row %s shows another number", b.Name)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		size(4 << 20): "4 MiB", size(3 << 30): "3 GiB", size(300): "300 bytes", size(2000): "2,000 bytes", size(1 << 18): "256 KiB",
		count(20): "20", count(1000): "1,000", count(300_000_000): "300,000,000",
		period(100 * time.Millisecond): "0.1 s", period(time.Minute): "1 min", period(10 * time.Second): "10 s",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
