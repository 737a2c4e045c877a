package load

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meshc/meshc/internal/limit"
)

// TestNoNetwork: however an address is written, kustomize is not asked for what it names.
func TestNoNetwork(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, objectText("Sidecar", "fetched"))
	}))
	defer server.Close()
	in64 := base64.StdEncoding.EncodeToString([]byte(server.URL))
	transformer := "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: p%s}\npath: %s\ntarget: {kind: Sidecar}\n"
	for name, files := range map[string][]string{
		"plain":                  {"kustomization.yaml", "resources:\n- a.yaml\n- URL\n"},
		"scheme in capitals":     {"kustomization.yaml", "resources:\n- HTTP" + strings.TrimPrefix(server.URL, "http") + "\n"},
		"key in capitals":        {"kustomization.yaml", "Resources:\n- URL\n"},
		"second key":             {"kustomization.yaml", `{"resources": ["URL"], "rEsources": ["a.yaml"]}`},
		"alias":                  {"kustomization.yaml", "commonAnnotations: {a: &a 'URL'}\nresources: [a.yaml, *a]\n"},
		"merge key":              {"kustomization.yaml", "<<: {resources: ['URL']}\n"},
		"binary":                 {"kustomization.yaml", "resources: [!!binary '" + in64 + "']\n"},
		"schema":                 {"kustomization.yaml", "resources: [a.yaml]\nOpenAPI: {path: 'URL'}\n"},
		"environment":            {"kustomization.yaml", "resources: [a.yaml]\nconfigMapGenerator: [{name: x, ENV: 'URL'}]\n"},
		"file of a generator":    {"kustomization.yaml", "resources: [a.yaml]\nsecretGenerator: [{name: x, files: ['k=URL']}]\n"},
		"patch":                  {"kustomization.yaml", "resources: [a.yaml]\npatches: [{Path: 'URL'}]\n"},
		"replacement":            {"kustomization.yaml", "resources: [a.yaml]\nreplacements: [{path: 'URL'}]\n"},
		"component":              {"kustomization.yaml", "resources: [a.yaml]\nComponents: ['URL']\n"},
		"base of a base":         {"kustomization.yaml", "resources: [b]\n", "b/kustomization.yaml", "Bases: ['URL']\n"},
		"generator":              {"kustomization.yaml", "resources: [a.yaml]\ngenerators: ['URL']\n"},
		"generators of a folder": {"kustomization.yaml", "resources: [a.yaml]\nGenerators: [g]\n", "g/kustomization.yaml", "resources: ['URL']\n"},
		"transformer in place":   {"kustomization.yaml", "resources: [a.yaml]\ntransformers:\n- '{apiVersion: builtin, kind: PatchTransformer, metadata: {name: p}, path: \"URL\", target: {kind: Sidecar}}'\n"},
		"key as anchor":          {"kustomization.yaml", "resources: [a.yaml]\ntransformers: [t.yaml]\n", "t.yaml", fmt.Sprintf(transformer, ", annotations: {&u 'URL': x}", "*u")},
		"binary in a file":       {"kustomization.yaml", "resources: [a.yaml]\ntransformers: [t.yaml]\n", "t.yaml", fmt.Sprintf(transformer, "", "!!binary "+in64)},
		"files of a folder":      {"kustomization.yaml", "resources: [a.yaml]\ntransformers: [t]\n", "t/kustomization.yaml", "resources: [t.yaml]\n", "t/t.yaml", fmt.Sprintf(transformer, "", "'URL'")},
		"patched on the way": {"kustomization.yaml", "resources: [a.yaml]\ntransformers: [t]\n", "t/t.yaml", fmt.Sprintf(transformer, "", "p.yaml"),
			"t/kustomization.yaml", "resources: [t.yaml]\npatches:\n- patch: '{apiVersion: builtin, kind: PatchTransformer, metadata: {name: p}, path: \"URL\"}'\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for i, f := range files {
				files[i] = strings.ReplaceAll(f, "URL", server.URL)
			}
			_, diags := load(t, write(t, append(files, "a.yaml", objectText("Sidecar", "a"))...))
			if len(diags) != 1 || diags[0].Code != "MESHC1011" {
				t.Errorf("got %+v", diags)
			}
			if asked.Swap(0) > 0 {
				t.Error("the server was asked")
			}
		})
	}
}

