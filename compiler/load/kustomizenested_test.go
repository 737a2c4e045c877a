package load

import (
	"slices"
	"strings"
	"testing"

	"github.com/meshc/meshc/internal/source"
)

// TestNestedKustomizations: those below a directory are built, each once, and what they name is not read besides.
func TestNestedKustomizations(t *testing.T) {
	dir := write(t,
		"ns.yaml", objectText("Sidecar", "alone"),
		"base/kustomization.yaml", "resources: [a.yaml]\n",
		"base/a.yaml", objectText("Sidecar", "a"),
		"apps/web/kustomization.yaml", "namespace: shop\nresources: [../../base]\npatches:\n- path: p.yaml\n",
		"apps/web/p.yaml", objectText("Sidecar", "a")+"spec:\n  egress:\n  - hosts: ['./*']\n",
	)
	res, diags := load(t, dir)
	if len(diags) != 0 || len(res.Documents) != 2 {
		t.Fatalf("%+v, %d objects", diags, len(res.Documents))
	}
	for _, d := range res.Documents {
		if want := map[string]string{"alone": "default", "a": "shop"}[d.Name]; d.Namespace != want {
			t.Errorf("%s in %s", d.Name, d.Namespace)
		}
		if at := d.Pos("spec", "egress", 0, "hosts"); d.Name == "a" && (at.File != "apps/web/p.yaml" || at.Line != 7) {
			t.Errorf("the patch stands at %s", at)
		}
	}
	flux := write(t, "a.yaml", objectText("Sidecar", "a"), "f/kustomization.yaml", "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\nspec: {path: ./a}\n", "f/b.yaml", objectText("Sidecar", "b"))
	if res, diags := load(t, flux); len(diags) != 0 || len(res.Documents) != 2 {
		t.Errorf("an object of Flux: %+v", diags)
	}
	if _, diags := load(t, write(t, "a/kustomization.yaml", "resources: [../b]\n", "b/kustomization.yaml", "resources: [../a]\n")); !diags.HasErrors() {
		t.Errorf("a circle: %+v", diags)
	}
	if res, diags := load(t, dir+"/apps"); len(diags) != 0 || len(res.Documents) != 1 {
		t.Errorf("what lies beside the directory: %+v", diags)
	}
}

// TestPatchTargets: a patch that is for no object is said, and one for some is not; a value of a patch in place stands there.
func TestPatchTargets(t *testing.T) {
	patch := func(target string) string {
		return "- target: {" + target + "}\n  patch: |-\n    - op: add\n      path: /spec/priority\n      value: 12\n"
	}
	dir := write(t, "base/kustomization.yaml", "namePrefix: x-\nresources: [a.yaml]\n", "base/a.yaml", objectText("EnvoyFilter", "a")+"spec: {}\n",
		"kustomization.yaml", "resources: [base]\ncomponents: [c]\nconfigMapGenerator: [{name: m, literals: [a=b]}]\npatches:\n"+patch("kind: EnvoyFilter, name: x-a")+patch("kind: EnvoyFilter, name: .*"),
		"c/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\npatches:\n"+patch("kind: EnvoyFilter")+patch("kind: EnvoyFilterr"))
	res, diags := load(t, dir)
	if len(diags) != 1 || diags[0].Code != "MESHC1018" || diags[0].Pos.File != "c/kustomization.yaml" || diags[0].Pos.Line != 9 || !strings.Contains(diags[0].Message, "EnvoyFilterr") {
		t.Errorf("%+v", diags)
	}
	filters := slices.DeleteFunc(res.Documents, func(d *source.Document) bool { return d.Kind != "EnvoyFilter" })
	if at := filters[0].Pos("spec", "priority"); at.File != "kustomization.yaml" && at.File != "c/kustomization.yaml" {
		t.Errorf("the value stands at %s", at)
	}
}

// TestPatchedPlaceholder: what is wrong with a value that a patch sets is said in the patch, also while it is read.
func TestPatchedPlaceholder(t *testing.T) {
	_, diags := load(t, write(t, "base/kustomization.yaml", "resources: [a.yaml]\n", "base/a.yaml", objectText("ServiceEntry", "a")+"spec:\n  hosts: [a.example.com]\n",
		"kustomization.yaml", "resources: [base]\npatches:\n- target: {kind: ServiceEntry}\n  patch: |-\n    - {op: replace, path: /spec/hosts/0, value: \"${HOST}\"}\n"))
	if len(diags) != 1 || diags[0].Code != "MESHC1004" || diags[0].Pos.File != "kustomization.yaml" || diags[0].Pos.Line != 5 {
		t.Errorf("%+v", diags)
	}
}
