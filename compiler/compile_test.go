package compiler

import (
	"context"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/compiler/bundle"
	"github.com/meshc/meshc/internal/diag"
)

const shop = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web, version: v1}}
spec: {serviceAccountName: web, containers: [{name: istio-proxy, image: p}, {name: app, image: a, ports: [{name: web, containerPort: 8080}]}]}
status: {podIP: 10.0.0.1}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec:
  host: web
  subsets: [{name: v1, labels: {version: v1}}]
`

// dangling has a route to nowhere on line 7.
const dangling = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http: [{route: [{destination: {host: none}}]}]
`

func compileText(t *testing.T, opts Options, texts ...string) (*Result, diag.List) {
	t.Helper()
	opts.Stdin = strings.NewReader(strings.Join(texts, "\n---\n"))
	res, findings, err := Compile(context.Background(), []string{"-"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return res, findings
}

func TestCompile(t *testing.T) {
	res, findings := compileText(t, Options{Version: "v0"}, shop)
	if findings.HasErrors() || res.Bundle == nil {
		t.Fatal(findings)
	}
	if res.Counts.Objects != 3 || len(res.Foreign) != 0 {
		t.Errorf("%d objects, foreign %v", res.Counts.Objects, res.Foreign)
	}
	info := res.Bundle.Summary()
	if info.EnvoyMin != EnvoyMin || info.Compiler != "v0" {
		t.Errorf("%+v", info)
	}
	c, err := res.Bundle.ClassOf(bundle.Node{Namespace: "shop", Labels: map[string]string{"app": "web", "version": "v1"}})
	if err != nil {
		t.Fatal(err)
	}
	x, err := res.Bundle.XDS(c)
	if err != nil {
		t.Fatal(err)
	}
	all := string(x)
	for _, want := range []string{"outbound|80||web.shop.svc.cluster.local", "outbound|80|v1|web.shop.svc.cluster.local", "inbound|8080||", "virtualInbound", "virtualOutbound", "10.0.0.1"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is not in what the proxy of web gets", want)
		}
	}
}

// TestErrorsEndTheRun: each phase tells all it finds, and then no bundle is made; what runs today compiles when lenient.
func TestErrorsEndTheRun(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   Options
		text   string
		codes  string // of errors and warnings, built-in policies left out
		errors bool
		bundle bool
	}{
		{"clean", Options{}, shop, "", false, true},
		{"findings only", Options{CheckOnly: true}, shop, "", false, false},
		{"load", Options{}, shop + "---\na: [", "MESHC1003", true, false},
		{"load, lenient too", Options{Lenient: true}, shop + "---\na: [", "MESHC1003", true, false},
		{"schema", Options{}, shop + "---" + strings.ReplaceAll(dangling, "route:", "rout:"), "IST0106", true, false},
		{"schema, lenient too", Options{Lenient: true}, shop + "---" + strings.ReplaceAll(dangling, "route:", "rout:"), "IST0106", true, false},
		{"schema and link at once", Options{}, shop + "---" + dangling + "---" + strings.NewReplacer("route:", "rout:", "name: web", "name: v").Replace(dangling), "IST0106 IST0101", true, false},
		{"link", Options{}, shop + "---" + dangling, "IST0101", true, false},
		{"link, lenient", Options{Lenient: true}, shop + "---" + dangling, "IST0101", false, true},
		{"link, lenient, raised again", Options{Lenient: true, Severity: map[string]string{"IST0101": "error"}}, shop + "---" + dangling, "IST0101", true, false},
		{"link, by code", Options{Severity: map[string]string{"IST0101": "warning"}}, shop + "---" + dangling, "IST0101", false, true},
		{"link, silenced", Options{Severity: map[string]string{"IST0101": "off"}}, shop + "---" + dangling, "", false, true},
		{"the mesh configuration fails closed", Options{Lenient: true}, shop + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: '{'}", "?", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, findings := compileText(t, c.opts, c.text)
			var got []string
			for _, d := range findings {
				if !strings.HasPrefix(d.Code, "MESHC-P") && !slices.Contains(got, d.Code) {
					got = append(got, d.Code)
				}
			}
			want := strings.Fields(c.codes)
			slices.Sort(got)
			slices.Sort(want)
			if c.codes != "?" && !slices.Equal(got, want) || findings.HasErrors() != c.errors || (res.Bundle != nil) != c.bundle {
				t.Errorf("codes %v, want %v; errors %v; bundle %v", got, want, findings.HasErrors(), res.Bundle != nil)
			}
			for _, d := range findings {
				if d.Severity == diag.Error && (d.Pos.File == "" || d.Message == "" || d.Help == "") {
					t.Errorf("an error without place, message or help: %+v", d)
				}
			}
		})
	}
}