// TestRemoteForms: what kustomize gives to git or to a server is refused though a folder of the name is there; what only
// looks like an address is read.
func TestRemoteForms(t *testing.T) {
	for p, remote := range map[string]bool{
		"github.com/a/b": true, "GitHub.com/a/b": true, "git@host/a/b": true, "team@prod/overlay/x": true, "git::git@host:a/b": true, "a@b:c.git": true,
		"ssh:/x": false, "team@prod/overlay": false, "github.com/a": false,
		"gitlab.com/a/b": false, "example.com/x.git": false, "base?ref=x": false, "a=b": false, "user@": false,
	} {
		_, diags := load(t, write(t, "kustomization.yaml", "resources: ['"+p+"']\n", path.Join(p, "kustomization.yaml"), "resources: [a.yaml]\n", path.Join(p, "a.yaml"), objectText("Sidecar", "a")))
		if refused := len(diags) > 0 && diags[0].Code == "MESHC1011"; refused != remote && !(len(diags) > 0 && diags[0].Code == "MESHC1012") {
			t.Errorf("%s: %+v", p, diags)
		}
	}
	for _, p := range []string{"gitlab.com/a/b", "example.com/x.git", "gh:a/b", "base?ref=x", "s3://bucket/x"} {
		if _, diags := load(t, write(t, "kustomization.yaml", "resources: ['"+p+"']\n")); len(diags) != 1 || diags[0].Code != "MESHC1011" {
			t.Errorf("%s: %+v", p, diags)
		}
	}
}

// TestPluginsInFolders: what configures a transformer may be a kustomization that lists files.
func TestPluginsInFolders(t *testing.T) {
	res, diags := load(t, write(t, "kustomization.yaml", "resources: [a.yaml]\ntransformers: [t]\n", "a.yaml", objectText("Sidecar", "a"),
		"t/kustomization.yaml", "resources: [l.yaml, u]\n", "t/l.yaml", "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: l}\nannotations: {page: 'https://example.com/x'}\nfieldSpecs: [{path: metadata/annotations, create: true}]\n",
		"t/u/kustomization.yaml", "resources: [p.yaml]\n", "t/u/p.yaml", "apiVersion: builtin\nkind: PrefixTransformer\nmetadata: {name: p}\nprefix: x-\nfieldSpecs: [{path: metadata/name}]\n"))
	if len(diags) != 0 || len(res.Documents) != 1 || res.Documents[0].Name != "x-a" || res.Documents[0].Value["metadata"].(map[string]any)["annotations"].(map[string]any)["page"] != "https://example.com/x" {
		t.Error(diags, res.Documents)
	}
}

// doubling is a chain of folders of two kustomizations each, both of which build on both of the next.
func doubling(field string, depth int) []string {
	kind := ""
	if field == "components" {
		kind = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
	}
	files := []string{"kustomization.yaml", "namePrefix: x-\n" + field + ":\n- 1/a\n- 1/b\n", "a.yaml", objectText("Sidecar", "a")}
	for i := 1; i <= depth; i++ {
		for _, side := range []string{"a", "b"} {
			text := kind + "namePrefix: " + side + "-\n"
			if i < depth {
				text += fmt.Sprintf("%s: [../../%d/a, ../../%d/b]\n", field, i+1, i+1)
			} else {
				text += "resources: [s.yaml]\n"
				files = append(files, fmt.Sprintf("%d/%s/s.yaml", i, side), objectText("Sidecar", "s"))
			}
			files = append(files, fmt.Sprintf("%d/%s/kustomization.yaml", i, side), text)
		}
	}
	return files
}

