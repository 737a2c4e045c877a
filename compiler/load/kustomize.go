package load

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/source"
)

const originAnnotation = "config.kubernetes.io/origin"

// memRoot is where the copy of the tree lies in kustomize's file system.
const memRoot = "/src"

// tree is a directory inside a file system; prefix is the path of the file system's root inside the sources.
type tree struct {
	fsys   fs.FS
	prefix string
	dir    string
}

func (t tree) name(p string) string { return path.Clean(join(t.prefix, p)) }

// readTree reads a directory: as a kustomization if it is one, else all manifests below it.
func readTree(ctx context.Context, b *batch, t tree) {
	if kustomizationIn(t.fsys, t.dir) == "" {
		if b.at.volume != onDisk {
			lacking(b, t)
		}
		walk(ctx, b, t.fsys, t.dir, t.name(t.dir))
		nested(ctx, b, t)
		return
	}
	k := newKustomization(t, b)
	k.scan(t.dir, nil)
	left := int64(limit.KustomizeSteps)
	if !b.diags.HasErrors() && k.affordable(&left) {
		k.build(ctx)
	}
}

// kustomizationTop is the directory that holds a directory and all the directories that it, if it is a kustomization, or those
// below it build on. A root is opened no wider than they need.
func kustomizationTop(dir string) string {
	widest := dir
	for _, below := range kustomizationsIn(os.DirFS(dir)) {
		at, top := below, dir
		for {
			root, err := os.OpenRoot(top)
			if err != nil {
				return dir
			}
			k := newKustomization(tree{fsys: root.FS(), dir: at}, &batch{})
			k.scan(at, nil)
			root.Close()
			if !k.escapes || filepath.Dir(top) == top {
				break
			}
			at = path.Join(filepath.Base(top), at)
			top = filepath.Dir(top)
		}
		widest = common(widest, top)
	}
	return widest
}

// kustomization is one build: the kustomization files it reaches, and what is wrong with them.
type kustomization struct {
	tree
	b        *batch
	dirs     []string
	folders  map[string]*kustomizationFolder // by directory
	places   []place
	weighed  map[string]int      // objects by file
	pieces   map[string][]string // documents by file
	verified map[string]bool     // directories of what configures plugins
	copied   uint64              // bytes that kustomize sees
	escapes  bool                // a base lies outside of the file system
}

func newKustomization(t tree, b *batch) *kustomization {
	return &kustomization{tree: t, b: b, folders: map[string]*kustomizationFolder{}, weighed: map[string]int{}, pieces: map[string][]string{}, verified: map[string]bool{}}
}

// place is a path that a kustomization file names.
type place struct {
	file string
	line int
	text string
}

func (k *kustomization) fail(file string, line int, code, msg, help string) {
	k.b.fail(k.name(file), line, code, msg, help)
}

// build runs kustomize over a copy in memory, so that it never sees the disk.
func (k *kustomization) build(ctx context.Context) {
	if k.b.diags.HasErrors() {
		return
	}
	mem := filesys.MakeFsInMemory()
	for _, d := range k.dirs {
		if !k.copyDir(ctx, mem, d) {
			return
		}
	}
	top := kustomizationIn(k.fsys, k.dir)
	keep, err := k.switchOrigins(mem, top)
	if err == nil {
		err = k.run(ctx, mem, keep)
	}
	if err == nil {
		k.targets(ctx, mem)
	}
	switch {
	case errors.Is(err, errMemory):
		k.fail(top, 1, "MESHC1005", fmt.Sprintf("kustomize takes more than %d MiB of memory to build this", k.memory()>>20), "Look for values that are put into each other, as replacements, variables and copies in patches do.")
	case err != nil:
		k.failed(top, err)
	}
}

// memory is by how much the process may grow while kustomize works: what a tree takes is in proportion to it, and a small one
// that takes much multiplies something.
func (k *kustomization) memory() uint64 {
	return min(limit.KustomizeMemory, limit.KustomizeFree+limit.KustomizeByteMemory*k.copied)
}