// TestFindingsAreSorted: by file and line over all phases, whatever order they were found in, and each once.
func TestFindingsAreSorted(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"b.yaml": shop + "---" + dangling,
		"a.yaml": strings.NewReplacer("name: web", "name: other", "none", "gone").Replace(dangling) + "---" + strings.NewReplacer("route:", "rout:", "name: web", "name: v").Replace(dangling),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, findings, err := Compile(context.Background(), []string{dir}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	sorted := slices.Clone(findings)
	sorted.Sort()
	if len(findings) < 3 || !slices.EqualFunc(findings, sorted, func(a, b diag.Diagnostic) bool { return a.Pos == b.Pos && a.Code == b.Code }) {
		t.Errorf("%v", findings)
	}
}

// TestSameBytes: neither the order of the sources nor the number of workers changes the digest.
func TestSameBytes(t *testing.T) {
	t.Chdir(t.TempDir())
	var sources []string
	for _, text := range strings.Split(shop+"---"+strings.ReplaceAll(dangling, "none", "web"), "---") {
		name := strings.Fields(text)[3] + ".yaml"
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		sources = append(sources, name)
	}
	var want string
	for seed := range int64(6) {
		rand.New(rand.NewSource(seed)).Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
		res, findings, err := Compile(context.Background(), sources, Options{Workers: 1 + int(seed)%3})
		if err != nil || res.Bundle == nil {
			t.Fatal(err, findings)
		}
		if got := res.Bundle.Digest.String(); want == "" {
			want = got
		} else if got != want {
			t.Errorf("digest %s, then %s", want, got)
		}
	}
}

func TestForeignKindsAreCounted(t *testing.T) {
	res, findings := compileText(t, Options{}, shop, "apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: a}", "apiVersion: example.com/v1\nkind: Toy\nmetadata: {name: b}")
	if len(res.Foreign) != 2 || res.Foreign[1].What != "example.com/v1/Toy" || findings.HasErrors() {
		t.Error(res.Foreign, findings)
	}
}

// TestCancelled: a run that is called off ends with an error, and has no bundle.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if res, _, err := Compile(ctx, []string{"-"}, Options{Stdin: strings.NewReader(shop)}); err == nil {
		t.Errorf("no error, bundle: %v", res.Bundle != nil)
	}
}

func TestSettle(t *testing.T) {
	list := func() diag.List {
		return diag.List{
			{Code: "B", Severity: diag.Error, Pos: diag.Pos{File: "b", Line: 1}},
			{Code: "A", Severity: diag.Warning, Pos: diag.Pos{File: "a", Line: 2}},
			{Code: "MESHC1540", Severity: diag.Error, Pos: diag.Pos{File: "a", Line: 1}},
		}
	}
	for _, c := range []struct {
		name     string
		severity map[string]string
		tolerate bool
		want     string
		stop     bool
	}{
		{"as found", nil, false, "MESHC1540=error A=warning B=error", true},
		{"tolerated, but not what fails closed", nil, true, "MESHC1540=error A=warning B=warning", true},
		{"lowered by hand", map[string]string{"MESHC1540": "info"}, true, "MESHC1540=info A=warning B=warning", false},
		{"raised", map[string]string{"A": "error"}, true, "MESHC1540=error A=error B=warning", true},
		{"off", map[string]string{"MESHC1540": "off", "B": "off"}, false, "A=warning", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := list()
			stop := applySeverities(&l, Options{Severity: c.severity, Lenient: c.tolerate}, nil, c.tolerate)
			var got []string
			for _, d := range l {
				got = append(got, d.Code+"="+d.Severity.String())
			}
			if strings.Join(got, " ") != c.want || stop != c.stop {
				t.Errorf("%v, stop %v", got, stop)
			}
		})
	}
}