// TestKustomizationBudget: what a few small files make kustomize do is known before it begins.
func TestKustomizationBudget(t *testing.T) {
	var objects, patches strings.Builder
	for i := range 12_000 {
		objects.WriteString("---\n" + objectText("Sidecar", fmt.Sprintf("s%d", i)))
		if i < 1500 {
			fmt.Fprintf(&patches, "- {name: i%d, newTag: x}\n", i)
		}
	}
	for name, c := range map[string]struct {
		files    []string
		at, says string
	}{
		"bases":      {doubling("resources", 40), "kustomization.yaml:3", "10000 builds of the 81 kustomizations"},
		"old bases":  {doubling("bases", 20), "kustomization.yaml:3", "10000 builds of the 41 kustomizations"},
		"components": {doubling("components", 20), "kustomization.yaml:3", "10000 builds"},
		"plugins":    {append(doubling("resources", 20), "top/kustomization.yaml", "resources: [a.yaml]\ntransformers: [..]\n", "top/a.yaml", objectText("Sidecar", "a")), "kustomization.yaml:1", "changes what it names"},
		"objects":    {[]string{"kustomization.yaml", "resources: [a.yaml, b.yaml]\nnamePrefix: x-\n", "a.yaml", objects.String(), "b.yaml", objects.String()}, "kustomization.yaml:1", "comparisons of objects, of which there are 24000"},
		"directives": {[]string{"kustomization.yaml", "resources: [a.yaml]\nimages:\n" + patches.String(), "a.yaml", objects.String()}, "kustomization.yaml:1", "comparisons of objects"},
		"keys":       {[]string{"kustomization.yaml", "resources: [a.yaml]\ncommonLabels: {" + numbered(limit.MappingKeys+1) + "}\n", "a.yaml", objectText("Sidecar", "a")}, "kustomization.yaml:2", "keys"},
		"aliases": {[]string{"kustomization.yaml", "resources: [a.yaml]\n", "a.yaml", objectText("Sidecar", "a") + "spec:\n  a: &a [x,x,x,x,x,x,x,x,x,x]\n  b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n" +
			"  c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n  d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n  e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n  f: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"}, "a.yaml:10", "aliases"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := write(t, c.files...)
			if name == "plugins" {
				dir += "/top"
			}
			_, diags := load(t, dir)
			if len(diags) != 1 || !strings.HasPrefix(diags[0].Code, "MESHC10") || !strings.HasSuffix(strings.TrimSuffix(diags[0].Pos.String(), ":1"), c.at) && !strings.Contains(diags[0].Pos.String(), c.at+":") || !strings.Contains(diags[0].Message, c.says) {
				t.Errorf("want %q at %s, got %+v", c.says, c.at, diags)
			}
		})
	}
	res, diags := load(t, write(t, doubling("resources", 4)...))
	if len(diags) != 0 || len(res.Documents) != 16 {
		t.Errorf("a small one: %+v, %d objects", diags, len(res.Documents))
	}
}

func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "k%d: v,", i)
	}
	return b.String()
}

// TestKustomizationsThatIncludeEachOther end, too.
func TestKustomizationsThatIncludeEachOther(t *testing.T) {
	for _, text := range []string{"resources: [../b]\n", "resources: [a.yaml]\ntransformers: [../b]\n"} {
		dir := write(t, "a/kustomization.yaml", text, "a/a.yaml", objectText("Sidecar", "a"), "b/kustomization.yaml", "resources: [../a]\n")
		if _, diags := load(t, dir+"/a"); len(diags) != 1 || !diags.HasErrors() {
			t.Errorf("%q: %+v", text, diags)
		}
	}
}

// TestWatched: what takes memory without end, and what the run does not wait for, is left behind.
func TestWatched(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	var kept [][]byte
	runtime.GC() // what other tests have left behind would be let go meanwhile, and hide what grows
	err := watched(t.Context(), 32<<20, func() error {
		for range 16 {
			kept = append(kept, make([]byte, 8<<20))
		}
		<-release
		runtime.KeepAlive(kept) // else a collection frees it while it is waited for, and nothing grows
		return nil
	})
	if !errors.Is(err, errMemory) {
		t.Errorf("memory: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = watched(ctx, 1<<40, func() error {
		cancel()
		<-release
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
