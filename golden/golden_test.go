// Package golden holds one case per file: a small input, what the compiler finds wrong with it, the part of the Envoy
// configuration that the case is about, and requests with what becomes of them.
//
//	What the case is about, in a line or two.
//	-- settings --
//	base: none                    # default shop: golden/base/shop.yaml is compiled along
//	lenient: true
//	severity: {IST0101: warning}
//	-- input.yaml --
//	… # want "IST0101"            # a finding at this line; a regular expression for its message may follow the code
//	-- findings --                # those at places outside the input
//	-- show shop/web cluster outbound|80||reviews.shop.svc.cluster.local connect_timeout --
//	-- calls --
//	GET http://reviews/ from shop/web
//	  allowed at shop/reviews-v1:8080: …
//
// show prints one resource of a workload's proxy (listener, route, host, cluster or endpoints), or the part at a path:
// filter_chains[name=x].filters[0]. A section that nothing reads fails. Findings of the built-in policies are left out
// unless the case marks one. go test ./golden -update rewrites what is expected; read the diff before committing.
package golden

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/meshc/meshc/compiler"
	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/compiler/trace"
	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/envoytest"
)

var update = flag.Bool("update", false, "rewrite what the cases expect")

// golden is one case.
type golden struct {
	file     string
	archive  *txtar.Archive
	settings settings
	dir      string   // with the input files
	sources  []string // the same, base first
}

type settings struct {
	Base     string            `json:"base"`
	Lenient  bool              `json:"lenient"`
	Severity map[string]string `json:"severity"`
}

func cases(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("*/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d cases (%v)", len(files), err)
	}
	return files
}

// read opens a case and lays out its input.
func read(t testing.TB, file string) *golden {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{file: file, archive: txtar.Parse(text), dir: t.TempDir(), settings: settings{Base: "shop"}}
	if len(bytes.TrimSpace(g.archive.Comment)) == 0 {
		t.Errorf("%s: does not say what it is about", file)
	}
	expects := false
	for _, f := range g.archive.Files {
		kind, _, _ := strings.Cut(f.Name, " ")
		switch {
		case f.Name == "settings":
			if err := yaml.UnmarshalStrict(f.Data, &g.settings); err != nil {
				t.Fatalf("%s: settings: %v", file, err)
			}
		case isInput(f.Name):
			plain := markPattern.ReplaceAll(f.Data, nil)
			expects = expects || !bytes.Equal(plain, f.Data)
			g.write(t, f.Name, plain)
		case f.Name == "calls" || f.Name == "findings" || kind == "show":
			expects = true
		default:
			t.Errorf("%s: nothing reads section %s", file, f.Name)
		}
	}
	if !expects && !*update {
		t.Errorf("%s: expects nothing", file)
	}
	if b := g.settings.Base; b != "none" {
		text, err := os.ReadFile(filepath.Join("base", b+".yaml"))
		if err != nil {
			t.Fatalf("%s: base: %v", file, err)
		}
		g.write(t, "base.yaml", text)
		slices.Reverse(g.sources) // base first
	}
	return g
}

func isInput(name string) bool {
	return strings.HasSuffix(name, ".yaml") && !strings.Contains(name, " ")
}

