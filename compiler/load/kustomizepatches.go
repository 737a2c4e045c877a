package load

import (
	"cmp"
	"context"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/limit"
	"github.com/meshc/meshc/internal/source"
)

// patch is a patch of a kustomization, and where it says what it is for.
type patch struct {
	target *types.Selector // nil: what the patch itself names
	line   int             // of the target
	file   string          // that holds the text
	offset int             // of the text in it
	docs   []*yaml.Node

	kinds, names *regexp.Regexp // that the target is for; nil: none
}

// patches lists the patches of a kustomization file.
func (k *kustomization) patches(dir string, f *kustomizationFile) []patch {
	var out []patch
	add := func(field string, i int, target *types.Selector, file, text string) {
		p := patch{target: target, line: 1, file: f.name}
		var item *yaml.Node
		if _, list := f.field(field); list != nil && list.Kind == yaml.SequenceNode && i < len(list.Content) {
			item = follow(list.Content[i])
			p.line, p.offset = item.Line, item.Line
			if t := child(item, "target"); t != nil {
				p.line = t.Line
			}
			if t := child(item, "patch"); t != nil {
				p.offset = t.Line
			}
		}
		if file != "" && !strings.Contains(file, "\n") {
			p.file, p.offset, text = path.Join(dir, file), 0, k.patchText(path.Join(dir, file))
		} else if file != "" {
			text = file
		}
		if p.docs = documentsOf(text); target != nil {
			p.kinds, p.names = whole(target.Kind), whole(target.Name)
		}
		out = append(out, p)
	}
	for i, p := range f.Patches {
		add("patches", i, p.Target, p.Path, p.Patch)
	}
	for i, p := range f.PatchesJson6902 {
		add("patchesJson6902", i, p.Target, p.Path, p.Patch)
	}
	for i, p := range f.PatchesStrategicMerge {
		add("patchesStrategicMerge", i, nil, string(p), "")
	}
	return out
}

// patchText is the text of a patch in a file; kustomize says so if it cannot be read.
func (k *kustomization) patchText(file string) string {
	if info, err := fs.Stat(k.fsys, file); err != nil || !info.Mode().IsRegular() || info.Size() > limit.FileBytes {
		return ""
	}
	text, err := fs.ReadFile(k.fsys, file)
	if err != nil {
		return ""
	}
	return string(text)
}

// targets reports the patches whose target is no object: kustomize itself says nothing of them.
func (k *kustomization) targets(ctx context.Context, mem filesys.FileSystem) {
	left := int64(limit.KustomizeSteps)
	for _, dir := range k.dirs {
		at := k.folders[dir]
		if !slices.ContainsFunc(at.patches, func(p patch) bool { return p.target != nil }) {
			continue
		}
		var sets []resmap.ResMap
		generates := false
		for _, d := range k.appliedIn(dir) {
			if left -= k.costOf(d).steps(); left < 0 {
				return
			}
			m := k.before(ctx, mem, d, dir)
			if m == nil {
				return // what cannot be told is not reported
			}
			sets, generates = append(sets, m), generates || k.folders[d].generates
		}
		for _, p := range at.patches {
			if p.target == nil || len(sets) == 0 || generates && (p.isFor("ConfigMap", nil) || p.isFor("Secret", nil)) {
				continue
			}
			if !slices.ContainsFunc(sets, func(m resmap.ResMap) bool { found, err := m.Select(*p.target); return err != nil || len(found) > 0 }) {
				k.b.diags.Add(warning(diag.Pos{File: k.name(at.file), Line: p.line, Column: 1}, "MESHC1018", "no object is the target of this patch ("+described(p.target)+"), so that it changes nothing",
					"Correct the target; names and kinds in it are those before this kustomization adds a prefix or a namespace."))
			}
		}
	}
}

// appliedIn are the folders to whose objects the patches of a folder are applied: its own, or of a component those that include
// it.
func (k *kustomization) appliedIn(dir string) []string {
	if k.folders[dir].kind != types.ComponentKind {
		return []string{dir}
	}
	var out []string
	for _, d := range k.dirs {
		if slices.ContainsFunc(k.folders[d].bases, func(b base) bool { return b.dir == dir }) {
			out = append(out, d)
		}
	}
	return out
}

