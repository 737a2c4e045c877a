package load

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/meshc/meshc/internal/source"
)

// scan reads a kustomization file and those it builds on, and refuses what would leave the tree, use the network or run a
// program. What it does not read, kustomize does not either.
func (k *kustomization) scan(dir string, from *place) {
	if k.folders[dir] != nil {
		return
	}
	file := kustomizationIn(k.fsys, dir)
	if file == "" {
		switch entries, err := fs.ReadDir(k.fsys, dir); {
		case from == nil:
		case err == nil && len(entries) == 0:
			k.fail(from.file, from.line, "MESHC1017", fmt.Sprintf("%s is an empty directory: a submodule that is not checked out is one", from.text), "Check it out: git submodule update --init; in a job, with submodules: true.")
		default:
			k.fail(from.file, from.line, "MESHC1012", fmt.Sprintf("%s is a directory without a kustomization file", from.text), "Add one there, or name the files in it.")
		}
		return
	}
	at := &kustomizationFolder{file: file}
	k.dirs, k.folders[dir] = append(k.dirs, dir), at
	data, ok := readEntry(k.b, k.fsys, file, k.name(file))
	if !ok {
		return
	}
	k.b.inputs = append(k.b.inputs, inputFile(k.name(file), data))
	f := k.parseKustomization(file, data)
	if f == nil {
		return
	}
	if len(f.HelmCharts) > 0 || f.HelmGlobals != nil {
		k.helm(f)
	}
	for _, r := range slices.Concat(f.references("resources", f.Resources), f.references("components", f.Components)) {
		k.resource(dir, f, r)
	}
	for _, r := range slices.Concat(f.references("generators", f.Generators), f.references("transformers", f.Transformers), f.references("validators", f.Validators)) {
		k.plugin(dir, f, r)
	}
	for _, r := range f.files() {
		k.note(file, r)
		info, err := fs.Stat(k.fsys, path.Join(dir, r.text))
		if k.local(file, r, err == nil) && err == nil {
			k.readable(file, r, info)
		}
	}
	at.kind, at.resources, at.components = f.Kind, f.Resources, f.Components
	at.generates, at.plugins = len(f.ConfigMapGenerator) > 0 || len(f.SecretGenerator) > 0, len(f.Generators) > 0
	at.patches = k.patches(dir, f)
	at.work, at.separate = workOf(&f.Kustomization, at.patches), separately(f.Kustomization)
}

func (k *kustomization) note(file string, r reference) {
	k.places = append(k.places, place{file, r.line, r.text})
}

const helmHelp = "Render the chart in a step of its own (helm template) and add its output as a resource."

func (k *kustomization) helm(f *kustomizationFile) {
	line := 1
	for _, field := range []string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"} {
		if key, _ := f.field(field); key != nil {
			line = key.Line
			break
		}
	}
	k.fail(f.name, line, "MESHC1011", "kustomize would run helm here, and a compile starts no programs", helmHelp)
}

// inside tells what a path leads to in the tree: nil, where it leads nowhere, which is reported.
func (k *kustomization) inside(dir string, f *kustomizationFile, r reference) fs.FileInfo {
	p := path.Join(dir, r.text)
	info, err := fs.Stat(k.fsys, p)
	if !k.local(f.name, r, err == nil) {
		return nil
	}
	k.note(f.name, r)
	switch {
	case path.IsAbs(r.text):
		k.fail(f.name, r.line, "MESHC1011", r.text+" is an absolute path", "Name it relative to the kustomization file.")
	case !fs.ValidPath(p):
		k.escapes = true
	case errors.Is(err, errSubmodule) || err == nil && info.Mode().Type() == fs.ModeIrregular:
		k.fail(f.name, r.line, "MESHC1017", fmt.Sprintf("%s is a submodule, whose content is not in this repository", r.text), "Check it out (git submodule update --init) and name the directory as the source instead of a revision.")
	case err != nil && errors.Is(err, fs.ErrNotExist):
		k.fail(f.name, r.line, "MESHC1012", fmt.Sprintf("%s does not exist", r.text), "Correct the path; it is relative to this file.")
	case err != nil:
		k.fail(f.name, r.line, "MESHC1006", fmt.Sprintf("%s leads out of the tree through a symbolic link, or cannot be read", r.text), "Replace the link by the directory or file itself.")
	case k.readable(f.name, r, info):
		return info
	}
	return nil
}