func (g *golden) write(t testing.TB, name string, text []byte) {
	t.Helper()
	path := filepath.Join(g.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	g.sources = append(g.sources, path)
}

func (g *golden) compile(t testing.TB, sources []string) (*bundle.Bundle, diag.List) {
	t.Helper()
	r, found, err := compiler.Compile(context.Background(), sources, compiler.Options{Lenient: g.settings.Lenient, Severity: g.settings.Severity, Version: "golden"})
	if err != nil {
		t.Fatalf("%s: %v", g.file, err)
	}
	return r.Bundle, found
}

func TestGolden(t *testing.T) {
	compiled := map[string]*bundle.Bundle{}
	for _, file := range cases(t) {
		t.Run(strings.TrimSuffix(file, ".txtar"), func(t *testing.T) {
			g := read(t, file)
			b, found := g.compile(t, g.sources)
			want := txtar.Format(g.archive)
			g.findings(t, found)
			for i := range g.archive.Files {
				f := &g.archive.Files[i]
				switch kind, args, _ := strings.Cut(f.Name, " "); {
				case kind != "show" && kind != "calls":
					continue
				case b == nil:
					t.Fatalf("there is no bundle for %s:\n%s", f.Name, g.text(found))
				case kind == "show":
					f.Data = g.show(t, b, args)
				default:
					f.Data = g.calls(t, b, f.Data)
				}
			}
			g.compare(t, want)
			if b != nil {
				compiled[file] = b
			}
		})
	}
	t.Run("envoy", func(t *testing.T) { // one Envoy for all: it takes as long to start as to judge
		proxy := envoytest.Start(t)
		for _, file := range slices.Sorted(maps.Keys(compiled)) {
			if err := proxy.Bundle(compiled[file]); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	})
}

// compare wants that a case expects what there is, or makes it so.
func (g *golden) compare(t *testing.T, want []byte) {
	t.Helper()
	got := txtar.Format(g.archive)
	if bytes.Equal(got, want) {
		return
	}
	if *update {
		if err := os.WriteFile(g.file, got, 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		return
	}
	t.Errorf("differs; go test ./golden -update rewrites it\n%s", difference(string(want), string(got)))
}

// difference shows the lines that only one of two texts has.
func difference(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(w) > 0 && len(g) > 0 && w[0] == g[0] {
		w, g = w[1:], g[1:]
	}
	for len(w) > 0 && len(g) > 0 && w[len(w)-1] == g[len(g)-1] {
		w, g = w[:len(w)-1], g[:len(g)-1]
	}
	for _, l := range w {
		b.WriteString("- " + l + "\n")
	}
	for _, l := range g {
		b.WriteString("+ " + l + "\n")
	}
	return b.String()
}

var (
	markPattern = regexp.MustCompile(`(?m) *# want( "[^"\n]*")+$`)
	wantPattern = regexp.MustCompile(`"([^"]*)"`)
)

// findings compares what was found with the marks in the input, and puts what is at other places into a section.
func (g *golden) findings(t *testing.T, found diag.List) {
	t.Helper()
	at := map[string][]diag.Diagnostic{}
	var elsewhere []string
	for _, d := range found {
		name := d.Pos.File
		key := fmt.Sprintf("%s:%d", name, d.Pos.Line)
		if !g.has(name) {
			if !strings.HasPrefix(d.Code, "MESHC-P") {
				elsewhere = append(elsewhere, fmt.Sprintf("%s %s %s", key, d.Severity, d.Code))
			}
			continue
		}
		at[key] = append(at[key], d)
	}
	for i := range g.archive.Files {
		if f := &g.archive.Files[i]; isInput(f.Name) {
			f.Data = remark(f.Name, f.Data, at)
		}
	}
	text := []byte(strings.Join(elsewhere, "\n"))
	if len(text) > 0 {
		text = append(text, '\n')
	}
	i := slices.IndexFunc(g.archive.Files, func(f txtar.File) bool { return f.Name == "findings" })
	switch {
	case i >= 0:
		g.archive.Files[i].Data = text
	case len(text) > 0:
		g.archive.Files = append(g.archive.Files, txtar.File{Name: "findings", Data: text})
	}
}

func (g *golden) has(name string) bool {
	return slices.ContainsFunc(g.archive.Files, func(f txtar.File) bool { return f.Name == name })
}

// remark marks each line of an input with the codes found there. Marks that fit stay as they are written.
func remark(name string, text []byte, at map[string][]diag.Diagnostic) []byte {
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		mark := markPattern.FindString(line)
		plain := strings.TrimSuffix(line, mark)
		var codes []string
		rest := slices.Clone(at[fmt.Sprintf("%s:%d", name, i+1)])
		for _, m := range wantPattern.FindAllStringSubmatch(mark, -1) {
			code, pattern, _ := strings.Cut(m[1], " ")
			if j := slices.IndexFunc(rest, func(d diag.Diagnostic) bool {
				return d.Code == code && regexp.MustCompile(pattern).MatchString(d.Message)
			}); j >= 0 {
				rest = slices.Delete(rest, j, j+1)
				codes = append(codes, m[1])
			}
		}
		for _, d := range rest {
			if !strings.HasPrefix(d.Code, "MESHC-P") {
				codes = append(codes, d.Code)
			}
		}
		if lines[i] = plain; len(codes) > 0 {
			lines[i] += ` # want "` + strings.Join(codes, `" "`) + `"`
		}
	}
	return []byte(strings.Join(lines, "\n"))
}

func (g *golden) text(l diag.List) string {
	var b strings.Builder
	for _, d := range l {
		fmt.Fprintf(&b, "%s:%d: %s %s %s\n", d.Pos.File, d.Pos.Line, d.Severity, d.Code, d.Message)
	}
	return b.String()
}

// calls follows each request of a section.
func (g *golden) calls(t *testing.T, b *bundle.Bundle, text []byte) []byte {
	t.Helper()
	w := trace.New(b)
	var out strings.Builder
	for _, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		if strings.HasPrefix(line, "  ") {
			continue // what was expected
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		req, err := trace.ParseCall(line)
		if err != nil {
			t.Fatal(err)
		}
		r, err := w.Walk(req)
		if err != nil {
			fmt.Fprintf(&out, "  error: %v\n", err)
			continue
		}
		for _, l := range r.Lines() {
			out.WriteString("  " + l + "\n")
		}
	}
	return []byte(out.String())
}

// The requests that the examples promise end as they say.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob("../examples/*/overlays/*/*.calls")
	if err != nil || len(files) == 0 {
		t.Fatalf("no calls: %v", err)
	}
	for _, file := range files {
		g := &golden{file: file}
		b, found := g.compile(t, []string{filepath.Dir(file)})
		if b == nil {
			t.Fatalf("%s does not compile:\n%s", filepath.Dir(file), g.text(found))
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		calls, err := trace.ParseCalls(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		w := trace.New(b)
		for _, c := range calls {
			if r, err := w.Walk(c.Request); err != nil {
				t.Errorf("%s:%d: %v", file, c.Line, err)
			} else if why := c.Check(r); why != "" {
				t.Errorf("%s:%d: %s: %s", file, c.Line, c.Call, why)
			}
		}
	}
}

// Every base is used, and nothing else lies about.
func TestNothingIsLeftOver(t *testing.T) {
	used := map[string]bool{}
	for _, file := range cases(t) {
		if g := read(t, file); g.settings.Base != "none" {
			used[g.settings.Base+".yaml"] = true
		}
	}
	files, err := filepath.Glob("*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		switch {
		case filepath.Dir(f) == "base":
			if !used[filepath.Base(f)] {
				t.Errorf("no case uses %s", f)
			}
		case !strings.HasSuffix(f, ".txtar"):
			t.Errorf("nothing reads %s", f)
		}
	}
}