func (k *kustomization) copyDir(ctx context.Context, mem filesys.FileSystem, dir string) bool {
	total, visited := 0, 0
	err := fs.WalkDir(k.fsys, dir, func(p string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if visited++; visited > limit.SourceEntries || strings.Count(p, "/") > limit.PathDepth {
			k.fail(dir, 1, "MESHC1005", tooMany, "Move the kustomization into a directory of its own.")
			return fs.SkipAll
		}
		if err != nil || (p != dir && e.IsDir() && strings.HasPrefix(e.Name(), ".")) {
			return fs.SkipDir
		}
		if e.IsDir() || mem.Exists(path.Join(memRoot, p)) {
			return nil
		}
		info, err := fs.Stat(k.fsys, p)
		if err != nil || !info.Mode().IsRegular() || info.Size() > limit.FileBytes {
			return nil // kustomize names it if it is needed
		}
		data, err := fs.ReadFile(k.fsys, p)
		if err != nil {
			return nil
		}
		total += len(data)
		k.copied += uint64(len(data))
		if k.b.count++; k.b.count > limit.SourceFiles || total > limit.SourceBytes {
			k.fail(p, 1, "MESHC1005", fmt.Sprintf("the kustomization lies in a directory with more than %d files or %d bytes", limit.SourceFiles, limit.SourceBytes), "Move it into a directory of its own.")
			return fs.SkipAll
		}
		if isManifest(p) && !isKustomization(path.Base(p)) { // those are inputs since they were scanned
			k.b.inputs = append(k.b.inputs, inputFile(k.name(p), data))
		}
		return mem.WriteFile(path.Join(memRoot, p), data)
	})
	if err != nil {
		k.fail(dir, 1, "MESHC1012", "the kustomization cannot be copied: "+err.Error(), "Check the permissions.")
	}
	return err == nil && !k.b.diags.HasErrors()
}

// switchOrigins makes kustomize say where each object comes from. It tells whether the user asked for that too.
func (k *kustomization) switchOrigins(mem filesys.FileSystem, top string) (bool, error) {
	data, err := mem.ReadFile(path.Join(memRoot, top))
	if err != nil {
		return false, err
	}
	var n yaml.Node
	if err := yaml.Unmarshal(data, &n); err != nil {
		return false, err
	}
	if len(n.Content) != 1 || n.Content[0].Kind != yaml.MappingNode {
		return false, errors.New("the kustomization file is empty")
	}
	m := n.Content[0]
	if v := child(m, "buildMetadata"); v != nil && v.Kind == yaml.SequenceNode {
		for _, c := range v.Content {
			if c.Value == "originAnnotations" {
				return true, nil
			}
		}
		v.Content = append(v.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "originAnnotations"})
	} else {
		m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "buildMetadata"},
			&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: "originAnnotations"}}})
	}
	if data, err = yaml.Marshal(&n); err != nil {
		return false, err
	}
	return false, mem.WriteFile(path.Join(memRoot, top), data)
}

// scanned is the file system that kustomize sees: of kustomization files those alone that were looked at.
type scanned struct {
	filesys.FileSystem
	folders map[string]*kustomizationFolder
}

// ReadFile implements filesys.FileSystem.
func (s scanned) ReadFile(name string) ([]byte, error) {
	if dir := strings.TrimPrefix(strings.TrimPrefix(path.Dir(name), memRoot), "/"); isKustomization(path.Base(name)) && s.folders[cmp.Or(dir, ".")] == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return s.FileSystem.ReadFile(name)
}

func (k *kustomization) run(ctx context.Context, mem filesys.FileSystem, keep bool) error {
	origins := map[string]*originals{}
	type id struct{ kind, namespace, name string }
	seen := map[id]bool{}
	for _, part := range k.parts(mem) {
		built, err := k.kustomize(ctx, part)
		if err != nil {
			return err
		}
		for _, r := range built.Resources() {
			at := r.CurId()
			if at := (id{at.Gvk.String(), at.EffectiveNamespace(), at.Name}); seen[at] {
				return fmt.Errorf("may not add resource with an already registered id: %s", r.CurId())
			} else {
				seen[at] = true
			}
			if err := k.document(r, keep, origins); err != nil {
				return err
			}
		}
	}
	return nil
}

// kustomize runs it over a file system.
func (k *kustomization) kustomize(ctx context.Context, see filesys.FileSystem) (built resmap.ResMap, err error) {
	err = watched(ctx, k.memory(), func() error {
		m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(see, path.Join(memRoot, k.dir))
		built = m
		return err
	})
	if caught := (*fault.Error)(nil); errors.As(err, &caught) {
		return nil, fmt.Errorf("kustomize gave up: %w", caught)
	}
	return built, err
}