// readable refuses what is neither a file nor a directory.
func (k *kustomization) readable(file string, r reference, info fs.FileInfo) bool {
	if info.IsDir() || info.Mode().IsRegular() {
		return true
	}
	k.fail(file, r.line, "MESHC1002", r.text+": "+notAFile(info), "Name a regular file.")
	return false
}

// resource checks an entry that is a file or another kustomization.
func (k *kustomization) resource(dir string, f *kustomizationFile, r reference) {
	info := k.inside(dir, f, r)
	if info == nil {
		return
	}
	p, at := path.Join(dir, r.text), k.folders[dir]
	if !info.IsDir() {
		at.files = append(at.files, p)
		return
	}
	at.bases = append(at.bases, base{p, r})
	k.scan(p, &place{f.name, r.line, r.text})
}

// plugin checks what configures a generator, a transformer or a validator: an object in place, a file, or a kustomization.
func (k *kustomization) plugin(dir string, f *kustomizationFile, r reference) {
	var n yaml.Node
	if yaml.Unmarshal([]byte(r.text), &n) == nil && len(n.Content) == 1 && n.Content[0].Kind != yaml.ScalarNode {
		k.settings(f.name, r.line, []byte(r.text))
		return
	}
	info := k.inside(dir, f, r)
	if info == nil {
		return
	}
	p := path.Join(dir, r.text)
	if !info.IsDir() {
		if data, ok := readEntry(k.b, k.fsys, p, k.name(p)); ok {
			k.settings(p, 0, data)
		}
		return
	}
	k.folders[dir].bases = append(k.folders[dir].bases, base{p, r})
	k.scan(p, &place{f.name, r.line, r.text})
	k.verbatim(p)
}

// verbatim wants a kustomization that names files and does nothing to them: it is about what configures plugins, and what
// is read there has to be what was checked.
func (k *kustomization) verbatim(dir string) {
	file := kustomizationIn(k.fsys, dir)
	if file == "" || k.verified[dir] || k.b.diags.HasErrors() {
		return
	}
	k.verified[dir] = true
	data, ok := readEntry(k.b, k.fsys, file, k.name(file))
	if !ok {
		return
	}
	f := k.parseKustomization(file, data)
	if f == nil {
		return
	}
	rest := f.Kustomization
	rest.MetaData, rest.Resources, rest.BuildMetadata = nil, nil, nil
	if rest.CheckEmpty() == nil {
		k.fail(file, 1, "MESHC1011", "this kustomization configures generators or transformers of another, and changes what it names", "Let it list files under resources and nothing else.")
		return
	}
	for _, r := range f.references("resources", f.Resources) {
		p := path.Join(dir, r.text)
		if info, err := fs.Stat(k.fsys, p); err == nil && info.IsDir() {
			k.verbatim(p)
			continue
		}
		if data, ok := readEntry(k.b, k.fsys, p, k.name(p)); ok {
			k.settings(p, 0, data)
		}
	}
}

// settings looks into the objects that configure plugins, which may name paths of their own. Lines are those of a file, or
// follow the line of what stands in place.
func (k *kustomization) settings(file string, line int, data []byte) {
	p := &parser{file: inputFile(k.name(file), data), out: k.b}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		if dec.Decode(&n) != nil || k.b.diags.HasErrors() {
			return
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
			continue
		}
		v, over := p.bounded(n.Content[0])
		if over {
			return
		}
		doc := &source.Document{File: file, Node: n.Content[0], LineOffset: max(line-1, 0)}
		k.setting(file, doc, v, nil)
	}
}

// setting looks into a value of such an object, at a path.
func (k *kustomization) setting(file string, doc *source.Document, v any, at []any) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			k.setting(file, doc, v[key], append(slices.Clip(at), key))
		}
	case []any:
		for i, x := range v {
			k.setting(file, doc, x, append(slices.Clip(at), i))
		}
	case string:
		line := doc.Pos(at...).Line
		if strings.HasPrefix(v, "HelmChartInflation") {
			k.fail(file, line, "MESHC1011", "kustomize would run helm here, and a compile starts no programs", helmHelp)
		}
		if namesFile(at) && !strings.Contains(v, "\n") {
			k.local(file, reference{text: v, line: line}, false)
		}
	}
}

// namesFile tells whether a plugin reads a file where a value stands.
func namesFile(at []any) bool {
	for _, e := range at {
		if s, ok := e.(string); ok && slices.Contains([]string{"path", "paths", "files", "envs", "env"}, strings.ToLower(s)) {
			return true
		}
	}
	return false
}
