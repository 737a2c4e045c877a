package load

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// manyServices are so many objects, with texts at their ends that a cut in the wrong place would change.
func manyServices(from, n int, more string) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		if i > from {
			b.WriteString([]string{"---\n", "--- # another\n", "---   \n"}[i%3])
		}
		fmt.Fprintf(&b, "apiVersion: v1\nkind: Service\nmetadata:\n  name: s%d\n  annotations:\n    b: c%s\nspec:\n  selector: {app: s%d}\n  ports: [{name: http, port: 80}]\n  externalName: |%s\n    text\n%s", i, more, i, []string{"", "+", "-"}[i%3], strings.Repeat("\n", i%4))
	}
	return b.String()
}

// large is a mesh of two bases and an overlay that do nothing to an object that depends on another.
func large() []string {
	deployments := ""
	for i := range 60 {
		deployments += fmt.Sprintf("---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d%d}\nspec: {selector: {matchLabels: {app: d%d}}, template: {metadata: {labels: {app: d%d}}, spec: {serviceAccountName: a%d, containers: [{name: a, image: web}]}}}\n", i, i, i, i)
	}
	list := "apiVersion: v1\nkind: List\nitems:\n"
	for i := range 30 {
		list += fmt.Sprintf("- {apiVersion: v1, kind: ServiceAccount, metadata: {name: a%d}}\n", i)
	}
	return []string{
		"kustomization.yaml", "namespace: shop\nresources: [one, two, list.yaml, gone.yaml]\ncommonAnnotations: {team: a}\nimages: [{name: web, newTag: '7'}]\n",
		"one/kustomization.yaml", "resources: [a.yaml, d.yaml]\ncommonLabels: {part: one}\n", "one/a.yaml", "---\n" + manyServices(0, 260, ""), "one/d.yaml", deployments,
		"two/kustomization.yaml", "resources: [b.yaml]\nlabels: [{pairs: {part: two}, includeSelectors: true}]\n", "two/b.yaml", strings.ReplaceAll(manyServices(260, 300, ""), "\n", "\r\n"),
		"list.yaml", list,
		"gone.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: gone, annotations: {config.kubernetes.io/local-config: 'true'}}\n---\n# nothing\n",
	}
}

// TestParts: what is given to kustomize in parts becomes what it makes of all at once.
func TestParts(t *testing.T) {
	dir := write(t, large()...)
	k := newKustomization(tree{fsys: os.DirFS(dir), dir: "."}, &batch{})
	if k.scan(".", nil); k.plan().parts < 2 {
		t.Fatalf("%+v are no parts", k.plan())
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range built.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, canonical(t, text))
	}
	res, diags := load(t, dir)
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	var got []string
	for _, d := range res.Documents {
		text, err := json.Marshal(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, canonical(t, text))
		if base := path.Base(d.File); base == "kustomization.yaml" || d.Pos("metadata", "name").Line < 1 {
			t.Errorf("%s is said to be at %s", d.Name, d.Pos("metadata", "name"))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(got) != 650 || !reflect.DeepEqual(got, want) {
		t.Errorf("%d objects, want %d", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("got  %s\nwant %s", got[i], want[i])
			}
		}
	}
}

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestTwiceInParts: an object that is there twice is refused in whatever parts the two are.
func TestTwiceInParts(t *testing.T) {
	files := append(large(), "two/c.yaml", strings.Replace(manyServices(7, 1, ""), "name: s7\n", "name: s7\n", 1))
	files[slices.Index(files, "two/kustomization.yaml")+1] = "resources: [b.yaml, c.yaml]\n"
	_, diags := load(t, write(t, files...))
	if len(diags) != 1 || diags[0].Code != "MESHC1012" || !strings.Contains(diags[0].Message, "already registered id") {
		t.Errorf("%+v", diags)
	}
}

// TestNotInParts: what may depend on another object is built at once.
func TestNotInParts(t *testing.T) {
	for _, more := range []string{"namePrefix: x-\n", "nameSuffix: -x\n", "patches: [{target: {kind: Service}, patch: '[{op: add, path: /spec/a, value: 1}]'}]\n", "configMapGenerator: [{name: c, literals: [a=b]}]\n",
		"replicas: [{name: d1, count: 2}]\n", "replacements: [{source: {kind: Service, name: s1, fieldPath: metadata.name}, targets: [{select: {kind: Service, name: s2}, fieldPaths: [metadata.annotations.b]}]}]\n", "vars: [{name: A, objref: {apiVersion: v1, kind: Service, name: s1}}]\n"} {
		files := large()
		files[3] += more
		k := newKustomization(tree{fsys: os.DirFS(write(t, files...)), dir: "."}, &batch{})
		if k.scan(".", nil); k.plan().parts != 1 || k.costOf(".").objects != 651 {
			t.Errorf("%q: %+v of %+v", more, k.plan(), k.costOf("."))
		}
	}
}