// before are the objects of a folder as its own patches find them, or those of a component that it includes: what it names, and
// the components so far. It is nil where generators make that hard to tell.
func (k *kustomization) before(ctx context.Context, mem filesys.FileSystem, dir, component string) resmap.ResMap {
	at := k.folders[dir]
	if at.plugins || at.kind == types.ComponentKind {
		return nil
	}
	components := at.components
	if i := slices.IndexFunc(components, func(c string) bool { return path.Join(dir, c) == component }); i >= 0 {
		components = components[:i]
	}
	text, err := yaml.Marshal(map[string]any{"resources": at.resources, "components": components})
	if err != nil {
		return nil
	}
	var out resmap.ResMap
	err = watched(ctx, k.memory(), func() error {
		m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(reduced{scanned{mem, k.folders}, path.Join(memRoot, at.file), text}, path.Join(memRoot, dir))
		out = m
		return err
	})
	if err != nil {
		return nil
	}
	return out
}

// reduced shows another text of one file.
type reduced struct {
	scanned
	file string
	text []byte
}

// ReadFile implements filesys.FileSystem.
func (r reduced) ReadFile(name string) ([]byte, error) {
	if name == r.file {
		return r.text, nil
	}
	return r.scanned.ReadFile(name)
}

func described(t *types.Selector) string {
	var parts []string
	for _, f := range [][2]string{{"group", t.Group}, {"version", t.Version}, {"kind", t.Kind}, {"namespace", t.Namespace}, {"name", t.Name}, {"labels", t.LabelSelector}, {"annotations", t.AnnotationSelector}} {
		if f[1] != "" {
			parts = append(parts, f[0]+" "+f[1])
		}
	}
	return strings.Join(parts, ", ")
}

// overlays are the parts of an object that patches have set, those that are applied last first.
func (k *kustomization) overlays(r *resource.Resource) []source.Overlay {
	names := []string{r.GetName(), r.OrgId().Name}
	var out []source.Overlay
	for _, dir := range k.dirs {
		at := k.folders[dir]
		for _, p := range slices.Backward(at.patches) {
			if p.target != nil && !p.isFor(r.GetKind(), names) {
				continue
			}
			for _, n := range p.docs {
				o := source.Overlay{File: k.name(p.file), LineOffset: p.offset, Node: n}
				switch {
				case n.Kind == yaml.SequenceNode && p.target != nil:
					out = append(out, operations(o)...)
				case n.Kind != yaml.MappingNode:
				case p.target != nil || patches(n, r.GetKind(), names):
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// isFor tells whether the target of a patch can be an object of a kind and one of some names; none are all.
func (p *patch) isFor(kind string, names []string) bool {
	return p.kinds != nil && p.names != nil && p.kinds.MatchString(kind) && (names == nil || slices.ContainsFunc(names, p.names.MatchString))
}

// whole is what a pattern of a target, which may be absent, stands for: all of a text.
func whole(pattern string) *regexp.Regexp {
	re, err := regexp.Compile("^(?:" + cmp.Or(pattern, ".*") + ")$")
	if err != nil {
		return nil
	}
	return re
}

// patches tells whether a patch is for the object of a kind and one of some names.
func patches(n *yaml.Node, kind string, names []string) bool {
	v, m := child(n, "kind"), child(n, "metadata")
	if v == nil || v.Value != kind || m == nil {
		return false
	}
	name := child(m, "name")
	return name != nil && slices.Contains(names, name.Value)
}

// operations are the values that a JSON patch sets.
func operations(o source.Overlay) []source.Overlay {
	var out []source.Overlay
	for _, n := range slices.Backward(o.Node.Content) {
		at, value := child(n, "path"), child(n, "value")
		if at == nil || value == nil {
			continue
		}
		part := source.Overlay{File: o.File, LineOffset: o.LineOffset, Node: value}
		for _, e := range strings.Split(strings.TrimPrefix(at.Value, "/"), "/") {
			e = strings.NewReplacer("~1", "/", "~0", "~").Replace(e)
			if i, err := strconv.Atoi(e); err == nil {
				part.Prefix = append(part.Prefix, i)
			} else if e == "-" {
				part.Prefix = append(part.Prefix, source.AnyIndex)
			} else {
				part.Prefix = append(part.Prefix, e)
			}
		}
		out = append(out, part)
	}
	return out
}

// documentsOf are the documents of a text of YAML, as far as it can be read.
func documentsOf(text string) []*yaml.Node {
	var out []*yaml.Node
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil {
			return out
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			out = append(out, n.Content[0])
		}
	}
}
