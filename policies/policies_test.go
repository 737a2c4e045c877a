package policies

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/source"
	"github.com/meshc/meshc/schema"
)

// TestPack runs the *_test.rego of the built-in pack.
func TestPack(t *testing.T) {
	names, _ := fs.Glob(pack, "*.rego")
	modules := map[string]*ast.Module{}
	for _, n := range names {
		text, _ := pack.ReadFile(n)
		m, err := parse(n, string(text))
		if err != nil {
			t.Fatal(err)
		}
		modules[n] = m
	}
	ctx := context.Background()
	store := inmem.NewFromObject(map[string]any{"meshc": map[string]any{"external": map[string]any{}, "pathNormalization": "BASE"}})
	err := storage.Txn(ctx, store, storage.TransactionParams{}, func(txn storage.Transaction) error {
		ch, err := tester.NewRunner().SetCompiler(ast.NewCompiler().WithCapabilities(capabilities())).SetStore(store).SetModules(modules).RunTests(ctx, txn)
		if err != nil {
			return err
		}
		ran := 0
		for r := range ch {
			ran++
			if !r.Pass() {
				t.Errorf("%s.%s: %v", r.Package, r.Name, r)
			}
		}
		if ran < 15 {
			t.Errorf("only %d tests ran", ran)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPackMetadata holds every built-in rule to a code of its own, a title, a description, help and a test.
func TestPackMetadata(t *testing.T) {
	codes := map[string]string{}
	names, _ := fs.Glob(pack, "*.rego")
	for _, n := range names {
		if strings.HasSuffix(n, "_test.rego") {
			continue
		}
		text, _ := pack.ReadFile(n)
		tests, err := pack.ReadFile(strings.TrimSuffix(n, ".rego") + "_test.rego")
		if err != nil {
			t.Error(err)
		}
		m, err := parse(n, string(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Rules {
			name := ruleName(r)
			if !reporting.MatchString(name) {
				continue
			}
			if len(r.Annotations) == 0 || r.Annotations[0].Title == "" || r.Annotations[0].Description == "" || r.Annotations[0].Custom["help"] == nil {
				t.Errorf("%s: %s lacks METADATA", n, name)
				continue
			}
			code, _ := r.Annotations[0].Custom["code"].(string)
			if !strings.HasPrefix(code, "MESHC-P") || codes[code] != "" {
				t.Errorf("%s: %s has code %q, used by %q", n, name, code, codes[code])
			}
			codes[code] = name
			if !strings.Contains(string(tests), "."+name) {
				t.Errorf("%s: %s has no test", n, name)
			}
			if kindsOf(r.Body) == nil {
				t.Errorf("%s: %s does not say its kind first", n, name)
			}
		}
	}
	if len(codes) < 10 {
		t.Errorf("%d rules", len(codes))
	}
}

// folders are folders on the disk.
func folders(dirs ...string) []Folder {
	var out []Folder
	for _, d := range dirs {
		out = append(out, Folder{filepath.ToSlash(d), os.DirFS(d)})
	}
	return out
}

func objects(t testing.TB, text string) []*schema.Object {
	t.Helper()
	var out []*schema.Object
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		v := map[string]any{}
		if err := n.Decode(&v); err != nil {
			t.Fatal(err)
		}
		meta := v["metadata"].(map[string]any)
		o := &schema.Object{Kind: v["kind"].(string), Name: meta["name"].(string), Namespace: "default"}
		o.Doc = &source.Document{File: "in.yaml", Node: n.Content[0], Value: v, Kind: o.Kind, Name: o.Name, Namespace: o.Namespace}
		out = append(out, o)
	}
}

const mesh = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: a}
spec:
  hosts: [a]
  http:
  - route:
    - destination: {host: api.example.com}
    retries: {attempts: 9}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: ext}
spec: {hosts: [api.example.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
`

func evaluate(t *testing.T, rego string, budget Budget) diag.List {
	t.Helper()
	var dirs []string
	if rego != "" {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "p.rego"), []byte(rego), 0o644); err != nil {
			t.Fatal(err)
		}
		dirs = []string{dir}
	}
	l, _, err := Eval(context.Background(), objects(t, mesh), Options{Folders: folders(dirs...), Budget: budget, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestBuiltinPlaces(t *testing.T) {
	l := evaluate(t, "", Budget{})
	if len(l) != 2 || l[0].Code != "MESHC-P001" || l[0].Pos.Line != 7 || l[1].Code != "MESHC-P003" || l[1].Pos.Line != 9 {
		t.Fatalf("%+v", l)
	}
	if l[0].Severity != diag.Warning || l[0].Help == "" || l[0].Object.Name != "a" || l[0].Field != "spec.http[0]" {
		t.Errorf("%+v", l[0])
	}
}

func TestUserPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		rego, code string
		line       int
		severity   diag.Severity
	}{
		"string":                {"package main\ndeny contains \"no\" if input.kind == \"VirtualService\"", "main.deny", 1, diag.Error},
		"object":                {"package main\nwarn_x contains {\"msg\": \"no\", \"field\": \"spec.hosts\"} if input.kind == \"VirtualService\"", "main.warn_x", 5, diag.Warning},
		"rego v0":               {"package main\ndeny[msg] { input.kind == \"VirtualService\"; msg := \"no\" }", "main.deny", 1, diag.Error},
		"_loc":                  {"package main\ndeny contains {\"msg\": \"no\", \"_loc\": {\"file\": \"in.yaml\", \"line\": 44}} if input.kind == \"VirtualService\"", "main.deny", 44, diag.Error},
		"no place":              {"package main\ndeny contains {\"msg\": \"no\", \"_loc\": {\"file\": \"/etc/passwd\", \"line\": 1}} if input.kind == \"VirtualService\"", CodeBadPlace, 2, diag.Error},
		"no place, still found": {"package main\ndeny contains {\"msg\": \"no\", \"_loc\": {\"file\": \"../in.yaml\", \"line\": 44}} if input.kind == \"VirtualService\"", "main.deny", 1, diag.Error},
		"metadata":              {"package main\n# METADATA\n# custom:\n#   code: ACME1\n#   severity: warning\ndeny contains \"no\" if input.kind == \"VirtualService\"", "ACME1", 1, diag.Warning},
		"set":                   {"package main\ndeny contains {\"msg\": \"two\", \"object\": {\"kind\": \"ServiceEntry\", \"namespace\": \"default\", \"name\": \"ext\"}} if count(data.meshc.objects.ServiceEntry) == 1", "main.deny", 11, diag.Error},
		"not Rego":              {"package main\ndeny contains", CodeRego, 2, diag.Error},
		"network":               {"package main\ndeny contains \"no\" if http.send({\"method\": \"get\", \"url\": \"http://x\"})", CodeRego, 2, diag.Error},
		"clock":                 {"package main\ndeny contains \"no\" if time.now_ns() > 1", CodeRego, 2, diag.Error},
		"schema":                {"package main\ndeny contains \"no\" if json.match_schema({}, {})", CodeRego, 2, diag.Error},
		"no rule":               {"package main\nallow if true", CodeNoRule, 1, diag.Error},
		"never met":             {"package main\ndeny contains \"no\" if input.kind == \"VirtualMachine\"", CodeNeverMet, 2, diag.Error},
		"a plural":              {"package main\ndeny contains \"no\" if some o in data.meshc.objects.VirtualServices", CodeNothing, 2, diag.Error},
		"a slip in a kind":      {"package main\ndeny contains \"no\" if input.kind == \"VirtualServce\"", CodeNothing, 2, diag.Error},
		"a slip in a key":       {"package main\ndeny contains \"no\" if input.metadat.name == \"a\"", CodeNothing, 2, diag.Error},
		"Gatekeeper":            {"package main\nviolation contains {\"msg\": \"no\"} if input.review.object.kind == \"VirtualService\"", CodeNothing, 2, diag.Error},
		"admission":             {"package main\nimport input.request as r\ndeny contains \"no\" if r.object", CodeNothing, 2, diag.Error},
		"combined":              {"package main\ndeny contains \"no\" if { some i; input[i].contents.kind == \"VirtualService\" }", CodeNothing, 2, diag.Error},
		"combined, in":          {"package main\ndeny contains \"no\" if { some f in input; f.contents.kind == \"VirtualService\" }", CodeNothing, 2, diag.Error},
		"no data":               {"package main\ndeny contains \"no\" if not input.metadata.name in data.allowed", CodeNothing, 2, diag.Error},
		"no rule of a package":  {"package main\ndeny contains \"no\" if data.main.helpr", CodeNothing, 2, diag.Error},
		"conflict":              {"package main\ndeny contains f(1) if input.kind\nf(x) := 1\nf(x) := 2", CodeFailed, 4, diag.Error},
		"number":                {"package main\ndeny contains 7 if input.kind == \"VirtualService\"", CodeBadResult, 2, diag.Error},
		"reserved":              {"package meshc.policies.routing\ndeny contains 7 if input", CodeReserved, 1, diag.Error},
		"slow":                  {"package main\ndeny contains \"no\" if { some x in numbers.range(1, 100000); some y in numbers.range(1, 100000); x * y == -1 }", CodeBudget, 2, diag.Error},
	} {
		t.Run(name, func(t *testing.T) {
			l := evaluate(t, c.rego, Budget{Object: 100_000, Run: 100_000})
			for _, d := range l {
				if d.Code == c.code && d.Pos.Line == c.line && d.Severity == c.severity && d.Pos.File != "" {
					return
				}
			}
			t.Errorf("want %s at line %d, have %+v", c.code, c.line, l)
		})
	}
}

func TestException(t *testing.T) {
	l := evaluate(t, "package main\ndeny_x contains \"no\" if input.kind == \"VirtualService\"\nexception contains [\"x\"] if input.metadata.name == \"a\"", Budget{})
	for _, d := range l {
		if d.Code == "main.deny_x" {
			t.Errorf("the exception was not heard: %+v", d)
		}
	}
}

func TestParsePath(t *testing.T) {
	got := parsePath(`spec.http[0].headers["x.y/z"]`)
	if len(got) != 5 || got[2] != 0 || got[4] != "x.y/z" {
		t.Errorf("%#v", got)
	}
}

func BenchmarkEval(b *testing.B) {
	objs := objects(b, strings.Repeat("---\n"+mesh, 2500))
	for b.Loop() {
		if _, _, err := Eval(context.Background(), objs, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(objs)), "µs/object")
}

// TestData: data beside the policies is theirs, where OPA and conftest look for it; what two files give is nobody's.
func TestData(t *testing.T) {
	rego := `package main
deny contains "by name" if input.metadata.name in data.refused
deny contains "by team" if input.metadata.name in data.teams.a.refused`
	files := fstest.MapFS{
		"p.rego":            {Data: []byte(rego)},
		"data/names.yaml":   {Data: []byte("refused: [a]\n")},
		"teams/a/data.json": {Data: []byte(`{"refused": ["a"]}`)},
		"data/object.yaml":  {Data: []byte("apiVersion: v1\nkind: Service\nmetadata: {name: x}\n")},
	}
	run := func() diag.List {
		l, _, err := Eval(context.Background(), objects(t, mesh), Options{Folders: []Folder{{"rules", files}}})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(l, func(d diag.Diagnostic) bool { return strings.HasPrefix(d.Code, "MESHC-P") })
	}
	if l := run(); len(l) != 2 || l[0].Message != "by name" || l[1].Message != "by team" {
		t.Errorf("%+v", l)
	}
	for name, text := range map[string]string{"data/more.json": `{"refused": ["b"]}`, "data/list.json": `["a"]`, "data/own.yaml": "meshc: {}", "data/bad.yaml": "a: ["} {
		files[name] = &fstest.MapFile{Data: []byte(text)}
		if l := run(); len(l) != 1 || l[0].Code != CodeNothing || l[0].Pos.File != "rules/"+name && name != "data/more.json" {
			t.Errorf("%s: %+v", name, l)
		}
		delete(files, name)
	}
	files["data/two.yaml"] = &fstest.MapFile{Data: []byte("teams: {}\n---\nexempt: [a]\n")}
	if l := run(); len(l) != 1 || l[0].Code != CodeNothing || l[0].Pos.Line != 2 {
		t.Errorf("a second document is not read: %+v", l)
	}
}

// TestUnreadData: a key of the data that neither a policy nor a test asks for is a warning at its line.
func TestUnreadData(t *testing.T) {
	files := fstest.MapFS{
		"p.rego":         {Data: []byte("package main\nimport data.teams as t\ndeny contains \"name\" if input.metadata.name in data.refused\ndeny contains \"team\" if input.metadata.name in t.a.refused")},
		"data/own.yaml":  {Data: []byte("refused: [z]\nexcempt: [a]\n")},
		"teams/data.yml": {Data: []byte("a: {refused: []}\n")},
		"p_test.rego":    {Data: []byte("package main\ntest_a if count(deny) == 0 with input as data.samples.a")},
		"data/more.json": {Data: []byte(`{"samples": {"a": {"kind": "Gateway"}}}`)},
	}
	run := func() diag.List {
		l, _, err := Eval(context.Background(), objects(t, mesh), Options{Folders: []Folder{{"rules", files}}})
		if err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(l, func(d diag.Diagnostic) bool { return strings.HasPrefix(d.Code, "MESHC-P") })
	}
	if l := run(); len(l) != 1 || l[0].Code != CodeNothing || l[0].Severity != diag.Warning || l[0].Pos.File != "rules/data/own.yaml" || l[0].Pos.Line != 2 {
		t.Errorf("%+v", l)
	}
	files["all_test.rego"] = &fstest.MapFile{Data: []byte("package main\ntest_all if { some key; count(data[key]) > 0 }")}
	if l := run(); len(l) != 0 {
		t.Errorf("a test that goes through all data asks for each key: %+v", l)
	}
}

// TestTests: tests of policies run, within a budget, and say where they stand.
func TestTests(t *testing.T) {
	files := fstest.MapFS{
		"p.rego": {Data: []byte("package main\ndeny contains \"no\" if input.kind == \"Gateway\"\nslow if { some x in numbers.range(1, 100000); some y in numbers.range(1, 100000); x * y == -1 }")},
		"p_test.rego": {Data: []byte(`package main
test_gateway if count(deny) == 1 with input as {"kind": "Gateway"}
test_other if count(deny) == 1 with input as {"kind": "Service"}
test_data if data.allowed == [1] with data.allowed as [1]
test_slow if slow`)},
	}
	results, l, err := Test(context.Background(), Options{Folders: []Folder{{"rules", files}}, Budget: Budget{Object: 50_000}})
	if err != nil || len(l) > 0 || len(results) != 4 {
		t.Fatalf("%+v %v %v", results, l, err)
	}
	for i, want := range []bool{true, false, true, false} {
		if r := results[i]; r.OK != want || r.File != "rules/p_test.rego" || r.Line != i+2 || (r.Why == "") != want {
			t.Errorf("%+v", r)
		}
	}
	files["p_test.rego"] = &fstest.MapFile{Data: []byte("package main\ntest_a if startswith(\"a\", \"b\") with startswith as f\nf(a, b) := true")}
	if _, l, _ := Test(context.Background(), Options{Folders: []Folder{{"rules", files}}}); !l.HasErrors() {
		t.Error("a builtin was replaced")
	}
}

// TestSlips: rules and severities whose names nothing knows are warnings, and what a policy asks of a list that input is not is
// an error.
func TestSlips(t *testing.T) {
	for rego, want := range map[string]string{
		"dney contains \"x\" if input.kind == \"VirtualService\"\ndeny contains \"y\" if input.kind == \"VirtualService\"":               "a.rego:2 warning",
		"deni contains \"x\" if input.kind == \"VirtualService\"\ndeny contains x if some x in deni":                                     "",
		"denies(x) if x == \"a\"\ndeny contains \"y\" if denies(input.kind)":                                                             "",
		"deny contains \"y\" if input[_].kind == \"VirtualService\"":                                                                     "a.rego:2 error",
		"deny contains \"y\" if input.spec[_].kind == \"VirtualService\"":                                                                "",
		"# METADATA\n# scope: rule\n# custom:\n#   severity: eror\ndeny contains \"y\" if input.kind == \"VirtualService\"":              "a.rego:2 warning",
		"# METADATA\n# scope: rule\n# custom:\n#   severity: High\n#   team: a\ndeny contains \"y\" if input.kind == \"VirtualService\"": "",
	} {
		files := fstest.MapFS{"a.rego": {Data: []byte("package main\n" + rego)}}
		l, _, err := Eval(context.Background(), objects(t, mesh), Options{Folders: []Folder{{"rules", files}}})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range l {
			if d.Code == CodeNothing {
				got += fmt.Sprintf("%s:%d %s", strings.TrimPrefix(d.Pos.File, "rules/"), d.Pos.Line, d.Severity)
			}
		}
		if got != want {
			t.Errorf("%s\n got %q\nwant %q in %+v", rego, got, want, l)
		}
	}
}
