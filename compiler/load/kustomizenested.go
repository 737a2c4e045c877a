package load

import (
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/meshc/meshc/internal/limit"
)

// nested builds the kustomizations below a directory that is none itself, as Flux and Argo CD would: each that no other builds
// on. What they name is not read as it stands besides, so that nothing counts without its patches.
func nested(ctx context.Context, b *batch, t tree) {
	var builds []*kustomization
	isBase, named := map[string]bool{}, map[string]bool{}
	for _, dir := range b.nested {
		k := newKustomization(tree{fsys: t.fsys, prefix: t.prefix, dir: dir}, &batch{at: b.at, lenient: b.lenient, keep: b.keep})
		k.scan(dir, nil)
		builds = append(builds, k)
		for d := range k.folders {
			isBase[d] = isBase[d] || d != dir
		}
		for _, p := range k.places {
			named[k.name(path.Join(path.Dir(p.file), p.text))] = true
		}
	}
	b.files = slices.DeleteFunc(b.files, func(f file) bool { return named[f.name] })
	built, left := map[string]bool{}, int64(limit.KustomizeSteps)
	for _, again := range []bool{false, true} { // the second time those that only build on each other, which kustomize refuses
		for _, k := range builds {
			if built[k.dir] || isBase[k.dir] && !again {
				continue
			}
			for d := range k.folders {
				built[d] = true
			}
			if !k.b.diags.HasErrors() && k.affordable(&left) {
				k.build(ctx)
			}
			b.join(k.b)
		}
	}
}

// join takes over what another batch of the same source yields.
func (b *batch) join(o *batch) {
	b.merge(o)
	b.inputs = append(b.inputs, o.inputs...)
	b.rendered = append(b.rendered, o.rendered...)
	b.count += o.count
}

// builds tells whether a directory below another is a kustomization: Flux has objects of its own that are kept in files of the
// same name.
func builds(fsys fs.FS, dir string) bool {
	file := kustomizationIn(fsys, dir)
	if file == "" {
		return false
	}
	info, err := fs.Stat(fsys, file)
	if err != nil || info.Size() > limit.FileBytes {
		return true // which building it says
	}
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return true
	}
	docs := documentsOf(string(text))
	if len(docs) == 0 || docs[0].Kind != yaml.MappingNode {
		return true
	}
	v := child(docs[0], "apiVersion")
	return v == nil || v.Value == "" || strings.HasPrefix(v.Value, types.KustomizationVersion[:strings.Index(types.KustomizationVersion, "/")+1])
}

// kustomizationsIn finds the outermost kustomizations in a directory: itself, or those below it.
func kustomizationsIn(fsys fs.FS) []string {
	if kustomizationIn(fsys, ".") != "" {
		return []string{"."}
	}
	var out []string
	visited := 0
	_ = fs.WalkDir(fsys, ".", func(p string, e fs.DirEntry, err error) error {
		if visited++; visited > limit.SourceEntries {
			return fs.SkipAll // which reading the directory says
		}
		switch {
		case err != nil || !e.IsDir() || p == ".":
			return nil
		case strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case builds(fsys, p):
			out = append(out, p)
			return fs.SkipDir
		}
		return nil
	})
	return out
}