// document turns one object of the result into a document whose positions are those of the file it came from.
func (k *kustomization) document(r *resource.Resource, keep bool, origins map[string]*originals) error {
	at := kustomizationIn(k.fsys, k.dir)
	if o, err := r.GetOrigin(); err == nil && o != nil {
		switch {
		case o.Path != "":
			at = path.Join(k.dir, o.Path)
		case o.ConfiguredIn != "":
			at = path.Join(k.dir, o.ConfiguredIn)
		}
	}
	if !keep {
		a := r.GetAnnotations()
		delete(a, originAnnotation)
		if err := r.SetAnnotations(a); err != nil {
			return err
		}
	}
	text, err := r.AsYAML()
	if err != nil {
		return err
	}
	if k.b.keep {
		k.b.rendered = append(append(k.b.rendered, "---\n"...), text...)
	}
	p := &parser{file: inputFile(k.name(at), text), out: &batch{}, reader: source.NewReader(source.DefaultLimits())}
	p.run()
	node := k.original(at, r.GetKind(), r.GetName(), origins)
	overlays := k.overlays(r)
	placed := &source.Document{File: k.name(at), Node: node, Overlays: overlays}
	if len(p.out.docs) == 1 {
		placed.Value = p.out.docs[0].Value
	}
	for _, d := range p.out.diags {
		d.Pos = placed.Pos("metadata")
		if path := splitPath(d.Field); len(path) > 1 {
			d.Pos = placed.Pos(path...)
		}
		d.Related = nil
		k.b.diags.Add(d)
	}
	for _, d := range p.out.docs {
		d.Node, d.Overlays = node, overlays
		k.b.docs = append(k.b.docs, d)
	}
	for _, l := range p.out.foreign {
		l.Pos = (&source.Document{File: k.name(at), Node: node}).Pos()
		k.b.foreign = append(k.b.foreign, l)
	}
	return nil
}

// originals are the objects of a file, of which there may be many.
type originals struct {
	byKind map[string][]*yaml.Node
	byName map[[2]string]*yaml.Node // by kind and name, the first of each
}

func newOriginals(nodes []*yaml.Node) *originals {
	o := &originals{byKind: map[string][]*yaml.Node{}, byName: map[[2]string]*yaml.Node{}}
	for _, n := range nodes {
		v := child(n, "kind")
		if v == nil {
			continue
		}
		o.byKind[v.Value] = append(o.byKind[v.Value], n)
		if at := [2]string{v.Value, nameIn(n)}; o.byName[at] == nil {
			o.byName[at] = n
		}
	}
	return o
}

// nameIn is the name of an object.
func nameIn(n *yaml.Node) string {
	if m := child(n, "metadata"); m != nil {
		if v := child(m, "name"); v != nil {
			return v.Value
		}
	}
	return ""
}

// original finds an object in the file it came from; a prefix or suffix may have been added to its name.
func (k *kustomization) original(file, kind, name string, cache map[string]*originals) *yaml.Node {
	in, ok := cache[file]
	if !ok {
		data, err := fs.ReadFile(k.fsys, file)
		if err != nil {
			data = nil
		}
		in = newOriginals(objectNodes(data))
		cache[file] = in
	}
	if n := in.byName[[2]string{kind, name}]; n != nil {
		return n
	}
	var best *yaml.Node
	longest := -1
	for _, n := range in.byKind[kind] {
		if was := nameIn(n); strings.Contains(name, was) && len(was) > longest {
			best, longest = n, len(was)
		}
	}
	return best
}

func objectNodes(data []byte) []*yaml.Node {
	var out []*yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if err := dec.Decode(&n); err != nil {
			return out
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) == 0 || n.Content[0].Kind != yaml.MappingNode {
			continue
		}
		if items := child(n.Content[0], "items"); items != nil && items.Kind == yaml.SequenceNode {
			out = append(out, items.Content...)
			continue
		}
		out = append(out, n.Content[0])
	}
}

// failed reports an error of kustomize: at the fault in a file if our own reader finds one, else where the path that
// the error names is written.
func (k *kustomization) failed(top string, err error) {
	for _, f := range k.b.inputs {
		if isKustomization(path.Base(f.name)) {
			continue
		}
		for _, d := range parseFile(f, k.b.lenient).diags {
			if strings.Contains(err.Error(), path.Base(f.name)) && (d.Code == "MESHC1003" || d.Code == "MESHC1004" || d.Code == "MESHC1007") {
				k.b.diags.Add(d)
			}
		}
	}
	if k.b.diags.HasErrors() {
		return
	}
	at := place{file: top, line: 1}
	for _, p := range k.places {
		if len(p.text) > max(len(at.text), 3) && strings.Contains(err.Error(), strings.TrimPrefix(p.text, "./")) {
			at = p
		}
	}
	k.b.diags.Add(finding(diag.Pos{File: k.name(at.file), Line: at.line, Column: 1}, "MESHC1012", "kustomize cannot build this: "+oneLine(err.Error()), "Try: kustomize build "+k.b.at.show(k.name(k.dir))))
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
