// Package load reads the sources a user names and returns the objects in them, each with its place.
//
// A source is a file, a directory, a kustomization, "-" for standard input, a revision of a Git repository, or a tar
// archive. Reading goes in these steps:
//
//  1. Locate finds where the paths of all sources start (sources.go): the root of a Git work tree, the tree of a revision, the inside of
//     an archive, or the directory that holds all of them. A file has one name from there, however it was typed.
//  2. Each source becomes a tree of files (tree.go): of the disk, where links do not leave the root (links.go); of a revision, whose
//     objects are read from the repository without Git (git.go, gitfs.go); of an archive (tar.go, memfs.go). What is no
//     regular file is refused unread, and budgets bound names, bytes and depth.
//  3. A directory with a kustomization is rendered by kustomize over that tree, from no network and with bounds on what may come of it
//     (kustomize.go and its neighbours); kustomize says which file an object comes from, and what is left of the document there has
//     its positions. Of other directories all YAML and JSON files are taken (files.go).
//  4. Every file is parsed once, into YAML syntax trees (parse.go); plain data and positions both come from the tree. Files are parsed side
//     by side and kept in order of source and path.
//  5. Documents that are objects of a kind that meshc reads are kept, others are listed as left alone. Where that changes what the
//     mesh would be, it is said: settings for a chart that nobody has rendered (settings.go), objects by which Flux or Argo CD
//     applies something else than what lies there (delivery.go). An object that is there twice is reported, and the later one
//     counts in a lenient run.
//
// What is wrong with the input is a finding at a line; an error is returned only when the context ends.
package load

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"runtime"
	"strings"

	"github.com/meshc/meshc/internal/diag"
	"github.com/meshc/meshc/internal/fault"
	"github.com/meshc/meshc/internal/source"
	"golang.org/x/sync/errgroup"
)

// Options says how to read.
type Options struct {
	Namespace string                 // given to namespaced objects without one; "default" if empty
	Stdin     io.Reader              // what the source "-" reads
	Exclude   func(name string) bool // tells the paths, from the root of the repository, that are left out
	Lenient   bool                   // two objects of one name are a warning, and the later one counts, as when both are applied
	Keep      bool                   // keep the manifests as they were read
}

// Result is what the sources hold.
type Result struct {
	Documents []*source.Document
	Installs  []*source.Document // of the documents left alone, those that say how Istio is installed
	Foreign   []Left             // documents that are no Kubernetes objects or of a kind that is not ours
	Revision  Revision           // of the first source that has one
	Dirty     bool               // the working tree of a source differs from its revision
	Files     int                // files read
	Excluded  int                // files and folders that were left out on demand
	Manifests [][]byte           // with Options.Keep, the text of each file, and what each kustomization yields
}

// Revision is a Git commit.
type Revision struct {
	Commit string // in hex
	Time   string // when it was committed, RFC 3339 in UTC
}

// Left is a document that was left alone.
type Left struct {
	What string // apiVersion/Kind, or NotKubernetes
	Pos  diag.Pos
}

// NotKubernetes stands for YAML that is no object.
const NotKubernetes = "not a Kubernetes object"

// file is one input file before it is parsed.
type file struct {
	name    string // path inside the sources
	data    []byte
	stream  bool // standard input or an archive's text: the limit of one file does not hold
	private bool // its text is not shown
}

func inputFile(name string, data []byte) file { return file{name: name, data: data} }

// batch is what one source yields.
type batch struct {
	at       *location
	lenient  bool
	exclude  func(name string) bool
	excluded int
	lacking  []string // submodules that are not there
	nested   []string // kustomizations below the directory, not read as it stands
	files    []file
	docs     []*source.Document // already parsed (kustomize)
	foreign  []Left
	aside    []*source.Document
	revision Revision
	dirty    bool
	inputs   []file // files behind docs
	keep     bool
	rendered []byte // what kustomizations yield
	count    int    // files read, where files does not say
	diags    diag.List

	deliveries []delivery // by Flux and Argo CD
}

func (b *batch) fail(name string, line int, code, message, help string) {
	b.diags.Add(finding(diag.Pos{File: name, Line: max(line, 1), Column: 1}, code, message, help))
}

