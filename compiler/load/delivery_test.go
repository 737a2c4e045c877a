package load

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestDeliveries: what Flux or Argo CD changes in a directory of the source on its way into a cluster is said, and what it
// leaves as it was read is not.
func TestDeliveries(t *testing.T) {
	flux := func(spec string) string {
		return "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: apps, namespace: flux-system}\nspec: {sourceRef: {kind: GitRepository, name: x}, " + spec + "}\n"
	}
	argo := func(spec string) string {
		return "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: apps}\nspec: {" + spec + "}\n"
	}
	const shop = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: shop}\n"
	none := strings.Replace(shop, ", namespace: shop", "", 1)
	for name, c := range map[string]struct{ applier, object, want string }{
		"patch":             {flux("path: ./apps, patches: [{target: {kind: PeerAuthentication}, patch: x}]"), shop, "patches"},
		"merge patch":       {flux("path: apps, patches: [{patch: 'kind: PeerAuthentication'}]"), shop, "patches"},
		"patch of others":   {flux("path: ./apps, patches: [{target: {kind: HelmRelease}, patch: x}]"), shop, ""},
		"namespace":         {flux("path: ./apps, targetNamespace: prod"), shop, "the namespace prod"},
		"same namespace":    {flux("path: ./apps, targetNamespace: shop"), shop, ""},
		"nothing changed":   {flux("path: ./apps, interval: 10m, prune: true"), none, ""},
		"elsewhere":         {flux("path: ./other, targetNamespace: prod"), shop, ""},
		"a registry":        {strings.Replace(flux("path: ./apps, targetNamespace: prod"), "GitRepository", "OCIRepository", 1), shop, ""},
		"destination":       {argo("source: {path: apps}, destination: {namespace: shop}"), none, "the namespace shop"},
		"named":             {argo("source: {path: apps}, destination: {namespace: argocd}"), shop, ""},
		"options of Argo":   {argo("sources: [{path: apps, kustomize: {namePrefix: p-, components: [../x]}}]"), shop, "components, namePrefix"},
		"root of the tree":  {argo("source: {path: .}, destination: {namespace: prod}"), none, ""},
		"not of their form": {argo("source: [], destination: 3"), none, ""},
	} {
		_, diags := load(t, write(t, "clusters/a.yaml", c.applier, "apps/a.yaml", c.object))
		switch {
		case c.want == "" && len(diags) > 0:
			t.Errorf("%s: %+v", name, diags)
		case c.want != "" && (len(diags) != 1 || diags[0].Code != "MESHC1019" || diags[0].Pos.File != "clusters/a.yaml" || !strings.Contains(diags[0].Message, "("+c.want+")")):
			t.Errorf("%s: want %q, got %+v", name, c.want, diags)
		}
	}
}

// TestNotASource: what is no source that a compile reads is refused with what to do.
func TestNotASource(t *testing.T) {
	bare := write(t, "HEAD", "ref: refs/heads/main\n", "objects/info/packs", "", "refs/x", "")
	for source, want := range map[string]string{
		"https://git.example/a.git": "clone the repository",
		"git@git.example:a.git":     "clone the repository",
		filepath.Join(bare, "none"): "PATH#ref=REV",
		bare:                        "#ref=HEAD",
	} {
		if _, diags := load(t, source); len(diags) != 1 || !strings.Contains(diags[0].Help, want) {
			t.Errorf("%s: %+v", source, diags)
		}
	}
}
