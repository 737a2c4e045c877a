package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/watchdog"
)

// write lays out files (name, content, name, content …) in a new directory.
func write(t testing.TB, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i+1 < len(files); i += 2 {
		p := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func load(t testing.TB, sources ...string) (*Result, diag.List) {
	t.Helper()
	res, diags, err := Load(context.Background(), sources, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range diags {
		if d.Pos.File == "" || d.Pos.Line < 1 || d.Code == "" || d.Message == "" || d.Help == "" {
			t.Errorf("finding is incomplete: %+v", d)
		}
	}
	return res, diags
}

func objectText(kind, name string) string {
	return fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: %s\nmetadata:\n  name: %s\n", kind, name)
}

func TestBadInput(t *testing.T) {
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	bomb := "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9), ","))
	}
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	half := many(limit.MappingKeys/2+1, "    a%d: x\n")
	for _, c := range []struct{ name, text, code, at string }{
		{"keys", objectText("ConfigMap", "x") + "data:\n" + many(limit.MappingKeys+1, "  k%d: x\n"), "MESHC1005", fmt.Sprintf("f.yaml:%d:3", 5+limit.MappingKeys+1)},
		{"keys of a key", objectText("VirtualService", "x") + "? {" + many(limit.MappingKeys+1, "k%d: x,") + "}\n: x\n", "MESHC1008", "f.yaml:5"},
		{"merged keys", objectText("VirtualService", "x") + "a:\n  b: &b\n" + half + "  c: &c\n" + strings.ReplaceAll(half, "a", "b") + "  d:\n    <<: [*b, *c]\n", "MESHC1005", "f.yaml:1"},
		{"items", objectText("VirtualService", "x") + "spec:\n  hosts:\n" + many(limit.ListItems+1, "  - h%d\n"), "MESHC1005", fmt.Sprintf("f.yaml:%d:5", 6+limit.ListItems+1)},
		{"values", objectText("VirtualService", "x") + "spec:\n" + many(limit.Nodes/2/1000+1, "  l%d: ["+strings.Repeat("1,", 2000)+"]\n"), "MESHC1005", "f.yaml:"},
		{"documents", strings.Repeat("---\n", limit.Documents+1), "MESHC1005", fmt.Sprintf("f.yaml:%d", limit.Documents+1)},
		{"not YAML", "apiVersion: v1\nkind: [Service\n", "MESHC1003", "f.yaml:"},
		{"tab", "apiVersion: v1\nkind: Service\nmetadata:\n\tname: x\n", "MESHC1003", "f.yaml:4"},
		{"helm", "apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n", "MESHC1004", "f.yaml:4"},
		{"helm control", "{{- if .Values.x }}\napiVersion: v1\n{{- end }}\n", "MESHC1004", "f.yaml:1"},
		{"envsubst", objectText("VirtualService", "${NAME}"), "MESHC1004", "f.yaml:4"},
		{"bomb", objectText("VirtualService", "x") + bomb, "MESHC1005", "f.yaml:"},
		{"deep", objectText("VirtualService", "x") + "spec: " + deep, "MESHC1005", "f.yaml:5"},
		{"twice", objectText("VirtualService", "x") + "spec:\n  hosts: [a]\n  hosts: [b]\n", "MESHC1007", "f.yaml:7"},
		{"tag", objectText("VirtualService", "x") + "spec: !mine {}\n", "MESHC1008", "f.yaml:5"},
		{"inf", objectText("VirtualService", "x") + "spec: .inf\n", "MESHC1008", "f.yaml:5"},
		{"no name", "apiVersion: v1\nkind: Service\nmetadata: {}\n", "MESHC1009", "f.yaml:3"},
		{"name to be generated", "apiVersion: v1\nkind: Service\nmetadata: {generateName: x-}\n", "MESHC1009", "f.yaml:3"},
		{"name to be generated, of a kind of the mesh", "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {generateName: x-}\n", "MESHC1009", "f.yaml:3"},
		{"placeholder in a name to be generated", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: '${X}-'}\n", "MESHC1004", "f.yaml:3"},
		{"number name", objectText("Sidecar", "12"), "MESHC1008", "f.yaml:4"},
		{"same twice", objectText("Sidecar", "a") + "---\n" + objectText("Sidecar", "a"), "MESHC1010", "f.yaml:9"},
		{"only foreign", "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: x}\n", "MESHC1001", ":1"},
		{"empty", "", "MESHC1001", ":1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, diags := load(t, write(t, "f.yaml", c.text))
			if len(diags) != 1 || diags[0].Code != c.code || !strings.Contains(diags[0].Pos.String(), c.at) {
				t.Fatalf("want one %s at %s, got %+v", c.code, c.at, diags)
			}
		})
	}
}

func TestSourceThatIsNotThere(t *testing.T) {
	_, diags := load(t, "no/such/dir")
	if len(diags) != 1 || diags[0].Code != "MESHC1002" || diags[0].Pos.File != "no/such/dir" {
		t.Fatal(diags)
	}
}

// TestGeneratedNames: what runs and ends may get its name when it is made, and is known by what that begins with.
func TestGeneratedNames(t *testing.T) {
	res, diags := load(t, write(t, "f.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: migrate-, namespace: shop}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: x}]}}}\n"))
	if len(diags) != 0 || len(res.Documents) != 1 || res.Documents[0].Ref().String() != "Job shop/migrate" {
		t.Fatal(diags, res.Documents)
	}
}

func TestSymlinks(t *testing.T) {
	outside := write(t, "secret.yaml", objectText("Sidecar", "out"))
	dir := write(t, "real.yaml", objectText("Sidecar", "in"))
	for link, target := range map[string]string{"out.yaml": filepath.Join(outside, "secret.yaml"), "dangling.yaml": "nothing"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	res, diags := load(t, dir)
	if len(diags) != 2 || diags[0].Code != "MESHC1006" || diags[1].Code != "MESHC1006" || len(res.Documents) != 1 {
		t.Fatal(diags, len(res.Documents))
	}
}

func TestListsAndNamespaces(t *testing.T) {
	dir := write(t, "a/list.yaml", "apiVersion: v1\nkind: List\nitems:\n- "+strings.ReplaceAll(objectText("Sidecar", "a"), "\n", "\n  ")+"\n- apiVersion: v1\n  kind: Namespace\n  metadata: {name: ns}\n",
		"b.json", `{"apiVersion":"networking.istio.io/v1","kind":"SidecarList","items":[{"metadata":{"name":"b","namespace":"other"}}]}`,
		"values.yaml", "replicas: 3\n", ".hidden/x.yaml", "]", "kustomize/kustomization.yaml", "resources: []\n", "readme.md", "]")
	res, diags := load(t, dir)
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	got := ""
	for _, d := range res.Documents {
		got += fmt.Sprintf("%s@%d ", d.Ref(), d.Pos("metadata", "name").Line)
	}
	if want := "Sidecar default/a@7 Namespace ns@11 Sidecar other/b@1 "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(res.Foreign) != 1 || res.Foreign[0].What != NotKubernetes || res.Files != 4 {
		t.Errorf("foreign %v, files %d", res.Foreign, res.Files)
	}
}

func TestStdin(t *testing.T) {
	res, diags, err := Load(context.Background(), []string{"-"}, Options{Namespace: "shop", Stdin: strings.NewReader(objectText("Sidecar", "a"))})
	if err != nil || len(diags) != 0 || res.Documents[0].Namespace != "shop" || res.Documents[0].File != stdinName {
		t.Fatal(err, diags, res)
	}
}

func TestBareMeshConfig(t *testing.T) {
	res, diags := load(t, write(t, "meshconfig.yaml", "accessLogFile: /dev/stdout\n", "meshnetworks.yaml", "networks: {}\n"))
	if len(diags) != 0 || len(res.Documents) != 1 || res.Documents[0].Ref().String() != "ConfigMap istio-system/istio" {
		t.Fatal(diags, res)
	}
	if data := res.Documents[0].Value["data"].(map[string]any); len(data) != 2 {
		t.Error(data)
	}
}

func TestScalars(t *testing.T) {
	res, diags := load(t, write(t, "a.yaml", objectText("Sidecar", "a")+`spec:
  a: [on, yes, y, No, "on", 2001-01-01, 9007199254740993, 1.0, 1e3, 0777, 0x10, 1_000, ~, null, "1"]
  <<: {b: 1, c: 2}
  b: 3
  on: key
`))
	if len(diags) != 0 {
		t.Fatal(diags)
	}
	got := fmt.Sprintf("%#v", res.Documents[0].Value["spec"])
	want := `map[string]interface {}{"a":[]interface {}{true, true, true, false, "on", "2001-01-01", 9007199254740993, 1, 1000, 511, 16, 1000, interface {}(nil), interface {}(nil), "1"}, "b":3, "c":2, "true":"key"}`
	if got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(objectText("Sidecar", "a") + "spec: {egress: [{hosts: ['*/*']}]}\n---\n# next\n" + objectText("Gateway", "b"))
	f.Add("apiVersion: v1\nkind: List\nitems:\n- &x {apiVersion: v1, kind: Service, metadata: {name: a}}\n- *x\n")
	f.Add("a: &a [*a]\n")
	f.Add("{{ if .x }}\nkind: {{ .y }}\n")
	f.Add("? [a]\n: b\n<<: [1]\n")
	f.Add("\ufeffapiVersion: v1\r\nkind: Service\r\nmetadata: {name: !!binary YQ==}\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		defer watchdog.Watch(t)()
		res, diags, err := Load(context.Background(), []string{"-"}, Options{Stdin: strings.NewReader(text)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range diags {
			if d.Pos.File == "" || d.Pos.Line < 1 || d.Message == "" || d.Help == "" {
				t.Errorf("incomplete: %+v", d)
			}
		}
		for _, d := range res.Documents {
			if d.Kind == "" || d.APIVersion == "" || d.Value == nil {
				t.Errorf("incomplete: %+v", d)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	var files []string
	const n = 500
	for i := range n {
		files = append(files, fmt.Sprintf("f%d.yaml", i), objectText("VirtualService", fmt.Sprintf("v%d", i))+`spec:
  hosts: [reviews]
  http:
  - match:
    - uri: {prefix: /v1}
    route:
    - destination: {host: reviews, subset: v1, port: {number: 9080}}
      weight: 90
    - destination: {host: reviews, subset: v2}
      weight: 10
    timeout: 1h
`)
	}
	dir := write(b, files...)
	for b.Loop() {
		if res, diags := load(b, dir); len(diags) > 0 || len(res.Documents) != n {
			b.Fatal(diags)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "µs/object")
}

// TestRepeatedWorkloads: of two objects of one name the one applied later counts, but for workloads whose selectors differ: an
// API server refuses the later one.
func TestRepeatedWorkloads(t *testing.T) {
	workload := func(app, image string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: " + app + "}}\n  template: {metadata: {labels: {app: " + app + "}}, spec: {containers: [{name: a, image: " + image + "}]}}\n"
	}
	for want, second := range map[string]string{"first": workload("b", "second"), "second": workload("a", "second")} {
		dir := write(t, "1.yaml", workload("a", "first"), "2.yaml", second)
		res, diags, err := Load(t.Context(), []string{dir}, Options{Lenient: true})
		if err != nil || len(res.Documents) != 1 || len(diags) != 1 || diags[0].Code != "MESHC1010" {
			t.Fatal(err, diags)
		}
		if text := fmt.Sprint(res.Documents[0].Value); !strings.Contains(text, want) || !strings.Contains(diags[0].Message, map[string]string{"first": "first one counts", "second": "later one counts"}[want]) {
			t.Errorf("the %s: %s, %v", want, text, diags)
		}
	}
}