func finding(p diag.Pos, code, message, help string) diag.Diagnostic {
	return diag.Diagnostic{Code: code, Severity: diag.Error, Pos: p, Message: message, Help: help}
}

func warning(p diag.Pos, code, message, help string) diag.Diagnostic {
	return diag.Diagnostic{Code: code, Severity: diag.Warning, Pos: p, Message: message, Help: help}
}

// Load reads the sources of a run that has no others.
func Load(ctx context.Context, sources []string, opts Options) (*Result, diag.List, error) {
	return Locate(sources).Load(ctx, sources, opts)
}

// Load reads some of the sources. Documents come in the order of the sources, and within a source by path and place.
func (s *Sources) Load(ctx context.Context, sources []string, opts Options) (*Result, diag.List, error) {
	if opts.Namespace == "" {
		opts.Namespace = "default"
	}
	res := &Result{}
	var diags diag.List
	seen := map[[2]string]bool{} // volume and path
	for _, source := range sources {
		l := s.at[source]
		b := s.read(ctx, l, opts)
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		var files []file
		for _, f := range b.files {
			key := [2]string{l.volume, f.name}
			if !seen[key] || source == "-" {
				files = append(files, f)
			}
			seen[key] = true
		}
		parsed, err := parseAll(ctx, files, opts.Lenient)
		if err != nil {
			return nil, nil, err
		}
		b.merge(parsed)
		b.delivered(opts.Namespace)
		diags.Add(b.diags...)
		s.record(b, files)
		res.add(b, opts.Namespace, len(files))
		if opts.Keep {
			res.keep(b, files)
		}
	}
	diags.Add(res.unique(opts.Lenient)...)
	if len(res.Documents) == 0 && !diags.HasErrors() {
		diags.Add(s.nothing(sources, res))
	}
	diags.Sort()
	return res, diags, nil
}

func (b *batch) merge(p *batch) {
	b.docs = append(b.docs, p.docs...)
	b.foreign = append(b.foreign, p.foreign...)
	b.aside = append(b.aside, p.aside...)
	b.deliveries = append(b.deliveries, p.deliveries...)
	b.diags.Add(p.diags...)
}

func (r *Result) add(b *batch, namespace string, files int) {
	for _, d := range b.docs {
		defaultNamespace(d, namespace)
	}
	r.Documents = append(r.Documents, b.docs...)
	r.Foreign = append(r.Foreign, b.foreign...)
	r.Installs = append(r.Installs, b.aside...)
	if r.Revision.Commit == "" {
		r.Revision = b.revision
	}
	r.Dirty = r.Dirty || b.dirty
	r.Files += files + b.count
	r.Excluded += b.excluded
}

func (r *Result) keep(b *batch, files []file) {
	for _, f := range files {
		r.Manifests = append(r.Manifests, f.data)
	}
	if len(b.rendered) > 0 {
		r.Manifests = append(r.Manifests, b.rendered)
	}
}

func defaultNamespace(d *source.Document, namespace string) {
	switch {
	case source.ClusterScoped(d.APIVersion, d.Kind):
		d.Namespace = ""
	case d.Namespace == "":
		d.Namespace = namespace
	}
}

func (s *Sources) nothing(sources []string, res *Result) diag.Diagnostic {
	name := "."
	if len(sources) > 0 {
		first := s.at[sources[0]]
		name = first.inside
		s.note(first, name)
	}
	msg := "there is no mesh or Kubernetes object to compile in " + strings.Join(sources, ", ")
	if n := len(res.Foreign); n > 0 {
		msg += "; what was read is of kinds that a mesh does not use"
	}
	help := "Name a file or directory with Services, workloads and Istio objects (.yaml, .yml or .json)."
	for _, source := range sources {
		if l := s.at[source]; l.disk != "" && isBare(l.disk) {
			help = "It is a Git repository without a work tree: name a revision of it, as " + source + "#ref=HEAD."
		}
	}
	return finding(diag.Pos{File: name, Line: 1, Column: 1}, "MESHC1001", msg, help)
}

// read dispatches on the form of a source.
func (s *Sources) read(ctx context.Context, l *location, opts Options) *batch {
	b := &batch{at: l, lenient: opts.Lenient, keep: opts.Keep, exclude: opts.Exclude}
	if b.leavesOut(l.inside) {
		b.exclude = nil // what is named is read
	}
	switch repo, rev, ok := cutRevision(l.source); {
	case l.source == "-":
		readStdin(b, opts.Stdin)
	case ok:
		readGit(ctx, b, repo, rev)
	default:
		s.readPath(ctx, b)
	}
	return b
}

// parseAll parses files in parallel.
func parseAll(ctx context.Context, files []file, lenient bool) (*batch, error) {
	parts := make([]*batch, len(files))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range files {
		g.Go(fault.Guard(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			parts[i] = parseFile(files[i], lenient)
			return nil
		}))
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := &batch{}
	for _, p := range parts {
		all.merge(p)
	}
	return all, nil
}

// unique reports the second and later of objects that are the same to Kubernetes, and keeps one. A repeat of the same
// content is harmless.
func (r *Result) unique(lenient bool) diag.List {
	type key struct{ group, kind, namespace, name string }
	first := make(map[key]int, len(r.Documents))
	var out diag.List
	kept := r.Documents[:0]
	for _, d := range r.Documents {
		if d.Name == "" {
			kept = append(kept, d)
			continue
		}
		served, _ := source.Served(d.APIVersion, d.Kind)
		group, _, ok := strings.Cut(served, "/")
		if !ok {
			group = ""
		}
		k := key{group, d.Kind, d.Namespace, d.Name}
		i, repeated := first[k]
		if !repeated {
			first[k] = len(kept)
			kept = append(kept, d)
			continue
		}
		if meshFile(d.File) != "" && meshFile(kept[i].File) != "" && meshFile(d.File) != meshFile(kept[i].File) {
			joinMesh(kept[i], d)
			continue
		}
		out.Add(repeat(kept[i], d, lenient))
		if !same(kept[i], d) && !fixed(kept[i], d) {
			kept[i] = d
		}
	}
	r.Documents = kept
	return out
}

// joinMesh makes one ConfigMap of meshconfig.yaml and meshnetworks.yaml.
func joinMesh(into, d *source.Document) {
	to, from := into.Value["data"].(map[string]any), d.Value["data"].(map[string]any)
	for k, v := range from {
		to[k] = v
	}
	into.Node.Content[1].Content = append(into.Node.Content[1].Content, d.Node.Content[1].Content...)
}

func repeat(before, d *source.Document, lenient bool) diag.Diagnostic {
	at := before.Pos("metadata", "name")
	f := finding(d.Pos("metadata", "name"), "MESHC1010", d.Ref().String()+" is already defined",
		"Remove or rename one of the two; in a cluster the one applied last would replace the other.")
	switch {
	case same(before, d):
		f.Severity = diag.Warning
		f.Message += ", with the same content"
		f.Help = "Remove one of the two."
	case lenient && fixed(before, d):
		f.Severity = diag.Warning
		f.Message += ", with another selector, which nothing can change; the first one counts"
	case lenient:
		f.Severity = diag.Warning
		f.Message += ", with other content; the later one counts"
	}
	f.Object, f.Field = d.Ref(), "metadata.name"
	f.Related = []diag.Related{{Pos: at, Object: before.Ref(), Message: "first defined here"}}
	return f
}

// fixed tells whether an API server would refuse to replace one document by another: the selector of a workload cannot be changed.
func fixed(before, d *source.Document) bool {
	if !strings.HasPrefix(d.APIVersion, "apps/") {
		return false
	}
	selector := func(x *source.Document) []byte {
		spec, _ := x.Value["spec"].(map[string]any)
		text, err := json.Marshal(spec["selector"])
		if err != nil {
			return nil
		}
		return text
	}
	return !bytes.Equal(selector(before), selector(d))
}

// same tells whether two documents say the same.
func same(a, b *source.Document) bool {
	x, err := json.Marshal(a.Value)
	y, failed := json.Marshal(b.Value)
	return err == nil && failed == nil && bytes.Equal(x, y)
}
